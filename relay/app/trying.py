"""Templates and cards tried on built-in samples; a relay that runs has that done in a process of its own."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from relay.core.delivery import Standing, Told
from relay.core.event import SEVERITIES, STATUSES, Event, Link
from relay.templates.cards import CardRenderer
from relay.templates.environment import MarkdownEnvironment
from relay.templates.rendering import TemplateRenderer, compile_template, tells_of_groups
from relay.templates.views import GroupView, View

TEMPLATE_LIMIT = 2.0
"""Seconds that a template may take to compile and on all samples (a card on one) before it counts as one that never
ends."""
TRIAL_LIMIT = 8.0
"""Seconds that all templates of a configuration may take in a process of their own."""
TRIAL_MEMORY = 2**30
"""Bytes of address space that this process has."""
SLOW_TEMPLATE = 0.05
"""Seconds of rendering from which a template draws a warning."""
_AT = 1_772_330_000.0


def samples() -> list[Event]:
    """The built-in sample events that templates are tried on: each status and severity, full and bare."""
    full = [
        Event(
            id=f"sample{number:018}", source="fabric", format="relay", status=status, severity=severity,
            severity_given=True, title="port-down on node-101 eth1/1", body="Interface is down\nusage is infra",
            key="topology/pod-1/node-101", labels={"pod": "pod-1", "site": "ams1"},
            links=(Link("Runbook", "https://runbooks.example.net/port-down"),),
            files=("https://graphs.example.net/101.png",), occurred_at=_AT, received_at=_AT,
        )
        for number, (status, severity) in enumerate((st, se) for st in STATUSES for se in SEVERITIES)
    ]  # fmt: skip
    bare = Event(
        id="sample000000000000000099", source="lab", format="relay", status="notice", severity="info",
        severity_given=False, title="x", body="", key="sample000000000000000099", labels={}, links=(), files=(),
        occurred_at=_AT, received_at=_AT,
    )  # fmt: skip
    long = Event(
        id="sample000000000000000100", source="lab", format="relay", status="firing", severity="major",
        severity_given=True, title="a `long` *one* " * 60, body="<@all> line\n" * 3_000, key="k",
        labels={f"label{n}": "v" * 200 for n in range(30)}, links=(), files=(), occurred_at=_AT, received_at=_AT,
    )  # fmt: skip
    return [*full, bare, long]


def sample_groups() -> list[Standing]:
    """The built-in sample groups: firing, ended, and larger than a message names."""
    firing = [Told(event, "firing", _AT - 600) for event in samples() if event.status == "firing"]
    ended = [Told(event, "resolved", _AT - 600) for event in samples() if event.status == "resolved"]
    labels = {"site": "ams1"}
    return [
        Standing((*firing[:2], ended[0]), 2, 1, _AT - 600, labels),
        Standing(tuple(ended), 0, len(ended), _AT - 600, labels),
        Standing(tuple(firing), 4_000, 0, _AT - 600, {}),
    ]


def _views(environment: MarkdownEnvironment, text: str, zone: tzinfo) -> Iterator[tuple[str, dict[str, object]]]:
    """What a template is tried on: groups where it asks for their incidents, else events."""
    if tells_of_groups(environment, text):
        for standing in sample_groups():
            yield f"group of {standing.firing + standing.ended}", GroupView(standing, "sample", _AT, zone).names()
        return
    for event in samples():
        yield f"{event.status} event", View(event, "sample", None, _AT, zone).names()


class Trial(msgspec.Struct, frozen=True):
    """What is to be tried: templates by name, cards by file, in a time zone."""

    templates: dict[str, str]
    cards: dict[str, str]
    zone: str


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with a template or a card; with all templates where `name` is None."""

    kind: Literal["template", "card"]
    name: str | None
    message: str
    level: Literal["error", "warning"] = "error"


def try_all(trial: Trial) -> list[Finding]:
    """Try all of it, in the main thread."""
    zone = ZoneInfo(trial.zone)
    environment = MarkdownEnvironment()
    found = [_try_template(environment, name, text, zone) for name, text in trial.templates.items()]
    found += [_try_card(name, text, zone) for name, text in trial.cards.items()]
    return [one for one in found if one is not None]


async def try_apart(trial: Trial) -> list[Finding]:
    """Try all of it in a process of its own, which ends in time whatever a template does."""
    if not trial.templates and not trial.cards:
        return []
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "relay.app.trying",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(TRIAL_LIMIT):
            said, trouble = await process.communicate(msgspec.json.encode(trial))
    except TimeoutError:
        return [Finding("template", None, f"do not end within {TRIAL_LIMIT:g} s, all of them together")]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        why = trouble.decode(errors="replace").strip().rpartition("\n")[2] or f"it ended with {process.returncode}"
        return [Finding("template", None, f"could not be tried: {why}")]
    return msgspec.json.decode(said, type=list[Finding])


def _main() -> None:
    with suppress(OSError, ValueError):  # there may be a lower limit, or a unit that forbids this
        resource.setrlimit(resource.RLIMIT_AS, (TRIAL_MEMORY, TRIAL_MEMORY))
    found = try_all(msgspec.json.decode(sys.stdin.buffer.read(), type=Trial))
    sys.stdout.buffer.write(msgspec.json.encode(found))


def _try_template(environment: MarkdownEnvironment, name: str, text: str, zone: tzinfo) -> Finding | None:
    left, tried = TEMPLATE_LIMIT, ""
    try:
        began = time.perf_counter()
        with _time_limit(left):
            template = compile_template(environment, name, text)
        left -= time.perf_counter() - began
        for sample, names in _views(environment, text, zone):
            began, tried = time.perf_counter(), f"fails on a sample {sample}: "
            with _time_limit(max(0.01, left)):
                TemplateRenderer.render_strictly(template, names)
            took = time.perf_counter() - began
            left -= took
            if took > SLOW_TEMPLATE:
                return Finding("template", name, f"takes {took * 1000:.0f} ms on a sample {sample}", "warning")
    except Exception as error:  # noqa: BLE001 - an operator's template may fail in any way
        return Finding("template", name, f"{tried}{_said(error)}")
    return None


def _try_card(file: str, text: str, zone: tzinfo) -> Finding | None:
    tried = ""
    try:
        with _time_limit(TEMPLATE_LIMIT):
            renderer = CardRenderer({file: text}, lambda *_: None, zone, lambda *_: None)
        for event in samples():
            tried = f"on a sample {event.status} event: "
            with _time_limit(TEMPLATE_LIMIT):
                renderer.render_by_name(file, View(event, "sample", None, _AT, zone).names())
    except Exception as error:  # noqa: BLE001 - an operator's template may fail in any way
        return Finding("card", file, f"{tried}{_said(error)}")
    return None


def _said(error: Exception) -> str:
    """An error in words, where it has none of its own."""
    if isinstance(error, MemoryError):
        return "takes too much memory"
    return str(error) or type(error).__name__


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the main thread where what it does takes longer than a template may."""

    def over(_: int, __: object) -> None:
        raise TimeoutError(f"does not end within {TEMPLATE_LIMIT:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def template_times(templates: Mapping[str, str], zone: tzinfo) -> dict[str, float]:
    """Milliseconds that each template takes on the samples, the slowest of them."""
    environment = MarkdownEnvironment()
    times: dict[str, float] = {}
    for name, text in templates.items():
        template = compile_template(environment, name, text)
        for _, names in _views(environment, text, zone):
            began = time.perf_counter()
            TemplateRenderer.render_strictly(template, names)
            times[name] = max(times.get(name, 0.0), (time.perf_counter() - began) * 1000)
    return times


if __name__ == "__main__":
    _main()
