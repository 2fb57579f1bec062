"""The rules in force: routes, rooms and times, and the rooms that an event goes to by them."""

from __future__ import annotations

import msgspec

from relay.core.alert import Alert
from relay.core.event import OPERATOR_SOURCE, Event
from relay.core.incident import Policy
from relay.core.matching import view_of
from relay.core.routing import Destination, Route, destinations, resolve
from relay.core.suppression import InhibitRule
from relay.core.times import TimeInterval

RESOLVE_TIMEOUT = 86_400.0
"""Seconds without an event after which an alert expires, unless its source has its own timeout."""


class Rules(msgspec.Struct, frozen=True):
    """The routing in force.

    `rooms` maps each configured room to its template, if it has one. In `plain` rooms no message can be edited or has
    a thread. `routes` are all routes by lineage; an incident whose route has vanished lives by the root's policy.
    `timeouts` are those of sources, in seconds. `digest_over` is, for each room, how many new posts may wait before
    they become a digest. `cards` are those of rooms.
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
        """Return the route with a lineage, or the root if there is none."""
        return self.routes.get(lineage, self.root)

    def policy_of(self, lineage: str) -> Policy:
        """Return the policy of the route with a lineage, or the root's if there is none."""
        return self.route_of(lineage).policy

    def expires_at(self, alert: Alert) -> float:
        """Return when an alert expires unless an event comes, in Unix seconds."""
        if alert.ends_at is not None:
            return alert.ends_at
        return alert.seen_at + self.timeouts.get(alert.source, RESOLVE_TIMEOUT)


def route_event(event: Event, rules: Rules) -> list[Destination]:
    """Return the rooms for an event: by the tree or, for the relay's own trouble, by the operator's route."""
    if event.source == OPERATOR_SOURCE and rules.operator is not None:
        return destinations([rules.operator])
    return destinations(resolve(rules.root, view_of(event)))


def template_for(room: str, route: Route, rules: Rules) -> str | None:
    """Return the template of a message: the route's, else the room's."""
    return route.template or rules.rooms.get(room)


def card_for(room: str, route: Route, rules: Rules) -> str | None:
    """Return the card of a message of one alert: the route's, else the room's."""
    return route.card or rules.cards.get(room)
