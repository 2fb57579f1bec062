"""Routing tests: events at times, and what the rooms are to get of them, tried in simulated time."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, get_args

import msgspec

from relay.app.reading import defaults_of, make_format
from relay.app.simulation import Sent, Simulation, simulate
from relay.core.delivery import Action
from relay.core.event import Event, stamp
from relay.core.silencing import BadSilenceError, Wish, make_silence
from relay.core.words import parse_duration, parse_time, say_duration, say_misfit
from relay.formats import Request
from relay.formats.contract import NotJsonError, UnreadableError, decode_body
from relay.formats.native import read_native
from relay.ports import Log
from relay.settings.document import Document
from relay.settings.load import Loaded
from relay.settings.problems import ConfigurationError, near

DEFAULT_START = "2026-01-05T12:00:00Z"
"""When a test begins that says nothing else: a Monday at noon."""
WATCHED = 600
"""Seconds behind the last event that a recorded test goes on, for groups that wait."""
WITHIN = 0.5
"""Seconds by which a delivery may miss the time that is expected of it."""
_FIELDS = ("title", "severity", "status", "key", "body", "labels", "links", "files", "occurred_at")


class BadTestError(ValueError):
    """A test that can't be run; its text says where and why."""


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A delivery that a test expects; `at` from its start, as a duration."""

    at: str | int
    room: str
    action: str
    contains: str = ""


class SilenceSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A silence that a test puts in force: at a time, for a duration."""

    matchers: list[str]
    at: str | int = "0s"
    duration: str = "1h"


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One test. `until` is how long time goes on; by default until the last expectation."""

    name: str
    events: list[dict[str, Any]]
    expect: list[Expected]
    silences: list[SilenceSpec] = []
    start: str = DEFAULT_START
    until: str | None = None
    exact: bool = False


class TestFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of tests, and the configuration that they try."""

    __test__ = False
    config: str
    tests: list[Case]


class Verdict(msgspec.Struct, frozen=True):
    """What came of a test: each delivery, each expectation, and how they go together."""

    case: Case
    missing: tuple[Expected, ...]
    met: tuple[Sent, ...]
    other: tuple[Sent, ...]
    start: float

    @property
    def passed(self) -> bool:
        """True where every expectation was met, and nothing else was sent where that matters."""
        return not self.missing and not (self.case.exact and self.other)


def read_tests(file: Path) -> TestFile:
    """Read a file of tests. Raises `BadTestError`."""
    document = Document(what="a file of tests is a mapping with `config:` and `tests:`")
    try:
        document.read(file)
    except ConfigurationError as error:
        raise BadTestError(str(error)) from error
    if document.problems:
        raise BadTestError("\n".join(map(str, document.problems)))
    try:
        read = msgspec.convert(document.values, TestFile)
        for number, case in enumerate(read.tests):
            _check_expectations(case, f"{file}: tests[{number}]")
        return read
    except msgspec.ValidationError as error:
        raise BadTestError(f"{file}: {say_misfit(error)}") from error


def _check_expectations(case: Case, where: str) -> None:
    known = get_args(Action)
    for number, one in enumerate(case.expect):
        if one.action not in known:
            said = f"{one.action!r} is not one of {', '.join(known)}{near(one.action, known)}"
            raise BadTestError(f"{where}.expect[{number}].action: {said}")


async def run_case(case: Case, loaded: Loaded, base: Path, log: Log) -> Verdict:
    """Run a test. Raises `BadTestError`."""
    start = _time(case, case.start)
    moments = _moments(case, loaded, base, start)
    last = max([start, *(start + _seconds(case, one.at) for one in case.expect), *(at for at, _ in moments)])
    end = last if case.until is None else start + _seconds(case, case.until)

    async def play(simulation: Simulation) -> None:
        for at, what in moments:
            await simulation.run_until(at)
            if isinstance(what, SilenceSpec):
                await simulation.silence([_silence(case, what, at)])
            elif what:
                await simulation.take(what)
        await simulation.run_until(end)

    sent = await simulate(loaded, start, log, play)
    return judge(case, sent, start)


def judge(case: Case, sent: list[Sent], start: float) -> Verdict:
    """Match expectations with deliveries: room by room, in order."""
    left: dict[str, list[Sent]] = {}
    for one in sent:
        left.setdefault(one.room, []).append(one)
    met: list[Sent] = []
    missing: list[Expected] = []
    for wanted in case.expect:
        candidates = left.get(wanted.room, [])
        at = start + _seconds(case, wanted.at)
        place = next((n for n, one in enumerate(candidates) if _fits(one, wanted, at)), None)
        if place is None:
            missing.append(wanted)
        else:
            met.append(candidates[place])
            del candidates[: place + 1]
    chosen = {id(one) for one in met}
    other = tuple(one for one in sent if id(one) not in chosen)
    return Verdict(case, tuple(missing), tuple(met), other, start)


def _fits(one: Sent, wanted: Expected, at: float) -> bool:
    return (
        one.action == wanted.action
        and abs(one.at - at) <= WITHIN
        and wanted.contains.lower() in f"{one.text}\n{one.markdown}".lower()
    )


def report(verdict: Verdict) -> list[str]:
    """A verdict in lines: the difference between what was expected and what was sent."""
    if verdict.passed:
        return [f"✓ {verdict.case.name}"]
    lines = [f"✗ {verdict.case.name}"]
    lines += [f"  - {one.at}: {one.action} to {one.room}{_containing(one)} is missing" for one in verdict.missing]
    met = {id(one) for one in verdict.met}
    for one in sorted((*verdict.met, *verdict.other), key=lambda sent: sent.at):
        sign = "=" if id(one) in met else "+" if verdict.case.exact else " "
        since = say_duration(one.at - verdict.start)
        lines.append(f"  {sign} {since}: {one.action} to {one.room}: {one.text.splitlines()[0][:100]}")
    if not verdict.met and not verdict.other:
        lines.append("    nothing was sent")
    return lines


def _containing(wanted: Expected) -> str:
    return f" that contains {wanted.contains!r}" if wanted.contains else ""


def _moments(case: Case, loaded: Loaded, base: Path, start: float) -> list[tuple[float, list[Event] | SilenceSpec]]:
    """What happens when, in order."""
    found: list[tuple[float, list[Event] | SilenceSpec]] = [
        (start + _seconds(case, one.at), one) for one in case.silences
    ]
    for number, item in enumerate(case.events):
        at = start + _seconds(case, item.get("at", "0s"))
        found.append((at, _events(case, item, loaded, base, at, number)))
    return sorted(found, key=lambda pair: pair[0])


def _events(case: Case, item: dict[str, Any], loaded: Loaded, base: Path, at: float, number: int) -> list[Event]:
    where = f"test {case.name!r}, events[{number}]"
    sources = loaded.settings.sources
    name = item.get("source")
    if name not in sources:
        raise BadTestError(f"{where}: no source is called {name!r}{near(str(name), sources)}")
    rest = {key: value for key, value in item.items() if key not in ("at", "source")}
    if unknown := [key for key in rest if key not in (*_FIELDS, "payload")]:
        raise BadTestError(f"{where}: unknown key {unknown[0]!r}{near(unknown[0], (*_FIELDS, 'payload', 'at'))}")
    try:
        if "payload" in rest:
            body = (base / str(rest["payload"])).read_bytes()
            read = make_format(sources[name])
            drafts = read.read(Request(decode_body(body, forms=read.forms), name, received_at=at))
        else:
            if "key" in rest:
                rest.setdefault("status", "firing")  # what has a key is an alert here, unless it says otherwise
            drafts = read_native(Request(json.loads(json.dumps(rest, default=str)), name))
    except OSError as error:
        raise BadTestError(f"{where}: {rest['payload']} can't be read: {error.strerror}") from error
    except (NotJsonError, UnreadableError) as error:
        raise BadTestError(f"{where}: {error}") from error
    defaults = defaults_of(name, sources[name])
    return [stamp(draft, defaults, f"test{number:04}-{n:04}", at) for n, draft in enumerate(drafts)]


def _silence(case: Case, spec: SilenceSpec, at: float) -> Any:
    try:
        wish = Wish(
            matchers=tuple(spec.matchers), ends_at=at + _seconds(case, spec.duration), created_by="test", comment="test"
        )
        return make_silence(wish, f"silence-{os.urandom(4).hex()}", at)
    except BadSilenceError as error:
        raise BadTestError(f"test {case.name!r}, silences: {error}") from error


def _seconds(case: Case, duration: str | int) -> float:
    try:
        return parse_duration(str(duration))
    except ValueError as error:
        raise BadTestError(f"test {case.name!r}: {error}") from error


def _time(case: Case, text: str) -> float:
    try:
        return parse_time(text)
    except ValueError as error:
        raise BadTestError(f"test {case.name!r}, start: {error}") from error


def record(name: str, events: list[dict[str, Any]], config: str) -> TestFile:
    """A test of events as the API gives them, oldest first, that expects nothing yet."""
    start = parse_time(events[0]["received_at"])
    items = []
    for event in events:
        item: dict[str, Any] = {"at": f"{round((parse_time(event['received_at']) - start) * 1_000)}ms"}
        item |= {key: event[key] for key in ("source", "title", "severity", "status", "key", "body", "labels")}
        items.append({key: value for key, value in item.items() if value not in ("", {})})
    until = f"{round(parse_time(events[-1]['received_at']) - start) + WATCHED}s"
    case = Case(name=name, events=items, expect=[], start=events[0]["received_at"], until=until, exact=True)
    return TestFile(config, [case])


def with_expectations(case: Case, verdict: Verdict) -> Case:
    """A test that expects what was sent."""
    expect = [
        Expected(
            at=f"{round((one.at - verdict.start) * 1_000)}ms", room=one.room, action=one.action,
            contains=one.text.splitlines()[0][:80],
        )
        for one in verdict.other
    ]  # fmt: skip
    return msgspec.structs.replace(case, expect=expect)
