"""What formats make of payloads and what is shown of it, kept in `tests/golden` and read in review.

`pytest --update-golden` writes the expected files anew.
"""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path

import msgspec
import pytest

from relay.core.event import SourceDefaults, stamp
from relay.formats import FORMATS, Request
from relay.formats.contract import decode_body
from relay.formats.mapping import MappingSettings, make_mapping
from relay.templates.rendering import TemplateRenderer

GOLDEN = Path(__file__).parents[1] / "golden" / "formats"
NOW = 1_772_331_000.0
MAP = MappingSettings(
    each="events",
    title="join(' ', [site, what])",
    severity="level",
    status="state",
    key="id",
    severities={"1": "critical", "2": "major"},
    labels={"site": "site"},
)
READERS = {**FORMATS, "map": make_mapping(MAP)}
CASES = sorted(
    file
    for file in GOLDEN.glob("*/*")
    if file.suffix in (".json", ".txt") and not file.name.endswith((".events.json", ".headers.json"))
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.stem}")
def test_a_payload_gives_the_events_and_messages_on_record(case: Path, update_golden: bool) -> None:
    name = case.parent.name
    read = READERS[name]
    beside = case.with_suffix(".headers.json")
    headers = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
    payload = decode_body(case.read_bytes(), headers.get("content-type", ""), forms=read.forms)
    drafts = read.read(Request(payload=payload, source="golden", headers=headers, received_at=NOW))
    defaults = SourceDefaults(source="golden", format=name, labels={"region": "eu"})
    events = [stamp(draft, defaults, f"event-{number}", NOW) for number, draft in enumerate(drafts, 1)]
    renderer = TemplateRenderer({}, UTC, lambda *said: pytest.fail(str(said)))
    messages = [renderer.render(event, None, room="noc", told=None, now=NOW) for event in events]
    expected = {
        case.with_suffix(".events.json"): json.dumps(msgspec.to_builtins(events), indent=2, ensure_ascii=False) + "\n",
        case.with_suffix(".md"): "\n\n=====\n\n".join("\n\n-----\n\n".join(texts) for texts in messages) + "\n",
    }
    for file, text in expected.items():
        if update_golden:
            file.write_text(text, encoding="utf-8")
        assert file.read_text(encoding="utf-8") == text, f"{file.name} differs; --update-golden writes it anew"


def test_every_format_has_a_case_and_every_expectation_its_payload() -> None:
    assert {case.parent.name for case in CASES} == set(READERS)
    payloads = {case.with_suffix("") for case in CASES}
    kept = {file.parent / file.name.split(".")[0] for file in GOLDEN.glob("*/*.*")}
    assert kept == payloads
