"""The trail of a payload without sending: the same format, routing and rendering as the daemon's."""

from __future__ import annotations

from typing import Any

import msgspec

from relay.app.sources import defaults_of, make_format
from relay.core.delivery import Intent, Standing
from relay.core.event import Event, stamp
from relay.core.incident import told_of
from relay.core.matching import view_of
from relay.core.planning import Known, Waiting, decide, plan
from relay.core.routing import RouteTrace, trace
from relay.core.rules import Rules
from relay.core.suppression import Suppressor
from relay.core.words import iso
from relay.formats import Request
from relay.formats.contract import decode_json
from relay.settings.load import Loaded
from relay.settings.rules import compile_rules
from relay.templates.rendering import TemplateRenderer


class ExplainedDelivery(msgspec.Struct, frozen=True):
    """What would be sent to a room; `replies` follow in the message's thread."""

    room: str
    action: str
    route: str
    markdown: str
    replies: tuple[str, ...] = ()


class Explanation(msgspec.Struct, frozen=True):
    """One event's trail. `suppressed` is None where nothing held it back."""

    event: Event
    rooms: tuple[str, ...]
    deliveries: tuple[ExplainedDelivery, ...]
    routes: tuple[RouteTrace, ...]
    suppressed: str | None = None
    template_failures: tuple[str, ...] = ()


def explain_payload(loaded: Loaded, source: str, body: bytes, now: float) -> list[Explanation]:
    """The trails of all events of a payload. Raises `NotJsonError` and `UnreadableError`."""
    settings = loaded.settings
    configured = settings.sources[source]
    drafts = make_format(configured)(Request(decode_json(body), source, received_at=now))
    defaults = defaults_of(source, configured)
    failures: list[str] = []
    renderer = TemplateRenderer(
        loaded.templates, settings.timezone, lambda name, _, error: failures.append(f"template {name}: {error}")
    )
    rules = compile_rules(settings)
    known = Known({}, {})
    explained: list[Explanation] = []
    for number, draft in enumerate(drafts):
        failures.clear()
        event = stamp(draft, defaults, f"explained-{number}", now)
        explained.append(_explain(Waiting(number, event), rules, known, renderer, now, failures))
    return explained


def _explain(
    waiting: Waiting,
    rules: Rules,
    known: Known,
    renderer: TemplateRenderer,
    now: float,
    failures: list[str],
) -> Explanation:
    decision = decide(waiting.event, rules, known)
    made = plan([waiting], rules, known, Suppressor(rules.inhibit, rules.intervals))
    return Explanation(
        event=decision.event,
        rooms=tuple(dict.fromkeys(intent.room for intent in made.intents)),
        deliveries=tuple(_delivery(intent, decision.event, known, renderer, now) for intent in made.intents),
        routes=tuple(trace(rules.root, view_of(decision.event))),
        suppressed=next((why for _, why in made.suppressed), None),
        template_failures=tuple(dict.fromkeys(failures)),
    )


def _delivery(intent: Intent, event: Event, known: Known, renderer: TemplateRenderer, now: float) -> ExplainedDelivery:
    route = intent.route or "the incident that is open there"
    if intent.content is not None:
        return ExplainedDelivery(intent.room, intent.action, route, intent.content)
    incident = None if event.status == "notice" else known.incidents[event.source, event.key].get(intent.room)
    told = None if incident is None else Standing((told_of(incident),), 1, 0, incident.started_at)
    texts = renderer.render(event, intent.template, room=intent.room, told=told, now=now)
    replies = tuple(texts[1:]) if intent.action == "post" else ()
    return ExplainedDelivery(intent.room, intent.action, route, texts[0], replies)


def as_json(explanations: list[Explanation]) -> Any:
    """Explanations as JSON values, times as RFC 3339."""
    shown = msgspec.to_builtins(explanations)
    for one in shown:
        for name in ("occurred_at", "received_at"):
            one["event"][name] = iso(one["event"][name])
    return shown
