"""Trees of routes, and what an event says that goes through them."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from relay.core.incident import Policy
from relay.core.matching import parse_matchers
from relay.core.routing import Route, lineages

LABELS = ("site", "team")
VALUES = ("", "a", "b", "c")
ROOT = Route(path="route", rooms=("noc",))
views = st.dictionaries(st.sampled_from(LABELS), st.sampled_from(VALUES))
few_matchers = st.lists(st.sampled_from(['site="a"', 'site="b"', 'team=~"x|y"']), max_size=2)


def _plain_tree(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(few_matchers, st.booleans(), st.integers(0, 10**6), st.lists(children, max_size=4))


Tree = tuple[list[str], bool, int, list[Any]]
"""Matchers, whether it continues, what tells it from others, and its children."""
plain_trees: st.SearchStrategy[list[Tree]] = st.lists(
    st.recursive(st.tuples(few_matchers, st.booleans(), st.integers(0, 10**6), st.just([])), _plain_tree), max_size=5
)


def grown(node: Route, children: list[Any]) -> Route:
    """A tree with identities; each node's policy is told from all others by its `group_wait`."""
    found = [tuple(one for text in texts for one in parse_matchers(text)) for texts, *_ in children]
    names = lineages(node.lineage, found)
    routes = tuple(
        grown(
            Route(
                path=f"{node.path}.routes[{number}]",
                rooms=("noc",),
                matchers=own,
                continues=go_on,
                lineage=name,
                policy=Policy(group_wait=float(wait)),
            ),
            inner,
        )
        for number, ((_, go_on, wait, inner), own, name) in enumerate(zip(children, found, names, strict=True))
    )
    return msgspec.structs.replace(node, routes=routes)
