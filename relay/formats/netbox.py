"""NetBox: webhooks of event rules (NetBox documentation, "Webhooks"). Each creation, update and deletion of an object
is a notice. The notice of an update lists the changes. The key is the object."""

from __future__ import annotations

from typing import Any

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, change, clause, join, key_of, labels, links, spoken
from relay.formats.signatures import hexadecimal

MOST_CHANGES = 20
_CHANGES = ("created", "updated", "deleted")
_BAD = {"failed", "errored"}
"""Ends of a job that are trouble."""


def read_netbox(request: Request) -> list[Draft]:
    """Read a delivery; anything else gives a notice."""
    payload = Reading(request.payload)
    data, did = payload.sub("data"), payload.text("event")
    if not data.is_object or not did or not payload.text("model", "object_type"):
        return [unrecognised(request)]
    kind = payload.text("model") or payload.text("object_type").rpartition(".")[2] or "item"
    name, who = data.text("display", "name", "id"), payload.text("username", "request.user")
    changes = (
        _changes(payload.at("snapshots.prechange"), payload.at("snapshots.postchange")) if did == "updated" else []
    )
    more = f"and {len(changes) - MOST_CHANGES} more" if len(changes) > MOST_CHANGES else ""
    ended = data.text("status.value", "status") if did.startswith("job_") else ""
    done = f"was {did}" if did in _CHANGES else join(" ", did.replace("_", " "), f"({ended})" if ended else "")
    return [
        Draft(
            title=join(" ", kind, name, done, clause("by", who)),
            severity="warning" if {ended, did.removeprefix("job_")} & _BAD else "info",
            key=key_of(data.text("id"), kind=kind),
            body="\n".join([*changes[:MOST_CHANGES], *([more] if more else [])]) or data.text("description"),
            labels=labels(
                object_type=kind, change=did, user=who, site=data.text("site.name"), tenant=data.text("tenant.name")
            ),
            links=links(("NetBox", data.text("display_url"))),
            occurred_at=payload.moment("timestamp"),
        )
    ]


def _changes(before: Any, after: Any) -> list[str]:
    """Return `name: "a" → "b"` for each difference."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return []
    old, new = _flat(before), _flat(after)
    return [
        change(name, old.get(name, ""), value)
        for name, value in new.items()
        if old.get(name, "") != value and name != "last_updated"
    ]


def _flat(given: dict[str, Any]) -> dict[str, str]:
    """Return the fields of an object as texts. Each custom field is one of its own."""
    own = given.get("custom_fields")
    custom = own if isinstance(own, dict) else {}
    fields = {**{name: value for name, value in given.items() if name != "custom_fields"}, **custom}
    return {name: spoken(value)[:200] for name, value in fields.items()}


FORMAT = Format(read=read_netbox, scheme=hexadecimal("X-Hook-Signature", "sha512"))
