"""Cisco Intersight: webhooks of `mo.WebhookResult` (Intersight Help Center, "Webhooks"). A `cond.Alarm` fires until its
severity is Cleared; its `Moid` is the key. Changes of other objects are notices. A ping has no event."""

from __future__ import annotations

import msgspec

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, labels, severity
from relay.formats.signatures import intersight


def read_intersight(request: Request) -> list[Draft]:
    """Read a result; anything else gives a notice."""
    payload = Reading(request.payload)
    event = payload.sub("Event")
    if not payload.text("ClassId", "Operation", "EventObjectType"):
        return [unrecognised(request)]
    if not event.is_object:
        return []
    kind = payload.text("EventObjectType") or event.text("ObjectType", "ClassId")
    operation = payload.text("Operation")
    name = event.text("Name", "Code", "Moid")
    about = event.text("AffectedMoDisplayName", "AffectedObject")
    word = event.text("Severity")
    over = word.lower() == "cleared" or operation == "Deleted"
    draft = Draft(
        title=f"{kind} {name} was {operation.lower() or 'changed'}",
        severity="info",
        key=event.text("Moid") or None,
        body=event.text("Description"),
        labels=labels(object_type=kind, code=event.text("Code"), affected=about, operation=operation),
        occurred_at=event.moment("LastTransitionTime", "ModTime", "CreateTime"),
    )
    if kind != "cond.Alarm":
        return [draft]
    return [
        msgspec.structs.replace(
            draft,
            title=f"{name}: {about}" if about and about not in name else name,
            status="resolved" if over else "firing",
            severity=severity(event.text("OrigSeverity")) if over else severity(word),
        )
    ]


FORMAT = Format(read=read_intersight, scheme=intersight)
