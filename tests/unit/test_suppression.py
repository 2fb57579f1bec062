"""Silences, inhibition and time intervals, with Alertmanager's meaning."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.alert import Alert
from relay.core.fingerprint import fingerprint
from relay.core.matching import parse_matchers, view_of
from relay.core.reasons import AFTERWARDS, REASONS, SUPPRESSED, no_message
from relay.core.silencing import BadSilenceError, Wish, change_silence, expire, make_silence
from relay.core.suppression import Held, HeldFor, InhibitRule, Silence, Suppression, Suppressor
from relay.core.times import (
    Range,
    TimeInterval,
    parse_days_of_month,
    parse_months,
    parse_times,
    parse_weekdays,
    parse_years,
)
from tests.fakes.made import event

NOW = 1_800_000_000.0


def alert(key: str, state: str = "firing", **labels: str) -> Alert:
    return Alert("fabric", "relay", key, state, "major", key, labels, NOW, NOW, NOW)  # type: ignore[arg-type]  # a state


def held(suppressor: Suppressor, one: Alert, now: float = NOW) -> Held | None:
    return suppressor.held(view_of(one), (), (), now)


def rule(sources: str, targets: str, *equal: str) -> InhibitRule:
    return InhibitRule(tuple(parse_matchers(sources)), tuple(parse_matchers(targets)), equal)


def test_an_alert_holds_those_that_match_and_agree_with_it_until_it_ends() -> None:
    suppressor = Suppressor([rule('kind="down"', 'kind="slow"', "site")])
    suppressor.note(alert("a", kind="down", site="x"))
    assert suppressor.stirred
    assert held(suppressor, alert("b", kind="slow", site="x")) == Held("inhibited", "fabric/a")
    assert held(suppressor, alert("b", kind="slow", site="y")) is None
    assert held(suppressor, alert("b", kind="other", site="x")) is None
    suppressor.note(alert("a", "resolved", kind="down", site="x"))
    assert held(suppressor, alert("b", kind="slow", site="x")) is None


def test_labels_that_both_lack_agree() -> None:
    suppressor = Suppressor([rule('kind="down"', 'kind="slow"', "rack")])
    suppressor.note(alert("a", kind="down"))
    assert held(suppressor, alert("b", kind="slow")) is not None
    assert held(suppressor, alert("b", kind="slow", rack="1")) is None


def test_of_two_alerts_that_match_both_sides_neither_holds_the_other() -> None:
    suppressor = Suppressor([rule('site="x"', 'site="x"')])
    suppressor.note(alert("a", site="x"))
    suppressor.note(alert("b", site="x"))
    assert held(suppressor, alert("a", site="x")) is held(suppressor, alert("b", site="x")) is None


def test_an_alert_whose_labels_change_holds_what_it_matches_now() -> None:
    suppressor = Suppressor([rule('kind="down"', 'kind="slow"', "site")])
    suppressor.note(alert("a", kind="down", site="x"))
    suppressor.note(alert("a", kind="down", site="y"))
    assert held(suppressor, alert("b", kind="slow", site="x")) is None
    assert held(suppressor, alert("b", kind="slow", site="y")) is not None
    suppressor.stirred = False
    suppressor.note(alert("a", kind="down", site="y"))
    assert not suppressor.stirred


notes = st.lists(
    st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from(["down", "slow"]), st.sampled_from("xy")),
    max_size=12,
)


@given(notes)
def test_what_is_held_depends_on_what_fires_now_alone(history: list[tuple[str, bool, str, str]]) -> None:
    rules = [rule('kind="down"', 'site=~".+"', "site")]
    whole, fresh = Suppressor(rules), Suppressor(rules)
    last: dict[str, Alert] = {}
    for key, firing, kind, site in history:
        last[key] = alert(key, "firing" if firing else "resolved", kind=kind, site=site)
        whole.note(last[key])
    for one in last.values():
        fresh.note(one)
    for target in (alert("t", kind="slow", site="x"), alert("t", kind="down", site="y"), *last.values()):
        assert (held(whole, target) is None) == (held(fresh, target) is None)


def wish(**changes: Any) -> Wish:
    return Wish(**{"matchers": ("a=b",), "ends_at": NOW + 60, "created_by": "anna", "comment": "c", **changes})


def test_a_silence_holds_while_it_is_active() -> None:
    suppressor = Suppressor()
    suppressor.silence([make_silence(wish(starts_at=NOW + 10), "s1", NOW)])
    one = alert("k", a="b")
    assert [held(suppressor, one, NOW + seconds) is not None for seconds in (0, 10, 59, 60)] == [
        False,
        True,
        True,
        False,
    ]
    assert suppressor.next_change(NOW) == NOW + 10
    assert suppressor.next_change(NOW + 10) == NOW + 60
    assert suppressor.next_change(NOW + 60) is None
    assert suppressor.held_by(view_of(one), NOW + 20) == (["s1"], [])


matchers = st.builds(
    "{}{}{}".format, st.sampled_from(["site", "host"]), st.sampled_from(["=", "!=", "=~", "!~"]), st.sampled_from("abc")
)


@given(
    st.lists(st.lists(matchers, min_size=1, max_size=2), max_size=20),
    st.dictionaries(st.sampled_from(["site", "host"]), st.sampled_from("abc")),
)
def test_of_many_silences_those_hold_that_would_hold_alone(each: list[list[str]], labels: dict[str, str]) -> None:
    silences = [
        Silence(
            id=str(n),
            matchers=tuple(one),
            starts_at=NOW - 1,
            ends_at=NOW + 60,
            created_by="a",
            comment="b",
            updated_at=NOW,
        )
        for n, one in enumerate(each)
    ]
    view = view_of(alert("k", **labels))
    suppressor = Suppressor()

    def holding(some: list[Silence]) -> list[str]:
        suppressor.silence(some)
        return suppressor.held_by(view, NOW)[0]

    assert holding(silences) == [one for silence in silences for one in holding([silence])]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"matchers": ()}, "expected at least one matcher"),
        ({"matchers": ("a",)}, "expected a matcher"),
        ({"matchers": ('a=~".*"', 'b=""')}, "must not match an empty value"),
        ({"ends_at": NOW}, "in the past"),
        ({"starts_at": NOW + 60}, "expected an end after the beginning"),
        ({"comment": ""}, "the comment is missing"),
        ({"created_by": "x" * 2_000}, "expected at most 1000 characters in the author"),
    ],
)
def test_a_silence_that_cannot_be_says_why(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSilenceError, match=said):
        make_silence(wish(**changes), "s1", NOW)


def test_a_silence_is_changed_in_place_unless_it_would_hold_others() -> None:
    known = make_silence(wish(), "s1", NOW)
    (longer,) = change_silence(known, wish(ends_at=NOW + 600, starts_at=NOW), "s2", NOW + 1)
    assert (longer.id, longer.ends_at) == ("s1", NOW + 600)
    new, old = change_silence(known, wish(matchers=("a=c",)), "s2", NOW + 1)
    assert (new.id, old.id, old.state(NOW + 1)) == ("s2", "s1", "expired")
    assert expire(old, NOW + 2) == []


@given(st.permutations(['a="b"', 'c=~"d.*"', 'e!="f"']))
def test_the_order_of_matchers_makes_no_other_silence(matchers: list[str]) -> None:
    assert make_silence(wish(matchers=tuple(matchers)), "s", NOW).matchers == ('a="b"', 'c=~"d.*"', 'e!="f"')


def moment(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("interval", "within", "without"),
    [
        (
            TimeInterval(times=(parse_times("09:00", "17:00"),)),
            ["2026-03-02 09:00", "2026-03-02 16:59"],
            ["2026-03-02 08:59", "2026-03-02 17:00"],
        ),
        (TimeInterval(times=(parse_times("22:00", "24:00"),)), ["2026-03-02 23:59"], ["2026-03-03 00:00"]),
        (
            TimeInterval(weekdays=(parse_weekdays("monday:friday"),)),
            ["2026-03-02 12:00", "2026-03-06 12:00"],
            ["2026-03-01 12:00", "2026-03-07 12:00"],
        ),
        (TimeInterval(weekdays=(parse_weekdays("sunday"),)), ["2026-03-01 00:00"], ["2026-03-02 00:00"]),
        (
            TimeInterval(days_of_month=(parse_days_of_month("-3:-1"),)),
            ["2026-02-26 00:00", "2026-02-28 23:59"],
            ["2026-02-25 23:59", "2026-03-01 00:00"],
        ),
        (TimeInterval(days_of_month=(parse_days_of_month("31"),)), ["2026-01-31 00:00"], ["2026-02-28 00:00"]),
        (TimeInterval(days_of_month=(parse_days_of_month("1:31"),)), ["2026-02-28 00:00"], []),
        (
            TimeInterval(months=(parse_months("february:3"),)),
            ["2026-02-01 00:00", "2026-03-31 00:00"],
            ["2026-01-31 23:59", "2026-04-01 00:00"],
        ),
        (
            TimeInterval(years=(parse_years("2026:2027"),)),
            ["2026-01-01 00:00"],
            ["2025-12-31 23:59", "2028-01-01 00:00"],
        ),
    ],
)
def test_an_interval_holds_from_its_first_minute_to_its_last(
    interval: TimeInterval, within: list[str], without: list[str]
) -> None:
    assert all(interval.contains(moment(text)) for text in within)
    assert not any(interval.contains(moment(text)) for text in without)


def test_an_interval_has_its_own_zone_with_its_summer() -> None:
    office = TimeInterval(times=(parse_times("09:00", "17:00"),), zone=ZoneInfo("Europe/Amsterdam"))
    for day in ("2026-03-28", "2026-03-30"):
        assert office.contains(moment(f"{day} 09:00", "Europe/Amsterdam"))
        assert not office.contains(moment(f"{day} 08:59", "Europe/Amsterdam"))


def test_all_fields_that_are_given_must_hold() -> None:
    one = TimeInterval(times=(Range(0, 60),), weekdays=(Range(1, 1),))
    assert one.contains(moment("2026-03-02 00:30"))
    assert not one.contains(moment("2026-03-03 00:30"))
    assert not one.contains(moment("2026-03-02 01:00"))


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (parse_weekdays, "funday", "expected a day of the week"),
        (parse_weekdays, "friday:monday", "ends before it begins"),
        (parse_months, "13", "expected a month"),
        (parse_days_of_month, "0", "expected days from 1 to 31"),
        (parse_days_of_month, "-1:5", "ends before it begins"),
        (parse_days_of_month, "5:1", "ends before it begins"),
        (parse_years, "soon", "expected a year"),
        (lambda text: parse_times(text, "24:00"), "25:00", "expected a time of day"),
        (lambda text: parse_times(text, "06:00"), "22:00", "write a night as two stretches"),
    ],
)
def test_a_wrong_interval_says_what_would_be_right(parse: Any, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text)


def test_a_route_is_muted_within_what_mutes_it_and_outside_of_what_wakes_it() -> None:
    day = TimeInterval(times=(Range(0, 720),))
    suppressor = Suppressor((), {"day": (day,)})
    noon = moment("2026-03-02 12:00")
    assert suppressor.muted(("day",), (), noon - 60) == Held("muted", "day")
    assert suppressor.muted(("day",), (), noon) is None
    assert suppressor.muted((), ("day",), noon) == Held("muted", "outside of day")
    assert suppressor.muted((), ("day",), noon - 60) is None
    assert suppressor.phase(noon - 60) != suppressor.phase(noon)
    assert suppressor.next_change(noon - 30) == noon


def test_the_hours_of_a_day_go_by_the_machines_clock_whatever_the_relays_own_says() -> None:
    night = TimeInterval(times=(parse_times("20:00", "22:00"),))
    suppressor = Suppressor((), {"night": [night]})
    own, wall = moment("2026-03-02 08:00"), moment("2026-03-02 20:30")
    assert suppressor.muted(("night",), (), own) is None
    suppressor.ahead = own - wall
    assert suppressor.muted(("night",), (), own) == Held("muted", "night")
    assert suppressor.next_change(own + 1.0) == own + 60.0


def test_fingerprints_are_alertmanagers() -> None:
    """As a real one (0.25) answered for these labels."""
    assert fingerprint({"severity": "critical", "alertname": "foo"}) == "8fa107ec8feba4bc"


def test_events_and_alerts_are_seen_alike() -> None:
    one = event(labels={"a": "b", "title": "mine"})
    view = view_of(one)
    assert (view["title"], view["label.title"], view["source"]) == (one.title, "mine", "fabric")
    assert datetime.fromtimestamp(NOW, UTC).year == 2027
    silence = Silence(
        id="s", matchers=("label.title=mine",), starts_at=0, ends_at=NOW, created_by="a", comment="c", updated_at=0
    )
    suppressor = Suppressor()
    suppressor.silence([silence])
    assert suppressor.held(view, (), (), NOW - 1) == Held("silenced", "s")


def test_every_reason_has_one_sentence() -> None:
    assert set(REASONS) == {*get_args(Suppression), "own", "dropped"}
    assert set(SUPPRESSED) == set(get_args(HeldFor))
    assert len(set(REASONS.values())) == len(REASONS)
    assert all("{by}" in text for text in SUPPRESSED.values())


@pytest.mark.parametrize("reason", REASONS)
def test_only_what_fires_and_is_held_back_may_be_told_later(reason: str) -> None:
    for status in ("firing", "resolved", "notice"):
        later = status == "firing" and reason in get_args(HeldFor)
        said = no_message(reason, status)
        assert said.endswith(AFTERWARDS) == said.startswith("no message at first") == later
        assert REASONS[reason] in said
