"""Mappings that are proposed for payloads nobody knows, and ready ones; tried by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from relay.cli import app
from relay.formats.batch import read_payload
from relay.formats.contract import Request
from relay.formats.mapping import MappingSettings, make_mapping
from relay.formats.proposing import propose

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


def test_a_payload_nobody_knows_is_read_by_the_proposal() -> None:
    settings = propose(PUMPS)
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
    assert settings is not None
    (draft,) = read_payload(make_mapping(settings), Request(PUMPS, "pumps")).drafts
    assert (draft.title, draft.status, draft.severity, draft.key) == ("Pump 3 runs dry", "firing", "warning", "991")
    assert (draft.labels, draft.occurred_at) == ({"device": "P-3", "site": "Harbour"}, 1_772_326_800.0)
    assert [link.url for link in draft.links] == ["https://pumps.example.org/alarms/991"]


@pytest.mark.parametrize("payload", [None, 7, "x", [], {}, {"n": 1}, [[]], {"title": {"n": 1}}])
def test_what_has_no_title_has_no_proposal(payload: Any) -> None:
    assert propose(payload) is None


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
    empty.write_text('{"event": "Battery low", "cleared": false}', encoding="utf-8")
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
