"""Titles, bodies and keys of events whose payload lacks some of its fields: nothing that is absent leaves a trace."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random  # noqa: TID251 - seeded damage, not the relay's chance
from typing import Any

import pytest

from relay.core.event import Draft
from relay.formats import Request
from relay.formats.batch import read_payload
from relay.formats.contract import UnreadableError, Unrecognised, decode_body
from tests.fakes.readers import NOW, READERS
from tests.unit.test_golden import CASES, headers_of

VENDORS = [case for case in CASES if case.parent.name not in ("relay", "map")]
"""Payloads whose events a format of the relay words. Native JSON and a user's mapping are worded by their senders."""
EMPTIES: tuple[Any, ...] = ("absent", None, "", [], {})
TRACES = re.compile(
    r"""\b(?:None|null|undefined|object)\b      # a value that is not there
    | \(\s*\) | \[\s*\] | \{\s*\} | "\s*" | ^→ | →$ | [:,]\s+[:,)] | \(\s*[:,]
    | \s{2}
    | ^[\s/:,.)!-] | [\s/:,(!-]$
    | (?:^|\s)//? (?:\s|:|$) | (?<!:)//
    | \b(?:on|by|at|is|was|of|to|has|in|with|from)$
    | \b(?:is|was)\s+(?:by|on|to)\b | \b(?:on|by|at|of|to)\s+(?:is|was|by|on|at)\b""",
    re.VERBOSE,
)
"""Signs in a text that a field was absent where the text was made."""


def without(value: Any, path: tuple[Any, ...], empty: Any) -> Any:
    """A payload in which one field is gone (`absent`), null or empty."""
    head, *rest = path
    if not rest and empty == "absent":
        return {name: inner for name, inner in value.items() if name != head}
    changed = without(value[head], tuple(rest), empty) if rest else empty
    if isinstance(value, dict):
        return {**value, head: changed}
    return [changed if place == head else inner for place, inner in enumerate(value)]


def fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all fields of a payload, those of objects in lists too."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, below in inner:
        if isinstance(value, dict):
            yield (*path, name)
        yield from fields(below, (*path, name))


def thinned(value: Any, dice: Random, share: float) -> Any:
    """A payload of whose fields a share is gone, null or empty."""
    if isinstance(value, dict):
        kept = {name: thinned(inner, dice, share) for name, inner in value.items() if dice.random() > share / 2}
        return {name: dice.choice(EMPTIES[1:]) if dice.random() < share / 2 else inner for name, inner in kept.items()}
    return [thinned(inner, dice, share) for inner in value] if isinstance(value, list) else value


def texts_in(value: Any) -> Iterator[str]:
    """All texts and numbers of a payload, with those of JSON within its texts, be it in base64."""
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts_in(inner)
    elif isinstance(value, str):
        yield from (line.strip() for line in value.splitlines() if line.strip())
        with suppress(ValueError):
            inner = json.loads(value if value[:1] in ("{", "[") else b64decode(value, validate=True))
            yield from texts_in(inner) if isinstance(inner, (dict, list)) else ()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)


def names_in(value: Any) -> Iterator[str]:
    """The names of a payload's fields that are not empty: some vendors put what an event is about there."""
    if isinstance(value, dict):
        yield from (name for name, inner in value.items() if inner not in (None, ""))
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from names_in(inner)


def skeleton(line: str, given: list[str]) -> str:
    """A line with an X in the place of each text that the sender itself wrote. What it says is its own."""
    for text in given:
        line = re.sub(rf"(?<!\w){re.escape(text)}(?!\w)", "X", line) if text[:1].isalnum() else line.replace(text, "X")
    return line


def traces(draft: Draft, payload: Any) -> list[str]:
    """What a draft shows of fields that are absent."""
    given = sorted(set(texts_in(payload)), key=len, reverse=True)
    found = [
        f"{name}: {line!r}"
        for name, text in (("title", draft.title), ("body", draft.body), ("done", draft.done))
        for line in text.splitlines()
        if TRACES.search(line) and TRACES.search(skeleton(line, given))
    ]
    if draft.key is not None and not names_something(draft.key, [*given, *names_in(payload)]):
        found.append(f"key: {draft.key!r} names nothing")
    if not draft.title and draft.key is None:
        found.append("title: neither a title nor a key")
    return found


def names_something(key: str, given: list[str]) -> bool:
    """Return whether a key holds a word of the payload, or is a hash of it."""
    words = [word for word in re.split(r"[/!:=, ]", key.lower().replace("-", "_")) if word]
    said = "\n".join(given).lower().replace("-", "_")
    return any(word in said for word in words) or re.fullmatch(r"[0-9a-f]{16}", key) is not None


def variants(payload: Any, seed: str) -> Iterator[Any]:
    """A payload without each of its fields in turn, and without some at random."""
    for path in list(fields(payload)):
        yield from (without(payload, path, empty) for empty in EMPTIES)
    dice = Random(seed)  # noqa: S311 - seeded damage
    for number in range(60):
        yield thinned(payload, dice, 0.1 + number / 100)


@pytest.mark.parametrize("case", VENDORS, ids=lambda case: f"{case.parent.name}-{case.stem}")
def test_a_field_that_is_absent_leaves_no_trace_in_title_body_or_key(case: Path) -> None:
    headers = headers_of(case)
    read = READERS[case.parent.name]
    whole = decode_body(case.read_bytes(), headers.get("content-type", ""), forms=read.forms)
    found: dict[str, Any] = {}
    for payload in variants(whole, f"{case.parent.name}/{case.name}"):
        request = Request(payload=payload, source="golden", headers=headers, received_at=NOW)
        try:
            drafts = read_payload(read, request).drafts
        except UnreadableError:
            continue
        for draft in drafts:
            if not isinstance(draft, Unrecognised):
                found.update((trace, payload) for trace in traces(draft, payload))
    assert not found, "\n".join(f"{trace} of {json.dumps(payload)[:600]}" for trace, payload in list(found.items())[:5])


SAMPLE = {"title": "This is an example JavaScript error", "level": "error", "id": "1"}
TRIALS: list[tuple[str, Any]] = [
    ("catalyst-center", {"eventId": "E-1", "instanceId": "1", "details": {"isSimulated": True}}),
    ("datadog", {"title": "$EVENT_TITLE", "alert_id": "$ALERT_ID", "body": "$EVENT_MSG"}),
    ("google-cloud", {"version": "test", "incident": {"summary": "Test Incident"}}),
    ("grafana", {"alerts": [{"status": "firing", "labels": {"alertname": "TestAlert"}, "annotations": {}}]}),
    ("grafana", {"ruleId": 0, "ruleName": "Test notification", "state": "alerting"}),
    ("home-assistant", {"type": "event", "event": {"event_type": "test", "data": {}}}),
    ("kibana", {"rule_name": "{{rule.name}}", "message": "{{context.message}}"}),
    ("librenms", {"title": "{{ $alert->title }}", "msg": "x"}),
    ("map-graylog", {"event_definition_type": "test-dummy-v1", "event": {"key": "testkey", "priority": 2}}),
    ("map-rollbar", {"event_name": "test", "data": {"message": "This is a test payload"}}),
    ("newrelic", {"title": "{{ annotations.title.[0] }}", "state": "{{state}}"}),
    ("pagerduty", {"event": {"event_type": "pagey.ping", "data": {"message": "hello"}}}),
    ("sentry", {"action": "created", "data": {"issue": SAMPLE}}),
    ("sentry", {"action": "triggered", "data": {"event": SAMPLE, "triggered_rule": "noc"}}),
    ("sentry", {"project_name": "tides", "message": "This is an example Python exception", "event": {}}),
    ("thousandeyes", {"eventType": "WEBHOOK_TEST", "alert": {}}),
    ("uptime-kuma", {"heartbeat": None, "monitor": None, "msg": "relay Testing"}),
    ("zabbix", {"alert_subject": "{ALERT.SUBJECT}", "alert_message": "{ALERT.MESSAGE}", "event_id": "{EVENT.ID}"}),
    ("zabbix", {"subject": "Problem: {EVENT.NAME}", "message": "{EVENT.OPDATA}", "host": "{HOST.NAME}"}),
    (
        "zabbix",
        {"event_name": "{EVENT.NAME}", "url": "https://zabbix.example.org/tr_events.php?triggerid={TRIGGER.ID}"},
    ),
]
"""Messages of vendors' test buttons."""


@pytest.mark.parametrize(("name", "payload"), TRIALS, ids=[f"{name}-{place}" for place, (name, _) in enumerate(TRIALS)])
def test_a_test_button_gives_a_notice_with_the_label_test(name: str, payload: Any) -> None:
    request = Request(payload=payload, source="golden", received_at=NOW)
    (draft,) = read_payload(READERS[name], request).drafts
    assert (draft.status, draft.severity, draft.labels.get("test")) == ("notice", "info", "true")
    assert draft.title
    assert not re.search(r"[{}$]", draft.title)
