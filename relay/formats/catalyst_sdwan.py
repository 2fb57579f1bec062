"""Cisco Catalyst SD-WAN Manager (vManage): webhooks of alarms (Cisco Catalyst SD-WAN Monitor and Maintain, "Alarms",
section "Webhook Notifications").

The key is an alarm's rule and place, so `BFD_Site_Up` of a device ends its `BFD_Site_Down`, and `OMP_Vsmarts_Up` ends
`OMP_All_Vsmarts_Down`. An alarm need not list the `uuid` that it ends in `cleared_events`. Without a place the `uuid`
is the key. An alarm is a notice if neither its fields nor its name say whether it is active.
"""

from __future__ import annotations

import re
from typing import Literal

from relay.core.event import Draft
from relay.formats.contract import Format, Request, as_text, unrecognised
from relay.formats.reading import Reading, clause, join, labels, severity

_NUMBERS = {"1": "critical", "2": "major", "3": "minor", "4": "warning"}
_END = re.compile(r"[_-](up|down)$", re.IGNORECASE)
_WHERE = ("system-ip", "if-name", "color", "remote-system-ip", "remote-color")
MOST_FACTS = 15
_OF_AN_ALARM = (
    "rule_name_display",
    "rulename",
    "eventname",
    "values",
    "values_short_display",
    "severity_number",
    "uuid",
)
"""Fields of which an alarm has at least one. Other senders have a `type` or a `message` too."""
_SHOWN = ("host-name", "system-ip", "vmanage-system-ip", "site-id", "if-name", "color", "remote-color", "vpn-id")


def read_catalyst_sdwan(request: Request) -> list[Draft]:
    """Read an alarm; anything else gives a notice."""
    payload = Reading(request.payload)
    rule = payload.text("rule_name_display", "rulename", "eventname", "type")
    if not payload.has(*_OF_AN_ALARM) or not (rule or payload.text("message")):
        return [unrecognised(request)]
    places = payload.each("values") or payload.each("values_short_display")
    first = places[0] if places else Reading(None)
    message, device = payload.text("message"), first.text("host-name", "system-ip")
    devices = dict.fromkeys(text for one in places if (text := one.text("host-name", "system-ip")))
    others = f"and {len(devices) - 1} more" if len(devices) > 1 else ""
    title = join(" ", message or rule.replace("_", " "), clause("on", device), others)
    cleared = [as_text(one.value) for one in payload.each("cleared_events") if as_text(one.value)]
    worst = _NUMBERS.get(payload.text("severity_number")) or severity(payload.text("severity"))
    status = _status(rule, payload.text("active").lower(), cleared)
    place = "/".join(sorted({_place(one) for one in places} - {""}))
    key = join("/", _family(rule), place) if place else payload.text("uuid") or join("/", _family(rule), device) or None
    return [
        Draft(
            title=title,
            status=status,
            severity=worst if status != "resolved" else None,  # that of an end is milder than its beginning's
            key=one,
            body="\n".join(_facts(place) for place in places[:10]),
            labels=labels(
                rule=rule,
                component=payload.text("component"),
                host=first.text("host-name"),
                system_ip=first.text("system-ip"),
                site=first.text("site-id"),
            ),
            occurred_at=payload.moment("entry_time", "receive_time", "statcycletime"),
        )
        for one in dict.fromkeys([key, *(cleared if status == "resolved" else [])])
    ]


def _status(rule: str, active: str, cleared: list[str]) -> Literal["firing", "resolved", "notice"]:
    """Return the state of an alarm: by its rule's name if that ends in `up`, else by its flag."""
    end = _END.search(rule)
    if active == "false" or cleared or (end is not None and end[1].lower() == "up"):
        return "resolved"
    return "firing" if active == "true" or end is not None else "notice"


def _family(rule: str) -> str:
    """Return the name that both ends of a rule share: `omp_vsmarts` for `OMP_All_Vsmarts_Down` and `OMP_Vsmarts_Up`."""
    return _END.sub("", rule).lower().replace("-", "_").replace("_all_", "_")


def _place(one: Reading) -> str:
    return "/".join(part for part in (one.text(name) for name in _WHERE) if part)


def _facts(place: Reading) -> str:
    """Return what an alarm says of a place, like `reboot-reason`: first where it is, then all that its rule adds."""
    given = place.value if isinstance(place.value, dict) else {}
    names = dict.fromkeys([*(name for name in _SHOWN if name in given), *given])
    return ", ".join(f"{name} {value}" for name in list(names)[:MOST_FACTS] if (value := place.text(name)))


FORMAT = Format(read=read_catalyst_sdwan)
