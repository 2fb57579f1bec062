"""Webex as a source: its webhooks (Webex for Developers, "Webhooks"). They report that a resource changed. They do not
hold the text of a message; reading that takes a token."""

from __future__ import annotations

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, labels, lines
from relay.formats.signatures import hexadecimal


def read_webex(request: Request) -> list[Draft]:
    """Read a notification; anything else gives a notice."""
    payload = Reading(request.payload)
    resource, event, data = payload.text("resource"), payload.text("event"), payload.sub("data")
    if not (resource and event):
        return [unrecognised(request)]
    who = data.text("personDisplayName", "personEmail")
    thing = resource.removesuffix("s") if resource != "attachmentActions" else "card action"
    room = data.text("title", "roomId")
    return [
        Draft(
            title=f"Webex {thing} {event}" + (f": {who}" if who else ""),
            severity="info",
            body=lines(f"by the webhook {payload.text('name')}" if payload.text("name") else ""),
            labels=labels(resource=resource, event=event, room=room, person=data.text("personEmail")),
            occurred_at=data.moment("created") or payload.moment("created"),
            authors=_authors(payload, resource, event),
        )
    ]


def _authors(payload: Reading, resource: str, event: str) -> tuple[str, ...]:
    """Return who made the change. A message's author counts only for writing it, as others may delete it."""
    wrote = resource in ("messages", "attachmentActions") and event in ("created", "updated")
    paths = ("actorId", "data.personId", "data.personEmail") if wrote else ("actorId",)
    return tuple(name for name in (payload.text(path) for path in paths) if name)


FORMAT = Format(read=read_webex, scheme=hexadecimal("X-Spark-Signature", "sha1"))
