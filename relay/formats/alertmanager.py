"""Alertmanager's webhook, version 4 (its documentation, "Configuration", section `webhook_config`), and the alerts that
Prometheus posts to its API v2 (prometheus/alertmanager, `api/v2/openapi.yaml`, `postableAlerts`).

A payload is a group of alerts, each firing or resolved by itself. The key of an alert is its fingerprint, else a hash
of its labels. If `truncatedAlerts` says that alerts are missing, a notice reports it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from relay.core.event import Draft, Link
from relay.core.fingerprint import fingerprint
from relay.core.words import parse_time
from relay.formats.batch import Item, read_each, read_known
from relay.formats.contract import Format, Request, UnreadableError, as_text, misfit, unrecognised
from relay.formats.reading import links, severity


def read_alertmanager(request: Request) -> list[Item]:
    """Read a group of alerts; anything else gives a notice."""
    payload = request.payload
    alerts = payload.get("alerts") if isinstance(payload, dict) else None
    if not isinstance(alerts, list):
        return [unrecognised(request)]
    drafts = read_known(request, alerts, lambda alert: [_read_alert(alert, payload)], "alerts")
    return [*drafts, *left_out(payload, "Alertmanager")]


def left_out(payload: dict[str, Any], sender: str) -> list[Draft]:
    """Return the notice that a sender left alerts out of a group, or no notice if it did not."""
    missing = payload.get("truncatedAlerts")
    if not isinstance(missing, (int, str)) or missing in (0, "", "0"):
        return []
    many = f"{missing} more" if type(missing) is int else "more"  # true is an int as well, but no count
    said = f"{many} alert was" if missing in (1, "1") and type(missing) is int else f"{many} alerts were"
    group = {name: as_text(value) for name, value in _mapping(payload.get("groupLabels")).items()}
    of = ", ".join(f"{name}={value}" for name, value in group.items() if value)
    return [
        Draft(
            title=f"{said} left out by {sender}" + (f": group {of}" if of else ""),
            severity="warning",
            body="the receiver's `max_alerts` is smaller than the group",
            labels=group,
            links=links((sender, as_text(payload.get("externalURL")))),
        )
    ]


def read_alertmanager_api(request: Request) -> list[Item]:
    """Read alerts as Prometheus posts them. Raises `UnreadableError` if the payload is not a list.

    An alert is resolved if its `endsAt` has passed; else it fires until then.
    """
    if not isinstance(request.payload, list):
        raise UnreadableError("", misfit("a list of alerts", request.payload))
    return read_each(request.payload, lambda alert: [_read_posted(alert, request.received_at)])


def _read_posted(alert: Any, now: float) -> Draft:
    """Read a posted alert. As in Alertmanager, a label with an empty value is no label. Raises `UnreadableError`."""
    if not isinstance(alert, dict):
        raise UnreadableError("", misfit("an alert, as an object with labels", alert))
    labels = {name: text for name, value in _mapping(alert.get("labels")).items() if (text := as_text(value))}
    if not labels:
        raise UnreadableError("labels", "expected an object with at least one label that has a value, found none")
    ends_at = _time(alert.get("endsAt"))
    over = ends_at is not None and ends_at <= now
    status = "resolved" if over else "firing"
    draft = _read_alert({**alert, "labels": labels, "status": status, "fingerprint": fingerprint(labels)}, {})
    return msgspec.structs.replace(draft, ends_at=None if over else ends_at)


def _read_alert(alert: Any, group: dict[str, Any]) -> Draft:
    """Read an alert of a group. Raises `UnreadableError`."""
    status = alert.get("status") if isinstance(alert, dict) else None
    if status not in ("firing", "resolved"):
        raise UnreadableError("status", misfit("firing or resolved", status))
    labels = {name: as_text(value) for name, value in _mapping(alert.get("labels")).items()}
    notes = {name: as_text(value) for name, value in _mapping(alert.get("annotations")).items()}
    fingerprint = alert.get("fingerprint")
    resolved = status == "resolved"
    word = labels.get("severity") or notes.get("severity") or ""
    name = labels.get("alertname", "")
    summary = notes.get("summary") or notes.get("title") or ""
    body = notes.get("description") or notes.get("message") or ""
    return Draft(
        title=_title(name, summary, labels),
        status="resolved" if resolved else "firing",
        severity=severity(word),
        key=fingerprint if isinstance(fingerprint, str) and fingerprint else _hash(labels) if labels else None,
        body=body if body != summary else "",
        labels=labels,
        annotations=notes,
        links=_links(alert.get("generatorURL"), group.get("externalURL"), notes),
        occurred_at=_time(alert.get("endsAt") if resolved else alert.get("startsAt")),
    )


def _title(name: str, summary: str, labels: dict[str, str]) -> str:
    """Return the alert's name with its summary, or with its instance if it has no summary."""
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
    """Return a time in Unix seconds, or None for an unreadable time and for Go's zero time, which means "none"."""
    if not isinstance(value, str) or value.startswith("0001-"):
        return None
    try:
        return parse_time(value)
    except ValueError:
        return None


FORMAT = Format(read=read_alertmanager, forms=False)
