"""What ready mappings make of payloads that are not theirs: the notice that shows the payload, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from relay.app.trial.mapping_trial import mapping_in
from relay.formats import Request
from relay.formats.batch import read_payload
from relay.formats.bodies import decode
from relay.formats.contract import Unrecognised
from tests.fakes.readers import READERS
from tests.unit.test_golden import CASES, headers_of

READY = sorted(name for name in READERS if name.startswith("map-"))
STRAY: list[Any] = [
    {"hello": "world", "n": 1},
    {},
    {"message": "x"},
    {"title": "x", "status": "ok", "id": 5},
    {"attachments": [{"title": "x", "text": None}]},
    {"type": "ping"},
    {"event": "test"},
    {"summary": "", "check": {}, "data": {}, "object": {}, "execution": {}, "event_data": {}},
    "text",
    7,
    True,
    None,
    [[1]],
    [{"a": 1}, {"b": 2}],
]


def is_notice(mapping: str, payload: Any) -> bool:
    """Whether a mapping makes the one notice of a payload that it does not know, and refuses nothing."""
    found = read_payload(READERS[mapping], Request(payload=payload, source="stray"))
    return [type(one) for one in found.drafts] == [Unrecognised] and not found.unread


@pytest.mark.parametrize("mapping", READY)
def test_the_payloads_of_all_others_are_unrecognised(mapping: str) -> None:
    payloads = {
        f"{case.parent.name}/{case.name}": decode(
            READERS[case.parent.name], case.read_bytes(), headers_of(case).get("content-type", "")
        )
        for case in CASES
        if case.parent.name != mapping
    }
    assert len(payloads) > 100
    assert [name for name, payload in payloads.items() if payload != [] and not is_notice(mapping, payload)] == []


@pytest.mark.parametrize("mapping", READY)
@pytest.mark.parametrize("payload", STRAY, ids=str)
def test_any_document_is_unrecognised(mapping: str, payload: Any) -> None:
    assert is_notice(mapping, payload)


@pytest.mark.parametrize("mapping", READY)
def test_every_ready_mapping_says_what_it_requires(mapping: str) -> None:
    assert mapping_in(mapping.removeprefix("map-")).requires


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"])
def test_a_watch_event_of_kubernetes_is_the_event_within(kind: str) -> None:
    within: dict[str, Any] = {
        "kind": "Event",
        "type": "Warning",
        "reason": "Evicted",
        "message": "low on ephemeral storage",
    }
    within |= {"involvedObject": {"kind": "Pod", "namespace": "lock", "name": "pump-0", "uid": "u-7"}}
    payload: Any = {"type": kind, "object": within if kind != "BOOKMARK" else {"kind": "Event", "metadata": {}}}
    for sent, count in ((payload, 1), ([payload, payload], 2)):
        drafts = read_payload(READERS["map-kubernetes"], Request(payload=sent, source="k8s")).drafts
        if kind in ("DELETED", "BOOKMARK") and count == 1:
            assert drafts == []
        elif kind in ("ADDED", "MODIFIED"):
            assert [(one.status, one.severity, one.title) for one in drafts] == [
                ("firing", "warning", "Pod lock/pump-0: Evicted")
            ] * count
            assert drafts[0].body == "low on ephemeral storage"
