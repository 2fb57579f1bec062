"""The steps of a routing test: events, acknowledgements, silences, reloads and rooms that fail, each at its time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from relay.app.assembly.reading import defaults_of, make_format
from relay.app.trial.simulation import Simulation
from relay.core.delivery import Failed, Outcome, Refused, Throttled
from relay.core.event import Draft, Event, stamp
from relay.core.silencing import BadSilenceError, Wish, expire, make_silence
from relay.core.suppression import Silence
from relay.core.words import parse_duration
from relay.formats import Request
from relay.formats.batch import read_payload, selected, sort_out
from relay.formats.bodies import decode
from relay.formats.contract import NotJsonError, UnreadableError
from relay.formats.native import read_native
from relay.settings.load import Loaded, load
from relay.settings.problems import ConfigurationError, expected, near

Act = Callable[[Simulation], Awaitable[None]]
"""Carries out one step on the simulated relay."""

FIELDS = ("title", "severity", "status", "key", "body", "labels", "links", "files", "occurred_at")
ABOUT = ("acknowledged_by", "unacknowledged_by", "downtime")
"""Fields by which an event describes the alert with its key."""
FAILURES: Mapping[str, Outcome] = {
    "network": Failed("network", "fails in this test"),
    "timeout": Failed("timeout", "fails in this test", ambiguous=True),
    "remote": Failed("remote", "fails in this test"),
    "refused": Refused("unknown_room", "room", "refuses in this test"),
    "throttled": Throttled(10.0, "throttles in this test"),
}
"""Outcomes of a failing room, by the word in the test."""
_KINDS: Mapping[str, tuple[str, ...]] = {
    "source": ("at", "source", "payload", *FIELDS, *ABOUT),
    "silence": ("at", "silence", "duration", "name"),
    "unsilence": ("at", "unsilence"),
    "config": ("at", "config"),
    "fails": ("at", "fails", "with"),
    "works": ("at", "works"),
}
"""The keys of each kind of step, by the key that identifies the kind."""


class BadTestError(ValueError):
    """A test that can't be run; the text says where and why."""


class Steps:
    """Reads the steps of one test in order of time; later steps may use the names of a reloaded configuration."""

    def __init__(self, name: str, loaded: Loaded, base: Path, start: float) -> None:
        """`base` is the folder to which files are relative, `start` the start of the test in Unix seconds."""
        self._name = name
        self._loaded = loaded
        self._base = base
        self._start = start
        self._silences: dict[str, Silence] = {}

    def read(self, items: list[dict[str, Any]]) -> list[tuple[float, Act]]:
        """Return the steps with their times in Unix seconds, in order. Raises `BadTestError`."""
        timed = [(self.moment(item.get("at", "0s")), number, item) for number, item in enumerate(items)]
        return [(at, self._act(at, number, item)) for at, number, item in sorted(timed, key=lambda one: one[0])]

    def moment(self, duration: object) -> float:
        """Return the time at a duration after the start, in Unix seconds. Raises `BadTestError`."""
        return self._start + self._seconds(duration)

    def _seconds(self, duration: object) -> float:
        try:
            return parse_duration(str(duration))
        except ValueError as error:
            raise BadTestError(f"test {self._name!r}: {error}") from error

    def silence(self, matchers: list[str], at: float, duration: str, name: str) -> Act:
        """Return the step that puts a silence in force. Raises `BadTestError`."""
        wish = Wish(matchers=tuple(matchers), ends_at=at + self._seconds(duration), created_by="test", comment="test")
        try:
            made = self._silences[name] = make_silence(wish, f"silence-{name}", at)
        except BadSilenceError as error:
            raise BadTestError(f"test {self._name!r}, silence {name!r}: {error}") from error
        return lambda simulation: simulation.silence([made])

    def _act(self, at: float, number: int, item: dict[str, Any]) -> Act:
        where = f"test {self._name!r}, events[{number}]"
        kind = next((key for key in _KINDS if key in item), None)
        if kind is None:
            raise BadTestError(f"{where}: expected a step with one of the keys {', '.join(_KINDS)}, found none of them")
        if unknown := [key for key in item if key not in _KINDS[kind]]:
            raise BadTestError(f"{where}: unknown key {unknown[0]!r}{near(unknown[0], _KINDS[kind])}")
        match kind:
            case "source":
                events = self._events(item, where, at, number)
                return lambda simulation: simulation.take(events)
            case "silence":
                matchers = _texts(item["silence"], f"{where}.silence")
                return self.silence(matchers, at, str(item.get("duration", "1h")), str(item.get("name", number)))
            case "unsilence":
                return self._unsilence(str(item["unsilence"]), at, where)
            case "config":
                return self._reload(str(item["config"]), where)
            case "fails":
                return self._fails(str(item["fails"]), str(item.get("with", "network")), where)
            case _:
                room = self._room(str(item["works"]), where)
                return lambda simulation: simulation.fail(room, None)

    def _unsilence(self, name: str, at: float, where: str) -> Act:
        if name not in self._silences:
            raise BadTestError(f"{where}: no earlier silence is called {name!r}{near(name, self._silences)}")
        ended = expire(self._silences[name], at)
        return lambda simulation: simulation.silence(ended)

    def _reload(self, name: str, where: str) -> Act:
        try:
            loaded = self._loaded = load(self._base / name, self._loaded.formats)
        except ConfigurationError as error:
            raise BadTestError(f"{where}: {name} can't be loaded:\n{error}") from error
        return lambda simulation: simulation.reload(loaded)

    def _fails(self, room: str, how: str, where: str) -> Act:
        room = self._room(room, where)
        if how not in FAILURES:
            raise BadTestError(f"{where}.with: {how!r} is not one of {', '.join(FAILURES)}{near(how, FAILURES)}")
        return lambda simulation: simulation.fail(room, FAILURES[how])

    def _room(self, name: str, where: str) -> str:
        rooms = self._loaded.settings.rooms
        if name not in rooms:
            raise BadTestError(f"{where}: no room is called {name!r}{near(name, rooms)}")
        return name

    def _events(self, item: dict[str, Any], where: str, at: float, number: int) -> list[Event]:
        sources, name = self._loaded.settings.sources, str(item["source"])
        if name not in sources:
            raise BadTestError(f"{where}: no source is called {name!r}{near(name, sources)}")
        try:
            drafts = self._drafts(item, name, at)
        except OSError as error:
            raise BadTestError(f"{where}: {item['payload']} can't be read: {error.strerror}") from error
        except (NotJsonError, UnreadableError) as error:
            raise BadTestError(f"{where}: {error}") from error
        defaults = defaults_of(name, sources[name])
        return [stamp(draft, defaults, f"test{number:04}-{n:04}", at) for n, draft in enumerate(drafts)]

    def _drafts(self, item: dict[str, Any], source: str, at: float) -> list[Draft]:
        read = make_format(source, self._loaded.settings.sources[source])
        if "payload" in item:
            body = (self._base / str(item["payload"])).read_bytes()
            found = read_payload(read, Request(decode(read, body), source, received_at=at))
            if found.unread and not (found.drafts or found.dropped):
                raise UnreadableError("", found.unread[0].error)
            return found.drafts
        about = {key: item[key] for key in ABOUT if item.get(key) is not None}
        fields = {key: value for key, value in item.items() if key in FIELDS}
        if set(about) - {"downtime"} or (about and "title" not in fields):  # a notice about the alert of its key
            fields = {"title": f"said of {item.get('key')}", "status": "notice", **fields}
        elif "key" in fields:
            fields.setdefault("status", "firing")  # in a test, an event with a key is an alert by default
        payload = json.loads(json.dumps(fields, default=str))
        drafts = [_with(draft, about) for draft in read_native(Request(payload, source))]
        return sort_out(selected(drafts, None if read.select is None else read.select(at), payload)).drafts


def _with(draft: Draft, about: dict[str, Any]) -> Draft:
    """Return a draft that also says who acknowledged its alert or withdrew that, or that a downtime began or ended."""
    for name in ("acknowledged_by", "unacknowledged_by"):
        if name in about and not isinstance(about[name], str):
            raise UnreadableError(name, f"expected a name as text, found {about[name]!r}")
    if not isinstance(about.get("downtime", True), bool):
        raise UnreadableError("downtime", f"expected true or false, found {about['downtime']!r}")
    if about and draft.key is None:
        raise UnreadableError("key", "is missing: expected the key of the alert that this is about")
    return msgspec.structs.replace(draft, **about)


def _texts(value: object, where: str) -> list[str]:
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return value
    raise BadTestError(f"{where}: " + expected('a list of matchers like [site="ams"]', value))
