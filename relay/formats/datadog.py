"""Datadog: its webhooks integration, whose body an administrator writes from variables (Datadog documentation,
"Webhooks"). The field names are those of the documentation's example. The key is the monitor and its scope."""

from __future__ import annotations

import re
from typing import Literal

from relay.core.event import Draft
from relay.formats.contract import Format, Request
from relay.formats.reading import Reading, labels, links, severity, unknown

_ENDS = ("recovered",)
_FENCE = re.compile(r"%%%[ \t]*\n?")
_WORDS = r"(?:Re-)?(?:Triggered|Alert|Warn|No Data|Recovered|Renotify|OK)\b[^\]]{0,300}"
_STATE = re.compile(rf"^(?:\[(?:P[1-5]|{_WORDS})\]\s*)+", re.IGNORECASE)
"""Priority and state before a monitor's name, like `[P2] [Recovered on {host:a}] …`. They change; the name does not."""
_TYPES = {"error": "critical", "warning": "warning", "info": "info", "success": ""}


def read_datadog(request: Request) -> list[Draft]:
    """Read an alert; anything else gives a notice."""
    return [_alert(Reading(request.payload)) or unknown(request, "Datadog")]


def _alert(payload: Reading) -> Draft | None:
    title = payload.text("title", "event_title", "alert_title", "message")
    if not title:
        return None
    transition = payload.text("alert_transition", "transition").lower()
    scope = payload.text("aggreg_key", "alert_scope", "scope")
    alert = payload.text("alert_id", "monitor_id", "id")
    priority = payload.text("alert_priority", "priority")
    name = _STATE.sub("", title) or title
    rated = priority.upper() in ("P1", "P2", "P3", "P4", "P5")
    return Draft(
        title=f"{name}: no data" if transition == "no data" and "no data" not in name.lower() else name,
        status=_status(transition),
        severity=severity(priority) if rated else severity(payload.text("alert_type"), _TYPES),
        key="/".join(part for part in (alert or _STATE.sub("", title), scope) if part),
        body=_FENCE.sub("", payload.text("body", "event_msg", "text")).strip(),
        labels=labels(
            tags=payload.text("tags"), host=payload.text("hostname", "host"), scope=scope, transition=transition
        ),
        links=links(("Datadog", payload.text("link", "url")), ("Snapshot", payload.text("snapshot"))),
        occurred_at=payload.moment("date", "last_updated"),
        notes=("there is no data",) if transition == "no data" else (),
    )


def _status(transition: str) -> Literal["firing", "resolved", "notice"]:
    if transition in _ENDS:
        return "resolved"
    return "firing" if transition else "notice"


FORMAT = Format(read=read_datadog)
