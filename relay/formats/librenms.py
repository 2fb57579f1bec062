"""LibreNMS: its API transport, whose body an administrator writes from the alert's variables (LibreNMS documentation,
"Alert Transports", "API", and "Templates"). The key is the rule and the device."""

from __future__ import annotations

from typing import Literal

from relay.core.event import Draft
from relay.formats.contract import Format, Request
from relay.formats.reading import Reading, join, labels, severity, taken_up, trial, unknown, without_tags
from relay.formats.statuses import status_of

_STATES: dict[str, Literal["firing", "resolved"]] = {
    "0": "resolved",
    "1": "firing",
    "3": "firing",  # got worse
    "4": "firing",  # got better
    "5": "firing",  # changed
}
"""The state of an alert by LibreNMS's number; 2 means acknowledged and is read apart. A template may write a word."""
_OF_AN_ALERT = ("sysName", "display", "device_id", "rule_id", "alert_notes", "faults")
"""Fields of which an alert has at least one, or both `hostname` and `state`. Many senders have a `title`."""


def read_librenms(request: Request) -> list[Draft]:
    """Read an alert; anything else gives a notice."""
    payload = Reading(request.payload)
    raw = payload.at("title")
    if isinstance(raw, str) and "{{" in raw:
        return [trial("", "LibreNMS", "its template is not filled: this is what its test button sends")]
    title = payload.text("title", "name") or without_tags(payload.text("msg")).partition("\n")[0].strip()
    if not title or not (payload.has(*_OF_AN_ALERT) or (payload.has("hostname") and payload.has("state"))):
        return [unknown(request, "LibreNMS")]
    host, state = payload.text("display", "hostname", "sysName"), payload.text("state").lower()
    rule, device = payload.text("rule_id") or payload.text("name"), payload.text("device_id") or host
    key = f"{rule}/{device}" if rule else payload.text("alert_id") or f"{title}/{host}"
    body = without_tags(payload.text("msg"))
    notes = without_tags(payload.text("alert_notes"))
    at = payload.moment("timestamp")
    if state in ("2", "acknowledged", "ack"):
        subject = join(" on ", payload.text("name"), host) if payload.text("name") else title
        return [taken_up(subject, key, "", "LibreNMS", notes, occurred_at=at)]
    word = payload.text("severity")
    return [
        Draft(
            title=f"{title} on {host}" if host and host not in title else title,
            status=_STATES.get(state) or status_of(state) or "notice",
            severity=None if word == "ok" else severity(word),
            key=key,
            body=body if body != title else "",
            labels=labels(
                host=host, rule=payload.text("name"), location=payload.text("location"), os=payload.text("os")
            ),
            occurred_at=at,
        )
    ]


FORMAT = Format(read=read_librenms)
