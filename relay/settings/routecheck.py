"""Checks between keys of the routing: names that must exist, and routes and matchers that no event reaches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from relay.core.event import OPERATOR_SOURCE, SEVERITIES, STATUSES
from relay.core.group import ALL
from relay.core.matching import BadMatcherError, Matcher, parse_matchers
from relay.core.severity import severity_of
from relay.settings.checking import Check
from relay.settings.document import Document
from relay.settings.model import Settings
from relay.settings.problems import Path, Problem, dotted, near
from relay.settings.routing import RouteSettings


def check_routes(settings: Settings, document: Document) -> list[Problem]:
    """Return the problems of the routing tree, the time intervals and the inhibit rules."""
    return list(_RouteCheck(settings, document).check())


class _RouteCheck(Check):
    def check(self) -> Iterator[Problem]:
        root = self.settings.route
        if root.rooms is None:
            message = "the root needs `rooms`; an empty list sends events that no child route matches nowhere"
            yield self.error(("route",), message)
        if root.matchers:
            yield self.error(("route", "matchers"), "the root matches every event; move the matchers to a route below")
        if root.continue_:
            yield self.error(("route", "continue"), "the root has no siblings to continue with; remove `continue`")
        if root.mute_time_intervals or root.active_time_intervals:
            yield self.error(("route",), "the root can't be muted; give the intervals to a route below it")
        yield from self._route(root, ("route",), grouped=False)
        yield from self._intervals()
        yield from self._inhibition()

    def _route(self, route: RouteSettings, path: Path, *, grouped: bool) -> Iterator[Problem]:
        for number, room in enumerate(route.rooms or ()):
            yield from self.named((*path, "rooms", number), "rooms", room)
        if route.template is not None:
            yield from self.named((*path, "template"), "templates", route.template)
        yield from self._matchers(route.matchers, (*path, "matchers"))
        grouped = grouped or route.group_by is not None or (*path, "group_by") in self.document.marks
        yield from self._grouping(route, path, grouped)
        yield from self._named_intervals(route, path)
        for number, child in enumerate(route.routes):
            yield from self._route(child, (*path, "routes", number), grouped=grouped)
        yield from self._reach(route, path)

    def _grouping(self, route: RouteSettings, path: Path, grouped: bool) -> Iterator[Problem]:
        for number, name in enumerate(route.group_by or ()):
            if name == "status":
                message = "alerts can't be grouped by status: a group keeps its alerts until they end; remove it"
                yield self.error((*path, "group_by", number), message)
            if not name or (route.group_by or ()).index(name) != number:
                yield self.error((*path, "group_by", number), f"{name!r} is {'given twice' if name else 'no label'}")
            if name == ALL and len(route.group_by or ()) > 1:
                yield self.error((*path, "group_by"), "`...` means all labels; remove the other entries")
        for name in ("group_wait", "group_interval"):
            if not grouped and getattr(route, name) is not None:
                yield self.warning((*path, name), "has no effect without `group_by`: each alert is sent at once")

    def _named_intervals(self, route: RouteSettings, path: Path) -> Iterator[Problem]:
        for key in ("mute_time_intervals", "active_time_intervals"):
            for number, name in enumerate(getattr(route, key)):
                yield from self.named((*path, key, number), "time_intervals", name)

    def _intervals(self) -> Iterator[Problem]:
        seen: set[str] = set()
        for number, one in enumerate(self.settings.time_intervals):
            if one.name in seen:
                yield self.error(("time_intervals", number, "name"), f"{one.name!r} is given twice")
            seen.add(one.name)

    def _inhibition(self) -> Iterator[Problem]:
        for number, rule in enumerate(self.settings.inhibit_rules):
            path: Path = ("inhibit_rules", number)
            yield from self._matchers(rule.source_matchers, (*path, "source_matchers"))
            yield from self._matchers(rule.target_matchers, (*path, "target_matchers"))

    def _matchers(self, texts: Sequence[str], path: Path) -> Iterator[Problem]:
        for number, text in enumerate(texts):
            try:
                for one in parse_matchers(text):
                    yield from self._can_match(one, (*path, number))
            except BadMatcherError as error:
                yield self.error((*path, number), str(error))

    def _can_match(self, matcher: Matcher, path: Path) -> Iterator[Problem]:
        """Yield a warning for a comparison with a word that no event can have."""
        closed: dict[str, Collection[str]] = {
            "severity": SEVERITIES,
            "status": STATUSES,
            "source": (*self.names("sources"), OPERATOR_SOURCE),
        }
        known = closed.get(matcher.name)
        if known is None or matcher.op == "!~":
            return
        if matcher.op == "=~":
            strange = not any(matcher.matches({matcher.name: word}) for word in known)
        else:
            strange = matcher.value not in known
        if strange:
            yield self.warning(path, f"no event has the {matcher.name} {matcher.value[:60]!r}{_hint(matcher, known)}")

    def _reach(self, route: RouteSettings, path: Path) -> Iterator[Problem]:
        """Yield a warning for each child that gets no events, since an earlier sibling takes them all."""
        each = [_matchers(child) for child in route.routes]
        common = Counter(matcher for wanted in each for matcher in wanted)
        earlier: dict[Matcher | None, list[tuple[int, frozenset[Matcher]]]] = {}  # by the rarest matcher of each
        for number, (child, wanted) in enumerate(zip(route.routes, each, strict=True)):
            likely = (one for matcher in (None, *wanted) for one in earlier.get(matcher, ()))
            taker = min((n for n, taken in likely if taken <= wanted), default=None)
            if taker is not None:
                yield self.warning(
                    (*path, "routes", number),
                    f"is never reached: {dotted((*path, 'routes', taker))} takes every event that it would match",
                )
            if not child.continue_:
                earlier.setdefault(min(wanted, key=common.__getitem__, default=None), []).append((number, wanted))


def _hint(matcher: Matcher, known: Collection[str]) -> str:
    """Return a hint at what to write in place of a word that no event has."""
    words = matcher.value.split("|") if matcher.name == "severity" else ()
    meant = [f"{word} becomes {severity}" for word in words if (severity := severity_of(word)) is not None]
    if not meant:
        return near(matcher.value, known)
    return f": {', '.join(meant)}; if the sender's word is also a label, match label.severity"


def _matchers(route: RouteSettings) -> frozenset[Matcher]:
    """Return a route's matchers without their compiled expressions, for comparison; invalid ones match nothing."""
    found: list[Matcher] = []
    for text in route.matchers:
        try:
            found += [Matcher(m.name, m.op, m.value) for m in parse_matchers(text)]
        except BadMatcherError:
            found.append(Matcher("", "=", text))
    return frozenset(found)
