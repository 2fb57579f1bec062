"""PagerDuty: webhooks of version 3 (PagerDuty Developer, "Webhooks Overview"), and the retired version 2, which batched
messages. An incident's id is the key."""

from __future__ import annotations

from relay.core.event import Draft
from relay.core.severity import severity_of
from relay.formats.batch import Item, read_known
from relay.formats.contract import Format, Request, UnreadableError, misfit, unrecognised
from relay.formats.reading import (
    Reading,
    clause,
    join,
    labels,
    lines,
    links,
    severity,
    spoken,
    taken_up,
    trial,
    withdrawn,
)
from relay.formats.signatures import hexadecimal

_SAID = {
    "annotated": "note",
    "status_update_published": "status update",
    "responder.added": "request for help",
    "responder.replied": "answer",
}
"""Actions beside an incident in words. Each comes with an object of its own, which names the incident."""
_URGENCY = {"high": "critical", "low": "warning"}
_CLOSED = ("resolved", "resolve", "auto_resolve", "auto_resolved")
_TAKEN = ("acknowledged", "acknowledge")
_DONE = {"resolve": "resolved", "assign": "assigned", "escalate": "escalated", "delegate": "delegated"}
"""Actions of version 2 as version 3 names them."""
_WITHDRAWN = ("unacknowledged", "unacknowledge")


def read_pagerduty(request: Request) -> list[Item]:
    """Read an event or a batch of messages. A ping gives a test notice."""
    payload = Reading(request.payload)
    event = payload.sub("event")
    if event.is_object:
        return _event(event) if "." in event.text("event_type") else [unrecognised(request)]
    messages = payload.at("messages")
    if not isinstance(messages, list) or not messages:
        return [unrecognised(request)]
    return read_known(request, messages, lambda message: [_message(Reading(message))], "messages")


def _event(event: Reading) -> list[Item]:
    kind, data = event.text("event_type"), event.sub("data")
    if kind == "pagey.ping":
        return [trial("PagerDuty's test event", "PagerDuty", data.text("message"))]
    what, _, verb = kind.partition(".")
    if what != "incident":
        name = data.text("summary", "name", "title")
        return [
            Draft(
                title=join(" ", what, name, verb).replace("_", " "),
                severity="info",
                labels=labels(event_type=kind),
                links=links(("PagerDuty", data.text("html_url"))),
                occurred_at=event.moment("occurred_at"),
            )
        ]
    if verb in _SAID or data.has("incident"):
        incident = data.sub("incident")
        fields = [join(": ", one.text("name"), spoken(one.at("value"))) for one in data.each("custom_fields")]
        text = lines(data.text("content", "message"), *fields)
        what = _SAID.get(verb) or verb.replace("_", " ").replace(".", " ") or "note"
        asked = data.text("user.summary", "escalation_policy.summary") if verb.startswith("responder") else ""
        who = clause("to" if verb == "responder.added" else "of", asked)
        by = clause("by", event.text("agent.summary"))
        title = join(" ", what, who, by, "on", incident.text("summary", "title", "id") or "an incident")
        about = links(("PagerDuty", incident.text("html_url")))
        return [Draft(title=title, severity="info", body=text, links=about, occurred_at=event.moment("occurred_at"))]
    return [_incident(data, verb, event.text("agent.summary"), event.moment("occurred_at"))]


def _message(message: Reading) -> Draft:
    """Read a message of version 1 or 2. Raises `UnreadableError`."""
    incident = message.sub("incident") if message.has("incident") else message.sub("data.incident")
    if not incident.is_object:
        raise UnreadableError("incident", misfit("the incident of the message as an object", incident.value))
    verb = message.text("event", "type").removeprefix("incident.")
    by = incident.text("last_status_change_by.name", "last_status_change_by.summary")
    return _incident(incident, verb, by, message.moment("created_on"))


def _incident(incident: Reading, verb: str, who: str, at: float | None) -> Draft:
    title = incident.text("title", "trigger_summary_data.subject", "trigger_summary_data.description", "summary")
    service = incident.text("service.summary", "service.name")
    about = links(("PagerDuty", incident.text("html_url")))
    key = incident.text("id", "incident_key") or None
    subject = title or clause("incident", incident.text("number", "incident_number", "id")) or "an incident"
    if verb in _TAKEN:
        return taken_up(subject, key, who, "PagerDuty", links=about, occurred_at=at)
    if verb in _WITHDRAWN:
        return withdrawn(subject, key, who, "PagerDuty", links=about, occurred_at=at)
    closed = verb in _CLOSED or (incident.text("status") == "resolved" and verb not in ("reopened",))
    assigned = [
        one.text("summary", "name", "object.name")
        for one in (incident.each("assignees") or incident.each("assigned_to"))
    ]
    subject = "" if key and not title and verb not in ("triggered", "trigger") else subject  # its alert has a title
    return Draft(
        title=f"{subject} ({service})" if subject and service and service not in subject else subject,
        status="resolved" if closed else "firing",
        severity=severity_of(incident.text("priority.summary")) or severity(incident.text("urgency"), _URGENCY),
        key=key,
        done=join(
            " · ",
            join(" by ", _DONE.get(verb, verb).replace("_", " "), who) if verb not in ("triggered", "trigger") else "",
            clause("assigned to", join(", ", *assigned)),
        ),
        labels=labels(
            service=service, urgency=incident.text("urgency"), number=incident.text("number", "incident_number")
        ),
        links=about,
        occurred_at=at,
    )


FORMAT = Format(read=read_pagerduty, scheme=hexadecimal("X-PagerDuty-Signature", prefix="v1="))
