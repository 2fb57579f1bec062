"""A Jinja2 sandbox in which the template's own text is markdown, and every value of an event is literal text."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, StrictUndefined

from relay.core.markdown import Markdown, code, fenced, link, middle, one_line
from relay.core.words import say_duration
from relay.templates.bounds import BoundedEnvironment, BoundedGenerator

_FILTERS = [
    *("abs", "batch", "default", "d", "dictsort", "first", "float", "groupby", "int", "items", "join", "last"),
    *("length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select"),
    *("selectattr", "slice", "sort", "sum", "title", "trim", "truncate", "unique", "upper", "wordcount"),
]


class _MarkdownGenerator(BoundedGenerator):
    """A generator whose macros return markdown: their own text stays markdown, and their values are escaped."""

    def macro_def(self, macro_ref: Any, frame: Any) -> None:
        self.write("environment.markdown_macro(")
        super().macro_def(macro_ref, frame)
        self.write(")")


class MarkdownEnvironment(BoundedEnvironment):
    """A sandbox that escapes every expression that is not `Markdown`. An unknown name is an error."""

    code_generator_class = _MarkdownGenerator

    def __init__(self) -> None:
        own = {
            "code": code,
            "fenced": fenced,
            "oneline": one_line,
            "middle": middle,
            "duration": say_duration,
            "link": _link_filter,
        }
        super().__init__(_FILTERS, own, trim_blocks=True, lstrip_blocks=True)

    def literal(self, value: object) -> str:
        """Return a value as markdown, with every sign of it literal."""
        return Markdown.escape(value)

    def joined(self, values: tuple[object, ...]) -> object:
        """Join values as `~` does. Plain texts give plain text; values with markdown among them give markdown."""
        if any(isinstance(value, Markdown) for value in values):
            self.weigh(values)
            return Markdown("").join(Markdown.escape(value) for value in values)
        return super().joined(values)

    @staticmethod
    def markdown_macro(macro: Any) -> Any:
        """Return a macro whose text is markdown, since its parts are escaped already."""

        def call(*values: object, **named: object) -> Markdown:
            return Markdown(macro(*values, **named))

        return call


def builtin_environment() -> Environment:
    """Return the environment of the built-in templates. Their work is known, and counting it would cost 13 % more."""
    return Environment(
        autoescape=False,  # noqa: S701 - `Markdown.escape` does it
        finalize=Markdown.escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _link_filter(text: object, url: object) -> Markdown:
    return link(str(text), str(url))
