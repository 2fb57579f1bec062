"""Explaining a payload without sending it, with the same format, routing and rendering as the daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from relay.app.assembly.reading import defaults_of, make_format
from relay.core.delivery import POSTS, Intent, Summary
from relay.core.event import RANK, Dropped, Event, SourceDefaults, stamp
from relay.core.group import Group, Members, schedule
from relay.core.grouping import plan_groups
from relay.core.incident import Incident, view_of_incident
from relay.core.matching import view_of
from relay.core.plan import Known, Plan, Waiting
from relay.core.planning import Decision, decide, plan
from relay.core.routing import RouteTrace, trace
from relay.core.suppression import Held, Silence, Suppressor
from relay.core.words import iso
from relay.formats import Request
from relay.formats.batch import read_payload
from relay.formats.bodies import decode
from relay.formats.contract import UnreadableError
from relay.settings.load import Loaded
from relay.settings.rules import compile_rules
from relay.templates.rendering import TemplateRenderer


class ExplainedDelivery(msgspec.Struct, frozen=True):
    """A message that a room would get; `replies` follow in its thread.

    `group` are the labels of its group, or None; `waits_seconds` is the time that the group waits for more alerts.
    """

    room: str
    action: str
    route: str
    markdown: str
    replies: tuple[str, ...] = ()
    group: dict[str, str] | None = None
    waits_seconds: float = 0.0


class Explanation(msgspec.Struct, frozen=True):
    """The explanation of one event. `suppressed` is the reason why it changes no message, or None.

    `dropped` says why it is not even stored, if nobody asked for it.
    `held` gives, by room, the silence, alert, interval or source that suppresses it there.
    """

    event: Event
    rooms: tuple[str, ...]
    deliveries: tuple[ExplainedDelivery, ...]
    routes: tuple[RouteTrace, ...]
    suppressed: str | None = None
    held: dict[str, Held] = {}
    template_failures: tuple[str, ...] = ()
    dropped: str | None = None


def explain_payload(
    loaded: Loaded,
    source: str,
    body: bytes,
    now: float,
    silences: Sequence[Silence] = (),
    headers: Mapping[str, str] | None = None,
    most: int | None = None,
    refuses: Callable[[str], object] = lambda _: None,
    drops: Callable[[str], object] = lambda _: None,
    own: Callable[[Iterable[str]], bool] = lambda _: False,
) -> Iterator[Explanation]:
    """Yield the explanation of each event of a payload, or of its first `most`.

    `refuses` is called with the error of each item that can't be read. `drops` is called with the reason for each item
    that the source's mapping does not want; an event that its `when` does not want is explained. `own` returns whether
    names belong to an account that the relay posts with: a message of such an account is not an event. Raises
    `NotJsonError`, and `UnreadableError` if nothing can be read.
    """
    configured = loaded.settings.sources[source]
    read = make_format(source, configured)
    given = headers or {}
    decoded = decode(read, body, given.get("content-type", ""))
    found = read_payload(read, Request(decoded, source, given, received_at=now))
    for item in found.unread:
        refuses(item.error)
    if found.unread and not (found.drafts or found.dropped):
        raise UnreadableError("", "expected at least one item that can be read, found none")
    defaults = defaults_of(source, configured)
    explainer = _Explainer(loaded, now, silences)
    events = [stamp(draft, defaults, f"explained-{number}", now) for number, draft in enumerate(found.drafts[:most])]
    for number, (draft, event) in enumerate(zip(found.drafts, events, strict=False), 1):
        if own(draft.authors):
            yield Explanation(event, (), (), (), suppressed="own")
        else:
            yield explainer.explain(Waiting(number, event, now))
    rest = found.dropped if most is None else found.dropped[: most - len(events)]
    yield from _explain_dropped(rest, defaults, now, drops)


def _explain_dropped(
    dropped: Sequence[Dropped], defaults: SourceDefaults, now: float, drops: Callable[[str], object]
) -> Iterator[Explanation]:
    """Yield the explanation of each dropped event; call `drops` for each item of which no event was made."""
    for number, one in enumerate(dropped):
        if one.draft is None:
            drops(one.why)
        else:
            event = stamp(one.draft, defaults, f"dropped-{number}", now)
            yield Explanation(event, (), (), (), suppressed="dropped", dropped=one.why)


class _Explainer:
    def __init__(self, loaded: Loaded, now: float, silences: Sequence[Silence]) -> None:
        self._rules = rules = compile_rules(loaded.settings)
        self._now = now
        self._suppressor = Suppressor(rules.inhibit, rules.intervals)
        self._suppressor.silence(silences)
        self._known = Known({}, {})
        self._failures: list[str] = []
        self._renderer = TemplateRenderer(
            loaded.templates,
            loaded.settings.timezone,
            lambda name, _, error: self._failures.append(f"template {name}: {error}"),
        )

    def explain(self, waiting: Waiting) -> Explanation:
        self._failures.clear()
        decision = decide(waiting.event, self._rules, self._known)
        event = decision.event
        made = plan([waiting], self._rules, self._known, self._suppressor)
        deliveries = [self._delivery(intent, event, made.incidents.values()) for intent in made.intents]
        held = self._held(decision, made)
        for group in made.touched.values():
            members = tuple(one for one in made.incidents.values() if one.group_id == group.id)
            deliveries += self._group(group, members, event)
        suppressed = next((why for _, why in made.suppressed), None)
        if suppressed is None and held and not deliveries:
            suppressed = next(iter(held.values())).reason
        return Explanation(
            event=event,
            rooms=tuple(dict.fromkeys(delivery.room for delivery in deliveries)),
            deliveries=tuple(deliveries),
            routes=tuple(trace(self._rules.root, view_of(event))),
            suppressed=suppressed,
            held=held,
            template_failures=tuple(dict.fromkeys(self._failures)),
        )

    def _held(self, decision: Decision, made: Plan) -> dict[str, Held]:
        """Return what suppresses a decided event, by room."""
        view = view_of(decision.event)
        routes = {target.room: target.route.policy for target in decision.rooms}
        found = {
            room: self._suppressor.held(view, policy.mute, policy.active, self._now) for room, policy in routes.items()
        }
        found |= {one.room: one.held for one in made.incidents.values() if one.held is not None}
        return {room: held for room, held in found.items() if held is not None}

    def _group(self, group: Group, members: tuple[Incident, ...], event: Event) -> list[ExplainedDelivery]:
        """Return the messages of a group when it is due, as if this event were its only one."""
        policy = self._rules.policy_of(group.lineage)
        due = schedule(group, members, policy, self._now).flush_at
        if due is None:
            return []
        made = plan_groups([Members(group, members)], self._rules, self._suppressor, due)
        return [
            msgspec.structs.replace(
                self._delivery(intent, event, made.incidents.values()),
                group=group.labels,
                waits_seconds=due - self._now,
            )
            for intent in made.intents
        ]

    def _delivery(self, intent: Intent, event: Event, incidents: Iterable[Incident]) -> ExplainedDelivery:
        opens = intent.action in POSTS or intent.subject.group is not None
        route = intent.subject.route if opens else "the incident that is open there"
        if intent.content is not None:
            return ExplainedDelivery(intent.room, intent.action, route, intent.content)
        mine = [view_of_incident(one) for one in incidents if one.room == intent.room and one.message == intent.message]
        summary = None
        if mine and event.status != "notice":
            mine.sort(key=lambda one: (one.over, RANK[one.event.severity]))
            firing = sum(not one.over for one in mine)
            summary = Summary(tuple(mine), firing, len(mine) - firing, min(one.started_at for one in mine))
        texts = self._renderer.render(
            event, intent.template, room=intent.room, summary=summary, now=self._now, mention=intent.mention
        )
        return ExplainedDelivery(
            intent.room, intent.action, route, texts[0], tuple(texts[1:]) if intent.action == "post" else ()
        )


def as_json(explanations: list[Explanation]) -> Any:
    """Return explanations as JSON values, with times as RFC 3339."""
    shown = msgspec.to_builtins(explanations)
    for one in shown:
        for name in ("occurred_at", "received_at"):
            one["event"][name] = iso(one["event"][name])
    return shown
