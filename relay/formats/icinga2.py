"""Icinga 2: its HTTP event stream (Icinga 2 documentation, "Event Streams"), an object a line.

A hard state gives an event; a soft one does not, as Icinga checks it again. The key is `host!service`. A problem within
a downtime is marked so. The relay suppresses it until `DowntimeRemoved`, which Icinga sends at every end of a downtime.
"""

from __future__ import annotations

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, clause, downtime, join, labels, taken_up, withdrawn

_SERVICE = {"0": None, "1": "warning", "2": "critical", "3": "minor"}
_WORDS = {"0": "OK", "1": "WARNING", "2": "CRITICAL", "3": "UNKNOWN"}
_ENDS = ("RECOVERY",)
_CONTROL = (
    "CheckResult",
    "ObjectModified",
    "ObjectCreated",
    "ObjectDeleted",
    "CommentAdded",
    "CommentRemoved",
    "DowntimeAdded",
)
_NOTIFICATIONS = {"FLAPPINGSTART": "flaps", "FLAPPINGEND": "flaps no more", "CUSTOM": "a message"}
"""Notifications that are notices, in words."""
_DOWNTIMES = {"DowntimeStarted": True, "DowntimeTriggered": True, "DowntimeRemoved": False}
_DOWNTIME_NOTIFICATIONS = {"DOWNTIMESTART": True, "DOWNTIMEEND": False, "DOWNTIMEREMOVED": False}


def read_icinga2(request: Request) -> list[Draft]:
    """Read one object. An error's frame gives a notice."""
    return _one(Reading(request.payload), request)


def _one(payload: Reading, request: Request) -> list[Draft]:
    kind = payload.text("type")
    about = payload.sub("downtime")
    host, service = payload.text("host") or about.text("host_name"), payload.text("service")
    service = service or about.text("service_name")
    if payload.text("error") and not kind:
        return [Draft(title=join(": ", f"Icinga answers {payload.text('error')}".strip(), payload.text("status")))]
    if kind in _CONTROL:
        return []
    if not kind or not host:
        return [unrecognised(request)]
    name = f"{host}!{service}" if service else host
    shown = f"{service} on {host}" if service else host
    if kind == "StateChange":
        return _state(payload, name, shown)
    if kind in _DOWNTIMES:
        return _downtime(payload, name, shown, begins=_DOWNTIMES[kind])
    if kind == "Notification":
        return _notification(payload, name, shown)
    return [_news(kind, payload, name, shown)]


def _news(kind: str, payload: Reading, name: str, shown: str) -> Draft:
    """Read an event other than a change of state: an acknowledgement, its end, flapping."""
    by, comment = payload.text("author"), payload.text("comment", "text", "comment.text")
    about, at = _labels(payload), payload.moment("timestamp")
    if kind == "AcknowledgementSet":
        return taken_up(shown, name, by, "Icinga", comment, labels=about, occurred_at=at)
    if kind == "AcknowledgementCleared":
        return withdrawn(shown, name, by, "Icinga", comment, labels=about, occurred_at=at)
    flaps = "flaps" if payload.text("is_flapping") == "true" else "flaps no more"
    what = flaps if kind == "Flapping" else f"has news: {kind}"
    return Draft(title=f"{shown} {what}", severity="info", body=comment, labels=about, occurred_at=at)


def _state(payload: Reading, name: str, shown: str) -> list[Draft]:
    state = payload.text("state")
    good = state == "0"
    if payload.text("state_type") == "0":
        return []
    in_downtime = not good and payload.text("downtime_depth") not in ("", "0")
    return [_draft(payload, name, shown, state, resolved=good, in_downtime=in_downtime)]


def _downtime(payload: Reading, name: str, shown: str, *, begins: bool) -> list[Draft]:
    """Read the begin or end of a downtime. A downtime that never took effect (no `trigger_time`) has no end."""
    about = payload.sub("downtime")
    # DowntimeStarted only announces a flexible downtime; DowntimeTriggered puts it into effect
    waits = about.text("fixed") == "false" and payload.text("type") == "DowntimeStarted"
    if waits or (not begins and about.text("trigger_time") == "0"):
        return []
    return [
        downtime(
            shown,
            name,
            join(": ", about.text("author"), about.text("comment")),
            begins=begins,
            occurred_at=payload.moment("timestamp"),
            labels=labels(host=about.text("host_name"), service=about.text("service_name")),
        )
    ]


def _notification(payload: Reading, name: str, shown: str) -> list[Draft]:
    kind = payload.text("notification_type")
    if kind in ("PROBLEM", *_ENDS):
        return [_draft(payload, name, shown, payload.text("check_result.state", "state"), resolved=kind in _ENDS)]
    by, words = payload.text("author"), payload.text("text")
    about, at = _labels(payload), payload.moment("timestamp")
    if kind == "ACKNOWLEDGEMENT":
        return [taken_up(shown, name, by, "Icinga", words, labels=about, occurred_at=at)]
    if kind in _DOWNTIME_NOTIFICATIONS:
        begins, said = _DOWNTIME_NOTIFICATIONS[kind], join(": ", by, words)
        return [downtime(shown, name, said, begins=begins, labels=about, occurred_at=at)]
    what = _NOTIFICATIONS.get(kind) or kind.lower() or "a notification"
    title = join(" ", f"{shown} {what}" if what.startswith("flaps") else f"{shown}: {what}", clause("by", by))
    return [Draft(title=title, severity="info", body=words, labels=about, occurred_at=at)]


def _draft(payload: Reading, name: str, shown: str, state: str, *, resolved: bool, in_downtime: bool = False) -> Draft:
    if payload.text("service"):
        word, severity = _WORDS.get(state, ""), _SERVICE.get(state, "minor")
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
        downtime=True if in_downtime else None,
    )


def _labels(payload: Reading) -> dict[str, str]:
    return labels(
        host=payload.text("host"), service=payload.text("service"), zone=payload.text("check_result.check_source")
    )


FORMAT = Format(read=read_icinga2)
