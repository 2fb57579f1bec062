"""The rules in force: routes, rooms, times; and where an event goes by them."""

from __future__ import annotations

import msgspec

from relay.core.alert import Alert
from relay.core.event import Event
from relay.core.incident import Policy
from relay.core.matching import view_of
from relay.core.routing import Destination, Route, destinations, resolve
from relay.core.suppression import InhibitRule
from relay.core.times import TimeInterval

OPERATOR_SOURCE = "relay"
"""The name under which the relay's own trouble becomes events; they go to the operator's room alone."""
RESOLVE_TIMEOUT = 86_400.0
"""Seconds without an event after which an alert ends as expired, where its source says nothing else."""


class Rules(msgspec.Struct, frozen=True):
    """The routing in force.

    `rooms` are all that are configured, each with its own template, where it has one; in `plain` ones no message can be
    edited, and none has a thread. `routes` are all by lineage, and
    an incident whose route has vanished lives by the root's policy. `timeouts` are the sources' own, `digest_over` the
    rooms' new posts that may wait before they become a digest, `cards` the rooms' own.
    """

    root: Route
    rooms: dict[str, str | None]
    operator: Route | None = None
    routes: dict[str, Route] = {}
    timeouts: dict[str, float] = {}
    inhibit: tuple[InhibitRule, ...] = ()
    intervals: dict[str, tuple[TimeInterval, ...]] = {}
    digest_over: dict[str, int] = {}
    plain: frozenset[str] = frozenset()
    cards: dict[str, str] = {}

    def route_of(self, lineage: str) -> Route:
        """The route by which the incidents of a group live."""
        return self.routes.get(lineage, self.root)

    def policy_of(self, lineage: str) -> Policy:
        """How the incidents of a group live."""
        return self.route_of(lineage).policy

    def expires_at(self, alert: Alert) -> float:
        """When an alert expires unless an event comes; Unix seconds."""
        if alert.ends_at is not None:
            return alert.ends_at
        return alert.seen_at + self.timeouts.get(alert.source, RESOLVE_TIMEOUT)


def route_event(event: Event, rules: Rules) -> list[Destination]:
    """The rooms that the tree (or, for the relay's own trouble, the operator's route) names for an event."""
    if event.source == OPERATOR_SOURCE and rules.operator is not None:
        return destinations([rules.operator])
    return destinations(resolve(rules.root, view_of(event)))


def template_for(room: str, route: Route, rules: Rules) -> str | None:
    """The template of a message: the route's, else the room's."""
    return route.template or rules.rooms.get(room)


def card_for(room: str, route: Route, rules: Rules) -> str | None:
    """The card of a message of one alert: the route's, else the room's."""
    return route.card or rules.cards.get(room)
