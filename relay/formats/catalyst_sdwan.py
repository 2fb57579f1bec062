"""Cisco Catalyst SD-WAN Manager (vManage): webhooks of alarms (Cisco Catalyst SD-WAN Monitor and Maintain, "Alarms",
section "Webhook Notifications").

An alarm that fires is known by its `uuid`. A clearing one lists in `cleared_events` those that it ends, each of which
is an event; where it lists none, rule and device stand for it. What says neither that it is active nor what it clears
is a notice.
"""

from __future__ import annotations

from relay.core.event import Draft
from relay.formats.contract import Format, Request, as_text, unrecognised
from relay.formats.reading import Reading, labels, severity

_NUMBERS = {"1": "critical", "2": "major", "3": "minor", "4": "warning"}
_SHOWN = ("host-name", "system-ip", "vmanage-system-ip", "site-id", "if-name", "color", "remote-color", "vpn-id")


def read_catalyst_sdwan(request: Request) -> list[Draft]:
    """Read an alarm; anything else gives a notice."""
    payload = Reading(request.payload)
    rule = payload.text("rule_name_display", "rulename", "eventname", "type")
    if not (rule or payload.text("message")):
        return [unrecognised(request)]
    places = payload.each("values") or payload.each("values_short_display")
    first = places[0] if places else Reading(None)
    message, device = payload.text("message"), first.text("host-name", "system-ip")
    title = " ".join(part for part in (message or rule.replace("_", " "), f"on {device}" if device else "") if part)
    ended = [as_text(one.value) for one in payload.each("cleared_events") if as_text(one.value)]
    active = payload.text("active").lower()
    own = payload.text("uuid")
    key = (
        own
        if own and active in ("true", "false") and not ended
        else "/".join(part for part in (rule, *_place(first)) if part)
    )
    return [
        Draft(
            title=title,
            status="firing" if active == "true" else "resolved" if active == "false" or ended else "notice",
            severity=_NUMBERS.get(payload.text("severity_number")) or severity(payload.text("severity")),
            key=one,
            body="\n".join(_facts(place) for place in places[:10]),
            labels=labels(
                rule=rule, component=payload.text("component"), host=first.text("host-name"),
                system_ip=first.text("system-ip"), site=first.text("site-id"),
            ),
            occurred_at=payload.moment("entry_time", "receive_time", "statcycletime"),
        )
        for one in (ended or [key])
    ]  # fmt: skip


def _place(one: Reading) -> list[str]:
    return [one.text(name) for name in ("system-ip", "if-name", "color")]


def _facts(place: Reading) -> str:
    return ", ".join(f"{name} {value}" for name in _SHOWN if (value := place.text(name)))


FORMAT = Format(read=read_catalyst_sdwan)
