"""Statuspage: webhooks of its subscribers (Atlassian Support, "Enable webhook notifications"). An incident fires until
it is resolved, a component until it is operational. Planned maintenance is a notice at its begin and its end. A
component under maintenance is in a downtime until its state changes."""

from __future__ import annotations

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, key_of, labels, links, severity, without_tags

_IMPACTS = {"maintenance": "info", "none": "warning"}
_COMPONENTS = {
    "major_outage": "critical",
    "partial_outage": "major",
    "degraded_performance": "minor",
    "under_maintenance": "info",
}
_ENDS = ("resolved", "postmortem")
_PLANNED = ("scheduled", "in_progress", "verifying", "completed")


def read_statuspage(request: Request) -> list[Draft]:
    """Read an update of an incident or of a component; anything else gives a notice."""
    payload = Reading(request.payload)
    page = links(("Page", payload.text("page.url")))
    incident = payload.sub("incident")
    if incident.is_object and incident.text("name", "status") and not incident.text("incident_id"):
        name, state = incident.text("name") or "an incident", incident.text("status")
        ended, planned = state in _ENDS, state in _PLANNED
        return [
            Draft(
                title=f"{name} ({state.replace('_', ' ')})" if state and not ended else name,
                status="resolved" if ended else "notice" if planned else "firing",
                severity=None if ended else severity(incident.text("impact"), _IMPACTS),
                key=key_of(incident.text("id", "name"), kind="incident"),
                body=without_tags(incident.text("incident_updates.0.body")),
                labels=labels(
                    page=payload.text("page.name", "page.id"),
                    state=state,
                    components=", ".join(one.text("name") for one in incident.each("components")[:10]),
                ),
                links=links(("Statuspage", incident.text("shortlink"))) or page,
                occurred_at=incident.moment("resolved_at") if ended else incident.moment("updated_at", "created_at"),
            )
        ]
    if payload.sub("component").is_object:
        component, state = payload.sub("component"), payload.text("component_update.new_status", "component.status")
        name, good = component.text("name") or "a component", state == "operational"
        return [
            Draft(
                title=f"{name}: {state.replace('_', ' ') or 'state unknown'}",
                status="resolved" if good else "notice" if state in ("", "under_maintenance") else "firing",
                downtime=True if state == "under_maintenance" else None,
                severity=_COMPONENTS.get(state),
                key=key_of(component.text("id", "name"), kind="component"),
                labels=labels(page=payload.text("page.id"), component=name, state=state),
                links=page,
                occurred_at=payload.moment("component_update.created_at"),
            )
        ]
    return [unrecognised(request)]


FORMAT = Format(read=read_statuspage)
