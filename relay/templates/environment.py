"""A Jinja2 sandbox in which markdown is what the template writes, and whatever an event says is literal text."""

from __future__ import annotations

from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range

from relay.core.markdown import Markdown, code, fenced, link, middle, one_line
from relay.core.words import say_duration

_FILTERS = [
    *("abs", "batch", "default", "d", "dictsort", "first", "float", "groupby", "int", "items", "join", "last"),
    *("length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select"),
    *("selectattr", "slice", "sort", "sum", "title", "trim", "truncate", "unique", "upper", "wordcount"),
]


class _MarkdownGenerator(CodeGenerator):
    """Joins with `~` and calls macros so that what a template wrote stays markdown and what it was given does not."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - Jinja2's name
        self.write("environment.join_markdown((")
        for argument in node.nodes:
            self.visit(argument, frame)
            self.write(", ")
        self.write("))")

    def macro_def(self, macro_ref: Any, frame: Frame) -> None:
        self.write("environment.markdown_macro(")
        super().macro_def(macro_ref, frame)
        self.write(")")


class MarkdownEnvironment(ImmutableSandboxedEnvironment):
    """Escapes every expression that is not `Markdown`, wherever it stands; an unknown name is an error."""

    code_generator_class = _MarkdownGenerator

    def __init__(self) -> None:
        super().__init__(
            autoescape=False,
            finalize=Markdown.escape,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=False,
        )
        self.globals = {"range": safe_range}
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.filters.update(
            code=code, fenced=fenced, oneline=one_line, middle=middle, duration=say_duration, link=_link_filter
        )

    @staticmethod
    def join_markdown(values: tuple[object, ...]) -> object:
        """Join as `~` does: plain texts to plain text, anything with markdown to markdown."""
        if any(isinstance(value, Markdown) for value in values):
            return Markdown("").join(Markdown.escape(value) for value in values)
        return "".join(str(value) for value in values)

    @staticmethod
    def markdown_macro(macro: Any) -> Any:
        """A macro's text is markdown: its parts are escaped already."""

        def call(*values: object, **named: object) -> Markdown:
            return Markdown(macro(*values, **named))

        return call


def _link_filter(text: object, url: object) -> Markdown:
    return link(str(text), str(url))
