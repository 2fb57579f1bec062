"""What formats make of payloads and what is shown of it, kept in `tests/golden` and read in review.

`pytest --update-golden` writes the expected files anew.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from random import Random  # noqa: TID251 - seeded damage, not the relay's chance
from time import process_time
from typing import Any

import msgspec
import pytest

from relay.core.event import Event, SourceDefaults, stamp
from relay.formats import Request
from relay.formats.batch import read_payload
from relay.formats.bodies import decode
from relay.formats.contract import UnreadableError
from relay.templates.rendering import TemplateRenderer
from tests.fakes.readers import GOLDEN, NOW, READERS
from tests.golden.page import page

CASES = sorted(
    file
    for file in GOLDEN.glob("*/*")
    if file.suffix in (".json", ".txt") and not file.name.endswith((".events.json", ".headers.json"))
)


RARE = ("done", "cleared", "annotations")
"""Fields that are listed only if they say something."""


def headers_of(case: Path) -> dict[str, str]:
    """The headers that stand beside a payload."""
    beside = case.with_suffix(".headers.json")
    return dict(json.loads(beside.read_text(encoding="utf-8"))) if beside.exists() else {}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.stem}")
def test_a_payload_gives_the_events_and_messages_on_record(case: Path, update_golden: bool) -> None:
    name = case.parent.name
    read = READERS[name]
    headers = headers_of(case)
    payload = decode(read, case.read_bytes(), headers.get("content-type", ""))
    drafts = read_payload(read, Request(payload=payload, source="golden", headers=headers, received_at=NOW)).drafts
    defaults = SourceDefaults(source="golden", format=name, labels={"region": "eu"})
    events = [stamp(draft, defaults, f"event-{number}", NOW) for number, draft in enumerate(drafts, 1)]
    renderer = TemplateRenderer({}, UTC, lambda *said: pytest.fail(str(said)))
    messages = [renderer.render(event, None, room="noc", summary=None, now=NOW) for event in events]
    listed = [
        {name: value for name, value in msgspec.to_builtins(event).items() if value or name not in RARE}
        for event in events
    ]
    expected = {
        case.with_suffix(".events.json"): json.dumps(listed, indent=2, ensure_ascii=False) + "\n",
        case.with_suffix(".md"): "\n\n=====\n\n".join("\n\n-----\n\n".join(texts) for texts in messages) + "\n",
    }
    for file, text in expected.items():
        if update_golden:
            file.write_text(text, encoding="utf-8")
        assert file.read_text(encoding="utf-8") == text, f"{file.name} differs; --update-golden writes it anew"


JUNK: tuple[Any, ...] = (None, "", "x", 0, -1, 1e300, True, [], {}, ["x", None], {"a": 1}, "0001-01-01T00:00:00Z", "{")


def spoilt(value: Any, dice: Random) -> Any:
    """A payload in which some values are of another type, or gone."""
    if dice.random() < 0.06:
        return dice.choice(JUNK)
    if isinstance(value, dict):
        return {name: spoilt(inner, dice) for name, inner in value.items() if dice.random() > 0.03}
    if isinstance(value, list):
        return [spoilt(inner, dice) for inner in value]
    return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.stem}")
def test_a_payload_that_is_spoilt_is_read_or_refused_in_words(case: Path) -> None:
    read = READERS[case.parent.name]
    payload = decode(read, case.read_bytes(), headers_of(case).get("content-type", ""))
    dice = Random(case.name)  # noqa: S311 - seeded damage
    for _ in range(100):
        request = Request(payload=spoilt(payload, dice), source="golden", received_at=NOW)
        try:
            drafts = read_payload(read, request).drafts
        except UnreadableError:
            assert case.parent.name.startswith(("relay", "map"))
            continue
        for draft in drafts:
            event = stamp(draft, SourceDefaults(source="golden", format="x"), "event", NOW)
            encoded = msgspec.json.encode(event)
            assert msgspec.json.decode(encoded, type=Event) == event
            assert event.title
            if case.parent.name != "relay":  # there a link is the sender's own, and the renderer's to judge
                assert all(link.url.startswith(("http://", "https://")) for link in event.links)


HOSTILE = (
    "{" * 40_000,
    "1" + " " * 40_000 + "x",
    "{code" * 10_000,
    "[a] [b]" + " " * 40_000,
    "<a" * 20_000,
    "%%%  " * 8_000,
    "/fault-" * 6_000,
    "${a" * 10_000,
)


def with_text(value: Any, text: str) -> Any:
    """A payload in which a text stands in the place of every second one."""
    if isinstance(value, dict):
        return {
            name: text if isinstance(inner, str) and number % 2 else with_text(inner, text)
            for number, (name, inner) in enumerate(value.items())
        }
    return [with_text(inner, text) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.stem}")
def test_no_text_takes_long_to_read(case: Path) -> None:
    read = READERS[case.parent.name]
    payload = decode(read, case.read_bytes(), headers_of(case).get("content-type", ""))
    for text in HOSTILE:
        began = process_time()
        with suppress(UnreadableError):
            read_payload(read, Request(payload=with_text(payload, text), source="golden", received_at=NOW))
        assert process_time() - began < 1.0, text[:20]


def test_every_format_has_a_case_and_every_expectation_its_payload() -> None:
    assert {case.parent.name for case in CASES} == set(READERS)
    payloads = {case.with_suffix("") for case in CASES}
    kept = {file.parent / file.name.split(".")[0] for file in GOLDEN.glob("*/*.*") if file.suffix != ".yaml"}
    assert kept == payloads


def test_the_page_of_all_messages_holds_each_of_them() -> None:
    written = "\n".join(page())
    assert all(case.with_suffix(".md").read_text(encoding="utf-8").strip() in written for case in CASES)
    assert written.count("\n## ") + written.startswith("## ") == len(CASES)
