"""Cisco Meraki: its alerts' webhooks (Meraki documentation, "Webhooks Introduction" and "Webhook Sample Alerts").

An alert has no status. One type ends another, as `started_reporting` ends `stopped_reporting`, or the alert's data show
the state: a VPN's `connectivity`, a sensor's `startedAlerting`. An alert whose type has no counterpart is a notice, and
mentions people if it is critical. The shared secret is a field of the body, which is not stored.
"""

from __future__ import annotations

from typing import Literal

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, join, labels, lines, links, severity, spoken, trial
from relay.formats.signatures import field

_PAIRS = (
    ("stopped_reporting", "started_reporting"),
    ("rps_backup", "rps_base_supply_up"),
    ("running_on_backup_power", "returned_to_using_primary_power"),
    ("went_down", "came_up"),
    ("_down", "_up"),
    ("_disconnected", "_reconnected"),
    ("_disconnected", "_connected"),
    ("_begin", "_end"),
    ("_lost", "_restored"),
    ("_failed", "_recovered"),
    ("battery_low", "battery_improved"),
    ("cover_removed", "cover_replaced"),
    ("tampering_detected", "tampering_reset"),
    ("geofencing_out", "geofencing_in"),
    ("security_violation", "security_compliance"),
    ("pcc_unmanaged", "pcc_enrollment"),
)
"""Suffixes of the types that begin and end the same problem. The first match counts: `went_down` is before `_down`."""
_WHICH = (
    "portNum",
    "port",
    "peerIdent",
    "peerContact",
    "clientMac",
    "mac",
    "interface",
    "powerSupplySlot",
    "num",
    "alertConfigId",
)
"""Fields of an alert's data that distinguish several parts of one device."""
_OF_AN_ALERT = ("organizationId", "organizationName", "networkId", "networkName", "deviceSerial", "deviceMac")
"""Fields of which an alert without an `alertTypeId` has at least one. UptimeRobot has an `alertType` too."""
_TRUE = ("true", "1", "connected", "up", "online")
_STATES = (("connectivity", True), ("connected", True), ("startedAlerting", False))
"""Fields of an alert's data that hold its state, and whether true means that all is well."""
MOST_FACTS = 20
_SAID = frozenset(
    {"triggerData", "timestamp", "alertConfigId", "alertConfigName", "clientUrl", "imageUrl"}
    | {name for name, _ in _STATES}
)
"""Fields of an alert's data that are shown elsewhere, or say nothing to a person."""
_TESTS = ("webhook_test", "test_webhook")
SAMPLE = "Q234-ABCD-5678"
"""The serial number in the sample that the dashboard's test button sends."""
_WORDS = {
    "connectivity": ("disconnected", "connected"),
    "connected": ("disconnected", "connected"),
    "startedAlerting": ("alerting", "normal again"),
}
"""Words for these states: bad, and well."""


def read_meraki(request: Request) -> list[Draft]:
    """Read an alert; anything else gives a notice."""
    payload = Reading(request.payload)
    kind = payload.text("alertTypeId") or payload.text("alertType").lower().replace(" ", "_")
    if not kind or not payload.has("alertTypeId", *_OF_AN_ALERT):
        return [unrecognised(request)]
    status, name = _status(kind, payload)
    device = payload.text("deviceName", "deviceMac", "deviceSerial")
    network = payload.text("networkName")
    what = payload.text("alertType") or kind.replace("_", " ")
    data = payload.sub("alertData")
    where = device or data.text("clientName", "mac") or network
    owner, place = payload.text("organizationId", "organizationName"), payload.text("networkId", "networkName")
    unit = payload.text("deviceSerial", "deviceMac")
    key = "/".join((owner, place, unit, name)) if owner or place or unit else None
    if key is not None and (which := payload.text(*(f"alertData.{field}" for field in _WHICH))):
        key = f"{key}/{which}"
    about = links(
        ("Device", payload.text("deviceUrl")),
        ("Client", data.text("clientUrl")),
        ("Image", data.text("imageUrl")),
        ("Network", payload.text("networkUrl")),
    )
    title = join(" ", join(": ", data.text("alertConfigName") or what, where), _state(payload))
    if kind in _TESTS or payload.text("deviceSerial") == SAMPLE:
        return [trial("", "Meraki", lines(title, _facts(data, where)), links=about)]
    return [
        Draft(
            title=title,
            status=status,
            severity=None if status == "resolved" else severity(payload.text("alertLevel")),
            key=key if status != "notice" else None,
            body=_facts(data, where),
            labels=labels(
                organization=payload.text("organizationName"),
                network=network,
                device=payload.text("deviceName"),
                serial=payload.text("deviceSerial"),
                model=payload.text("deviceModel"),
                alert_type=kind,
            ),
            links=about,
            occurred_at=payload.moment("occurredAt", "sentAt"),
        )
    ]


def _facts(data: Reading, where: str) -> str:
    """Return what an alert's data say, but what its title and its links say already."""
    given = data.value.items() if data.is_object else ()
    measured = [
        join(" ", one.text("trigger.type"), one.text("trigger.sensorValue")) for one in data.each("triggerData")
    ]
    facts = [(name, spoken(value)) for name, value in given if name not in _SAID]
    return lines(*measured[:5], *[f"{name}: {value}" for name, value in facts[:MOST_FACTS] if value not in ("", where)])


def _state(payload: Reading) -> str:
    """Return the state that an alert's data show in words, as its type is the same at the begin and at the end."""
    for name, well in _STATES:
        if given := payload.text(f"alertData.{name}").lower():
            return f"({_WORDS[name][(given in _TRUE) == well]})"
    return ""


def _status(kind: str, payload: Reading) -> tuple[Literal["firing", "resolved", "notice"], str]:
    """Return the status of an alert's type, and the name that its begin and its end share."""
    for name, well in _STATES:
        if state := payload.text(f"alertData.{name}").lower():
            return ("resolved" if (state in _TRUE) == well else "firing"), kind
    for begins, ends in _PAIRS:
        if kind.endswith(ends) and not kind.endswith(begins):
            return "resolved", kind.removesuffix(ends) + begins
        if kind.endswith(begins):
            return "firing", kind
    return "notice", kind


FORMAT = Format(read=read_meraki, scheme=field("sharedSecret"), hides=("sharedSecret",))
