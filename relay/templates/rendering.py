"""The renderer: what a template gets to see, its bounds, and what is shown where it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from importlib.resources import files
from typing import Literal

import msgspec
from jinja2 import Template

from relay.core.delivery import Told
from relay.core.event import Event
from relay.core.incident import ENDS, HOLD, SIGNS, WITHIN_A_BREATH, flaps
from relay.core.markdown import (
    WEBEX_MAX_BYTES,
    Markdown,
    cut_markdown,
    escape_markdown,
    hard_breaks,
    link,
    middle,
    numbered,
    one_line,
    whole_end,
)
from relay.core.words import say_clock, say_duration
from relay.templates.environment import MarkdownEnvironment

MAX_OUTPUT = 65_536
"""Characters that a template may write."""
BODY_LINES = 6
LINE_LENGTH = 400
LATE_AFTER = 120.0
"""Seconds after which a message says that it is posted late."""
THREAD = "\f"
"""What follows it goes into the message's thread. Event text can't hold it."""
_THREAD = Markdown(THREAD)
_SEPARATOR = Markdown(" · ")
_TELLING = ("site", "pod", "cluster", "region", "host", "hostname", "device", "node", "instance", "service",
            "namespace", "interface", "job")  # fmt: skip
_PLACES = {name: place for place, name in enumerate(_TELLING)}
_SAID_ALREADY = {
    "alertname",
    "severity",
    "status",
    "title",
    "source",
    "summary",
    "description",
    "prometheus",
    "monitor",
}


class TemplateError(ValueError):
    """A template that can't be read or fails; its text says where."""


class Labels(dict[str, str]):
    """An event's labels as templates see them: one that is not there is empty."""

    def __missing__(self, name: str) -> str:
        return ""


class View(msgspec.Struct, frozen=True):
    """What a template sees of an event; texts are plain, parts that are markdown already say so."""

    event: Event
    room: str
    told: Told | None
    now: float
    zone: tzinfo

    def parts(self) -> dict[str, object]:
        """The variables that the built-in message is made of."""
        body, rest = self._body()
        return {
            "sign": Markdown(self.sign), "word": self.word, "title": self.title, "lasted": self.lasted,
            "facts": self.facts, "body": body, "rest": rest, "links": self.links, "thread": _THREAD,
        }  # fmt: skip

    def names(self) -> dict[str, object]:
        """All variables, for operators' templates."""
        event = self.event
        return {
            **self.parts(),
            "event": event, "room": self.room, "labels": Labels(event.labels), "source": event.source,
            "status": event.status, "severity": event.severity, "key": event.key, "late": self.late,
            "since": say_clock(self.started_at, self.now, self.zone),
            "at": say_clock(event.occurred_at, self.now, self.zone),
        }  # fmt: skip

    @property
    def end(self) -> Literal["resolved", "expired"] | None:
        """How it ended, where it did."""
        if self.told is not None:
            return None if self.told.state == "firing" or self.told.quiet else self.told.state
        return "resolved" if self.event.status == "resolved" else None

    @property
    def sign(self) -> str:
        """The one sign of the first line."""
        return SIGNS[self.event.severity] if self.end is None else ENDS[self.end]

    @property
    def word(self) -> str:
        """The severity (or the end) as a word, as colour alone excludes."""
        return self.end or self.event.severity.upper()

    @property
    def title(self) -> str:
        """The title in one line; of a flapping alert with how it flaps."""
        title = one_line(self.event.title)
        return f"{title} {flaps(self.told.changes)}" if self.told is not None and self.told.quiet else title

    @property
    def started_at(self) -> float:
        """When what the event speaks of began."""
        return self.event.occurred_at if self.told is None else min(self.told.started_at, self.event.occurred_at)

    @property
    def lasted(self) -> str:
        """How long a resolved alert lasted, where that is known."""
        seconds = self.event.occurred_at - self.started_at
        return say_duration(seconds) if self.end is not None and seconds >= WITHIN_A_BREATH else ""

    @property
    def late(self) -> str:
        """How late the message is posted, where that is worth a word."""
        behind = self.now - self.event.received_at
        return say_duration(behind) if behind >= LATE_AFTER else ""

    @property
    def facts(self) -> Markdown:
        """The second line: source, the labels that tell it from its siblings, since when."""
        parts = [self.event.source, *self._telling_labels(), self._when()]
        if self.end is not None and self.event.severity_given:
            parts.append(f"was {self.event.severity.upper()}")
        if self.late:
            parts.append(f"posted {self.late} late")
        return Markdown(" · ".join([escape_markdown(part) for part in parts]))

    def _when(self) -> str:
        event = self.event
        if self.told is not None and self.told.quiet:
            return f"quiet until it holds for {say_duration(HOLD)}"
        at = say_clock(event.occurred_at, self.now, self.zone)
        if event.status == "firing":
            return f"since {say_clock(self.started_at, self.now, self.zone)}"
        if self.lasted:
            began = say_clock(self.started_at, self.now, self.zone)
            return at if began == at else f"{began.rsplit(' ', 1)[0]}–{at}"
        return at

    def _telling_labels(self) -> list[str]:
        labels, title = self.event.labels, self.event.title.lower()
        said: dict[str, None] = {}
        for name in sorted(labels, key=lambda label: _PLACES.get(label, len(_TELLING))):
            value = one_line(labels[name], 40)
            if value and name.lower() not in _SAID_ALREADY and value.lower() not in title:
                said[value] = None
                if len(said) == 3:
                    break
        return list(said)

    def _body(self) -> tuple[str, str]:
        """The body's first lines, and what of it goes into the thread."""
        text = self.event.body.strip()
        lines = [line.rstrip() for line in text.split("\n")] if text else []
        shown = [middle(line, LINE_LENGTH) for line in lines[:BODY_LINES]]
        if shown != lines[:BODY_LINES]:
            return "\n".join(shown), text
        return "\n".join(shown), "\n".join(lines[BODY_LINES:]).strip("\n")

    @property
    def links(self) -> Markdown:
        """The first three links by name, files behind them."""
        event = self.event
        shown = [link(item.text, item.url) for item in event.links]
        shown += [link(address.rsplit("/", 1)[-1] or "file", address) for address in event.files]
        return _SEPARATOR.join(shown[:3])


class TemplateRenderer:
    """Renders messages by their templates; one that fails gives the built-in message."""

    def __init__(self, sources: Mapping[str, str], zone: tzinfo, failed: Callable[[str, str, str], None]) -> None:
        """`sources` by name; `failed` is told template, event id and error. Raises `TemplateError`."""
        environment = MarkdownEnvironment()
        self._zone = zone
        self._failed = failed
        self._builtin = compile_template(environment, "(built-in)", builtin("event"))
        self._templates = {name: compile_template(environment, name, text) for name, text in sources.items()}

    def render(self, event: Event, template: str | None, *, room: str, told: Told | None, now: float) -> list[str]:
        """The message's markdown and, behind it, its replies' (each of at most Webex's limit). Never fails."""
        view = View(event if told is None else told.event, room, told, now, self._zone)
        chosen = None if template is None else self._templates.get(template)
        if chosen is not None and template is not None:
            try:
                return self.render_strictly(chosen, view.names(), living=told is not None)
            except Exception as error:  # noqa: BLE001 - an operator's template may fail in any way; the alert goes out
                self._failed(template, event.id, f"{type(error).__name__}: {error}")
        try:
            return self.render_strictly(self._builtin, view.parts(), living=told is not None)
        except Exception as error:  # noqa: BLE001 - likewise: the plainest message that can be made
            self._failed("(built-in)", event.id, f"{type(error).__name__}: {error}")
            return [f"{view.sign} **{view.word}** · {Markdown.escape(view.title)}"]

    @staticmethod
    def render_strictly(template: Template, names: dict[str, object], *, living: bool = False) -> list[str]:
        """Render, split and number; a living message is cut to one, as it is edited as one.

        Raises what the template raises, and `TemplateError` where it writes nothing.
        """
        written: list[str] = []
        size = 0
        for piece in template.generate(names):
            written.append(piece[: MAX_OUTPUT - size])
            size += len(written[-1])
            if size >= MAX_OUTPUT:
                break
        text = "".join(written)
        if size >= MAX_OUTPUT:
            text = whole_end(text) + "…"
        segments = [hard_breaks(segment) for segment in text.split(THREAD)]
        texts = [segment for segment in segments if segment]
        if not texts:
            raise TemplateError("the template writes nothing")
        if not living:
            return numbered(texts, WEBEX_MAX_BYTES)
        first = texts[0]
        return [cut_markdown(first), *(numbered(texts[1:]) if len(texts) > 1 else ())]


def builtin(name: str) -> str:
    """The text of a built-in template."""
    return files("relay.templates").joinpath("builtin", f"{name}.md.j2").read_text(encoding="utf-8")


def compile_template(environment: MarkdownEnvironment, name: str, text: str) -> Template:
    """Compile an operator's template. Raises `TemplateError`."""
    try:
        template = environment.from_string(text)
    except Exception as error:
        line = getattr(error, "lineno", None)
        where = f", line {line}" if line else ""
        raise TemplateError(f"template {name}{where}: {error}") from error
    template.globals = dict(template.globals)  # a plain mapping: Jinja2 walks it for every message
    return template
