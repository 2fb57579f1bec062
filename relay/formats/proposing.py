"""Proposals of a mapping for a payload that no format knows, by the names and values of its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from relay.core.severity import severity_of
from relay.formats.contract import as_text
from relay.formats.mapping import MappingSettings
from relay.formats.reading import moment
from relay.formats.statuses import status_of

MAX_DEPTH = 4
MOST_FIELDS = 500
MOST_LABELS = 6
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAMES: dict[str, tuple[str, ...]] = {
    "title": (
        "title",
        "subject",
        "summary",
        "alert_name",
        "alertname",
        "short_description",
        "headline",
        "what",
        "name",
        "rule_name",
        "rule",
        "check_name",
        "message",
        "description",
        "text",
        "event",
        "reason",
    ),
    "severity": ("severity", "sev", "priority", "level", "criticality", "urgency", "importance", "impact"),
    "status": (
        "status",
        "state",
        "current_state",
        "alert_status",
        "transition",
        "action",
        "event_type",
        "condition",
        "type",
    ),
    "key": (
        "key",
        "dedup_key",
        "fingerprint",
        "incident_key",
        "incident_id",
        "alert_id",
        "alertid",
        "uuid",
        "guid",
        "id",
        "alias",
        "number",
        "problem_id",
    ),
    "body": (
        "body",
        "description",
        "details",
        "message",
        "text",
        "long_description",
        "comment",
        "output",
        "msg",
        "reason",
    ),
    "occurred_at": (
        "occurred_at",
        "timestamp",
        "time",
        "date",
        "datetime",
        "created_at",
        "createdat",
        "started_at",
        "starts_at",
        "event_time",
        "ts",
        "at",
        "updated_at",
    ),
    "link": ("url", "link", "href", "html_url", "permalink", "alert_url", "details_url", "web_url"),
}
"""Names that vendors give to each field of an event, the likeliest first."""
_LABELS = (
    "host",
    "hostname",
    "device",
    "device_name",
    "node",
    "site",
    "location",
    "region",
    "service",
    "instance",
    "environment",
    "env",
    "cluster",
    "source",
    "sensor",
    "interface",
    "ip",
    "address",
    "team",
    "customer",
)


class Field(msgspec.Struct, frozen=True):
    """A value of a payload, its name in words joined by `_`, and the expression that selects it."""

    path: str
    name: str
    value: Any


def propose(payload: Any) -> MappingSettings | None:
    """Return a mapping that is likely to read a payload, or None if no field could be a title."""
    each, item = _item(payload)
    fields = list(islice(_fields(item, "", 0), MOST_FIELDS))
    title = _best("title", fields, _is_words)
    if title is None:
        return None
    used = {title.path}
    body = _best("body", [one for one in fields if one.path not in used], _is_words)
    status = _best("status", fields, lambda value: status_of(as_text(value)) is not None)
    severity = _best("severity", fields, _is_short)
    key = _best("key", fields, _is_short)
    at = _best("occurred_at", fields, lambda value: moment(value) is not None)
    links = [one for one in fields if isinstance(one.value, str) and one.value.startswith(("http://", "https://"))]
    used |= {one.path for one in (body, status, severity, key, at) if one is not None}
    labels = [one for one in fields if one.name in _LABELS and one.path not in used and _is_short(one.value)]
    labels.sort(key=lambda one: _LABELS.index(one.name))
    word = "" if severity is None else as_text(severity.value)
    return MappingSettings(
        title=title.path,
        each=each,
        body=None if body is None else body.path,
        status=None if status is None else status.path,
        severity=None if severity is None else severity.path,
        severities={} if not word or severity_of(word) is not None else {word: "warning"},
        key=None if key is None else f"to_string({key.path})" if not isinstance(key.value, str) else key.path,
        occurred_at=None if at is None else at.path,
        labels={one.name: one.path for one in labels[:MOST_LABELS]},
        links={_spoken(one.name): one.path for one in sorted(links, key=_link_rank)[:2]},
    )


def _item(payload: Any) -> tuple[str | None, Any]:
    """Return the expression of a payload's list of events, or None, and the item to look at."""
    if isinstance(payload, list):
        return None, payload[0] if payload else None
    if isinstance(payload, dict):
        lists = [
            (name, value)
            for name, value in payload.items()
            if isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
        ]
        if len(lists) == 1 and not any(_is_words(value) for name, value in payload.items() if name in _NAMES["title"]):
            return _quoted(lists[0][0]), lists[0][1][0]
    return None, payload


def _fields(value: Any, path: str, depth: int) -> Iterator[Field]:
    """Yield all plain values of an object in their order, with those of nested objects and of JSON in texts."""
    if not isinstance(value, Mapping) or depth > MAX_DEPTH:
        return
    for name, inner in value.items():
        at = f"{path}.{_quoted(name)}" if path else _quoted(name)
        if isinstance(inner, Mapping):
            yield from _fields(inner, at, depth + 1)
        elif isinstance(inner, str) and inner.lstrip()[:1] == "{":
            yield from _fields(_opened(inner), f"json({at})", depth + 1)
        elif isinstance(inner, (str, int, float)) and not isinstance(inner, bool) and as_text(inner).strip():
            yield Field(at, re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-\s]", "_", name).lower(), inner)


def _opened(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _best(wanted: str, fields: list[Field], fits: Any) -> Field | None:
    """Return the field whose name is the likeliest for a purpose, and the least nested among equals."""
    ranked = [(_rank(wanted, one.name), one.path.count("."), one) for one in fields if fits(one.value)]
    found = [one for one in ranked if one[0] is not None]
    return min(found, key=lambda one: (one[0], one[1]), default=(0, 0, None))[2]


def _rank(wanted: str, name: str) -> int | None:
    """Return the rank of a name for a purpose, 0 for the likeliest, or None.

    A name that only ends like a known one, as `alarm_id` does, ranks behind those for keys and times.
    """
    names = _NAMES[wanted]
    if name in names:
        return names.index(name)
    if wanted in ("key", "occurred_at"):
        ends = [number for number, known in enumerate(names) if name.endswith(f"_{known}")]
        return len(names) + ends[0] if ends else None
    return None


def _is_words(value: Any) -> bool:
    return isinstance(value, str) and len(value.strip()) > 1 and not value.startswith(("http://", "https://", "{", "["))


def _is_short(value: Any) -> bool:
    return not isinstance(value, bool) and 0 < len(as_text(value)) <= 200


def _link_rank(one: Field) -> tuple[int, int]:
    names = _NAMES["link"]
    return (names.index(one.name) if one.name in names else len(names), one.path.count("."))


def _spoken(name: str) -> str:
    return name.replace("_", " ").removesuffix(" url").capitalize() or "Link"
