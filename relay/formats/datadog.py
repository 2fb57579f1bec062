"""Datadog: its webhooks integration, whose body an administrator writes from variables (Datadog documentation,
"Webhooks"). The field names are those of the documentation's example, and those of the integration's own body.

The key is the monitor and its scope. The integration's own body has neither a transition nor a monitor, but an `id` of
the event, so there the title tells them: `[Triggered on {host:a}] CPU is high`.
"""

from __future__ import annotations

import re
from typing import Literal

from relay.core.event import MAX_TITLE, Draft
from relay.formats.contract import Format, Request
from relay.formats.reading import Reading, labels, links, severity, unknown

_FENCE = re.compile(r"%%%[ \t]*\n?")
_WORDS = r"(?:Re-)?(?:Triggered|Alert|Warn|No Data|Recovered|Renotify|OK)\b[^\]]{0,300}"
_SAID = re.compile(
    r"\[(?P<transition>(?:Re-)?(?:Triggered|Warn|No Data|Recovered|Renotify)\b[^\]{]{0,40}?)"
    r"(?: on \{(?P<scope>[^}\]]{1,300})\})?\]",
    re.IGNORECASE,
)
"""The transition and the scope of an alert in its title."""
_OF_AN_EVENT = (
    *("alert_transition", "transition", "alert_type", "alert_scope", "aggreg_key", "event_msg", "event_title"),
    *("alert_title", "last_updated", "snapshot"),
)
"""Fields of which an event has at least one, unless its title says a transition. Others have a `title` too."""
_STATE = re.compile(rf"^(?:\[(?:P[1-5]|{_WORDS})\]\s*)+", re.IGNORECASE)
"""Priority and state before a monitor's name, like `[P2] [Recovered on {host:a}] …`. They change; the name does not."""
_PRIORITY = re.compile(r"^\[(P[1-5])\]")
_NO_DATA = ("no data", "re-no data")
_TYPES = {"error": "critical", "warning": "warning", "info": "info", "success": ""}


def read_datadog(request: Request) -> list[Draft]:
    """Read an alert; anything else gives a notice."""
    return [_alert(Reading(request.payload)) or unknown(request, "Datadog")]


def _alert(payload: Reading) -> Draft | None:
    title = payload.text("title", "event_title", "alert_title", "message")
    said = _SAID.search(title[:MAX_TITLE])
    if not title or (said is None and not payload.has(*_OF_AN_EVENT)):
        return None
    told, place = (said["transition"], said["scope"] or "") if said is not None else ("", "")
    transition = (payload.text("alert_transition", "transition") or told).lower()
    scope = payload.text("aggreg_key", "alert_scope", "scope") or place
    alert = payload.text("alert_id", "monitor_id")
    rank = _PRIORITY.search(title[:MAX_TITLE])
    priority = payload.text("alert_priority", "priority")
    rated = priority.upper() in ("P1", "P2", "P3", "P4", "P5")
    priority = priority if rated else rank[1] if rank is not None else ""
    name = _STATE.sub("", title) or title
    return Draft(
        title=f"{name}: no data" if transition in _NO_DATA and "no data" not in name.lower() else name,
        status=_status(transition),
        severity=severity(priority) if priority else severity(payload.text("alert_type"), _TYPES),
        key="/".join(part for part in (alert or _STATE.sub("", title), scope) if part),
        body=_FENCE.sub("", payload.text("body", "event_msg", "text")).strip(),
        labels=labels(
            tags=payload.text("tags"), host=payload.text("hostname", "host"), scope=scope, transition=transition
        ),
        links=links(("Datadog", payload.text("link", "url")), ("Snapshot", payload.text("snapshot"))),
        occurred_at=payload.moment("date", "last_updated"),
        notes=("there is no data",) if transition in _NO_DATA else (),
    )


def _status(transition: str) -> Literal["firing", "resolved", "notice"]:
    if transition.endswith("recovered"):  # also `warn recovered` and `no data recovered`
        return "resolved"
    return "firing" if transition else "notice"


FORMAT = Format(read=read_datadog)
