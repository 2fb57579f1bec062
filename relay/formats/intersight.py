"""Cisco Intersight: webhooks of `mo.WebhookResult` (Intersight Help Center, "Webhooks"). A `cond.Alarm` fires until its
severity is Cleared; its `Moid` is the key. Changes of other objects are notices. A ping has no event."""

from __future__ import annotations

import msgspec

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, clause, join, labels, lines, severity, taken_up
from relay.formats.signatures import intersight

_STATES = ("Status", "WorkflowStatus", "OperState", "State", "ConfigContext.ConfigState")
"""Fields that say how an object is, or how a workflow or a task ended."""
_STATES_OF_TROUBLE = {
    **dict.fromkeys(("failed", "failure", "timeout", "timedout", "error", "critical"), "major"),
    **dict.fromkeys(("terminated", "aborted", "cancelled", "canceled", "degraded", "warning", "skipped"), "warning"),
}
"""Severities of such states; any other is `info`."""
_FACTS = ("LastAction", "FailureReason", "Reason")


def read_intersight(request: Request) -> list[Draft]:
    """Read a result; anything else gives a notice."""
    payload = Reading(request.payload)
    event = payload.sub("Event")
    if not payload.text("ClassId", "Operation", "EventObjectType"):
        return [unrecognised(request)]
    if not payload.has("Event"):
        return []
    if not event.is_object:
        return [unrecognised(request)]
    kind = payload.text("EventObjectType") or event.text("ObjectType", "ClassId")
    operation = payload.text("Operation")
    name = event.text("Name", "Code", "Moid")
    about = event.text("AffectedMoDisplayName", "AffectedObject")
    word = event.text("Severity")
    over = word.lower() == "cleared" or operation == "Deleted"
    if kind.endswith("AuditRecord"):
        return [_audit(event, kind)]
    state, who = event.text(*_STATES), event.text("Email", "UserIdOrEmail")
    draft = Draft(
        title=join(": " if state else " ", join(" ", kind, name), state or f"was {operation.lower() or 'changed'}"),
        severity=_STATES_OF_TROUBLE.get(state.lower().replace("_", "").replace(" ", "")) or severity(word) or "info",
        key=event.text("Moid") or None,
        body=lines(event.text("Description", "Message"), _facts(event), clause("by", who)),
        labels=labels(object_type=kind, code=event.text("Code"), affected=about, operation=operation, status=state),
        occurred_at=event.moment("LastTransitionTime", "ModTime", "CreateTime"),
    )
    if kind != "cond.Alarm":
        return [draft]
    named = event.text("Name", "Code", "Description")
    title = named if about in named else join(": ", named, about)
    alarm = msgspec.structs.replace(
        draft,
        title=title or ("" if over and draft.key else clause("alarm", name) or "an alarm"),
        body=event.text("Description"),
        status="resolved" if over else "firing",
        severity=severity(event.text("OrigSeverity")) if over else severity(word),
    )
    by, at = event.text("AcknowledgeBy"), event.moment("AcknowledgeTime")
    if over or event.text("Acknowledge").lower() != "acknowledge":
        return [alarm]
    return [alarm, taken_up(alarm.title, alarm.key, by, "Intersight", occurred_at=at)]


def _audit(event: Reading, kind: str) -> Draft:
    """Read the record of what a user did: to which object, and from where."""
    what = join(" ", event.text("MoType"), event.text("ObjectName", "MoDisplayNames.Name.0", "InstId"))
    who = event.text("UserIdOrEmail", "Email", "UserId")
    return Draft(
        title=join(": ", what or kind, join(" by ", event.text("Event") or "changed", who)),
        severity="info",
        body=clause("from", event.text("SourceIp")),
        labels=labels(object_type=kind, user=who),
        occurred_at=event.moment("Timestamp", "CreateTime"),
    )


def _facts(event: Reading) -> str:
    return ", ".join(f"{name}: {value}" for name in _FACTS if (value := event.text(name)))


FORMAT = Format(read=read_intersight, scheme=intersight)
