"""Opsgenie: outgoing webhooks (Opsgenie documentation, "Webhook Integration", "Alert Action Data"). The key is the
alert's alias. An action on an open alert updates it. Custom actions are notices."""

from __future__ import annotations

from relay.core.event import Draft
from relay.formats.contract import Format, Request
from relay.formats.reading import Reading, clause, join, labels, severity, taken_up, unknown, withdrawn, without_tags

_ENDS = ("close", "delete")
_UPDATES = (
    "create",
    "addnote",
    "addrecipient",
    "addteam",
    "addtags",
    "removetags",
    "addresponder",
    "adddetails",
    "removedetails",
    "assignownership",
    "takeownership",
    "escalate",
    "escalatenext",
    "escalatetonext",
    "updatepriority",
    "updatemessage",
    "updatedescription",
    "snooze",
    "unsnooze",
    "snoozeended",
)
_DETAILS = (
    ("team", "team"),
    ("recipient", "recipient"),
    ("owner", "owner"),
    ("tags", "addedTags"),
    ("tags", "removedTags"),
    ("until", "snoozeEndDate"),
    ("note", "note"),
)
"""Things that an action adds or removes, and the field of each."""
_DONE = {
    "add": "added",
    "remove": "removed",
    "assign": "assigned",
    "take": "took",
    "escalate": "escalated",
    "update": "updated",
    "snooze": "snoozed",
    "unsnooze": "unsnoozed",
    "close": "closed",
    "delete": "deleted",
}
"""First words of actions as they are said of what was done."""
_NUMBERS = {"1": "critical", "2": "major", "3": "minor", "4": "warning", "5": "info"}


def read_opsgenie(request: Request) -> list[Draft]:
    """Read an action; anything else gives a notice."""
    payload = Reading(request.payload)
    alert, action = payload.sub("alert"), payload.text("action")
    title, verb = alert.text("message"), action.lower()
    key = alert.text("alias", "alertId") or None
    if not action or not (title or key):
        return [unknown(request, "Opsgenie")]
    subject = title or f"alert {alert.text('tinyId', 'alertId') or key}"
    who, at = alert.text("username", "actor"), alert.moment("updatedAt", "createdAt")
    did = _spoken(action)
    was = alert.text("oldPriority")
    done = join(
        " · ",
        join(" by ", did, who) if verb != "create" else "",
        *(f"{name} {alert.text(field)}" for name, field in _DETAILS if alert.text(field)),
        clause("to", payload.text("escalationNotify.name")),
        f"{was} → {alert.text('priority')}" if was and alert.text("priority") else "",
    )
    if verb == "acknowledge":
        return [taken_up(subject, key, who, "Opsgenie", alert.text("note"), occurred_at=at)]
    if verb == "unacknowledge":
        return [withdrawn(subject, key, who, "Opsgenie", alert.text("note"), occurred_at=at)]
    known = verb in _UPDATES
    return [
        Draft(
            title=_title(title, subject, verb, did),
            status="resolved" if verb in _ENDS else "firing" if known else "notice",
            severity=_NUMBERS.get(alert.text("priority")) or severity(alert.text("priority")),
            key=key,
            body=without_tags(alert.text("description")),
            done=done,
            labels=labels(
                action=action,
                entity=alert.text("entity"),
                source=alert.text("source"),
                tags=", ".join(tag.value for tag in alert.each("tags") if isinstance(tag.value, str)),
            ),
            occurred_at=alert.moment("createdAt") if verb == "create" else at,
        )
    ]


def _title(title: str, subject: str, verb: str, did: str) -> str:
    """Return the alert's message. An update or an end without one keeps the title that the alert has."""
    if verb == "create":
        return subject
    return title if verb in (*_UPDATES, *_ENDS) else f"{subject}: {did}"


def _spoken(action: str) -> str:
    """Return in words what an action did: `assigned ownership` for `AssignOwnership`."""
    words = action.replace("UnA", "Una")
    first, _, rest = "".join(f" {sign.lower()}" if sign.isupper() else sign for sign in words).strip().partition(" ")
    return join(" ", _DONE.get(first, first), rest)


FORMAT = Format(read=read_opsgenie)
