"""The routing tree, with Alertmanager's semantics.

The search goes depth first. Among siblings the first match wins unless it says `continue`. A node without a matching
child is the answer itself. Children inherit rooms and template (Alertmanager's documentation, "Configuration", section
"route").

A route's `lineage` is its identity. Groups and incidents on disk find their route, and so their policy, by it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from relay.core.incident import Policy
from relay.core.matcher_index import MatcherIndex
from relay.core.matching import Matcher

_ORDINAL = re.compile(r"#\d+$")


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the tree with everything inherited filled in.

    `path` is its place in the configuration, `lineage` its identity in the tree (see `lineages`). An event that ends at
    a node without rooms is posted nowhere.
    """

    path: str
    rooms: tuple[str, ...]
    matchers: tuple[Matcher, ...] = ()
    continues: bool = False
    template: str | None = None
    card: str | None = None
    lineage: str = "{}"
    policy: Policy = Policy()
    routes: tuple[Route, ...] = ()
    index: MatcherIndex | None = None

    def matches(self, view: Mapping[str, str]) -> bool:
        """Return whether all matchers of this node accept the view."""
        return all(matcher.matches(view) for matcher in self.matchers)


class RouteTrace(msgspec.Struct, frozen=True):
    """The result at one node of the search, for `explain`."""

    path: str
    matched: bool
    why: str


class Destination(msgspec.Struct, frozen=True):
    """A room that an event goes to, with the first route that leads there and the `others` that do."""

    room: str
    route: Route
    others: tuple[Route, ...] = ()


def lineages(parent: str, siblings: Iterable[Sequence[Matcher]]) -> list[str]:
    """Return the identities of all children of a route, in order, from the matchers of each.

    A child is known by its parent's identity, its own matchers, and its ordinal among siblings with equal matchers
    (`#2` for the second; the first has none). So it keeps its identity when other routes are added, moved or edited.
    """
    found: list[str] = []
    seen: Counter[str] = Counter()
    for matchers in siblings:
        name = f"{parent}/{{{','.join(map(str, matchers))}}}"
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return found


def confusable(before: Route, after: Route) -> list[tuple[str, ...]]:
    """Return the paths in `after` of equal siblings that can't be told apart over a change of the tree.

    Siblings with equal matchers are known by their order. If one of them is added, removed or changed, their identities
    may shift. Open incidents then go on under the route that has their ordinal now.
    """
    olds, news = _twins(before), _twins(after)
    found: list[tuple[str, ...]] = []
    for family in sorted({*olds, *news}):
        old, new = olds.get(family, {}), news.get(family, {})
        if new and max(len(old), len(new)) > 1 and list(old.values()) != list(new.values()):
            found.append(tuple(new))
    return found


def _twins(root: Route) -> dict[str, dict[str, object]]:
    """Return the path and content of all routes below the root, grouped by their lineage without its ordinal."""
    found: dict[str, dict[str, object]] = {}
    for route in walk(root):
        for child in route.routes:
            found.setdefault(_ORDINAL.sub("", child.lineage), {})[child.path] = _content(child, route)
    return found


def _content(route: Route, parent: Route) -> tuple[object, ...]:
    """Return the settings of a route that differ from its parent's, and those of its children, without their paths."""
    inherited = {name: getattr(parent.policy, name) for name in Policy.__struct_fields__}
    own = {name: value for name in inherited if (value := getattr(route.policy, name)) != inherited[name]}
    differs = (route.rooms != parent.rooms and route.rooms, route.template, route.card)
    matchers = tuple(map(str, route.matchers))
    return (matchers, route.continues, differs, own, *(_content(child, route) for child in route.routes))


def walk(route: Route) -> Iterator[Route]:
    """Yield a route and all routes below it, depth first."""
    yield route
    for child in route.routes:
        yield from walk(child)


def resolve(root: Route, view: Mapping[str, str]) -> list[Route]:
    """Return the routes that an event's view ends at, in order. The root matches everything."""
    found: list[Route] = []
    _resolve(root, view, found)
    return found


def _resolve(node: Route, view: Mapping[str, str], found: list[Route]) -> None:
    before = len(found)
    positions = range(len(node.routes)) if node.index is None else node.index.candidates(view)
    for position in positions:
        child = node.routes[position]
        if child.matches(view):
            _resolve(child, view, found)
            if not child.continues:
                break
    if len(found) == before:
        found.append(node)


def destinations(routes: Sequence[Route]) -> list[Destination]:
    """Return each room once, with the first route that leads to it."""
    if len(routes) == 1 and len(routes[0].rooms) == 1:
        return [Destination(routes[0].rooms[0], routes[0])]
    leading: dict[str, list[Route]] = {}
    for route in routes:
        for room in dict.fromkeys(route.rooms):
            leading.setdefault(room, []).append(route)
    return [Destination(room, first, tuple(others)) for room, (first, *others) in leading.items()]


def trace(root: Route, view: Mapping[str, str]) -> list[RouteTrace]:
    """Return each node that was tried for a view, with the reason in words."""
    steps: list[RouteTrace] = []
    _trace(root, view, steps)
    return steps


def _trace(node: Route, view: Mapping[str, str], steps: list[RouteTrace]) -> None:
    taken: str | None = None
    place = len(steps)
    steps.append(RouteTrace(node.path, matched=True, why=""))
    for child in node.routes:
        if taken is not None:
            steps.append(RouteTrace(child.path, matched=False, why=f"not tried: {taken} matched and does not continue"))
        elif (failed := next((m for m in child.matchers if not m.matches(view)), None)) is not None:
            actual = view.get(failed.name)
            seen = "absent" if actual is None else repr(actual)
            steps.append(RouteTrace(child.path, matched=False, why=f"{failed} fails: {failed.name} is {seen}"))
        else:
            _trace(child, view, steps)
            taken = None if child.continues else child.path
    steps[place] = RouteTrace(node.path, matched=True, why=_why(node))


def _why(node: Route) -> str:
    why = "all of " + ", ".join(map(str, node.matchers)) if node.matchers else "no matchers: everything matches"
    return why if node.rooms else f"{why}; it has no rooms: an event that ends here is posted nowhere"
