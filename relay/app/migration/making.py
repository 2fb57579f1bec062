"""Making the relay's configuration from Alertmanager's (Alertmanager's documentation, "Configuration").

A value that Alertmanager would refuse is an error with its place; a key without a counterpart is noted with its place.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path as FilePath
from typing import Any

import msgspec
import yaml

from relay.app.migration.foreign import Foreign
from relay.app.migration.intervals import make_interval
from relay.app.migration.matchers import compare, label, read_matchers
from relay.app.migration.reading import Item, Reader, Table
from relay.app.migration.receivers import Receivers, Target
from relay.core.group import ALL
from relay.core.markdown import clean
from relay.core.matching import BadMatcherError, Matcher, Operator
from relay.core.words import parse_duration
from relay.settings.problems import ConfigurationError, Path, Problem, unknown

ALERTMANAGER = "expected an Alertmanager configuration, a mapping with a `route` and `receivers`"
MAX_HINTS = 100
"""Most errors with a similar name: finding one compares all names, and a file may have thousands of errors."""
_KEPT = ("group_wait", "group_interval", "repeat_interval", "mute_time_intervals", "active_time_intervals")
_DOLLARS = re.compile(r"(\$+)(?=\{)")


class Migrated(msgspec.Struct, frozen=True):
    """The relay's configuration, and notes about keys that were left out or need a check."""

    settings: dict[str, Any]
    notes: tuple[Problem, ...]

    def text(self) -> str:
        """Return the configuration as YAML, the notes on top of it."""
        notes = "".join(f"# - {' '.join(clean(str(note)).split())}\n" for note in self.notes)
        head = "# Made from an Alertmanager configuration. Please check:\n" + (notes or "# - nothing\n")
        return head + "\n" + yaml.safe_dump(_literal(self.settings), sort_keys=False, allow_unicode=True, width=110)


def migrate(file: FilePath) -> Migrated:
    """Make a configuration of Alertmanager's file, `-` for standard input. Raises `ConfigurationError`."""
    return _migrate(Foreign.read(file, ALERTMANAGER))


def migrate_text(text: str, name: str = "alertmanager.yml") -> Migrated:
    """Make a configuration of Alertmanager's text. Raises `ConfigurationError`."""
    return _migrate(Foreign(text, name, ALERTMANAGER))


def _migrate(document: Foreign) -> Migrated:
    if not isinstance(document.values.get("route"), dict):
        raise ConfigurationError([Problem(document.mark(("route",)), "route", f"is missing: {ALERTMANAGER}")])
    migration = _Migration(document)
    settings = migration.settings()
    if document.problems:
        raise ConfigurationError(sorted(set(document.problems)))
    return Migrated(settings, tuple(sorted(set(migration.reader.notes))))


class _Migration:
    def __init__(self, document: Foreign) -> None:
        self.reader = Reader(document)
        self._values = document.values
        self._found: Table = self.reader.table("file", document.values, ()) or {}
        self._common: Table = self._found.get("global") or {}
        self._receivers = Receivers(self.reader, self._common.get("webex_api_url"))
        self._intervals: dict[str, Any] = {}

    def settings(self) -> dict[str, Any]:
        for item in self._found.get("receivers", []):
            raw: Any = self._values["receivers"]
            self._receivers.add(item, raw[item.path[-1]])
        for kind in ("time_intervals", "mute_time_intervals"):
            for item in self._found.get(kind, []):
                self._interval(item)
        route = self._route(Item(("route",), self._found.get("route") or {}))
        rules = [made for item in self._found.get("inhibit_rules", []) if (made := self._inhibition(item))]
        return {
            **self._operator(route.get("rooms") or []),
            "accounts": self._receivers.accounts,
            "rooms": self._receivers.rooms,
            "sources": {"prometheus": self._source()},
            "route": route,
            **({"time_intervals": [*self._intervals.values()]} if self._intervals else {}),
            **({"inhibit_rules": rules} if rules else {}),
        }

    def _operator(self, first: list[str]) -> dict[str, Any]:
        """Choose the operator's room among those that exist for sure, the root's own first."""
        rooms = self._receivers.rooms
        real = [name for name in (*first, *rooms) if "id" in rooms[name]]
        if not real:
            message = "no receiver has a Webex room with an id, so nobody gets the relay's own problems: set `operator`"
            self.reader.note(("receivers",), message)
            return {}
        return {"operator": {"room": real[0]}}

    def _source(self) -> dict[str, Any]:
        timeout = self._common.get("resolve_timeout")
        message = "let Prometheus post to the relay's events address (`alertmanagers:` in its configuration)"
        self.reader.note((), f"sources.prometheus: {message}")
        if self._common.get("webex_api_url") and not self._receivers.accounts:
            self.reader.note(("global", "webex_api_url"), "no room uses it, so it is left out")
        if timeout is not None and parse_duration(timeout) == 0:
            self.reader.refuse(("global", "resolve_timeout"), f"expected more than 0s, found {timeout}")
        return {"type": "alertmanager-api", **({} if timeout is None else {"resolve_timeout": timeout})}

    def _route(self, item: Item) -> dict[str, Any]:
        path, route = item
        root = path == ("route",)
        target = self._destination(item, root=root)
        made = {} if target is None else self._rooms(target, root=root)
        if root:
            self._check_root(route)
        if matchers := [*self._matchers(item, "")]:
            made["matchers"] = [str(one) for one in matchers]
        if route.get("continue"):
            made["continue"] = True
        if root or route.get("group_by"):
            made["group_by"] = self._grouping(route.get("group_by") or [], (*path, "group_by"))
        made |= {key: route[key] for key in _KEPT if route.get(key)}
        self._check_times(item)
        if children := route.get("routes"):
            made["routes"] = [self._route(child) for child in children]
        return made

    def _destination(self, item: Item, *, root: bool) -> Target | None:
        """Return the target of a route's own receiver; None if the route inherits one."""
        path, route = item
        receiver = route.get("receiver")
        known = self._receivers.targets
        if receiver and receiver not in known and _is_null(self._values, (*path, "receiver")):
            message = f"for Alertmanager an unquoted {receiver} is no receiver, so this route inherits the one above"
            self.reader.note((*path, "receiver"), f"{message}; write `rooms: []` to send nothing")
            receiver = None
        if not receiver:
            if root:
                self.reader.refuse(path, "the root route needs a `receiver`")
            return None
        if receiver not in known:
            self._refuse_unknown((*path, "receiver"), "receiver", receiver, known)
        return known.get(receiver)

    def _refuse_unknown(self, path: Path, kind: str, name: str, known: Collection[str]) -> None:
        hinted = len(self.reader.document.problems) < MAX_HINTS
        self.reader.refuse(path, unknown(kind, name, known if hinted else ()))

    def _rooms(self, target: Target, *, root: bool) -> dict[str, Any]:
        """Return the rooms of a route with its own receiver, and its action when an alert ends."""
        made: dict[str, Any] = {"rooms": list(target.rooms)}
        if target.rooms and target.quiet:
            made["on_resolve"] = "none"
        elif target.rooms and not root and any(one.quiet for one in self._receivers.targets.values()):
            made["on_resolve"] = ["edit", "reply"]  # a route above may be quiet
        return made

    def _check_root(self, route: Table) -> None:
        for key in ("match", "match_re", "matchers", "mute_time_intervals", "active_time_intervals", "continue"):
            if route.get(key):
                self.reader.refuse(("route", key), f"Alertmanager allows no `{key}` in the root route; remove it")

    def _check_times(self, item: Item) -> None:
        path, route = item
        for key in ("mute_time_intervals", "active_time_intervals"):
            for number, name in enumerate(route.get(key, [])):
                if name not in self._intervals:
                    self._refuse_unknown((*path, key, number), "time interval", name, self._intervals)
        for key in ("group_interval", "repeat_interval"):
            if key in route and parse_duration(route[key]) == 0:
                self.reader.refuse((*path, key), f"expected more than 0s, as Alertmanager does; found {route[key]}")

    def _grouping(self, names: list[str], path: Path) -> list[str]:
        if len(set(names)) < len(names) or "" in names or (ALL in names and len(names) > 1):
            self.reader.refuse(path, f"expected labels, each once, or {ALL!r} alone")
        return [label(name) for name in names]

    def _matchers(self, item: Item, side: str) -> Iterator[Matcher]:
        """Yield the matchers of an item, in all of Alertmanager's forms."""
        path, holder = item
        old: tuple[tuple[str, Operator], ...] = ((f"{side}match", "="), (f"{side}match_re", "=~"))
        for key, op in old:
            for name, value in holder.get(key, {}).items():
                try:
                    yield compare(name, op, value)
                except BadMatcherError as error:
                    self.reader.refuse((*path, key, name), str(error))
        for number, text in enumerate(holder.get(f"{side}matchers", [])):
            try:
                yield from read_matchers(text)
            except BadMatcherError as error:
                self.reader.refuse((*path, f"{side}matchers", number), str(error))

    def _inhibition(self, item: Item) -> dict[str, Any]:
        equal = [label(name) for name in item.table.get("equal", [])]
        if "" in equal:
            self.reader.refuse((*item.path, "equal"), "expected labels, found an empty one")
        sides = {f"{side}_matchers": [*map(str, self._matchers(item, f"{side}_"))] for side in ("source", "target")}
        return {**sides, **({"equal": equal} if equal else {})}

    def _interval(self, item: Item) -> None:
        path, table = item
        name = table.get("name")
        if not name:
            self.reader.refuse(path, "a time interval needs a name")
        elif name in self._intervals:
            self.reader.refuse((*path, "name"), f"a time interval is called {name[:60]!r} already")
        else:
            within = [make_interval(self.reader, one) for one in table.get("time_intervals", [])]
            self._intervals[name] = {"name": name, "time_intervals": within}


def _is_null(value: Any, path: Path) -> bool:
    """Return whether the value at a path is an unquoted null; a merged one counts as a word."""
    for step in path:
        value = value[step]
    return bool(getattr(value, "null", False))


def _literal(value: Any) -> Any:
    """Return values whose texts the relay reads unchanged, although it reads `${…}` as a variable.

    The relay reads two dollars before a brace as one, so an even number can't be written; the reader refuses it.
    """
    if isinstance(value, dict):
        return {name: _literal(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_literal(one) for one in value]
    return _DOLLARS.sub(lambda found: found[1] + "$" * (len(found[1]) % 2), value) if isinstance(value, str) else value
