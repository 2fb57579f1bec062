"""UptimeRobot: its webhooks, as JSON or as a form, with its own field names or the same in snake case (UptimeRobot
documentation, "Web-Hook Alert Contacts"). The key is the monitor's number, else its name."""

from __future__ import annotations

from typing import Literal

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, labels, lines, links

_STATES: dict[str, Literal["firing", "resolved", "notice"]] = {"1": "firing", "2": "resolved"}
_WORDS = {"1": "is down", "2": "is up", "3": "has a certificate that expires soon"}


def read_uptimerobot(request: Request) -> list[Draft]:
    """Read an alert; anything else gives a notice."""
    payload = Reading(request.payload)
    kind = payload.text("alertType", "alert_type")
    url = payload.text("monitorURL", "monitor_url")
    name = payload.text("monitorFriendlyName", "monitor_friendly_name") or url
    if not kind or not name:
        return [unrecognised(request)]
    days = payload.text("sslExpiryDaysLeft", "ssl_expiry_days_left")
    word = payload.text("alertTypeFriendlyName", "alert_type_friendly_name").lower()
    lasted = payload.text("alertFriendlyDuration", "alert_friendly_duration")
    return [
        Draft(
            title=f"{name} {_WORDS.get(kind) or word or 'has news'}",
            status=_STATES.get(kind, "notice"),
            severity="critical" if kind == "1" else "warning" if kind == "3" else None,
            key=payload.text("monitorID", "monitor_id") or name,
            body=lines(
                payload.text("alertDetails", "alert_details"),
                f"{days} {'day is' if days == '1' else 'days are'} left" if days else "",
                f"it was down for {lasted}" if lasted and kind == "2" else "",
            ),
            labels=labels(monitor=name),
            links=links(("Monitored", url)),
            occurred_at=payload.moment("alertDateTime", "alert_date_time"),
        )
    ]


FORMAT = Format(read=read_uptimerobot)
