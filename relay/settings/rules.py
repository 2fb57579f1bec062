"""The routing tree of a configuration, everything inherited filled in."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from relay.core.incident import Policy
from relay.core.matching import Matcher, parse_matchers
from relay.core.planning import Rules
from relay.core.routing import Route, index_children
from relay.settings.model import RouteSettings, Settings


def compile_rules(settings: Settings) -> Rules:
    """The routing in force; the configuration was checked before."""
    templates = {name: room.template for name, room in settings.rooms.items()}
    operator = None
    if settings.operator is not None:
        operator = Route(path="operator", rooms=(settings.operator.room,))
    parent = Route(path="route", rooms=tuple(settings.route.rooms or ()))
    root = _compile(settings.route, "route", parent)
    timeouts = {name: source.resolve_timeout for name, source in settings.sources.items()}
    return Rules(root, templates, operator, dict(_policies(root)), timeouts)


def _policies(route: Route) -> Iterator[tuple[str, Policy]]:
    """The policies of a route and all below it, by lineage; of two routes with one lineage, the first's."""
    for child in reversed(route.routes):
        yield from _policies(child)
    yield route.lineage, route.policy


def _compile(settings: RouteSettings, path: str, parent: Route) -> Route:
    matchers: tuple[Matcher, ...] = tuple(m for text in settings.matchers for m in parse_matchers(text))
    node = Route(
        path=path,
        rooms=parent.rooms if settings.rooms is None else settings.rooms,
        matchers=matchers,
        continues=settings.continue_,
        template=settings.template or parent.template,
        policy=_policy(settings, parent.policy),
        lineage=parent.lineage if not matchers else f"{parent.lineage}/{{{','.join(map(str, matchers))}}}",
    )
    children = tuple(_compile(child, f"{path}.routes[{number}]", node) for number, child in enumerate(settings.routes))
    return msgspec.structs.replace(node, routes=children, index=index_children(children))


def _policy(settings: RouteSettings, parent: Policy) -> Policy:
    """A route's own policy, what it does not say inherited."""
    own = {
        name: value
        for name in ("on_update", "on_resolve", "repeat_interval", "reopen_within")
        if (value := getattr(settings, name)) is not None
    }
    return msgspec.structs.replace(parent, **own)
