"""Adaptive cards from templates, which are JSON in Jinja2. Values of an event are escaped as text within a string."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any

from jinja2 import Template

from relay.core.card import misfit
from relay.core.delivery import IncidentView
from relay.core.event import Event
from relay.core.markdown import Markdown, clean, plain_text
from relay.templates.bounds import BoundedEnvironment, TemplateError, words_of
from relay.templates.rendering import MAX_OUTPUT, compile_template
from relay.templates.views import View

FILTERS = (
    "batch",
    "default",
    "dictsort",
    "first",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lower",
    "replace",
    "round",
    "title",
    "trim",
    "truncate",
    "upper",
)


class Json(str):
    """Text that is JSON already, so that a template writes it unescaped."""

    __slots__ = ()


class CardRenderer:
    """A renderer of cards by name. If a card fails, its message is sent without it."""

    def __init__(
        self,
        sources: Mapping[str, str],
        chosen: Callable[[str, str], str | None],
        zone: tzinfo,
        failed: Callable[[str, str, str], None],
    ) -> None:
        """Compile the `sources`, by name. Raises `TemplateError`.

        `chosen` returns the name of the card for a lineage and room. `failed` is called with the template, the event's
        id and the error.
        """
        self._chosen = chosen
        self._zone = zone
        self._failed = failed
        self._environment = environment = _CardEnvironment(FILTERS, {"json": _as_json})
        self._templates = {name: compile_template(environment, name, text, "card") for name, text in sources.items()}

    def card(
        self, lineage: str, event: Event, *, room: str, incident: IncidentView | None, now: float, behind: float = 0.0
    ) -> dict[str, Any] | None:
        """Return the content of a card, or None if none is chosen or its template fails. Never raises."""
        name = self._chosen(lineage, room)
        template = None if name is None else self._templates.get(name)
        if name is None or template is None:
            return None
        try:
            return self.render_strictly(template, View(event, room, incident, now, self._zone, behind).names())
        except Exception as error:  # noqa: BLE001 - an operator's template may fail in any way; the alert goes out
            self._failed(name, event.id, words_of(error))
            return None

    def render_by_name(self, name: str, names: dict[str, object]) -> dict[str, Any]:
        """Return the content of a named card. Raises the template's own errors, and `TemplateError`."""
        return self.render_strictly(self._templates[name], names)

    def render_strictly(self, template: Template, names: dict[str, object]) -> dict[str, Any]:
        """Render and read a card. Raises the template's own errors, and `TemplateError` if its text is no card."""
        text, size = [], 0
        self._environment.begin()
        for piece in template.generate(names):
            size += len(piece)
            if size > MAX_OUTPUT:
                raise TemplateError(f"expected a card of at most {MAX_OUTPUT:,} characters, found more; shorten texts")
            text.append(piece)
        try:
            card = json.loads("".join(text))
        except json.JSONDecodeError as error:
            near = error.doc[max(0, error.pos - 20) : error.pos + 20].replace("\n", " ")
            place = f"line {error.lineno}, column {error.colno}, near {near!r}"
            raise TemplateError(f"expected a card in JSON, found other text: {error.msg} ({place})") from error
        except (ValueError, RecursionError) as error:
            raise TemplateError(
                "expected a card in JSON that can be read, found it nested too deeply or with too long a number"
            ) from error
        if (wrong := misfit(card)) is not None:
            raise TemplateError(wrong)
        return dict(card)


class _CardEnvironment(BoundedEnvironment):
    def literal(self, value: object) -> str:
        """Return a value escaped for a place within a JSON string, or unchanged if it is `Json`."""
        return value if isinstance(value, Json) else json.dumps(_harmless(value), ensure_ascii=False)[1:-1]


def _as_json(value: object) -> Json:
    """Return a value as JSON, with its quotes."""
    if isinstance(value, (bool, int, float)) or value is None:
        return Json(json.dumps(value))
    return Json(json.dumps(_harmless(value), ensure_ascii=False))


def _harmless(value: object) -> str:
    """Return plain text in which a card finds no link. Cards read a little markdown in their texts."""
    text = plain_text(value) if isinstance(value, Markdown) else clean(str(value))
    return text.replace("](", "]\u200b(")
