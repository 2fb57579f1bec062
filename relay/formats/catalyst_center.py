"""Cisco Catalyst Center (DNA Center): event notifications by webhook (Cisco DNA Center Platform User Guide, "Work with
Events"; DevNet, "Event Notifications").

The key is an issue's `instanceId`. Times are in milliseconds. An issue has the same time when it is resolved as when it
began, so a resolved event gets the time of its arrival.
"""

from __future__ import annotations

import re

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, join, key_of, labels, lines, links, severity, spoken, trial

_CATEGORIES = {"error": "major", "alert": "critical", "warn": "warning", "task_failure": "major"}
MOST_FACTS = 10
_OF_AN_EVENT = ("details", "category", "domain", "namespace", "ciscoDnaEventLink")
"""Fields of which an event without an `instanceId` has at least one. ThousandEyes has an `eventId` too."""
_NEWS = ("info", "task_progress", "task_complete")
"""Categories of events that are no trouble, whatever their number of severity is."""
_HOST = re.compile(r"(?:<|&lt;)DNAC_IP_ADDRESS(?:>|&gt;)")
_NUMBERS = {"1": "critical", "2": "major", "3": "minor", "4": "warning", "5": "info"}


def read_catalyst_center(request: Request) -> list[Draft]:
    """Read a notification; anything else gives a notice."""
    payload = Reading(request.payload)
    if not payload.text("eventId", "instanceId") or not payload.has("instanceId", *_OF_AN_EVENT):
        return [unrecognised(request)]
    details = payload.sub("details")
    state = details.text("Assurance Issue Status").lower()
    title = details.text("Assurance Issue Name", "Assurance Issue Details") or payload.text("name", "description")
    device = details.text("Device", "deviceName", "Assurance Issue Device", "device", "Device Name", "hostname")
    about = links(("Catalyst Center", _address(payload)))
    text = details.text("Assurance Issue Details", "message") or payload.text("description")
    body = lines(text if text != title else "", _facts(details, lines(title, device, text)))
    if details.text("isSimulated").lower() == "true" or payload.text("isSimulated").lower() == "true":
        return [trial(title, "Catalyst Center", body, links=about)]
    priority = details.text("Assurance Issue Priority")
    category = payload.text("category").lower()
    worst = severity(priority) if priority else "info" if category in _NEWS else _NUMBERS.get(payload.text("severity"))
    name = title or payload.text("eventId") or "an event"
    return [
        Draft(
            title=name if device in name else join(": ", name, device),
            status="firing" if state == "active" else "resolved" if state == "resolved" else "notice",
            severity=worst or severity(category, _CATEGORIES),
            key=payload.text("instanceId") or key_of(payload.text("eventId"), device),
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


def _address(payload: Reading) -> str:
    """Return the address of an event's page. Its host may be absent, or a placeholder; `dnacIP` names it."""
    link, host = payload.text("ciscoDnaEventLink"), payload.text("dnacIP", "dnacIp")
    link = _HOST.sub(host, link) if host else link
    if not link or link.startswith(("http://", "https://")) or not host:
        return link
    return f"https://{host}/{link.lstrip('/')}"


def _facts(details: Reading, said: str) -> str:
    """Return the details of an event, like the reason of a reboot, without those that are said already."""
    given = details.value.items() if isinstance(details.value, dict) else ()
    found = [(name, spoken(value)) for name, value in given if not name.startswith(("Assurance Issue ", "isSimulated"))]
    return lines(*[f"{name}: {value}" for name, value in found if value and value not in said][:MOST_FACTS])


FORMAT = Format(read=read_catalyst_center)
