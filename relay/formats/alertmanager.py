"""Alertmanager's webhook, version 4 (its documentation, "Configuration", section `webhook_config`), and the alerts that
Prometheus posts to its API v2 (prometheus/alertmanager, `api/v2/openapi.yaml`, `postableAlerts`).

A payload is a group of alerts, each firing or resolved by itself. Where an alert has no fingerprint, its key is a hash
of its labels; where `truncatedAlerts` says that alerts are missing, a notice says so.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from relay.core.event import Draft, Link
from relay.core.fingerprint import fingerprint
from relay.core.words import parse_time
from relay.formats.contract import MOST_EVENTS, Format, Request, UnreadableError, as_text, say_type, unrecognised

_SEVERITIES = {
    "page": "critical", "crit": "critical", "fatal": "critical", "emergency": "critical", "disaster": "critical",
    "high": "major", "error": "major", "err": "major", "medium": "minor", "average": "minor", "warn": "warning",
    "low": "warning", "information": "info", "informational": "info", "none": "info", "debug": "info", "ok": "info",
}  # fmt: skip


def read_alertmanager(request: Request) -> list[Draft]:
    """Read a group of alerts; anything else gives a notice."""
    payload = request.payload
    if not isinstance(payload, dict):
        return [unrecognised(request)]
    alerts = payload.get("alerts")
    if not isinstance(alerts, list) or not all(_is_alert(alert) for alert in alerts):
        return [unrecognised(request)]
    drafts = [_read_alert(alert, payload) for alert in alerts]
    missing = payload.get("truncatedAlerts")
    if isinstance(missing, (int, str)) and missing not in (0, "", "0"):
        many = f"{missing} more" if type(missing) is int else "more"
        drafts.append(
            Draft(title=f"{many} alerts were left out by Alertmanager", severity="warning",
                  body="its `max_alerts` for this receiver is lower than the group is large",
                  links=_links(None, payload.get("externalURL")))
        )  # fmt: skip
    return drafts


def read_alertmanager_api(request: Request) -> list[Draft]:
    """Read alerts as Prometheus posts them: one with an `endsAt` that is over is resolved, with a later one it fires
    until then. Raises `UnreadableError`."""
    alerts = request.payload
    if not isinstance(alerts, list):
        raise UnreadableError("", f"a list of alerts would be right, not {say_type(alerts)}")
    if len(alerts) > MOST_EVENTS:
        raise UnreadableError("", f"{MOST_EVENTS} alerts at a time would be right, not {len(alerts)}")
    drafts = []
    for number, alert in enumerate(alerts):
        labels = alert.get("labels") if isinstance(alert, dict) else None
        if not isinstance(labels, dict) or not labels:
            raise UnreadableError(f"[{number}].labels", "an alert is told by its labels: an object of names and texts")
        ends_at = _time(alert.get("endsAt"))
        over = ends_at is not None and ends_at <= request.received_at
        named = {name: as_text(value) for name, value in labels.items()}
        draft = _read_alert(
            {**alert, "status": "resolved" if over else "firing", "fingerprint": fingerprint(named)}, {}
        )
        drafts.append(msgspec.structs.replace(draft, ends_at=None if over else ends_at))
    return drafts


def _is_alert(alert: Any) -> bool:
    return isinstance(alert, dict) and alert.get("status") in ("firing", "resolved")


def _read_alert(alert: dict[str, Any], group: dict[str, Any]) -> Draft:
    labels = {name: as_text(value) for name, value in _mapping(alert.get("labels")).items()}
    notes = {name: as_text(value) for name, value in _mapping(alert.get("annotations")).items()}
    fingerprint = alert.get("fingerprint")
    resolved = alert["status"] == "resolved"
    word = labels.get("severity") or notes.get("severity") or ""
    name = labels.get("alertname", "")
    summary = notes.get("summary") or notes.get("title") or ""
    return Draft(
        title=_title(name, summary, labels),
        status="resolved" if resolved else "firing",
        severity=_SEVERITIES.get(word.lower(), word) or None,
        key=fingerprint if isinstance(fingerprint, str) and fingerprint else _hash(labels),
        body=notes.get("description") or notes.get("message") or "",
        labels=labels,
        links=_links(alert.get("generatorURL"), group.get("externalURL"), notes),
        occurred_at=_time(alert.get("endsAt") if resolved else alert.get("startsAt")),
    )


def _title(name: str, summary: str, labels: dict[str, str]) -> str:
    """The alert's name and what it concerns: the summary where there is one, else the instance."""
    concerns = summary or labels.get("instance", "")
    if name and concerns and name.lower() not in concerns.lower():
        return f"{name}: {concerns}"
    return concerns or name or "alert without a name"


def _links(generator: Any, external: Any, notes: dict[str, str] | None = None) -> tuple[Link, ...]:
    found = [("Graph", generator), ("Runbook", (notes or {}).get("runbook_url")), ("Alertmanager", external)]
    return tuple(Link(text, url) for text, url in found if isinstance(url, str) and url.startswith("http"))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _hash(labels: dict[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(sorted(labels.items()))).hexdigest()[:16]


def _time(value: Any) -> float | None:
    """A time; Go's zero time, which stands for "none", and what can't be read give None."""
    if not isinstance(value, str) or value.startswith("0001-"):
        return None
    try:
        return parse_time(value)
    except ValueError:
        return None


FORMAT = Format(read=read_alertmanager, forms=False)
