"""The plan for a batch of events: which rooms each is posted to, and how alerts and incidents change.

Pure: `plan` is given what is known of the keys concerned and says what is to be written.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from relay.core.alert import Alert, AlertKey, OpenIncident, fold, inherit
from relay.core.delivery import Posting
from relay.core.event import RANK, Event
from relay.core.matching import view_of
from relay.core.routing import Destination, Route, destinations, resolve

OPERATOR_SOURCE = "relay"
"""The name under which the relay's own trouble becomes events; they go to the operator's room alone."""


class Waiting(msgspec.Struct, frozen=True):
    """An event in the inbox with its place in the order of arrival."""

    seq: int
    event: Event


class Known(msgspec.Struct):
    """What is on record of the keys that a batch speaks of; `plan` carries it forward event by event."""

    alerts: dict[AlertKey, Alert]
    open: dict[AlertKey, dict[str, OpenIncident]]


class Rules(msgspec.Struct, frozen=True):
    """The routing in force. `rooms` are all that are configured, each with its own template, where it has one."""

    root: Route
    rooms: dict[str, str | None]
    operator: Route | None = None


class NewIncident(msgspec.Struct):
    """An incident that a batch opens, by the event at `seq`, and, where `ended_at` is set, also ends."""

    incident: OpenIncident
    seq: int
    ended_at: float | None = None


class Plan(msgspec.Struct):
    """What a batch changes. `closed` are incidents from before it, with the end's time; they are written first."""

    up_to: int
    postings: list[Posting]
    alerts: dict[AlertKey, Alert]
    opened: list[NewIncident]
    closed: list[tuple[OpenIncident, float]]
    adopted: list[Waiting]


class Decision(msgspec.Struct, frozen=True):
    """Where one event goes. `event` has inherited what it lacked."""

    event: Event
    rooms: tuple[Destination, ...]
    unrouted: tuple[str, ...]
    """Rooms that no route leads to: the incident is open there, so its end is told there."""


def route_event(event: Event, rules: Rules) -> list[Destination]:
    """The rooms that the tree (or, for the relay's own trouble, the operator's route) names for an event."""
    if event.source == OPERATOR_SOURCE and rules.operator is not None:
        return destinations([rules.operator])
    return destinations(resolve(rules.root, view_of(event)))


def decide(event: Event, rules: Rules, known: Known) -> Decision:
    """Decide for one event: its own route's rooms, and beside them the rooms where its key's incident is open."""
    if event.status == "notice":
        return Decision(event, tuple(route_event(event, rules)), ())
    key = (event.source, event.key)
    event = inherit(event, known.alerts.get(key))
    routed = route_event(event, rules)
    named = {destination.room for destination in routed}
    return Decision(event, tuple(routed), tuple(room for room in known.open.get(key, ()) if room not in named))


def template_for(room: str, route: Route, rules: Rules) -> str | None:
    """The template of a message: the route's, else the room's."""
    return route.template or rules.rooms.get(room)


def plan(batch: Sequence[Waiting], rules: Rules, known: Known) -> Plan:
    """Plan a batch of at least one event; `known` is carried forward."""
    result = Plan(batch[-1].seq, [], {}, [], [], [])
    for waiting in batch:
        decision = decide(waiting.event, rules, known)
        event = decision.event
        if event is not waiting.event:
            result.adopted.append(Waiting(waiting.seq, event))
        rank = RANK[event.severity]
        for target in decision.rooms:
            route = target.route
            group = f"{target.room}|{route.lineage}"
            template = template_for(target.room, route, rules)
            result.postings.append(Posting(target.room, group, route.path, template, waiting.seq, rank))
        for room in decision.unrouted:
            if room in rules.rooms:
                group = known.open[event.source, event.key][room].group
                result.postings.append(Posting(room, group, "incident", rules.rooms[room], waiting.seq, rank))
        if event.status != "notice":
            _fold_incident(waiting.seq, decision, known, result)
    return result


def _fold_incident(seq: int, decision: Decision, known: Known, result: Plan) -> None:
    event = decision.event
    key = (event.source, event.key)
    alert = fold(event, known.alerts.get(key))
    if alert is not None:
        known.alerts[key] = result.alerts[key] = alert
    open_in = known.open.setdefault(key, {})
    if event.status == "resolved":
        _close(open_in, event.occurred_at, result)
        return
    for target in decision.rooms:
        if target.room not in open_in:
            group = f"{target.room}|{target.route.lineage}"
            incident = OpenIncident(event.source, event.key, target.room, group, event.occurred_at)
            open_in[target.room] = incident
            result.opened.append(NewIncident(incident, seq))


def _close(open_in: dict[str, OpenIncident], at: float, result: Plan) -> None:
    if not open_in:
        return
    new = {id(opened.incident): opened for opened in result.opened}
    for incident in open_in.values():
        if (opened := new.get(id(incident))) is not None:
            opened.ended_at = at
        else:
            result.closed.append((incident, at))
    open_in.clear()
