"""Mappings that are proposed for payloads nobody knows, and ready ones; tried by hand."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from relay.cli import app
from relay.core.event import Event, SourceDefaults, stamp
from relay.formats.batch import read_payload
from relay.formats.contract import Request, Unrecognised
from relay.formats.mapping import MappingSettings, make_mapping
from relay.formats.proposing import propose
from tests.fakes.unknown_systems import SYSTEMS
from tests.fakes.unknown_vendors import VENDORS

KNOWN = {**VENDORS, **SYSTEMS}

PUMPS = {
    "sentBy": "pumps",
    "alarms": [
        {
            "alarmId": 991,
            "headline": "Pump 3 runs dry",
            "sev": "HH",
            "state": "ACTIVE",
            "site": "Harbour",
            "details": "No flow for 40 s",
            "timestamp": "2026-03-01T02:00:00+0100",
            "links": {"web-url": "https://pumps.example.org/alarms/991"},
            "meta": '{"device": "P-3"}',
        }
    ],
}


def invoke(*arguments: str, code: int = 0, **options: Any) -> str:
    result = CliRunner().invoke(app, ["map", *arguments], **options)
    assert result.exit_code == code, result.output
    return result.output


def read(payload: Any, **edits: Any) -> list[Event]:
    """The events that the proposal for a payload makes of it, with edits by hand."""
    mapping = make_mapping(msgspec.structs.replace(settings_of(payload), **edits))
    found = read_payload(mapping, Request(payload, "s"))
    assert not found.unread
    return [stamp(one, SourceDefaults(source="s", format="map"), "own-id", 0.0) for one in found.drafts]


def settings_of(payload: Any) -> MappingSettings:
    proposed = propose(payload)
    assert proposed is not None
    return proposed.settings


def remarks_of(payload: Any) -> str:
    proposed = propose(payload)
    assert proposed is not None
    return "\n".join(proposed.remarks)


def test_a_payload_nobody_knows_is_read_by_the_proposal() -> None:
    settings = settings_of(PUMPS)
    assert settings == MappingSettings(
        title="headline",
        each="alarms",
        status="state",
        severity="sev",
        key="to_string(alarmId)",
        body="details",
        occurred_at="timestamp",
        labels={"device": "json(meta).device", "site": "site"},
        links={"Web": 'links."web-url"'},
        severities={"HH": "warning"},
    )
    (draft,) = read_payload(make_mapping(settings), Request(PUMPS, "pumps")).drafts
    assert (draft.title, draft.status, draft.severity, draft.key) == ("Pump 3 runs dry", "firing", "warning", "991")
    assert (draft.labels, draft.occurred_at) == ({"device": "P-3", "site": "Harbour"}, 1_772_326_800.0)
    assert [link.url for link in draft.links] == ["https://pumps.example.org/alarms/991"]


def at_its_end(payload: Any, end: dict[str, Any]) -> Any:
    """A payload with other values at some paths: that of the same alert when it ends."""
    ended = deepcopy(payload)
    for path, value in end.items():
        *way, last = path.split(".")
        place = ended
        for step in way:
            place = place[int(step) if step.isdigit() else step]
        place[last] = value
    return ended


@pytest.mark.parametrize("name", KNOWN)
def test_the_proposal_for_a_vendors_payload_leads_to_a_right_source(name: str) -> None:
    vendor = KNOWN[name]
    event = read(vendor.payload, **vendor.edits)[0]
    wanted = (vendor.title, vendor.severity, vendor.key or "own-id")
    assert (event.title, event.severity, event.key) == wanted
    assert event.status == ("firing" if vendor.end else vendor.status)
    if vendor.end:
        mapping = make_mapping(msgspec.structs.replace(settings_of(vendor.payload), **vendor.edits))
        end = read_payload(mapping, Request(at_its_end(vendor.payload, vendor.end), "s")).drafts[0]
        assert (end.status, end.key) == ("resolved", vendor.key)


def test_there_are_enough_vendors_and_few_of_them_need_an_edit() -> None:
    assert len(KNOWN) >= 40
    assert all(len(vendor.edits) <= 1 for vendor in KNOWN.values())
    assert sum(not vendor.edits for vendor in KNOWN.values()) >= 30


@pytest.mark.parametrize(
    ("payload", "title", "is_guess"),
    [
        ({"title": "[FIRING:2] water in the cellar", "text": "one\ntwo"}, "title", False),
        ({"subject": "gate", "alert": {"name": "Gate is stuck"}}, "subject", False),
        ({"alert": {"name": "Gate is stuck"}, "name": "tenant 4"}, "alert.name", False),
        ({"Alarm": "Gate is stuck", "Site": "east"}, "Alarm", False),
        ({"message": "one\ntwo", "name": "Gate is stuck"}, "name", False),
        ({"text": "Gate is stuck", "policy_name": "all gates"}, "text", False),
        ({"monitor": {"name": "Gate"}, "project": {"name": "East"}}, "monitor.name", False),
        ({"info": "Gate is stuck", "kind": "GATE_STUCK"}, "info", True),
        ({"remark by the guard": "Gate is stuck", "guard": "ida"}, '"remark by the guard"', True),
        ({"when": "2026-03-01 02:00:00 (UTC)", "memo": "stuck"}, "memo", True),
        ({"id": "a b c", "memo": "stuck"}, "memo", True),
        ({"n": 1}, "join(' ', ['n', to_string(n)])", True),
        ({"subject": "You have a new alert!", "alarm_name": "Gate is stuck"}, "alarm_name", False),
        ({"subject": "A new alert was triggered"}, "subject", False),
        ({"response_summary": "Bad Gateway", "text": "Gate is stuck"}, "text", False),
        ({"user": {"title": "Dr"}, "msg": "Gate is stuck"}, "msg", False),
        ({"device_name": "gate-3", "type": "GATE_STUCK"}, "join(': ', [device_name || '', type || ''])", True),
        ({"alerts": [{"x": "Gate is stuck"}]}, "x", True),
    ],
)
def test_a_title_is_always_proposed_and_a_guess_is_marked(payload: Any, title: str, is_guess: bool) -> None:
    assert settings_of(payload).title == title
    assert ("title: " in remarks_of(payload)) is is_guess
    assert "unrecognised" not in read(payload)[0].title


@pytest.mark.parametrize(
    ("fields", "status", "event"),
    [
        ({"state": "ACT"}, "state", "firing"),
        ({"state": "RTN"}, "state", "resolved"),
        ({"alarmState": "In Alarm"}, "alarmState", "firing"),
        ({"status": "ALERT_STATUS_CLEARED"}, "status", "resolved"),
        ({"event": "monitor.down", "kind": "x"}, "event", "firing"),
        ({"type": "RECOVERY"}, "type", "resolved"),
        ({"type": "GATE_PROBLEM"}, None, "notice"),
        ({"previous_state": "ok", "state": "problem"}, "state", "firing"),
        ({"cleared": False}, "cleared && 'resolved' || 'firing'", "firing"),
        ({"cleared": True}, "cleared && 'resolved' || 'firing'", "resolved"),
        ({"isActive": True}, "isActive && 'firing' || 'resolved'", "firing"),
        ({"active": False}, "active && 'firing' || 'resolved'", "resolved"),
        ({"resolvedAt": None}, "resolvedAt && 'resolved' || 'firing'", "firing"),
        ({"resolved_at": "2026-03-01T02:00:00Z"}, "resolved_at && 'resolved' || 'firing'", "resolved"),
        ({"status": "Jammed"}, "status", "firing"),
        ({"status": "open", "previousState": "closed", "newState": "closed"}, "newState", "resolved"),
        ({"state": {"value": "ALARM"}, "previousState": {"value": "OK"}}, "state.value", "firing"),
        ({"state_text": "Cleared", "state": 1}, "state_text", "resolved"),
        ({"is_up": False}, "is_up && 'resolved' || 'firing'", "firing"),
        ({"fixed": True}, "fixed && 'resolved' || 'firing'", "resolved"),
        ({"type": "AP_CONNECTED"}, "type", "resolved"),
        ({"type": "INCIDENT_CLOSED"}, "type", "resolved"),
        ({"type": "incident.status.resolved"}, "type", "resolved"),
        ({"event_type": "user.created"}, None, "notice"),
        ({"event_type": "POLICY_CLOSE_CRITICAL"}, "event_type", "resolved"),
        ({"event_type": "ALERT", "is_resolved": True}, "is_resolved && 'resolved' || 'firing'", "resolved"),
        ({"hoststate": "UP", "servicestate": "CRITICAL"}, "servicestate", "firing"),
        ({"event_type": "Gate Down"}, None, "notice"),
        ({"event": "the gate is down"}, None, "notice"),
        ({"status_code": 500}, None, "notice"),
    ],
)
def test_a_status_is_found_in_words_flags_and_times(fields: dict[str, Any], status: str | None, event: str) -> None:
    payload = {"title": "Gate is stuck", "alert_id": "g", **fields}
    assert settings_of(payload).status == status
    assert read(payload)[0].status == event
    assert ("no status was found" in remarks_of(payload)) is (status is None)


def test_a_number_for_a_status_is_named() -> None:
    payload = {"alert": "Gate is stuck", "state": 2, "severity": "high"}
    assert "if state is one, write `status: state` and what 2 means in `statuses`" in remarks_of(payload)
    assert read(payload, status="state", statuses={"2": "firing"})[0].status == "firing"


def test_the_bracket_in_front_of_a_title_is_its_status() -> None:
    payload = {"title": "[FIRING:1] Gate is stuck", "fingerprint": "f"}
    assert read(payload)[0].status == "firing"
    assert read(payload | {"title": "[RESOLVED] Gate is stuck"})[0].status == "resolved"
    assert "which is a guess" in remarks_of(payload)


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"account_id": "a", "alert_id": "x"}, "alert_id"),
        ({"account_id": "a", "policy_id": "p", "site_id": "s", "org_id": "o", "user": {"id": 5}}, None),
        ({"api_key": "secret", "routing_key": "secret", "secret_id": "x", "token_id": "x"}, None),
        ({"organization": {"id": 1}, "incident": {"id": 4}}, "to_string(incident.id)"),
        ({"id": "delivery-1", "dedupKey": "gate-3"}, "dedupKey"),
        ({"id": "delivery-1", "correlation_id": "gate-3"}, "correlation_id"),
        ({"id": "delivery-1", "alarm": {"uuid": "gate-3"}}, "alarm.uuid"),
        ({"request_id": "r", "trace_id": "t", "monitor_id": 7}, "to_string(monitor_id)"),
        ({"tenant": {"key": "t"}, "sensor": {"id": "pump"}}, "sensor.id"),
        ({"id": 0}, "to_string(id)"),
        ({"status": "down", "host": "pier-7", "check": "ping"}, "join('/', [host || '', check || ''])"),
        ({"status": "down", "host": "pier-7"}, "host"),
        ({"hash_code": "x", "error_code": "E5", "status_code": 5}, None),
        ({"alert_type_id": "a", "alarm_policy_id": "b", "incident_source_id": "c", "publisher_id": "d"}, None),
        ({"alert_rule_id": "r", "alert_id": "x"}, "alert_id"),
        ({"checkid": "c", "alertid": "x"}, "alertid"),
        ({"tenantid": "c", "hostid": "x"}, None),
        ({"status": "down", "rule_id": "r", "host": "pier-7"}, "join('/', [rule_id || '', host || ''])"),
        ({"host": "pier-7"}, None),
        ({"app": "tides"}, None),
        ({"status": "down", "app": "tides"}, "app"),
        ({"status": "down", "host": "pier-7", "check_name": "ping"}, "join('/', [host || '', check_name || ''])"),
        ({"event_id": "delivery-1", "device_id": "d"}, None),
        ({"id": "delivery-1", "data": {"status": "down", "id": "gate-3", "title": "Gate"}}, "data.id"),
        ({"status": "down", "check": {"url": "https://gate.example.net"}}, "check.url"),
    ],
)
def test_a_key_is_what_belongs_to_the_alert_alone(fields: dict[str, Any], key: str | None) -> None:
    payload = {"message": "Gate is stuck", **fields}
    assert settings_of(payload).key == key
    assert ("no key was found" in remarks_of(payload)) is (key is None)


def test_what_makes_the_key_is_a_label_too() -> None:
    settings = settings_of({"text": "It has failed 3 times", "status": "down", "endpoint": "gate"})
    assert (settings.key, settings.labels) == ("endpoint", {"endpoint": "endpoint"})


def test_what_all_items_share_is_no_key() -> None:
    items = [{"id": "batch-9", "alarm_id": f"a{n}", "title": f"gate {n}"} for n in range(3)]
    assert settings_of({"alarms": items}).key == "alarm_id"
    for one in items:
        del one["alarm_id"]
    assert settings_of({"alarms": items}).key is None
    assert settings_of(items).key is None
    for number, one in enumerate(items):
        one |= {"host": "pier-7", "status": "down", "metric": f"m{number}"}
    assert settings_of({"alarms": items}).key == "join('/', [host || '', metric || ''])"
    for one in items:
        del one["metric"]
    assert settings_of({"alarms": items}).key is None
    assert settings_of({"host": "pier-7", "alarms": [{"text": "hot", "status": "down"}]}).key is None


@pytest.mark.parametrize(
    ("payload", "each", "title"),
    [
        ({"alert": {"name": "hot"}, "resources": [{"id": 1, "name": "a"}]}, None, "alert.name"),
        ({"title": "hot", "affected": [{"name": "a"}], "links": [{"text": "x", "href": "y"}]}, None, "title"),
        ({"site": "ams", "alarms": [{"text": "hot", "state": "ACT"}]}, "alarms", "text"),
        ({"data": {"alerts": [{"name": "hot", "status": "open"}]}}, "data.alerts", "name"),
        ({"summary": "2 alerts", "alerts": [{"title": "hot", "status": "open"}]}, "alerts", "title"),
        ({"source": "x", "records": [{"subject": "hot"}], "tags": [{"key": "a", "value": "b"}]}, "records", "subject"),
        ({"name": "ams", "events": [{"title": "hot"}]}, "events", "title"),
        ([{"title": "hot"}, {"title": "cold"}], None, "title"),
        (["it is hot", "it is cold"], None, "@"),
        ({"messages": ["it is hot", "it is cold"]}, "messages", "@"),
        ({"rows": [[1, 2], [3, 4]]}, None, "join(' ', ['rows', to_string(rows[0][0])])"),
        ({"a": {"b": {"c": {"d": {"e": {"f": {"title": "x"}}}}}}}, None, "a.b.c.d.e.f.title"),
    ],
)
def test_the_alert_is_preferred_to_the_resources_that_it_concerns(payload: Any, each: str | None, title: str) -> None:
    settings = settings_of(payload)
    assert (settings.each, settings.title) == (each, title)
    assert "unrecognised" not in read(payload)[0].title


def test_what_stands_beside_a_list_is_in_reach() -> None:
    payload = {"site": "ams", "state": "ACTIVE", "level": "high", "alarms": [{"text": "hot"}, {"text": "cold"}]}
    found = [(one.status, one.severity, one.labels["site"]) for one in read(payload)]
    assert found == [("firing", "major", "ams")] * 2


def test_the_words_of_all_items_that_nobody_knows_are_named() -> None:
    words = ["HH", "H", "high"]
    items = [{"text": f"gate {n}", "prio": word, "state": "ACT", "id": n} for n, word in enumerate(words)]
    assert settings_of(items).severities == {"HH": "warning", "H": "warning"}
    assert "severities: 'HH', 'H' could not be placed" in remarks_of(items)
    jammed = {"title": "x", "status": "Jammed"}
    assert "statuses: could not be placed, so it is a guess: 'Jammed': firing" in remarks_of(jammed)


@pytest.mark.parametrize(
    "payload",
    [{"a" * 10_000: "x y"}, {"a.b": {'c"d': "x y"}}, {"x": [[{"y": 1}]], "it's": 5}, {"t": "{" * 9_000, "m": "x y"}],
    ids=["long", "quotes", "apostrophe", "braces"],
)
def test_a_hostile_name_or_value_is_no_trouble(payload: Any) -> None:
    assert "unrecognised" not in read(payload)[0].title


@pytest.mark.parametrize("payload", [None, 7, "x", [], {}, [[]], {"a": None}, {"a": ""}, {"a": {}}])
def test_what_has_no_value_has_no_proposal(payload: Any) -> None:
    assert propose(payload) is None


NESTED = ["title", "name", "id", "state", "c"]


@given(
    st.dictionaries(
        st.sampled_from(["title", "name", "id", "status", "alerts", "alert", "text", "level", "x y", "a", "cleared"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=9),
            lambda inner: (
                st.lists(st.dictionaries(st.sampled_from(NESTED), inner), max_size=3)
                | st.dictionaries(st.sampled_from(NESTED), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    )
)
def test_whatever_is_proposed_reads_the_payload(payload: dict[str, Any]) -> None:
    proposed = propose(payload)
    if proposed is not None:
        found = read_payload(make_mapping(proposed.settings), Request(payload, "s"))
        assert found.drafts
        assert not isinstance(found.drafts[0], Unrecognised)


def test_the_command_proposes_and_shows_what_comes_of_it(tmp_path: Path) -> None:
    file = tmp_path / "pumps.json"
    file.write_text(json.dumps(PUMPS), encoding="utf-8")
    out = invoke("try", str(file))
    assert out.startswith("# A proposal: put it into a source")
    assert "map:\n  title: headline\n  each: alarms\n" in out
    assert "→ firing warning · Pump 3 runs dry\n  key: 991\n" in out
    mapping = tmp_path / "pumps.yaml"
    mapping.write_text("map: {each: alarms, title: headline, status: state, key: nothing}", encoding="utf-8")
    out = invoke("try", str(file), "--map", str(mapping))
    assert "key                    (nothing)" in out
    (item,) = json.loads(invoke("try", str(file), "--map", str(mapping), "-o", "json"))["items"]
    assert item["values"] == {"title": "Pump 3 runs dry", "status": "ACTIVE", "key": None}
    assert item["event"]["status"] == "firing"


def test_what_can_not_be_tried_says_why(tmp_path: Path) -> None:
    file = tmp_path / "pumps.json"
    file.write_text(json.dumps(PUMPS), encoding="utf-8")
    bad = tmp_path / "bad.yaml"
    bad.write_text("map: {titel: x}", encoding="utf-8")
    assert "no mapping is called 'pingdon' (did you mean 'pingdom'?)" in invoke(
        "try", str(file), "--map", "pingdon", code=1
    )
    assert "titel: unknown key (did you mean 'title'?)" in invoke("try", str(file), "--map", str(bad), code=1)
    assert "nope.yaml can't be read: No such file" in invoke("try", str(file), "--map", "nope.yaml", code=1)
    bad.write_text("map: [a", encoding="utf-8")
    assert "bad.yaml:1: " in invoke("try", str(file), "--map", str(bad), code=1)
    assert "each: expected a list" in invoke("try", str(file), "--map", "updown", code=1)
    assert "can't be read" in invoke("try", str(tmp_path / "none.json"), code=2)
    empty = tmp_path / "empty.json"
    empty.write_text("{}", encoding="utf-8")
    assert "found an empty payload" in invoke("try", str(empty), code=1)
    empty.write_text('{"event": "Battery low", "charged": false}', encoding="utf-8")
    out = invoke("try", str(empty))
    assert "# no status was found: each item is a notice" in out
    assert "# no key was found" in out


def test_an_item_that_can_not_be_read_is_shown_beside_the_others(tmp_path: Path) -> None:
    file, mapping = tmp_path / "pumps.json", tmp_path / "pumps.yaml"
    mapping.write_text("{title: headline}", encoding="utf-8")
    file.write_text('[{"headline": "Pump 3 runs dry"}, {"site": "Harbour"}]', encoding="utf-8")
    out = invoke("try", str(file), "--map", str(mapping))
    assert "→ notice warning · Pump 3 runs dry" in out
    assert "→ unrecognised: title: expected a text from 'headline', found null; check the path" in out
    file.write_text('[{"site": "Harbour"}]', encoding="utf-8")
    (item,) = json.loads(invoke("try", str(file), "--map", str(mapping), "-o", "json", code=1))["items"]
    assert (item["event"], item["unrecognised"][:6]) == (None, "title:")


def test_ready_mappings_are_listed() -> None:
    out = invoke("list")
    assert "prtg\tPRTG Network Monitor" in out
    assert len(out.splitlines()) > 15
