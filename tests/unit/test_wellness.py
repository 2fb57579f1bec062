"""How well the relay is: what is wrong is found, worst first, and said alike wherever it is shown."""

from __future__ import annotations

import string
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.event import SEVERITIES
from relay.core.facts import AccountFacts, Facts, RoomFacts, SourceFacts
from relay.core.findings import CODES, CRITICAL, DEGREES, MOST_DETAIL, OVER, WELL, Code, found, health, in_short, over
from relay.core.wellness import ENDING, FAILING, LATE, health_of_room, look, state_of_room

NOW = 1_000_000.0
REFUSED = AccountFacts(name="webex", rooms=("noc", "core"), refused="401: no such token")


def facts(**changes: Any) -> Facts:
    return Facts(now=NOW, **changes)


def room(**changes: Any) -> Facts:
    return facts(rooms=(RoomFacts(name="noc", **changes),))


def account(**changes: Any) -> Facts:
    return facts(accounts=(AccountFacts(name="webex", rooms=("noc",), **changes),))


def source(**changes: Any) -> Facts:
    return facts(sources=(SourceFacts(name="lab", **changes),))


CASES: list[tuple[Facts, Code, str]] = [
    (facts(running=False), "not_running", "critical"),
    (facts(stuck="stuck: planner"), "hangs", "critical"),
    (facts(store="full", store_trouble="no room"), "disk_full", "critical"),
    (facts(store="broken", store_trouble="read-only"), "store_broken", "critical"),
    (facts(queue_full=True), "queue_full", "critical"),
    (account(refused="401"), "account_refused", "critical"),
    (room(refused="404"), "room_refused", "critical"),
    (room(dead=2, untold=1, death="x\nrefused: 400"), "untold_incident", "critical"),
    (room(aside=2, aside_critical=1), "set_aside", "critical"),
    (room(aside=2), "set_aside", "warning"),
    (room(goes_to="backup", failing=FAILING * 2), "room_diverted", "warning"),
    (room(failing=FAILING + 1, last_error="503"), "room_failing", "warning"),
    (room(oldest=LATE + 1), "late", "warning"),
    (room(dead=1, death="x\nrefused: 400"), "dead", "warning"),
    (facts(gone=(RoomFacts(name="old", dead=2, untold=1),)), "room_gone", "warning"),
    (source(feed="down"), "feed_down", "warning"),
    (source(feed="refused", feed_error="401"), "feed_down", "warning"),
    (source(silent="10m", silence_is="critical"), "source_silent", "critical"),
    (source(silent="10m"), "source_silent", "warning"),
    (source(echoes=True), "source_echoes", "warning"),
    (account(refresh_until=NOW + ENDING - 1), "token_ends", "warning"),
    (account(token_trouble="500"), "token_trouble", "warning"),
    (facts(problems=("relay.yaml:1:1: route: what",)), "reload_refused", "warning"),
    (facts(restart=("storage",)), "restart_needed", "warning"),
    (facts(heartbeat="answered 500"), "heartbeat_failed", "warning"),
]


@pytest.mark.parametrize(("known", "code", "severity"), CASES, ids=[f"{code}-{degree}" for _, code, degree in CASES])
def test_each_trouble_is_one_finding(known: Facts, code: str, severity: str) -> None:
    (one,) = look(known)
    assert (one.code, one.severity) == (code, severity)
    assert one.sentence.endswith(".")
    assert one.remedy.endswith(".")
    assert over(one.key).endswith(".")
    assert one.about in over(one.key)


def test_every_code_has_a_case_and_a_degree() -> None:
    assert {code for _, code, _ in CASES} == set(CODES) == set(get_args(Code))
    assert set(CODES) == set(OVER) > CRITICAL


@pytest.mark.parametrize(
    "known",
    [
        facts(),
        room(failing=FAILING, oldest=LATE),
        account(refresh_until=NOW + ENDING + 1),
        facts(accounts=(AccountFacts(name="webex", rooms=("noc",)),), sources=(SourceFacts(name="lab"),)),
    ],
)
def test_a_relay_without_trouble_is_well(known: Facts) -> None:
    assert look(known) == ()
    assert (health(look(known)), in_short(look(known))) == ("ok", WELL)


def test_the_rooms_of_a_refused_account_do_not_work_and_are_not_blamed_themselves() -> None:
    rooms = tuple(
        RoomFacts(name=name, failing=900.0, oldest=900.0, last_error="401") for name in ("noc", "core", "ops")
    )
    known = facts(accounts=(REFUSED,), rooms=rooms)
    findings = look(known)
    assert [(one.code, one.about) for one in findings] == [("account_refused", "webex"), ("room_failing", "ops")]
    assert [health_of_room(one.name, findings) for one in rooms] == ["critical", "critical", "warning"]
    states = [state_of_room(one, known) for one in rooms]
    assert states == [*["waits, as account webex is refused"] * 2, "fails for 15 min: 401"]


def test_a_room_that_lacks_an_open_incident_has_no_second_finding_for_its_dead_deliveries() -> None:
    assert [one.code for one in look(room(dead=3, untold=1))] == ["untold_incident"]


TEXTS = st.text(string.printable, max_size=2_000)
COUNTS = st.integers(0, 3)
SECONDS = st.sampled_from([0.0, 10.0, 100.0, 1_000.0])
NAMES = st.sampled_from(["noc", "core", "ops"])
ROOMS = st.builds(
    RoomFacts,
    name=NAMES,
    refused=st.none() | TEXTS,
    goes_to=st.none() | NAMES,
    failing=SECONDS,
    last_error=st.none() | TEXTS,
    oldest=SECONDS,
    aside=COUNTS,
    aside_critical=COUNTS,
    dead=COUNTS,
    untold=COUNTS,
    death=TEXTS,
)
ACCOUNTS = st.builds(
    AccountFacts, name=NAMES, rooms=st.tuples(NAMES), refused=st.none() | TEXTS, token_trouble=st.none() | TEXTS
)
SOURCES = st.builds(
    SourceFacts,
    name=NAMES,
    silent=st.none() | st.just("10m"),
    silence_is=st.sampled_from(SEVERITIES),
    feed=st.sampled_from([None, "down", "refused"]),
    feed_error=st.none() | TEXTS,
    echoes=st.booleans(),
)


def named(one: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(one, max_size=3, unique_by=lambda found: found.name).map(tuple)


@given(named(ACCOUNTS), named(ROOMS), named(SOURCES), st.lists(TEXTS, max_size=3).map(tuple))
def test_findings_are_distinct_sorted_bounded_and_of_one_line(
    accounts: tuple[AccountFacts, ...],
    rooms: tuple[RoomFacts, ...],
    sources: tuple[SourceFacts, ...],
    problems: tuple[str, ...],
) -> None:
    findings = look(facts(accounts=accounts, rooms=rooms, sources=sources, problems=problems))
    assert len({one.key for one in findings}) == len(findings)
    degrees = [DEGREES.index(one.severity) for one in findings]
    assert degrees == sorted(degrees)
    for one in findings:
        assert "\n" not in one.sentence + one.remedy
        assert len(one.detail) <= MOST_DETAIL
        assert (one.severity == "critical") == (one.notice == "critical")
    assert "\n" not in in_short(findings)
    assert health(findings) == (findings[0].severity if findings else "ok")


@given(TEXTS, TEXTS)
def test_a_sentence_stays_while_its_trouble_lasts(before: str, after: str) -> None:
    for first, second in [
        (room(refused=before), room(refused=after)),
        (room(failing=100.0, last_error=before), room(failing=5_000.0, last_error=after)),
        (room(dead=1, death=before), room(dead=7, death=after)),
        (room(aside=1, oldest=10.0), room(aside=9, oldest=9_000.0)),
        (account(refused=before), account(refused=after)),
        (source(feed="down", feed_error=before), source(feed="down", feed_error=after)),
    ]:
        assert [(one.key, one.sentence, one.remedy) for one in look(first)] == [
            (one.key, one.sentence, one.remedy) for one in look(second)
        ]


def test_several_findings_are_said_in_short_by_the_worst() -> None:
    some = [found("hangs", "It hangs.", "Restart it."), found("dead", "It is dead.", "Retry.")]
    assert in_short(some[:1]) == "It hangs. Restart it."
    assert in_short(some) == "It hangs. Restart it. (1 more)"
