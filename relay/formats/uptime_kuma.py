"""Uptime Kuma: its webhook notification, as JSON or as a form (louislam/uptime-kuma, `notification-providers`).

The key is the monitor. A heartbeat of maintenance begins a downtime; the next heartbeat, up or down, ends it. A
notification without heartbeat and monitor is from the test button, or warns of a certificate or a domain name that
expires soon. That warning names its monitor only in the text.
"""

from __future__ import annotations

import re
from typing import Literal

from relay.core.event import MAX_TITLE, Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, clause, labels, links, trial

_STATES: dict[str, Literal["firing", "resolved", "notice"]] = {
    "0": "firing",
    "1": "resolved",
    "2": "notice",
    "3": "notice",
}
_WORDS = {"0": "is down", "1": "is up", "2": "is pending", "3": "is under maintenance"}
_WARNING = re.compile(r"\[(?P<monitor>[^\]]{1,200})\] ?\[(?P<url>[^\]]{1,2000})\] ?(?P<warning>.+)", re.DOTALL)


def read_uptime_kuma(request: Request) -> list[Draft]:
    """Read a heartbeat; anything else gives a notice."""
    payload = Reading(request.payload)
    beat, monitor, message = payload.sub("heartbeat"), payload.sub("monitor"), payload.text("msg")
    if not beat.is_object:
        sent = isinstance(request.payload, dict) and "heartbeat" in request.payload
        return [_message(message) if sent and message else unrecognised(request)]
    own = monitor.text("id") or beat.text("monitorID")
    name, state = monitor.text("name") or clause("monitor", own) or "a monitor", beat.text("status")
    return [
        Draft(
            title=f"{name} {_WORDS.get(state, 'has news')}",
            status=_STATES.get(state, "notice"),
            severity="critical" if state == "0" else None if state == "1" else "info",
            key=own or monitor.text("name") or None,
            body=beat.text("msg"),
            labels=labels(monitor=monitor.text("name"), type=monitor.text("type"), host=monitor.text("hostname")),
            links=links(("Monitored", monitor.text("url"))),
            occurred_at=beat.moment("time"),
            downtime=True if state == "3" else None,
        )
    ]


def _message(message: str) -> Draft:
    """Read a text without a heartbeat: that of the test button, or a warning of what will expire."""
    if message.endswith(" Testing"):
        return trial(message, "Uptime Kuma")
    found = _WARNING.fullmatch(message[:MAX_TITLE])
    if found is None:
        return Draft(title=message, severity="warning")
    kind = "certificate" if "certificate" in found["warning"] else "domain" if "omain name" in found["warning"] else ""
    return Draft(
        title=f"{found['monitor']}: {found['warning']}",
        status="firing" if kind else "notice",
        severity="warning",
        key=f"{kind}/{found['monitor']}" if kind else None,
        labels=labels(monitor=found["monitor"]),
        links=links(("Monitored", found["url"])),
    )


FORMAT = Format(read=read_uptime_kuma)
