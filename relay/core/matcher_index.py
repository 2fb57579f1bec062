"""An index of routes or silences, its entries, by the labels that they look at. It finds the few that can match."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from relay.core.matching import Matcher, Pattern

FEW = 8
"""Fewer entries are tried one after the other: an index would not be faster."""
MOST_SEEN = 1_024
"""The most values of a label for which the result of the regular expressions is kept."""


class ByLabel(msgspec.Struct, frozen=True):
    """The positions of entries that want certain values of one label.

    `named` has them by the values that they name. `searching` are those with a regular expression. `seen` keeps what
    was found for a value, because the values of most labels come again and again.
    """

    label: str
    named: dict[str, list[int]]
    searching: list[tuple[Pattern, int]]
    seen: dict[str, list[int]]

    def find(self, value: str) -> Sequence[int]:
        """Return the positions of the entries that accept a value."""
        if not self.searching:
            return self.named.get(value, ())
        found = self.seen.get(value)
        if found is None:
            found = [*self.named.get(value, ()), *(at for pattern, at in self.searching if pattern.fullmatch(value))]
            found.sort()
            if len(self.seen) >= MOST_SEEN:
                self.seen.clear()
            self.seen[value] = found
        return found


class MatcherIndex(msgspec.Struct, frozen=True):
    """The entries by label, each under one label; `others` want no certain value and are always tried."""

    by_label: tuple[ByLabel, ...]
    others: tuple[int, ...]

    def candidates(self, view: Mapping[str, str]) -> Sequence[int]:
        """Return the positions of the entries that can match, in their order."""
        if not self.others and len(self.by_label) == 1:
            one = self.by_label[0]
            return one.find(view.get(one.label, ""))
        found = list(self.others)
        for one in self.by_label:
            found += one.find(view.get(one.label, ""))
        found.sort()
        return found


def index_matchers(each: Sequence[Sequence[Matcher]]) -> MatcherIndex | None:
    """Index entries by the matchers of each; return None if they are few or none of them wants a certain value."""
    wanted = [[matcher for matcher in matchers if matcher.op in ("=", "=~")] for matchers in each]
    common = Counter(matcher.name for matchers in wanted for matcher in matchers)
    if len(each) < FEW or not common:
        return None
    by_label: dict[str, ByLabel] = {}
    others: list[int] = []
    for position, matchers in enumerate(wanted):
        if not matchers:
            others.append(position)
            continue
        # the fewer labels, the fewer lookups; and a named value is found faster than an expression
        chosen = max(matchers, key=lambda one: (one.pattern is None, common[one.name]))
        by = by_label.setdefault(chosen.name, ByLabel(chosen.name, {}, [], {}))
        if chosen.pattern is not None:
            by.searching.append((chosen.pattern, position))
        for value in chosen.values:
            by.named.setdefault(value, []).append(position)
    return MatcherIndex(tuple(by_label.values()), tuple(others))
