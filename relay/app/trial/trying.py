"""Trying templates and cards on built-in samples."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import tzinfo
from typing import Literal

import msgspec

from relay.core.delivery import IncidentView, Summary
from relay.core.event import SEVERITIES, STATUSES, Event, Link, Severity, Status
from relay.templates.bounds import words_of
from relay.templates.cards import CardRenderer
from relay.templates.environment import MarkdownEnvironment
from relay.templates.rendering import TemplateRenderer, compile_template, tells_of_groups
from relay.templates.views import GroupView, View

SLOW_TEMPLATE = 0.05
"""Seconds of rendering above which a template gets a warning."""
_AT = 1_772_330_000.0


def samples() -> list[Event]:
    """Return the sample events that templates are tried on: each status and severity, a bare one and a long one."""
    pairs = [(status, severity) for status in STATUSES for severity in SEVERITIES]
    full = [_full_sample(number, status, severity) for number, (status, severity) in enumerate(pairs)]
    bare = Event(
        id="sample000000000000000099",
        source="lab",
        format="relay",
        status="notice",
        severity="info",
        severity_given=False,
        title="x",
        body="",
        key="sample000000000000000099",
        labels={},
        links=(),
        files=(),
        occurred_at=_AT,
        received_at=_AT,
    )
    long = msgspec.structs.replace(
        bare,
        id="sample000000000000000100",
        status="firing",
        severity="major",
        severity_given=True,
        title="a `long` *one* " * 60,
        body="<@all> line\n" * 3_000,
        key="k",
        labels={f"label{n}": "v" * 200 for n in range(30)},
    )
    return [*full, bare, long]


def _full_sample(number: int, status: Status, severity: Severity) -> Event:
    return Event(
        id=f"sample{number:018}",
        source="fabric",
        format="relay",
        status=status,
        severity=severity,
        severity_given=True,
        title="port-down on node-101 eth1/1",
        body="Interface is down\nusage is infra",
        key="topology/pod-1/node-101",
        labels={"pod": "pod-1", "site": "ams1"},
        links=(Link("Runbook", "https://runbooks.example.net/port-down"),),
        files=("https://graphs.example.net/101.png",),
        occurred_at=_AT,
        received_at=_AT,
    )


def sample_groups() -> list[Summary]:
    """Return the sample groups: a firing one, an ended one, and one with more alerts than a message names."""
    firing = [IncidentView(event, "firing", _AT - 600) for event in samples() if event.status == "firing"]
    ended = [IncidentView(event, "resolved", _AT - 600) for event in samples() if event.status == "resolved"]
    labels = {"site": "ams1"}
    return [
        Summary((*firing[:2], ended[0]), 2, 1, _AT - 600, labels),
        Summary(tuple(ended), 0, len(ended), _AT - 600, labels),
        Summary(tuple(firing), 4_000, 0, _AT - 600, {}),
    ]


def _views(environment: MarkdownEnvironment, text: str, zone: tzinfo) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the samples for a template, by name: groups if the template reads their incidents, else events."""
    if tells_of_groups(environment, text):
        for summary in sample_groups():
            yield f"group of {summary.firing + summary.ended}", GroupView(summary, "sample", _AT, zone).names()
        return
    for event in samples():
        yield f"{event.status} event", View(event, "sample", None, _AT, zone).names()


class Finding(msgspec.Struct, frozen=True):
    """A problem of a template or a card."""

    kind: Literal["template", "card"]
    name: str
    message: str
    level: Literal["error", "warning"] = "error"


def try_all(templates: Mapping[str, str], cards: Mapping[str, str], zone: tzinfo) -> list[Finding]:
    """Try templates by name and cards by file; return their problems. Each rendering is limited, so this ends soon."""
    environment = MarkdownEnvironment()
    found = [_try_template(environment, name, text, zone) for name, text in templates.items()]
    found += [_try_card(name, text, zone) for name, text in cards.items()]
    return [one for one in found if one is not None]


def _try_template(environment: MarkdownEnvironment, name: str, text: str, zone: tzinfo) -> Finding | None:
    tried = ""
    try:
        template = compile_template(environment, name, text)
        for sample, names in _views(environment, text, zone):
            began, tried = time.thread_time(), f"fails on a sample {sample}: "
            TemplateRenderer.render_strictly(template, names)
            took = time.thread_time() - began
            if took > SLOW_TEMPLATE:
                return Finding("template", name, f"takes {took * 1000:.0f} ms on a sample {sample}", "warning")
    except Exception as error:  # noqa: BLE001 - an operator's template may fail in any way
        return Finding("template", name, f"{tried}{words_of(error)}")
    return None


def _try_card(file: str, text: str, zone: tzinfo) -> Finding | None:
    tried = ""
    try:
        renderer = CardRenderer({file: text}, lambda *_: None, zone, lambda *_: None)
        for event in samples():
            tried = f"on a sample {event.status} event: "
            renderer.render_by_name(file, View(event, "sample", None, _AT, zone).names())
    except Exception as error:  # noqa: BLE001 - an operator's template may fail in any way
        return Finding("card", file, f"{tried}{words_of(error)}")
    return None


def template_times(templates: Mapping[str, str], zone: tzinfo) -> dict[str, float]:
    """Return the milliseconds that each template takes on its slowest sample."""
    environment = MarkdownEnvironment()
    times: dict[str, float] = {}
    for name, text in templates.items():
        template = compile_template(environment, name, text)
        for _, names in _views(environment, text, zone):
            began = time.thread_time()
            TemplateRenderer.render_strictly(template, names)
            times[name] = max(times.get(name, 0.0), (time.thread_time() - began) * 1000)
    return times
