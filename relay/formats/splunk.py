"""Splunk: the webhook action of alerts (Splunk Documentation, "Use a webhook alert action"). It holds the first row of
the search's result. Splunk sends no end, so the alert expires. The key is the search."""

from __future__ import annotations

from typing import Any

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, labels, links, severity, spoken

_LABELS = ("host", "source", "sourcetype", "index", "app")
MOST_FIELDS = 12


def read_splunk(request: Request) -> list[Draft]:
    """Read an alert; anything else gives a notice."""
    payload = Reading(request.payload)
    name, result = payload.text("search_name"), payload.sub("result")
    if not name and not (result.is_object and payload.text("sid", "app")):
        return [unrecognised(request)]
    host = result.text("host")
    facts = {field: result.text(field) for field in _LABELS}
    title = name or f"a search of {payload.text('app') or 'Splunk'}"
    return [
        Draft(
            title=f"{title}: {host}" if host else title,
            status="firing",
            severity=severity(result.text("severity", "urgency", "alert.severity", "log_level")),
            key="/".join(part for part in (title, host) if part),
            body=result.text("_raw", "message") or _shown(result.value),
            labels=labels(**{**facts, "app": payload.text("app"), "owner": payload.text("owner")}),
            links=links(("Splunk", payload.text("results_link"))),
            occurred_at=result.moment("_time"),
        )
    ]


def _shown(result: Any) -> str:
    """Return the fields of a row, for a row without a text."""
    fields = result.items() if isinstance(result, dict) else ()
    shown = [f"{name}: {text[:200]}" for name, value in fields if name[:1] != "_" and (text := spoken(value))]
    return "\n".join(shown[:MOST_FIELDS])


FORMAT = Format(read=read_splunk)
