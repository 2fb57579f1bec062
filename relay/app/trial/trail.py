"""The trail of an incident: its events, what each did, and what its message says now."""

from __future__ import annotations

from typing import Any

import msgspec

from relay.core.rules import Rules
from relay.storage.queries import MessageNow, Trail
from relay.templates.rendering import TemplateRenderer


def trail_json(found: Trail, renderer: TemplateRenderer, rules: Rules, now: float) -> dict[str, Any]:
    """Return a trail as the API shows it; `now` in Unix seconds."""
    markdown = None if found.message is None else _says(found.message, renderer, rules, now)
    return {**found.incident, "name": found.incident["title"], "events": found.events, "markdown": markdown}


def _says(message: MessageNow, renderer: TemplateRenderer, rules: Rules, now: float) -> str | None:
    """Return the markdown of a message as it is now; None if its service can't edit messages."""
    if message.room in rules.plain:
        return None
    summary = msgspec.structs.replace(message.summary, labels=message.labels or {})
    return renderer.render(message.event, message.template, room=message.room, summary=summary, now=now)[0]
