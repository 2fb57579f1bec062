"""The routing tree of a configuration, everything inherited filled in."""

from __future__ import annotations

import msgspec

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
    return Rules(_compile(settings.route, "route", parent), templates, operator)


def _compile(settings: RouteSettings, path: str, parent: Route) -> Route:
    matchers: tuple[Matcher, ...] = tuple(m for text in settings.matchers for m in parse_matchers(text))
    node = Route(
        path=path,
        rooms=parent.rooms if settings.rooms is None else settings.rooms,
        matchers=matchers,
        continues=settings.continue_,
        template=settings.template or parent.template,
        lineage=parent.lineage if not matchers else f"{parent.lineage}/{{{','.join(map(str, matchers))}}}",
    )
    children = tuple(_compile(child, f"{path}.routes[{number}]", node) for number, child in enumerate(settings.routes))
    return msgspec.structs.replace(node, routes=children, index=index_children(children))
