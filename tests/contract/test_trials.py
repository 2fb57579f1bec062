"""Routing tests in simulated time, and what a change would move."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relay.app.trial.difference import DROPPED, UnreadableEventError, difference, event_of, when_of
from relay.app.trial.routing_tests import Verdict, read_tests, report, run_case
from relay.app.trial.steps import BadTestError
from relay.core.words import say_duration
from relay.formats import FORMATS
from relay.logs import make_log
from relay.settings.load import Loaded, load
from tests.fakes.made import event

CONFIG = """
operator: {room: noc}
accounts: {w: {type: webex, token: {env: NONE}}}
rooms: {noc: {account: w, id: a}, oncall: {account: w, id: b}}
sources: {fabric: {type: webhook, resolve_timeout: 6h}, prometheus: {type: webhook, format: alertmanager}}
time_intervals: [{name: night, time_intervals: [{times: [{start_time: 22:00, end_time: 24:00}]}]}]
inhibit_rules: [{source_matchers: [title=core], target_matchers: [title!=core], equal: [site]}]
route:
  rooms: [noc]
  routes:
    - {matchers: [severity="critical"], rooms: [noc, oncall], mute_time_intervals: [night]}
    - {matchers: [source="prometheus"], group_by: [site]}
"""


def loaded(folder: Path, text: str = CONFIG, name: str = "relay.yaml") -> Loaded:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return load(file, FORMATS)


async def verdict(folder: Path, **case: Any) -> Verdict:
    settings = loaded(folder)
    file = folder / "tests.yaml"
    file.write_text(json.dumps({"config": "relay.yaml", "tests": [{"name": "a test", **case}]}), encoding="utf-8")
    return await run_case(read_tests(file).tests[0], settings, folder, make_log("error"))


def alert(**changes: Any) -> dict[str, Any]:
    return {"source": "fabric", "title": "port-down", "severity": "critical", "key": "k", **changes}


async def test_an_alert_and_its_end_are_tried_as_the_relay_would_tell_them(tmp_path: Path) -> None:
    tried = await verdict(
        tmp_path,
        exact=True,
        events=[alert(), alert(at="90s", status="resolved")],
        expect=[
            {"at": "0s", "room": "noc", "action": "post", "contains": "port-down"},
            {"at": "0s", "room": "oncall", "action": "post"},
            *({"at": "90s", "room": room, "action": "edit", "contains": "resolved"} for room in ("noc", "oncall")),
            *({"at": "90s", "room": room, "action": "reply"} for room in ("noc", "oncall")),
        ],
    )
    assert tried.passed, report(tried)


async def test_what_is_missing_and_what_is_too_much_is_shown(tmp_path: Path) -> None:
    tried = await verdict(
        tmp_path,
        exact=True,
        events=[alert(severity="major")],
        expect=[{"at": "5s", "room": "oncall", "action": "post", "contains": "x"}],
    )
    assert report(tried) == [
        "✗ a test",
        "  - 5s: post to oncall that contains 'x' is missing",
        "  + 0s: post to noc: 🟠 MAJOR · port-down",
    ]


async def test_a_payload_that_gives_no_event_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text(json.dumps({"version": "4", "alerts": []}), encoding="utf-8")
    tried = await verdict(
        tmp_path,
        events=[{"at": "0s", "source": "prometheus", "payload": "none.json"}, alert(at="1m", title="port down")],
        expect=[{"at": "1m", "room": "noc", "action": "post", "contains": "port down"}],
    )
    assert tried.passed, report(tried)


async def test_a_day_of_groups_silences_mutes_and_inhibition_passes_at_once(tmp_path: Path) -> None:
    payload = tmp_path / "group.json"
    alerts = [
        {"status": "firing", "labels": {"alertname": name, "site": "a", "severity": "major"}, "fingerprint": name}
        for name in ("Disk", "Load")
    ]
    payload.write_text(json.dumps({"version": "4", "alerts": alerts}), encoding="utf-8")
    tried = await verdict(
        tmp_path,
        start="2026-03-01T21:00:00Z",
        until="24h",
        silences=[{"at": "0s", "duration": "2h", "matchers": ["key=silent"]}],
        events=[
            {"at": "0s", "source": "prometheus", "payload": "group.json"},
            alert(key="silent", title="quiet", severity="major"),
            alert(at="2h", title="in the night"),
            alert(at="3h30m", key="c", title="core", severity="minor", labels={"site": "b"}),
            alert(at="3h31m", key="d", title="edge", severity="minor", labels={"site": "b"}),
            alert(at="3h45m", key="c", title="core", status="resolved"),
        ],
        expect=[
            {"at": "30s", "room": "noc", "action": "post", "contains": "2 firing"},
            {"at": "2h", "room": "noc", "action": "post", "contains": "quiet"},
            {"at": "3h", "room": "oncall", "action": "post", "contains": "in the night"},
            {"at": "3h30m", "room": "noc", "action": "post", "contains": "core"},
            {"at": "3h45m", "room": "noc", "action": "post", "contains": "edge"},
            {"at": "4h30s", "room": "noc", "action": "reply", "contains": "2 still firing"},
            {"at": "6h", "room": "noc", "action": "edit", "contains": "expired"},
        ],
    )
    assert tried.passed, report(tried)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"events": [alert(source="fabrik")]}, "no source is called 'fabrik' (did you mean 'fabric'?)"),
        ({"events": [alert(titel="x")]}, "unknown key 'titel' (did you mean 'title'?)"),
        ({"events": [alert(at="soon")]}, "expected a duration, like 30s, 5m or 1h30m; found 'soon'"),
        ({"events": [alert(severity=["major"])]}, "severity: expected text, found a list"),
        ({"events": [{"source": "fabric", "payload": "nowhere.json"}]}, "nowhere.json can't be read"),
        ({"events": [], "start": "soon"}, "start: expected a time, like 2026-03-01T02:10:00Z; found 'soon'"),
        ({"events": [], "silences": [{"matchers": []}]}, "expected at least one matcher"),
        ({"events": [], "expectations": []}, "unknown key `expectations`"),
    ],
)
async def test_a_test_that_cannot_be_run_says_why(tmp_path: Path, case: dict[str, Any], said: str) -> None:
    with pytest.raises(BadTestError) as caught:
        await verdict(tmp_path, **{"expect": [], **case})
    assert said in str(caught.value)


def test_a_change_of_routes_tells_which_events_it_moves(tmp_path: Path) -> None:
    old = loaded(tmp_path)
    new = loaded(tmp_path, CONFIG.replace("[noc, oncall]", "[oncall]"), "new.yaml")
    night = 1_772_404_200.0  # 22:30 UTC
    events = [event(severity="critical", received_at=night), event(key="k2", severity="minor")]
    (moved,) = difference(events, old, new)
    assert (moved.event.key, moved.before, moved.after) == (
        "k1",
        ("noc (muted)", "oncall (muted)"),
        ("oncall (muted)",),
    )
    with pytest.raises(UnreadableEventError, match="occurred_at is missing"):
        event_of({"id": "x"})


def test_a_changed_when_tells_which_events_it_drops(tmp_path: Path) -> None:
    text = CONFIG.replace("{fabric: {", "{fabric: {when: severity != 'minor', ", 1)
    assert text != CONFIG
    events = [event(severity="critical"), event(key="k2", severity="minor"), event(key="k2", status="resolved")]
    (moved,) = difference(events, loaded(tmp_path), loaded(tmp_path, text, "new.yaml"))
    assert (moved.event.key, moved.after) == ("k2", (DROPPED,))
    blind = loaded(tmp_path, text.replace("severity != 'minor'", "payload.x"), "blind.yaml")
    assert difference(events, loaded(tmp_path), blind) == []
    assert [when.reads_payload for when in when_of(blind).values()] == [True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty; expected a mapping with `config:` and `tests:`"),
        ("[]", "expected a mapping with `config:`"),
        ("{config: relay.yaml, tests: [{name: a, events: []}]}", "tests[0]: `expect` is missing"),
        (
            "{config: c, tests: [{name: a, events: [], expect: [{at: 0s, room: noc, action: posst}]}]}",
            "tests[0].expect[0].action: 'posst' is not one of post, digest, edit, reply, file (did you mean 'post'?)",
        ),
        (
            "{config: c, tests: [{name: a, events: [], expect: [{at: [], room: noc, action: post}]}]}",
            "tests[0].expect[0].at: expected a whole number or text, found a list",
        ),
    ],
)
def test_a_file_of_tests_that_is_none_is_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "tests.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadTestError) as caught:
        read_tests(file)
    assert said in str(caught.value)


# Steps beside events


ESCALATION = (
    CONFIG
    + """\
    - {matchers: [title="link down"], rooms: [noc], continue: true}
    - {matchers: [title="link down"], rooms: [oncall], group_by: [key], group_wait: 15m}
"""
)


async def steps(folder: Path, text: str, *events: dict[str, Any], **case: Any) -> list[tuple[str, str, str]]:
    """What a test sends: when, where and what."""
    settings = loaded(folder, text)
    file = folder / "tests.yaml"
    case = {"name": "steps", "until": "3h", "expect": [], **case, "events": list(events)}
    file.write_text(json.dumps({"config": "relay.yaml", "tests": [case]}), encoding="utf-8")
    tried = await run_case(read_tests(file).tests[0], settings, folder, make_log("error"))
    return [(say_duration(one.at - tried.start), one.room, one.action) for one in tried.other]


DOWN = {"source": "fabric", "title": "link down", "severity": "major", "key": "k"}


async def test_an_acknowledgement_stops_what_another_rooms_group_has_not_told(tmp_path: Path) -> None:
    acked = {"at": "5m", "source": "fabric", "key": "k", "acknowledged_by": "anna"}
    assert ("15 min", "oncall", "post") in await steps(tmp_path, ESCALATION, DOWN)
    sent = await steps(tmp_path, ESCALATION, DOWN, acked)
    assert ("5 min", "noc", "edit") in sent
    assert not [one for one in sent if one[1] == "oncall"]


async def test_an_acknowledgement_that_is_withdrawn_lets_the_other_room_be_told(tmp_path: Path) -> None:
    acked = {"at": "5m", "source": "fabric", "key": "k", "acknowledged_by": "anna"}
    for at, told in (("10m", "15 min"), ("20m", "20 min")):
        given = {"at": at, "source": "fabric", "key": "k", "unacknowledged_by": "anna"}
        sent = await steps(tmp_path, ESCALATION, DOWN, acked, given)
        assert [one for one in sent if one[1] == "oncall"] == [(told, "oncall", "post")]


async def test_a_silence_that_is_lifted_lets_what_fires_be_told_then(tmp_path: Path) -> None:
    silence = {"at": "0s", "silence": ["key=k"], "duration": "2h", "name": "change"}
    fires = {**DOWN, "at": "1m", "title": "port-down"}
    lifted = {"at": "30m", "unsilence": "change"}
    assert await steps(tmp_path, CONFIG, silence, fires, lifted) == [("30 min", "noc", "post")]
    assert await steps(tmp_path, CONFIG, silence, fires) == [("2 h 00", "noc", "post")]


async def test_a_reload_changes_where_later_alerts_go(tmp_path: Path) -> None:
    (tmp_path / "later.yaml").write_text(CONFIG.replace("rooms: [noc]\n", "rooms: [oncall]\n"), encoding="utf-8")
    first, second = {**DOWN, "title": "one"}, {**DOWN, "at": "2m", "key": "k2", "title": "two"}
    sent = await steps(tmp_path, CONFIG, first, {"at": "1m", "config": "later.yaml"}, second, until="5m")
    assert sent == [("0 s", "noc", "post"), ("2 min", "oncall", "post")]


async def test_a_room_that_fails_is_told_when_it_works_again_or_its_fallback_is(tmp_path: Path) -> None:
    failing = [{"fails": "noc", "with": "remote"}, {**DOWN, "title": "one"}, {"at": "10m", "works": "noc"}]
    ((at, *sent),) = await steps(tmp_path, CONFIG, *failing, until="20m")
    assert sent == ["noc", "post"]
    assert at.split()[0] in {"10", "11", "12", "13", "14", "15"}
    fallback = CONFIG.replace("{account: w, id: a}", "{account: w, id: a, fallback: oncall, fallback_after: 1m}")
    found = await steps(tmp_path, fallback, *failing, until="20m")
    assert found[0][1:] == ("oncall", "post")
    assert found[0][0] == "1 min"


async def test_a_downtime_is_a_step_too(tmp_path: Path) -> None:
    fires = {**DOWN, "title": "one", "downtime": True}
    over = {"at": "40m", "source": "fabric", "key": "k", "downtime": False}
    assert await steps(tmp_path, CONFIG, fires, over) == [("40 min", "noc", "post")]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"at": "1m"}, "events[0]: expected a step with one of the keys source, silence, unsilence, config,"),
        ({"unsilence": "change"}, "events[0]: no earlier silence is called 'change'"),
        ({"config": "gone.yaml"}, "gone.yaml can't be loaded"),
        ({"fails": "nco"}, "events[0]: no room is called 'nco' (did you mean 'noc'?)"),
        ({"fails": "noc", "with": "netwrok"}, "'netwrok' is not one of network, timeout, remote, refused, throttled"),
        ({"works": "noc", "for": "5m"}, "events[0]: unknown key 'for'"),
        ({"silence": "key=k"}, "events[0].silence: expected a list of matchers"),
        ({"source": "fabric", "acknowledged_by": "anna"}, "key: is missing: expected the key of the alert"),
        ({"source": "fabric", "key": "k", "downtime": "yes"}, "downtime: expected true or false, found 'yes'"),
    ],
)
async def test_a_step_that_is_none_is_told_with_its_place(tmp_path: Path, step: dict[str, Any], said: str) -> None:
    with pytest.raises(BadTestError) as caught:
        await steps(tmp_path, CONFIG, step)
    assert said in str(caught.value)


async def test_an_event_that_its_source_does_not_want_is_dropped_in_a_test_too(tmp_path: Path) -> None:
    text = CONFIG.replace("fabric: {type: webhook,", "fabric: {type: webhook, when: payload.rack == 'r1',")
    (tmp_path / "event.json").write_text('{"title": "from a file", "rack": "r2"}', encoding="utf-8")
    (tmp_path / "tests.yaml").write_text(
        json.dumps(
            {
                "config": "relay.yaml",
                "tests": [
                    {
                        "name": "a test",
                        "exact": True,
                        "events": [alert(), {"source": "fabric", "payload": "event.json"}],
                        "expect": [],
                    }
                ],
            }
        ),
        encoding="utf-8",
    )
    settings = loaded(tmp_path, text)
    tried = await run_case(read_tests(tmp_path / "tests.yaml").tests[0], settings, tmp_path, make_log("error"))
    assert tried.passed, report(tried)
