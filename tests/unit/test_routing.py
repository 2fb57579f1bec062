from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from relay.core.matcher_index import MOST_SEEN, index_matchers
from relay.core.matching import Matcher, make_matcher, parse_matchers
from relay.core.routing import (
    Route,
    confusable,
    destinations,
    resolve,
    trace,
    walk,
)
from tests.fakes.trees import LABELS, ROOT, VALUES, Tree, grown, plain_trees, views


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
    return msgspec.structs.replace(node, routes=children, index=index_matchers([child.matchers for child in children]))


def placed(node: Route, path: str) -> Route:
    children = tuple(placed(child, f"{path}.routes[{number}]") for number, child in enumerate(node.routes))
    return msgspec.structs.replace(node, path=path, routes=children)


_expressions = st.sampled_from([*VALUES, "|".join(VALUES), f".*{VALUES[-1]}", "[ab]", ".+", ""])
matchers: st.SearchStrategy[Matcher] = st.one_of(
    st.builds(make_matcher, st.sampled_from(LABELS), st.sampled_from(["=", "=", "!="]), st.sampled_from(VALUES)),
    st.builds(make_matcher, st.sampled_from(LABELS), st.sampled_from(["=~", "!~"]), _expressions),
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


def test_few_siblings_or_none_that_want_a_value_get_no_index() -> None:
    assert index_matchers([parse_matchers('site="a"')] * 7) is None
    assert index_matchers([parse_matchers('site!="a"')] * 20) is None


def test_the_index_leaves_few_candidates_whatever_way_the_values_are_written() -> None:
    siblings = [parse_matchers(f'team=~"team-{number}|squad-{number}"') for number in range(1_000)]
    siblings += [parse_matchers('site="ams"'), parse_matchers('host=~"edge-.*"'), parse_matchers('site!="ams"')]
    index = index_matchers(siblings)
    assert index is not None
    assert list(index.candidates({"team": "squad-7"})) == [7, 1_002]
    assert list(index.candidates({"site": "ams", "host": "edge-1"})) == [1_000, 1_001, 1_002]


def test_an_index_keeps_a_bounded_number_of_values() -> None:
    index = index_matchers([parse_matchers(f'host=~".*-{number}"') for number in range(8)])
    assert index is not None
    for number in range(3 * MOST_SEEN):
        assert list(index.candidates({"host": f"{number}-3"})) == [3]
    assert len(index.by_label[0].seen) <= MOST_SEEN


def test_the_trace_says_why_in_words() -> None:
    root = route(routes=(route("one", 'site="a"'), route("two", 'team!=""'), route("three")))
    assert [(step.path, step.matched, step.why) for step in trace(root, {"team": "x"})] == [
        ("route", True, "no matchers: everything matches"),
        ("one", False, 'site="a" fails: site is absent'),
        ("two", True, 'all of team!=""'),
        ("three", False, "not tried: two matched and does not continue"),
    ]


# Identity


@given(plain_trees, views)
def test_each_route_has_an_identity_by_which_its_own_policy_is_found(tree: list[Any], view: dict[str, str]) -> None:
    root = grown(ROOT, tree)
    by_lineage = {one.lineage: one for one in walk(root)}
    assert len(by_lineage) == len(list(walk(root)))
    for found in resolve(root, view):
        assert by_lineage[found.lineage] is found


@given(plain_trees, st.data())
def test_a_route_keeps_its_identity_when_others_are_added_moved_or_edited(tree: list[Any], data: st.DataObject) -> None:
    before = {one.lineage for one in grown(ROOT, tree).routes}
    other: Tree = (['team="new"'], data.draw(st.booleans()), 0, [])
    place = data.draw(st.integers(0, len(tree)))
    after = {one.lineage for one in grown(ROOT, [*tree[:place], other, *tree[place:]]).routes}
    assert before < after
    assert {one.lineage for one in grown(ROOT, data.draw(st.permutations(tree))).routes} == before
    edited = [(texts, not go_on, wait + 1, inner) for texts, go_on, wait, inner in tree]
    assert {one.lineage for one in grown(ROOT, edited).routes} == before


def test_equal_siblings_that_change_are_told_of_and_others_are_not() -> None:
    twins: list[Tree] = [(['site="a"'], True, 1, []), (['site="a"'], False, 2, [])]
    root = grown(ROOT, twins)
    assert confusable(root, root) == []
    swapped = grown(ROOT, twins[::-1])
    assert confusable(root, swapped) == [("route.routes[0]", "route.routes[1]")]
    assert confusable(root, grown(ROOT, twins[:1])) == [("route.routes[0]",)]
    assert confusable(grown(ROOT, twins[:1]), root) == [("route.routes[0]", "route.routes[1]")]
    another: Tree = (['site="b"'], False, 3, [])
    assert confusable(root, grown(ROOT, [another, *twins])) == []
    assert confusable(grown(ROOT, [another]), grown(ROOT, [(['site="b"'], False, 4, [])])) == []


def test_a_route_without_rooms_tells_nobody_and_says_so() -> None:
    root = route(routes=(route("null", 'site="a"', rooms=()),))
    assert destinations(resolve(root, {"site": "a"})) == []
    assert trace(root, {"site": "a"})[-1].why == (
        'all of site="a"; it has no rooms: an event that ends here is posted nowhere'
    )
