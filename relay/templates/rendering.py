"""The renderer, which chooses the template of a message, bounds it, and replaces it if it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from importlib.resources import files
from typing import Any, Protocol

from jinja2 import Environment, Template, TemplateSyntaxError, nodes

from relay.core.delivery import DigestLine, Diversion, IncidentView, Summary
from relay.core.event import Event
from relay.core.markdown import (
    WEBEX_MAX_BYTES,
    Markdown,
    cut_markdown,
    hard_breaks,
    mention,
    numbered,
    one_line,
    whole_end,
)
from relay.core.phrases import room_is_back
from relay.core.words import say_clock
from relay.templates.bounds import BoundedEnvironment, TemplateError, words_of
from relay.templates.environment import MarkdownEnvironment, builtin_environment
from relay.templates.views import THREAD, DigestView, GroupView, View, list_line

BUILTIN = ("event", "group", "digest")
BUILT_IN = "(built-in)"
"""The name under which failures of the built-in templates are reported."""
BRIEF = 2
"""Lines of a brief message."""
MAX_OUTPUT = 65_536
"""Most characters that a template may write."""
MOST_TEXTS = 20
"""Most messages into which a template may divide its text."""


AnyView = View | GroupView | DigestView


class Cards(Protocol):
    """A maker of cards."""

    def card(
        self, lineage: str, event: Event, *, room: str, incident: IncidentView | None, now: float, behind: float = 0.0
    ) -> dict[str, Any] | None:
        """Return the content of a card, or None if there is none."""
        ...


class TemplateRenderer:
    """A renderer of messages by their templates. If a template fails, it sends the built-in message instead."""

    def __init__(
        self,
        sources: Mapping[str, str],
        zone: tzinfo,
        failed: Callable[[str, str, str], None],
        cards: Cards | None = None,
    ) -> None:
        """Compile the `sources`, by name. Raises `TemplateError`.

        `failed` is called with the template, the event's id and the error.
        """
        self._cards = cards
        self._zone = zone
        self._failed = failed
        own, environment = builtin_environment(), MarkdownEnvironment()
        self._builtin = {name: compile_template(own, f"({name})", builtin(name)) for name in BUILTIN}
        self._templates = {name: compile_template(environment, name, text) for name, text in sources.items()}
        self._for_groups = {name for name, text in sources.items() if tells_of_groups(environment, text)}

    def render(
        self,
        event: Event,
        template: str | None,
        *,
        room: str,
        summary: Summary | None,
        now: float,
        behind: float = 0.0,
        mention: Sequence[str] = (),
        longest: int = WEBEX_MAX_BYTES,
        brief: bool = False,
        remark: str = "",
    ) -> list[str]:
        """Return the markdown of a message and then of its replies, each of at most `longest` bytes. Never raises.

        A template that does not use `incidents` is for single events; groups then get the built-in message.
        """
        view: AnyView
        single = None if summary is None else summary.single
        if summary is None or single is not None:
            kind = "event"
            view = View(event if single is None else single.event, room, single, now, self._zone, behind)
        elif summary.digest is not None:
            kind = "digest"
            view = DigestView(summary, summary.digest, now, self._zone, behind)
        else:
            kind = "group"
            view = GroupView(summary, room, now, self._zone, behind)
        chosen = None if template is None else self._templates.get(template)
        fits = kind != "digest" and (template in self._for_groups) == (kind == "group")
        named, living = template or "", summary is not None
        texts = self._render(chosen if fits else None, named, kind, view, event, longest, living=living)
        if brief:
            return [hard_breaks("\n".join(texts[0].split("\n")[:BRIEF]))]
        if remark:
            texts[0] = with_last_line(texts[0], f"↪ {Markdown.escape(remark)}", longest)
        return [with_mentions(texts[0], mention, longest), *texts[1:]] if mention else texts

    def card(
        self, lineage: str, event: Event, *, room: str, summary: Summary | None, now: float, behind: float = 0.0
    ) -> Mapping[str, Any] | None:
        """Return the content of the card for a new message about one alert, or None if it has none. Never raises."""
        single = None if summary is None else summary.single
        if self._cards is None or (summary is not None and single is None):
            return None
        about = event if single is None else single.event
        return self._cards.card(lineage, about, room=room, incident=single, now=now, behind=behind)

    def note(self, diversion: Diversion, room: str, now: float) -> str:
        """Return the message that reports the end of a diversion, to the room or to its fallback."""
        began = say_clock(diversion.began_at, now, self._zone)
        to = diversion.to if room == diversion.room else None
        return room_is_back(diversion.room, diversion.moved, began, to=to)

    def listing(self, lines: Sequence[DigestLine]) -> str:
        """Return the full list of a digest as plain text, a line for each event."""
        return "".join(f"{list_line(line, self._zone)}\n" for line in lines)

    def _render(
        self,
        chosen: Template | None,
        name: str,
        kind: str,
        view: View | GroupView | DigestView,
        event: Event,
        longest: int,
        *,
        living: bool,
    ) -> list[str]:
        if chosen is not None:
            try:
                return self.render_strictly(chosen, view.names(), longest, living=living)
            except Exception as error:  # noqa: BLE001 - an operator's template may fail in any way; the alert goes out
                self._failed(name, event.id, words_of(error))
        try:
            return self.render_strictly(self._builtin[kind], view.parts(), longest, living=living)
        except Exception as error:  # noqa: BLE001 - likewise: the plainest message that can be made
            self._failed(BUILT_IN, event.id, words_of(error))
            return [f"{view.sign} **{view.word}** · {Markdown.escape(one_line(event.title))}"]

    @staticmethod
    def render_strictly(
        template: Template, names: dict[str, object], longest: int = WEBEX_MAX_BYTES, *, living: bool = False
    ) -> list[str]:
        """Render a template, then split and number its text. A living message is cut to one, as edits need one message.

        Raises the template's own errors, `BoundError` over the bound, and `TemplateError` if it writes nothing.
        """
        text = _written(template, names)
        if len(text) >= MAX_OUTPUT:
            text = whole_end(text[:MAX_OUTPUT]) + "…"
        segments = [hard_breaks(segment) for segment in text.split(THREAD)]
        texts = [segment for segment in segments if segment]
        if not texts:
            raise TemplateError("expected some text, found none: the template writes nothing")
        if len(texts) > MOST_TEXTS:
            raise TemplateError(
                f"expected at most {MOST_TEXTS} messages, found {len(texts):,}; use {{{{ thread }}}} less often"
            )
        if not living:
            return numbered(texts, longest)
        first = texts[0]
        return [cut_markdown(first, longest), *(numbered(texts[1:], longest) if len(texts) > 1 else ())]


def _written(template: Template, names: dict[str, object]) -> str:
    """Return the text of a template. The text of an operator's template ends at `MAX_OUTPUT` characters."""
    if not isinstance(template.environment, BoundedEnvironment):
        return "".join(template.generate(names))
    template.environment.begin()
    written: list[str] = []
    size = 0
    for piece in template.generate(names):
        written.append(piece[: MAX_OUTPUT - size])
        size += len(written[-1])
        if size >= MAX_OUTPUT:
            break
    return "".join(written)


def builtin(name: str) -> str:
    """Return the text of a built-in template."""
    return files("relay.templates").joinpath("builtin", f"{name}.md.j2").read_text(encoding="utf-8")


def tells_of_groups(environment: MarkdownEnvironment, text: str) -> bool:
    """Return whether a template uses the incidents of a group."""
    try:
        names = environment.parse(text).find_all(nodes.Name)
    except TemplateSyntaxError:
        return False
    return any(name.name == "incidents" and name.ctx == "load" for name in names)


def with_last_line(text: str, line: str, longest: int) -> str:
    """Return a message with one more line, cut to at most `longest` bytes."""
    line = f"  \n{line}"
    return cut_markdown(text, longest - len(line.encode())) + line


def with_mentions(text: str, emails: Sequence[str], longest: int = WEBEX_MAX_BYTES) -> str:
    """Return a message with a last line that mentions people, so that their phones ring, cut to `longest` bytes."""
    return with_last_line(text, " ".join(mention(email) for email in emails), longest)


def compile_template(environment: Environment, name: str, text: str, kind: str = "template") -> Template:
    """Compile a template. Raises `TemplateError`."""
    try:
        template = environment.from_string(text)
    except Exception as error:
        line = getattr(error, "lineno", None)
        where = f", line {line}" if line else ""
        words = "takes too much memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__
        raise TemplateError(f"{kind} {name}{where}: {words}") from error
    template.globals = dict(template.globals)  # Jinja2 walks it for every message, and a plain mapping is fastest
    return template
