from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from relay.core.matching import Matcher, make_matcher, parse_matchers
from relay.core.routing import Route, destinations, index_children, resolve, trace

LABELS = ("site", "team")
VALUES = ("", "a", "b", "c")


def route(
    path: str = "route",
    *matchers: str,
    rooms: tuple[str, ...] = ("noc",),
    go_on: bool = False,
    routes: tuple[Route, ...] = (),
) -> Route:
    found = tuple(one for text in matchers for one in parse_matchers(text))
    return Route(path=path, rooms=rooms, matchers=found, continues=go_on, routes=routes)


def indexed(node: Route) -> Route:
    children = tuple(map(indexed, node.routes))
    return msgspec.structs.replace(node, routes=children, index=index_children(children))


def placed(node: Route, path: str) -> Route:
    children = tuple(placed(child, f"{path}.routes[{number}]") for number, child in enumerate(node.routes))
    return msgspec.structs.replace(node, path=path, routes=children)


matchers: st.SearchStrategy[Matcher] = st.builds(
    make_matcher, st.sampled_from(LABELS), st.sampled_from(["=", "=", "=", "!=", "=~"]), st.sampled_from(VALUES)
)
_rooms = st.lists(st.sampled_from(["noc", "core", "oncall"]), min_size=1, max_size=2, unique=True).map(tuple)


def _nodes(children: st.SearchStrategy[Route]) -> st.SearchStrategy[Route]:
    return st.builds(
        Route,
        path=st.just(""),
        rooms=_rooms,
        matchers=st.lists(matchers, max_size=2).map(tuple),
        continues=st.booleans(),
        routes=st.lists(children, max_size=9).map(tuple),
    )


_leaves = st.builds(
    Route, path=st.just(""), rooms=_rooms, matchers=st.lists(matchers, max_size=2).map(tuple), continues=st.booleans()
)
trees = _nodes(st.recursive(_leaves, _nodes, max_leaves=12)).map(
    lambda node: placed(msgspec.structs.replace(node, matchers=()), "route")
)
wide = st.lists(_leaves, min_size=8, max_size=20).map(
    lambda leaves: placed(Route(path="", rooms=("noc",), routes=tuple(leaves)), "route")
)
views = st.dictionaries(st.sampled_from(LABELS), st.sampled_from(VALUES))


def traced_ends(root: Route, view: dict[str, str]) -> list[str]:
    """The nodes at which a trace ends: matched, and no child of theirs is."""
    matched = [step.path for step in trace(root, view) if step.matched]
    return [path for path in matched if not any(other.startswith(f"{path}.routes[") for other in matched)]


@given(trees | wide, views)
def test_the_index_changes_no_answer_and_the_trace_tells_the_same(root: Route, view: dict[str, str]) -> None:
    plain = [found.path for found in resolve(root, view)]
    assert [found.path for found in resolve(indexed(root), view)] == plain
    assert traced_ends(root, view) == plain


@given(trees | wide, views)
def test_every_event_has_at_least_one_room_and_each_room_once(root: Route, view: dict[str, str]) -> None:
    rooms = [destination.room for destination in destinations(resolve(indexed(root), view))]
    assert rooms
    assert len(rooms) == len(set(rooms))


@given(trees, views)
def test_every_node_is_told_of_once_or_stands_below_one_that_did_not_match(root: Route, view: dict[str, str]) -> None:
    paths = [step.path for step in trace(root, view)]
    assert len(paths) == len(set(paths))
    assert all(step.why for step in trace(root, view))


def test_the_first_sibling_that_matches_wins_unless_it_goes_on() -> None:
    first, second = route("first", 'site="a"', go_on=True), route("second", 'site=~"a|b"')
    root = route(routes=(first, second, route("third", 'site="a"')))
    assert [found.path for found in resolve(root, {"site": "a"})] == ["first", "second"]
    assert [found.path for found in resolve(root, {"site": "b"})] == ["second"]


def test_a_node_none_of_whose_children_match_is_the_answer_itself() -> None:
    root = route(routes=(route("child", 'site="a"', routes=(route("grandchild", 'team="x"'),)),))
    assert [found.path for found in resolve(root, {"site": "b"})] == ["route"]
    assert [found.path for found in resolve(root, {"site": "a"})] == ["child"]
    assert [found.path for found in resolve(root, {"site": "a", "team": "x"})] == ["grandchild"]


def test_a_room_belongs_to_the_first_route_that_leads_there() -> None:
    first, second = route("first", rooms=("noc", "core")), route("second", rooms=("core", "oncall"))
    assert [(found.room, found.route.path) for found in destinations([first, second])] == [
        ("noc", "first"),
        ("core", "first"),
        ("oncall", "second"),
    ]


def test_few_siblings_or_none_with_an_equality_get_no_index() -> None:
    assert index_children([route("x", 'site="a"')] * 7) is None
    assert index_children([route("x", 'site!="a"')] * 20) is None
    index = index_children([route("x", 'site="a"')] * 7 + [route("y", 'team="b"')])
    assert index is not None
    assert (index.label, index.others) == ("site", (7,))


def test_the_trace_says_why_in_words() -> None:
    root = route(routes=(route("one", 'site="a"'), route("two", 'team!=""'), route("three")))
    assert [(step.path, step.matched, step.why) for step in trace(root, {"team": "x"})] == [
        ("route", True, "no matchers: everything matches"),
        ("one", False, 'site="a" fails: site is absent'),
        ("two", True, 'all of team!=""'),
        ("three", False, "not tried: two matched and does not continue"),
    ]
