"""Routing tests: events at times and the expected deliveries, run in simulated time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import msgspec

from relay.app.trial.simulation import Sent, Simulation, simulate
from relay.app.trial.steps import Act, BadTestError, Steps
from relay.core.delivery import Action
from relay.core.words import parse_duration, parse_time, say_misfit
from relay.ports import Log
from relay.settings.document import Document
from relay.settings.load import Loaded
from relay.settings.problems import ConfigurationError, near

DEFAULT_START = "2026-01-05T12:00:00Z"
"""Default start of a test: a Monday at noon."""
WATCHED = 600
"""Seconds that a recorded test goes on after its last event, for groups that wait."""
WITHIN = 0.5
"""Seconds by which a delivery may be earlier or later than expected."""


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A delivery that a test expects; `at` is a duration since the start of the test."""

    at: str | int
    room: str
    action: str
    contains: str = ""


class SilenceSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A silence of a test; `at` is a duration since the start of the test."""

    matchers: list[str]
    at: str | int = "0s"
    duration: str = "1h"


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One test; its `events` are steps (see `Steps`).

    `until` is the duration of the test; by default it ends with the last step or expectation. If `exact`, a delivery
    that is not expected fails the test.
    """

    name: str
    events: list[dict[str, Any]]
    expect: list[Expected]
    silences: list[SilenceSpec] = []
    start: str = DEFAULT_START
    until: str | None = None
    exact: bool = False


class TestFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of tests, and the configuration that they test."""

    __test__ = False
    config: str
    tests: list[Case]


class Verdict(msgspec.Struct, frozen=True):
    """The result of a test: missing expectations, met ones as the deliveries that meet them, and other deliveries."""

    case: Case
    missing: tuple[Expected, ...]
    met: tuple[Sent, ...]
    other: tuple[Sent, ...]
    start: float

    @property
    def passed(self) -> bool:
        """True if every expectation was met and, in an exact test, nothing else was sent."""
        return not self.missing and not (self.case.exact and self.other)


def read_tests(file: Path) -> TestFile:
    """Read a file of tests. Raises `BadTestError`."""
    document = Document(what="expected a mapping with `config:` and `tests:`")
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
            message = f"{one.action!r} is not one of {', '.join(known)}{near(one.action, known)}"
            raise BadTestError(f"{where}.expect[{number}].action: {message}")


async def run_case(case: Case, loaded: Loaded, base: Path, log: Log) -> Verdict:
    """Run a test and return its verdict. Raises `BadTestError`."""
    start = _time(case, case.start)
    steps = Steps(case.name, loaded, base, start)
    silences = [_silence(steps, number, one) for number, one in enumerate(case.silences)]
    moments = sorted([*silences, *steps.read(case.events)], key=lambda moment: moment[0])
    last = max([start, *(steps.moment(one.at) for one in case.expect), *(at for at, _ in moments)])
    end = last if case.until is None else steps.moment(case.until)

    async def play(simulation: Simulation) -> None:
        for at, act in moments:
            await simulation.run_until(at)
            await act(simulation)
        await simulation.run_until(end)

    return judge(case, await simulate(loaded, start, log, play), start)


def _silence(steps: Steps, number: int, spec: SilenceSpec) -> tuple[float, Act]:
    at = steps.moment(spec.at)
    return at, steps.silence(spec.matchers, at, spec.duration, f"silences[{number}]")


def judge(case: Case, sent: list[Sent], start: float) -> Verdict:
    """Match expectations with deliveries, room by room and in order."""
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
    """Return a verdict as lines: the difference between the expected deliveries and the sent ones."""
    if verdict.passed:
        return [f"✓ {verdict.case.name}"]
    lines = [f"✗ {verdict.case.name}"]
    lines += [f"  - {one.at}: {one.action} to {one.room}{_containing(one)} is missing" for one in verdict.missing]
    met = {id(one) for one in verdict.met}
    for one in sorted((*verdict.met, *verdict.other), key=lambda sent: sent.at):
        sign = "=" if id(one) in met else "+" if verdict.case.exact else " "
        since = _at(one.at - verdict.start)
        lines.append(f"  {sign} {since}: {one.action} to {one.room}: {one.text.splitlines()[0][:100]}")
    if not verdict.met and not verdict.other:
        lines.append("    nothing was sent")
    return lines


def _at(seconds: float) -> str:
    """Return a duration to the second, as `at` of a test takes it, like `1h0m30s`."""
    whole = round(seconds)
    parts = ((whole // 3_600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    largest = next((place for place, (count, _) in enumerate(parts) if count), 2)
    return "".join(f"{count}{unit}" for count, unit in parts[largest:])


def _containing(wanted: Expected) -> str:
    return f" that contains {wanted.contains!r}" if wanted.contains else ""


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
    """Return a test made of events in the form of the API, oldest first; it expects nothing yet."""
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
    """Return a test that expects the deliveries of a verdict."""
    expect = [
        Expected(
            at=f"{round((one.at - verdict.start) * 1_000)}ms",
            room=one.room,
            action=one.action,
            contains=one.text.splitlines()[0][:80],
        )
        for one in verdict.other
    ]
    return msgspec.structs.replace(case, expect=expect)
