"""What only the adapters can tell of a configuration: mappings that don't compile, templates that don't render."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo

from relay.app.reading import format_name, make_format, mapping_of
from relay.app.tls import client_context, server_context
from relay.core.delivery import Standing, Told
from relay.core.event import SEVERITIES, STATUSES, Event, Link
from relay.formats import FORMATS
from relay.formats.mapping import OPTIONAL, compile_expression
from relay.settings.load import Loaded, card_files
from relay.settings.model import ApicSettings, AuthSettings, ClientTls, MapSettings, PostedSettings, WebsocketSettings
from relay.settings.problems import Path, Problem, dotted
from relay.templates.cards import CardRenderer
from relay.templates.environment import MarkdownEnvironment
from relay.templates.rendering import TemplateError, TemplateRenderer, compile_template, tells_of_groups
from relay.templates.views import GroupView, View

TEMPLATE_LIMIT = 2.0
"""Seconds that a template may take on all samples (a card on one) before it counts as one that never ends."""
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


def _signature_problems(loaded: Loaded) -> list[Problem]:
    """Sources that ask for a signature that their senders don't make."""
    found: list[Problem] = []
    for name, source in loaded.settings.sources.items():
        auth = source.auth if isinstance(source, PostedSettings) else None
        if not isinstance(auth, AuthSettings):
            continue
        format_ = format_name(source)
        if auth.sns is not None and format_ != "aws-sns":
            said = f"goes with the format aws-sns; the source's is {format_}"
            found.append(_problem(loaded, ("sources", name, "auth", "sns"), said))
        if auth.signature is None:
            continue
        if format_ not in FORMATS or FORMATS[format_].scheme is None:
            said = f"what comes in the format {format_} is not signed; bearer, basic or header would be right"
            found.append(_problem(loaded, ("sources", name, "auth", "signature"), said))
    return found


def adapter_problems(loaded: Loaded, unless: Loaded | None = None) -> list[Problem]:
    """Mappings that can't be compiled, certificates that can't be had, templates that fail on a sample or take long.

    Templates and cards that `unless` has alike are good already.
    """
    problems = [
        *_mapping_problems(loaded),
        *_signature_problems(loaded),
        *_tls_problems(loaded),
        *_template_problems(loaded, {} if unless is None else unless.templates),
    ]
    return [*problems, *_card_problems(loaded, {} if unless is None else unless.cards)]


def _tls_problems(loaded: Loaded) -> list[Problem]:
    found: list[Problem] = []
    settings = loaded.settings
    if settings.listen.tls is not None:
        try:
            server_context(settings.listen.tls)
        except (OSError, ValueError) as error:
            found.append(_problem(loaded, ("listen", "tls"), str(error)))
    clients: list[tuple[Path, ClientTls]] = [
        *((("accounts", name, "tls"), account.tls) for name, account in settings.accounts.items()),
        *(
            (("sources", name, "tls"), source.tls)
            for name, source in settings.sources.items()
            if isinstance(source, (WebsocketSettings, ApicSettings))
        ),
    ]
    for path, tls in clients:
        try:
            client_context(tls)
        except OSError as error:
            found.append(_problem(loaded, (*path, "ca"), str(error)))
    return found


def _mapping_problems(loaded: Loaded) -> list[Problem]:
    found: list[Problem] = []
    for name, source in loaded.settings.sources.items():
        if source.map is None:
            continue
        before = len(found)
        for path, expression in _expressions(source.map):
            try:
                compile_expression(expression)
            except ValueError as error:
                found.append(_problem(loaded, ("sources", name, "map", *path), str(error)))
        if len(found) == before:
            make_format(source)
    return found


def _expressions(settings: MapSettings) -> list[tuple[Path, str]]:
    mapping = mapping_of(settings)
    single = [((name,), getattr(mapping, name)) for name in ("each", "title", *OPTIONAL)]
    nested = [((kind, name), text) for kind in ("labels", "links") for name, text in getattr(mapping, kind).items()]
    return [(path, text) for path, text in (*single, *nested) if text is not None]


def _template_problems(loaded: Loaded, known: Mapping[str, str]) -> list[Problem]:
    found: list[Problem] = []
    environment = MarkdownEnvironment()
    for name, text in loaded.templates.items():
        if known.get(name) == text:
            continue
        path: Path = ("templates", name)
        try:
            template = compile_template(environment, name, text)
        except TemplateError as error:
            found.append(_problem(loaded, path, str(error)))
            continue
        left = TEMPLATE_LIMIT
        for sample, names in _views(environment, text, loaded.settings.timezone):
            began = time.perf_counter()
            try:
                with _time_limit(left):
                    TemplateRenderer.render_strictly(template, names)
            except Exception as error:  # noqa: BLE001 - an operator's template may fail in any way
                found.append(_problem(loaded, path, f"fails on a sample {sample}: {error}"))
                break
            took = time.perf_counter() - began
            left = max(0.01, left - took)
            if took > SLOW_TEMPLATE:
                said = f"takes {took * 1000:.0f} ms on a sample {sample}"
                found.append(Problem(loaded.document.mark(path), dotted(path), said, "warning"))
                break
    return found


def _card_problems(loaded: Loaded, known: Mapping[str, str]) -> list[Problem]:
    """Cards that are none, or fail on a sample."""
    found: list[Problem] = []
    zone = loaded.settings.timezone
    for path, file in card_files(loaded.settings):
        sample = ""
        if str(file) in known and known[str(file)] == loaded.cards.get(str(file)):
            continue
        try:
            renderer = CardRenderer(
                {str(file): loaded.cards.get(str(file), "")}, lambda *_: None, zone, lambda *_: None
            )
            for event in samples():
                sample = f"on a sample {event.status} event: "
                with _time_limit(TEMPLATE_LIMIT):
                    renderer.render_by_name(str(file), View(event, "sample", None, _AT, zone).names())
        except Exception as error:  # noqa: BLE001 - an operator's template may fail in any way
            found.append(_problem(loaded, path, f"{sample}{error}"))
    return found


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


def template_times(loaded: Loaded) -> dict[str, float]:
    """Milliseconds that each template takes on the samples, the slowest of them."""
    environment = MarkdownEnvironment()
    times: dict[str, float] = {}
    for name, text in loaded.templates.items():
        template = compile_template(environment, name, text)
        for _, names in _views(environment, text, loaded.settings.timezone):
            began = time.perf_counter()
            TemplateRenderer.render_strictly(template, names)
            times[name] = max(times.get(name, 0.0), (time.perf_counter() - began) * 1000)
    return times


def _problem(loaded: Loaded, path: Path, message: str) -> Problem:
    return Problem(loaded.document.mark(path), dotted(path), message)
