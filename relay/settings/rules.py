"""Compiling the routing tree and the other rules of a configuration, with inherited values filled in."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from relay.core.incident import Policy
from relay.core.matcher_index import index_matchers
from relay.core.matching import Matcher, parse_matchers
from relay.core.routing import Route, lineages, walk
from relay.core.rules import Rules
from relay.core.suppression import InhibitRule
from relay.settings.accounts import SpikaAccount
from relay.settings.model import Settings
from relay.settings.routing import InhibitSettings, RouteSettings


def compile_rules(settings: Settings) -> Rules:
    """Return the rules of a configuration that was checked before."""
    accounts = settings.accounts
    templates = {name: room.template for name, room in settings.rooms.items()}
    operator = None
    if settings.operator is not None:
        operator = Route(path="operator", rooms=(settings.operator.room,), lineage="operator")
    parent = Route(path="route", rooms=tuple(settings.route.rooms or ()))
    root = _compile(settings.route, "route", parent, _matchers(settings.route), parent.lineage)
    routes = {route.lineage: route for route in walk(root)}
    if operator is not None:
        routes[operator.lineage] = operator
    return Rules(
        root,
        templates,
        operator,
        routes,
        {name: source.resolve_timeout for name, source in settings.sources.items()},
        tuple(_inhibition(rule) for rule in settings.inhibit_rules),
        {one.name: tuple(interval.compiled() for interval in one.time_intervals) for one in settings.time_intervals},
        {name: room.digest_over for name, room in settings.rooms.items()},
        frozenset(
            name for name, room in settings.rooms.items() if isinstance(accounts.get(room.account), SpikaAccount)
        ),
        {name: str(room.card.file) for name, room in settings.rooms.items() if room.card is not None},
    )


def _inhibition(rule: InhibitSettings) -> InhibitRule:
    sources, targets = (
        tuple(matcher for text in texts for matcher in parse_matchers(text))
        for texts in (rule.source_matchers, rule.target_matchers)
    )
    return InhibitRule(sources, targets, rule.equal)


def _matchers(settings: RouteSettings) -> tuple[Matcher, ...]:
    return tuple(matcher for text in settings.matchers for matcher in parse_matchers(text))


def _compile(settings: RouteSettings, path: str, parent: Route, matchers: tuple[Matcher, ...], lineage: str) -> Route:
    node = Route(
        path=path,
        rooms=parent.rooms if settings.rooms is None else settings.rooms,
        matchers=matchers,
        continues=settings.continue_,
        template=settings.template or parent.template,
        card=str(settings.card.file) if settings.card is not None else parent.card,
        policy=_policy(settings, parent.policy),
        lineage=lineage,
    )
    children = _children(settings.routes, node)
    return msgspec.structs.replace(node, routes=children, index=index_matchers([child.matchers for child in children]))


def _children(settings: Sequence[RouteSettings], node: Route) -> tuple[Route, ...]:
    matchers = [_matchers(child) for child in settings]
    named = zip(settings, matchers, lineages(node.lineage, matchers), strict=True)
    return tuple(
        _compile(child, f"{node.path}.routes[{number}]", node, own, lineage)
        for number, (child, own, lineage) in enumerate(named)
    )


_INHERITED = (
    *("on_update", "on_resolve", "repeat_interval", "reopen_within", "mention"),
    *("group_by", "group_wait", "group_interval"),
)


def _policy(settings: RouteSettings, parent: Policy) -> Policy:
    """Return the policy of a route; it inherits what it does not set, except time intervals, as in Alertmanager."""
    own = {name: value for name in _INHERITED if (value := getattr(settings, name)) is not None}
    return msgspec.structs.replace(
        parent, **own, mute=settings.mute_time_intervals, active=settings.active_time_intervals
    )
