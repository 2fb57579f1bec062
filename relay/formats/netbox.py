"""NetBox: webhooks of event rules (NetBox documentation, "Webhooks"). Each creation, update and deletion of an object
is a notice. The notice of an update lists the changes. The key is the object."""

from __future__ import annotations

from typing import Any

from relay.core.event import Draft
from relay.formats.contract import Format, Request, as_text, unrecognised
from relay.formats.reading import Reading, clause, join, key_of, labels, links
from relay.formats.signatures import hexadecimal

MOST_CHANGES = 20


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
    return [
        Draft(
            title=join(" ", kind, name, "was", did, clause("by", who)),
            severity="info",
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
    return [
        f'{name}: "{_shown(before.get(name))}" → "{_shown(value)}"'
        for name, value in after.items()
        if _shown(before.get(name)) != _shown(value) and name != "last_updated"
    ]


def _shown(value: Any) -> str:
    return "" if value in ([], {}) else as_text(value)[:200]


FORMAT = Format(read=read_netbox, scheme=hexadecimal("X-Hook-Signature", "sha512"))
