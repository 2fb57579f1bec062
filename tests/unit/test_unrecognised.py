"""Payloads of other senders: each format and each ready mapping shows them whole, and takes none for its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.formats import Request
from relay.formats.batch import Read, read_payload
from relay.formats.bodies import decode
from relay.formats.contract import Format, NotJsonError, Unrecognised
from tests.fakes.readers import NOW, READERS
from tests.unit.test_golden import CASES, headers_of

OWN_WORDS = ("relay", "map")
"""Readers of the sender's own words: any object may be meant for them."""
RELATIVES = {frozenset({"alertmanager", "grafana"})}
"""Formats that are made alike."""
PINGS = {("github", "alertmanager/unrecognised"), ("home-assistant", "ris-live/pong")}
"""A format, and another's payload that is its own ping as well."""
OBJECTS: tuple[Any, ...] = (
    {"a": {"b": [1]}},
    {"title": "x", "message": "y", "name": "z", "status": "1", "type": "t", "id": 5, "severity": "high"},
    {"alert": {}, "event": {}, "data": {}, "incident": {}, "issue": {}, "project": {}, "zen": "x"},
    {"event": {"type": "created"}, "incident": {"id": "7"}, "details": {"name": "x"}, "check": {}},
    {},
    ["x", 1, None],
    "x",
    5,
    True,
    None,
)


def read(format_: Format, payload: Any) -> Read:
    return read_payload(format_, Request(payload=payload, source="door", received_at=NOW))


def foreign_to(name: str) -> list[Path]:
    return [
        case
        for case in CASES
        if case.parent.name not in (name, *OWN_WORDS)
        and frozenset({name, case.parent.name}) not in RELATIVES
        and (name, f"{case.parent.name}/{case.stem}") not in PINGS
    ]


@pytest.mark.parametrize("name", [name for name in READERS if name not in OWN_WORDS])
def test_a_payload_of_another_vendor_is_shown_as_unrecognised(name: str) -> None:
    reader = READERS[name]
    for case in foreign_to(name):
        try:
            payload = decode(reader, case.read_bytes(), headers_of(case).get("content-type", ""))
        except NotJsonError:
            continue  # a form or XML, which this format never is
        found = read(reader, payload)
        assert found.drafts, case
        assert not found.dropped, case
        for draft in found.drafts:
            is_test = case.stem in ("test", "unfilled") and draft.labels.get("test") == "true"
            assert isinstance(draft, Unrecognised) or is_test, (name, case, draft)


@pytest.mark.parametrize("payload", OBJECTS, ids=repr)
@pytest.mark.parametrize("name", [name for name in READERS if name not in OWN_WORDS])
def test_any_json_is_shown_as_unrecognised(name: str, payload: Any) -> None:
    found = read(READERS[name], payload)
    assert [draft.title for draft in found.drafts] == ["unrecognised payload from door"]
    assert found.drafts[0].body
    assert not found.dropped


def test_a_payload_with_one_placeholder_is_no_test() -> None:
    foreign = {"monitorFriendlyName": "Web", "alertDetails": "no answer", "lasted": "*alertFriendlyDuration*"}
    for name in ("zabbix", "datadog", "kibana", "librenms", "newrelic", "opsgenie", "servicenow"):
        assert isinstance(read(READERS[name], foreign).drafts[0], Unrecognised), name


def test_json_within_a_text_is_no_placeholder() -> None:
    found = read(READERS["kibana"], {"Message": '{"title": "Pump 3 failed"}'})
    assert isinstance(found.drafts[0], Unrecognised)


@pytest.mark.parametrize("name", [name for name in READERS if name not in OWN_WORDS and READERS[name].forms])
def test_a_persons_words_are_shown_as_unrecognised(name: str) -> None:
    payload = decode(READERS[name], b"Backup of db1 failed\nat 02:00", "text/plain")
    (draft,) = read(READERS[name], payload).drafts
    assert (draft.title, draft.body) == ("unrecognised payload from door", "Backup of db1 failed\nat 02:00")


@pytest.mark.parametrize("body", [b'{"alert": {"id": 5, "na', b'[{"a": 1}, {"b"', b'"half a te', b"", b" \n", b"\0"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
def test_json_that_was_cut_is_refused_so_that_it_is_sent_again(body: bytes, kind: str) -> None:
    for format_ in READERS.values():
        with pytest.raises(NotJsonError):
            decode(format_, body, kind)


def test_words_that_say_to_be_json_are_refused() -> None:
    with pytest.raises(NotJsonError):
        decode(READERS["grafana"], b"Backup failed", "application/json")
