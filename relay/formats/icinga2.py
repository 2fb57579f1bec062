"""Icinga 2: its HTTP event stream (Icinga 2 documentation, "Event Streams"), an object a line.

A hard state tells; a soft one is tried again by Icinga and gives no event. What is in downtime gives none either, but
ends are told. The key is `host!service`.
"""

from __future__ import annotations

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, labels, taken_up

_SERVICE = {"0": None, "1": "warning", "2": "critical", "3": "minor"}
_SAID = {"0": "OK", "1": "WARNING", "2": "CRITICAL", "3": "UNKNOWN"}
_ENDS = ("RECOVERY",)
_CONTROL = ("CheckResult", "ObjectModified", "ObjectCreated", "ObjectDeleted")


def read_icinga2(request: Request) -> list[Draft]:
    """Read one object; an error's frame is a notice."""
    return _one(Reading(request.payload), request)


def _one(payload: Reading, request: Request) -> list[Draft]:
    kind, host, service = payload.text("type"), payload.text("host"), payload.text("service")
    if payload.has("error"):
        return [Draft(title=f"Icinga answers {payload.text('error')}: {payload.text('status')}")]
    if kind in _CONTROL:
        return []
    if not kind or not host:
        return [unrecognised(request)]
    name = f"{host}!{service}" if service else host
    shown = f"{service} on {host}" if service else host
    if kind == "StateChange":
        return _state(payload, name, shown)
    by, said = payload.text("author"), payload.text("comment", "text", "comment.text")
    if kind == "AcknowledgementSet":
        return [taken_up(f"{shown} is acknowledged", name, by, "Icinga", said, labels=_labels(payload))]
    if kind == "Notification":
        return _notification(payload, name, shown)
    what = {"Flapping": "flaps" if payload.text("is_flapping") == "true" else "flaps no more",
            "AcknowledgementCleared": "is not acknowledged any more"}.get(kind, f"has news: {kind}")  # fmt: skip
    return [Draft(title=f"{shown} {what}", severity="info", body=said, labels=_labels(payload),
                  occurred_at=payload.moment("timestamp"))]  # fmt: skip


def _state(payload: Reading, name: str, shown: str) -> list[Draft]:
    state = payload.text("state")
    good = state == "0"
    held = payload.text("downtime_depth") not in ("", "0")
    if payload.text("state_type") == "0" or (held and not good):
        return []
    return [_draft(payload, name, shown, state, resolved=good)]


def _notification(payload: Reading, name: str, shown: str) -> list[Draft]:
    kind = payload.text("notification_type")
    if kind in ("PROBLEM", *_ENDS):
        return [_draft(payload, name, shown, payload.text("check_result.state", "state"), resolved=kind in _ENDS)]
    if kind == "ACKNOWLEDGEMENT":
        return [taken_up(f"{shown} is acknowledged", name, payload.text("author"), "Icinga", payload.text("text"))]
    return [Draft(title=f"{shown}: {kind.lower() or 'notification'}", severity="info", body=payload.text("text"),
                  labels=_labels(payload), occurred_at=payload.moment("timestamp"))]  # fmt: skip


def _draft(payload: Reading, name: str, shown: str, state: str, *, resolved: bool) -> Draft:
    if payload.text("service"):
        word, severity = _SAID.get(state, ""), _SERVICE.get(state, "minor")
    else:
        word, severity = ("UP", None) if resolved else ("DOWN", "critical")
    return Draft(
        title=f"{shown} is {word}" if word else shown,
        status="resolved" if resolved else "firing",
        severity=None if resolved else severity,
        key=name,
        body=payload.text("check_result.output"),
        labels=_labels(payload),
        occurred_at=payload.moment("timestamp"),
    )


def _labels(payload: Reading) -> dict[str, str]:
    return labels(host=payload.text("host"), service=payload.text("service"),
                  zone=payload.text("check_result.check_source"))  # fmt: skip


FORMAT = Format(read=read_icinga2)
