"""JMESPath expressions of users, bounded in work (jmespath.org), with one function beside the standard's.

`to_string` of an absent field is an empty text, where the standard has `null`.
The function is `json(text)`, which reads JSON within a text. Each visited node costs a step. Its result costs a step
for each item of a list, or for every few characters of a text. All expressions of a payload share one purse, so that no
payload holds up the relay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import jmespath
import jmespath.exceptions
from jmespath.functions import Functions, signature
from jmespath.parser import ParsedResult
from jmespath.visitor import TreeInterpreter

from relay.core.markdown import middle
from relay.formats.contract import NotJsonError, decode_json

MOST_STEPS = 1_000_000
"""Steps that the expressions may take for one payload: a second or two. 10,000 items of ten fields take half."""
CHARACTERS = 64
"""Characters of text that one step handles."""
_MAKERS = frozenset({"flatten", "function_expression", "slice", "value_projection"})
"""Nodes that make lists or texts without visiting each of their parts."""
_READERS = frozenset({"field", "index", "current"})
"""Nodes that read a value of the payload."""
FAILURES = (
    jmespath.exceptions.JMESPathError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""Errors that an expression may raise. JMESPath's functions are Python's underneath, and check few arguments."""


class Found(NamedTuple):
    """The value of an expression, and whether a value of the payload had a part in it.

    `join(': ', [host || 'a host', 'news'])` has a value for any payload, but finds nothing in a foreign one.
    """

    value: Any
    drawn: bool


class TooMuchWorkError(Exception):
    """A mapping's expressions take more work than one payload may cost."""

    def __init__(self) -> None:
        super().__init__(f"the mapping takes over {MOST_STEPS:,} steps of work; select less of the payload at once")


class Purse:
    """The steps that are left for a payload."""

    def __init__(self, steps: int = MOST_STEPS) -> None:
        self._left = steps

    def spend(self, steps: int) -> None:
        """Take steps. Raises `TooMuchWorkError`."""
        self._left -= steps
        if self._left < 0:
            raise TooMuchWorkError

    def weigh(self, value: Any) -> None:
        """Pay for a value and everything within it, repeated parts each time. Raises `TooMuchWorkError`."""
        todo = [value]
        while todo:
            one = todo.pop()
            self.spend(size(one))
            if isinstance(one, list):
                todo += one
            elif isinstance(one, dict):
                todo += one.values()


def size(value: Any) -> int:
    """Return the steps that a value itself costs, without the values within it."""
    if isinstance(value, str):
        return 1 + len(value) // CHARACTERS
    return 1 + len(value) if isinstance(value, (list, dict)) else 1


class _OurFunctions(Functions):
    """The standard's functions, and `json`. `to_string` gives an empty text for an absent field, and not `null`."""

    @signature({"types": []})
    def _func_to_string(self, value: Any) -> str:
        """Return a value as text. People would read the `null` of an absent one in titles, labels and keys."""
        if isinstance(value, str):
            return value
        return "" if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    @signature({"types": ["string", "null"]})
    def _func_json(self, text: str | None) -> Any:
        """Return the JSON in a text, or null if the text is not JSON."""
        try:
            return None if text is None else decode_json(text.encode())
        except NotJsonError:
            return None


_OPTIONS = jmespath.Options(custom_functions=_OurFunctions())


class _Counting(TreeInterpreter):
    """An interpreter that pays for each node that it visits, and for the lists and texts that a node makes."""

    def __init__(self, purse: Purse) -> None:
        super().__init__(_OPTIONS)
        self._purse = purse

    def visit(self, node: Any, *arguments: Any, **named: Any) -> Any:
        """Visit a node. Raises `TooMuchWorkError`, and the errors of the expression."""
        self._purse.spend(1)
        found = super().visit(node, *arguments, **named)
        if node["type"] in _MAKERS:
            self._purse.spend(size(found))
        return found

    def visit_comparator(self, node: Any, value: Any) -> Any:
        """Compare two values after paying for all of both."""
        return super().visit_comparator(self._paid_for(node, value), value)

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        """Call a function after paying for all of its arguments, and for the text that `join` makes."""
        paid = self._paid_for(node, value)
        if node["value"] == "join":
            glue, texts = (child.get("value") for child in (*paid["children"], {}, {})[:2])
            if isinstance(glue, str) and isinstance(texts, list):
                self._purse.spend(len(glue) * len(texts) // CHARACTERS)
        return super().visit_function_expression(paid, value)

    def _paid_for(self, node: Any, value: Any) -> Any:
        """Return the node with values in place of its expressions, so that each is evaluated and paid for once."""
        children = [child if child["type"] == "expref" else self._literal(child, value) for child in node["children"]]
        return {**node, "children": children}

    def _literal(self, child: Any, value: Any) -> dict[str, Any]:
        found = self.visit(child, value)
        self._purse.weigh(found)
        return {"type": "literal", "value": found, "children": []}


class _Drawing(_Counting):
    """A counting interpreter that notices whether an expression reads a value of the payload that says something."""

    drawn = False

    def visit(self, node: Any, *arguments: Any, **named: Any) -> Any:
        """Visit a node. Raises as `_Counting` does."""
        found = super().visit(node, *arguments, **named)
        if not self.drawn and node["type"] in _READERS:
            self.drawn = _is_drawn(found)
        return found


def _is_drawn(value: Any) -> bool:
    """Return whether a value of the payload says something. Objects and lists say nothing by themselves."""
    return isinstance(value, (str, int, float)) and value is not False and value != ""


class Expression:
    """A compiled expression."""

    def __init__(self, text: str) -> None:
        """Compile an expression. Raises ValueError if it can't be compiled."""
        try:
            compiled: ParsedResult = jmespath.compile(text)
        except RecursionError as error:
            raise ValueError(f"{middle(text, 60)!r} is nested too deeply; write a simpler expression") from error
        except jmespath.exceptions.JMESPathError as error:
            hint = "; compare with == or !=" if "token '='" in str(error) else ""
            raise ValueError(f"{text!r} is not a JMESPath expression: {_first_line(error)}{hint}") from error
        unknown = next((name for name in _functions(compiled.parsed) if name not in _OurFunctions.FUNCTION_TABLE), None)
        if unknown is not None:
            raise ValueError(f"{text!r} is not a JMESPath expression: there is no function {unknown}()")
        self.parsed: Any = compiled.parsed
        """The tree of the expression, as the library makes it."""
        self.is_plain = compiled.parsed["type"] == "field"
        """Whether it is a name alone, and so has no value but one of the payload."""
        self._is_constant = _READERS.isdisjoint(_kinds(compiled.parsed))

    def roots(self) -> set[str]:
        """Return the names of the fields that the expression looks up in the item itself."""
        return set(_roots(self.parsed))

    def search(self, value: Any, purse: Purse) -> Any:
        """Return the expression's value for an item. Raises `TooMuchWorkError`, and `FAILURES` if they don't fit."""
        return _Counting(purse).visit(self.parsed, value)

    def search_text(self, value: Any, purse: Purse) -> Any:
        """Return the same value after paying for all of it, since the caller may write it as text."""
        found = self.search(value, purse)
        purse.weigh(found)
        return found

    def find(self, value: Any, purse: Purse) -> Found:
        """Return the same as `search_text`, and whether it was drawn from the payload.

        A constant counts as drawn: whoever writes one means it for every payload.
        """
        interpreter = _Drawing(purse)
        found = interpreter.visit(self.parsed, value)
        purse.weigh(found)
        return Found(found, interpreter.drawn or self._is_constant)


def _functions(node: Any) -> Iterator[str]:
    """Yield the names of the functions that an expression calls."""
    if isinstance(node, dict):
        if node.get("type") == "function_expression":
            yield node["value"]
        for child in node.get("children", ()):
            yield from _functions(child)


def _kinds(node: Any) -> Iterator[str]:
    """Yield the types of an expression's nodes."""
    if isinstance(node, dict):
        yield node["type"]
        for child in node.get("children", ()):
            yield from _kinds(child)


_INTO_THE_FIRST = frozenset(
    ("subexpression", "index_expression", "pipe", "flatten", "projection", "value_projection", "filter_projection")
)
"""Nodes whose first child looks into the item, while the others look into the first one's value."""


def _roots(node: Any) -> Iterator[str]:
    """Yield the names that a node looks up in the item itself."""
    if node["type"] == "field":
        yield node["value"]
    children = () if node["type"] == "expref" else node["children"]
    for child in children[:1] if node["type"] in _INTO_THE_FIRST else children:
        yield from _roots(child)


def _first_line(error: Exception) -> str:
    """Return JMESPath's error in one line, without the drawing below it."""
    return str(error).splitlines()[0].removeprefix("Invalid jmespath expression: ").rstrip(":")
