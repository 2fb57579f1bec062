"""Google Cloud Monitoring: webhook notifications of incidents, direct or within a push of Pub/Sub (Google Cloud
documentation, "Create and manage notification channels", "Webhooks"; "Push subscriptions")."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from relay.core.event import Draft
from relay.formats.contract import Format, NotJsonError, Request, decode_json, unrecognised
from relay.formats.reading import Reading, join, key_of, labels, lines, links, severity, trial

_NAMES = ("instance_name", "service_name", "cluster_name", "database_id", "function_name", "host", "instance_id")
"""Labels of a resource that name it, the most telling first."""
_OF_AN_INCIDENT = ("incident_id", "policy_name", "condition_name", "condition", "summary")
"""Fields of which an incident has at least one. Statuspage has an `incident` too."""


def read_google_cloud(request: Request) -> list[Draft]:
    """Read an incident; anything else gives a notice."""
    payload = _unwrapped(Reading(request.payload))
    incident = payload.sub("incident")
    if not incident.is_object or not incident.has(*_OF_AN_INCIDENT):
        return [unrecognised(Request(payload.value, request.source))]
    policy = incident.text("policy_name")
    condition = incident.text("condition_name", "condition.displayName")
    name = condition or ("" if policy.startswith("projects/") else policy) or incident.text("summary") or "incident"
    summary = incident.text("summary")
    where = {**_texts(incident.at("resource.labels")), **_texts(incident.at("metric.labels"))}
    what = incident.text("resource_display_name", "resource_name", "resource_id")
    what = what or next((where[kind] for kind in _NAMES if kind in where), "")
    about = links(("Google Cloud", incident.text("url")))
    body = lines(
        summary if summary != name else "",
        _measured(incident) if not summary else "",
        incident.text("documentation.content", "documentation"),
    )
    if payload.text("version") == "test":
        return [trial(incident.text("summary") or name, "Google Cloud", links=about)]
    ended = incident.text("state").lower() == "closed"
    word = incident.text(
        "severity", "policy_user_labels.severity", "metadata.system_labels.severity", "metadata.user_labels.severity"
    )
    return [
        Draft(
            title=f"{name}: {what}" if what and what not in name and len(what) < 120 else name,
            status="resolved" if ended else "firing",
            severity=severity(word, {"no severity": "warning"}),
            key=incident.text("incident_id", "url") or key_of(policy, condition, what),
            body=body,
            labels={
                **where,
                **labels(
                    policy=policy,
                    condition=condition,
                    resource=incident.text("resource_type_display_name"),
                    project=incident.text("scoping_project_id"),
                    metric=incident.text("metric.displayName"),
                ),
            },
            links=about,
            occurred_at=incident.moment("ended_at") if ended else incident.moment("started_at"),
        )
    ]


def _texts(given: Any) -> dict[str, str]:
    """Return the values of an object that are texts, without empty ones."""
    items = given.items() if isinstance(given, dict) else ()
    return {name: value for name, value in items if isinstance(value, str) and value}


def _measured(incident: Reading) -> str:
    """Return the value that was observed, and its limit. The summary usually says both."""
    metric, value, limit = (
        incident.text("metric.displayName"),
        *map(incident.text, ("observed_value", "threshold_value")),
    )
    return join(" ", metric or "the value", "is", value, f"(the limit is {limit})" if limit else "") if value else ""


def _unwrapped(payload: Reading) -> Reading:
    """Return the message within a Pub/Sub push, or the payload itself if it is not one."""
    data = payload.at("message.data")
    if not isinstance(data, str):
        return payload
    try:
        return Reading(decode_json(base64.b64decode(data, validate=True)))
    except (binascii.Error, ValueError, NotJsonError):
        return payload


FORMAT = Format(read=read_google_cloud)
