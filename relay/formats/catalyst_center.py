"""Cisco Catalyst Center (DNA Center): event notifications by webhook (Cisco DNA Center Platform User Guide, "Work with
Events"; DevNet, "Event Notifications").

The key is an issue's `instanceId`. Times are in milliseconds. An issue has the same time when it is resolved as when it
began, so a resolved event gets the time of its arrival.
"""

from __future__ import annotations

from relay.core.event import Draft
from relay.formats.contract import Format, Request, as_text, unrecognised
from relay.formats.reading import Reading, labels, links, severity, trial

_CATEGORIES = {"error": "major", "alert": "critical", "warn": "warning", "info": "info", "task_progress": "info"}
_NUMBERS = {"1": "critical", "2": "major", "3": "minor", "4": "warning", "5": "info"}


def read_catalyst_center(request: Request) -> list[Draft]:
    """Read a notification; anything else gives a notice."""
    payload = Reading(request.payload)
    if not payload.text("eventId", "instanceId"):
        return [unrecognised(request)]
    details = payload.sub("details")
    state = details.text("Assurance Issue Status").lower()
    title = details.text("Assurance Issue Name", "Assurance Issue Details") or payload.text("name", "description")
    device = details.text("Device", "deviceName", "Assurance Issue Device")
    about = links(("Catalyst Center", payload.text("ciscoDnaEventLink")))
    body = details.text("Assurance Issue Details", "message") or payload.text("description") or _facts(details)
    body = body if body != title else ""
    if details.text("isSimulated").lower() == "true" or payload.text("isSimulated").lower() == "true":
        return [trial(title, "Catalyst Center", body, links=about)]
    priority = details.text("Assurance Issue Priority")
    worst = severity(priority) if priority else _NUMBERS.get(payload.text("severity"))
    return [
        Draft(
            title=f"{title}: {device}" if device and device not in title else title or payload.text("eventId"),
            status="firing" if state == "active" else "resolved" if state == "resolved" else "notice",
            severity=worst or severity(payload.text("category"), _CATEGORIES),
            key=payload.text("instanceId") or f"{payload.text('eventId')}/{device}",
            body=body,
            labels=labels(
                event_id=payload.text("eventId"),
                category=details.text("Assurance Issue Category"),
                device=device,
                site=details.text("Site", "siteHierarchy"),
                domain=payload.text("domain"),
            ),
            links=about,
            occurred_at=None if state == "resolved" else payload.moment("timestamp"),
        )
    ]


def _facts(details: Reading) -> str:
    found = details.value.items() if isinstance(details.value, dict) else ()
    return "\n".join(f"{name}: {as_text(value)}" for name, value in list(found)[:10] if value not in (None, ""))


FORMAT = Format(read=read_catalyst_center)
