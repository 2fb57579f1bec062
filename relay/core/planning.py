"""The plan for a batch of events, or for what is due by the time alone: what is posted, and how incidents change.

Pure: it is given what is known of the keys concerned, carries that forward, and says what is to be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from relay.core.alert import Alert, AlertKey, fold, inherit
from relay.core.delivery import Intent
from relay.core.event import RANK, Event
from relay.core.incident import Incident, Policy, Step, calm, end, holds_at, may_reopen, remind, reopen, update
from relay.core.matching import view_of
from relay.core.routing import Destination, Route, destinations, resolve

OPERATOR_SOURCE = "relay"
"""The name under which the relay's own trouble becomes events; they go to the operator's room alone."""
RESOLVE_TIMEOUT = 86_400.0
"""Seconds without an event after which an alert ends as expired, where its source says nothing else."""

Suppression = Literal["repeat"]


class Waiting(msgspec.Struct, frozen=True):
    """An event in the inbox with its place in the order of arrival."""

    seq: int
    event: Event


class Known(msgspec.Struct):
    """What is on record of the keys that a batch speaks of: alerts, and the last incident of each in each room."""

    alerts: dict[AlertKey, Alert]
    incidents: dict[AlertKey, dict[str, Incident]]


class Rules(msgspec.Struct, frozen=True):
    """The routing in force.

    `rooms` are all that are configured, each with its own template, where it has one; `policies` are those of all
    routes by lineage, and an incident whose route has vanished has the root's. `timeouts` are the sources' own.
    """

    root: Route
    rooms: dict[str, str | None]
    operator: Route | None = None
    policies: dict[str, Policy] = {}
    timeouts: dict[str, float] = {}

    def policy_of(self, group: str) -> Policy:
        """How the incidents of a group live."""
        return self.policies.get(group.partition("|")[2], self.root.policy)

    def timeout_of(self, source: str) -> float:
        """Seconds without an event after which an alert of a source expires."""
        return self.timeouts.get(source, RESOLVE_TIMEOUT)


class Plan(msgspec.Struct):
    """What a batch changes; `incidents` by id, as they stand after it. `suppressed` are events that change nothing."""

    up_to: int
    intents: list[Intent] = []
    alerts: dict[AlertKey, Alert] = {}
    incidents: dict[int, Incident] = {}
    adopted: list[Waiting] = []
    suppressed: list[tuple[int, Suppression]] = []


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
    open_in = (room for room, incident in known.incidents.get(key, {}).items() if incident.firing)
    return Decision(event, tuple(routed), tuple(room for room in open_in if room not in named and room in rules.rooms))


def template_for(room: str, route: Route, rules: Rules) -> str | None:
    """The template of a message: the route's, else the room's."""
    return route.template or rules.rooms.get(room)


def group_of(target: Destination) -> str:
    """What tells a group from others: the room, and the matchers from the root to the route."""
    return f"{target.room}|{target.route.lineage}"


def plan(batch: Sequence[Waiting], rules: Rules, known: Known) -> Plan:
    """Plan a batch of at least one event; `known` is carried forward."""
    planner = _Planner(rules, known, Plan(batch[-1].seq))
    for waiting in batch:
        planner.take(waiting)
    return planner.result


def plan_due(keys: Iterable[AlertKey], rules: Rules, known: Known, now: float) -> Plan:
    """Plan what the time alone asks for: ends of what its source has forgotten, reminders of what still fires."""
    planner = _Planner(rules, known, Plan(0))
    for key in keys:
        planner.look_at(key, now)
    return planner.result


class _Planner:
    def __init__(self, rules: Rules, known: Known, result: Plan) -> None:
        self._rules = rules
        self._known = known
        self.result = result
        self._handle = 0

    def take(self, waiting: Waiting) -> None:
        decision = decide(waiting.event, self._rules, self._known)
        event = decision.event
        if event != waiting.event:
            self.result.adopted.append(Waiting(waiting.seq, event))
        if event.status == "notice":
            for target in decision.rooms:
                self._post(waiting.seq, event, target.room, group_of(target), target.route, 0)
            return
        before = len(self.result.intents)
        self._fold(waiting.seq, decision)
        if len(self.result.intents) == before:
            self.result.suppressed.append((waiting.seq, "repeat"))

    def _fold(self, seq: int, decision: Decision) -> None:
        event = decision.event
        key = (event.source, event.key)
        alert = fold(event, self._known.alerts.get(key))
        if alert is not None:
            self._known.alerts[key] = self.result.alerts[key] = alert
        incidents = self._known.incidents.setdefault(key, {})
        if event.status == "resolved":
            for incident in [one for one in incidents.values() if one.firing]:
                policy = self._rules.policy_of(incident.group)
                ended, steps = end(incident, "resolved", event.occurred_at, event.received_at, policy, event.body)
                self._carry_out(msgspec.structs.replace(ended, seq=seq), steps)
            return
        for target in decision.rooms:
            known = incidents.get(target.room)
            if known is not None and known.firing:
                self._update(known, seq, event)
            else:
                self._begin(known, seq, event, target)
        for room in decision.unrouted:
            self._update(incidents[room], seq, event)

    def _update(self, incident: Incident, seq: int, event: Event) -> None:
        updated, steps = update(incident, seq, event, self._rules.policy_of(incident.group))
        if updated is not incident:
            self._carry_out(updated, steps)

    def _begin(self, last: Incident | None, seq: int, event: Event, target: Destination) -> None:
        policy, group, now = target.route.policy, group_of(target), event.received_at
        if last is not None and may_reopen(last, group, event.occurred_at, policy):
            self._carry_out(*reopen(last, seq, event, policy, now))
            return
        self._handle -= 1
        self._carry_out(
            Incident(
                id=self._handle, source=event.source, key=event.key, room=target.room, group=group,
                message=self._handle, seq=seq, event=event, started_at=event.occurred_at,
                remind_at=now + policy.repeat_interval, changes=(now,),
            ),
            [],
        )  # fmt: skip
        self._post(seq, event, target.room, group, target.route, self._handle)

    def look_at(self, key: AlertKey, now: float) -> None:
        """Expire an alert, or tell of its incidents what the time has brought."""
        alert = self._known.alerts.get(key)
        seen_at = 0.0 if alert is None else alert.seen_at
        over = now >= seen_at + self._rules.timeout_of(key[0])
        if over and alert is not None and alert.state == "firing":
            self.result.alerts[key] = self._known.alerts[key] = msgspec.structs.replace(
                alert, state="expired", updated_at=now
            )
        for incident in [one for one in self._known.incidents.get(key, {}).values() if one.wake_at is not None]:
            policy = self._rules.policy_of(incident.group)
            if over and incident.firing:
                self._carry_out(*end(incident, "expired", now, now, policy))
            elif (holds := holds_at(incident)) is not None and holds <= now:
                self._carry_out(*calm(incident))
            elif incident.firing and incident.remind_at <= now:
                self._carry_out(*remind(incident, now, policy))
            else:
                self._carry_out(incident, [])  # woken too early: an event has come since

    def _carry_out(self, incident: Incident, steps: Sequence[Step]) -> None:
        """Note an incident as it stands now, and the intents on its message; a room that is gone gets none."""
        for step in steps if incident.room in self._rules.rooms else ():
            if step.action == "post":
                self._handle -= 1
                incident = msgspec.structs.replace(incident, message=self._handle)
                self._post_again(incident)
            else:
                self.result.intents.append(
                    Intent(
                        action=step.action, room=incident.room, message=incident.message, event_seq=incident.seq,
                        rank=RANK[incident.event.severity], content=step.content,
                    )
                )  # fmt: skip
        key = (incident.source, incident.key)
        wakes = [at for at in (holds_at(incident),) if at is not None]
        if incident.firing:
            wakes += [incident.remind_at, self._known.alerts[key].seen_at + self._rules.timeout_of(incident.source)]
        incident = msgspec.structs.replace(incident, wake_at=min(wakes, default=None))
        self.result.incidents[incident.id] = self._known.incidents[key][incident.room] = incident

    def _post_again(self, incident: Incident) -> None:
        """A new message for an incident that has one: what `post` asks for among its route's policies."""
        self.result.intents.append(
            Intent(
                action="post", room=incident.room, message=incident.message, event_seq=incident.seq,
                rank=RANK[incident.event.severity], group=incident.group, route="incident",
                template=self._rules.rooms.get(incident.room),
            )
        )  # fmt: skip

    def _post(self, seq: int, event: Event, room: str, group: str, route: Route, message: int) -> None:
        self.result.intents.append(
            Intent(
                action="post", room=room, message=message, event_seq=seq, rank=RANK[event.severity], group=group,
                route=route.path, template=template_for(room, route, self._rules),
            )
        )  # fmt: skip
