"""A Jinja2 sandbox in which markdown is what the template writes, and whatever an event says is literal text."""

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
    """Calls macros so that what a template wrote stays markdown and what it was given does not."""

    def macro_def(self, macro_ref: Any, frame: Any) -> None:
        self.write("environment.markdown_macro(")
        super().macro_def(macro_ref, frame)
        self.write(")")


class MarkdownEnvironment(BoundedEnvironment):
    """Escapes every expression that is not `Markdown`, wherever it stands; an unknown name is an error."""

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
        """A value as markdown, every sign of it literal."""
        return Markdown.escape(value)

    def joined(self, values: tuple[object, ...]) -> object:
        """Join as `~` does: plain texts to plain text, anything with markdown to markdown."""
        if any(isinstance(value, Markdown) for value in values):
            self.weigh(values)
            return Markdown("").join(Markdown.escape(value) for value in values)
        return super().joined(values)

    @staticmethod
    def markdown_macro(macro: Any) -> Any:
        """A macro's text is markdown: its parts are escaped already."""

        def call(*values: object, **named: object) -> Markdown:
            return Markdown(macro(*values, **named))

        return call


def builtin_environment() -> Environment:
    """Return the environment of the built-in templates: their work is known; counting it would cost 13 % of it."""
    return Environment(
        autoescape=False,  # noqa: S701 - `Markdown.escape` is what escapes
        finalize=Markdown.escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _link_filter(text: object, url: object) -> Markdown:
    return link(str(text), str(url))
