"""Matchers with Alertmanager's syntax and meaning (its documentation, "Configuration", section "Matcher")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec
import re2

Operator = Literal["=", "!=", "=~", "!~"]

EVENT_NAMES = frozenset(("source", "status", "severity", "title", "key", "format"))
"""Fields that matchers see beside the labels. A label with one of these names is reached as `label.NAME`."""
LABEL_PREFIX = "label."

_SYNTAX = re.compile(
    r"""\s*(?: "(?P<quoted_name>(?:[^"\\]|\\.)*)" | (?P<name>[^\s"'`{},=!~\\]+) )
        \s*(?P<op>=~|!~|!=|=)
        \s*(?: "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<bare>[^"{},\s]*) )\s*""",
    re.VERBOSE | re.DOTALL,
)
_BARE_NAME = re.compile(r"""[^\s"'`{},=!~\\]+""")
_NAMED_VALUES = re.compile(r"(?:[^\\.+*?()|\[\]{}^$]|\\[^\w\s|]|\|)*", re.ASCII)
"""An expression of literal texts with `|` between them. It needs no search."""
_ESCAPED_SIGN = re.compile(r"\\(.)")
_ESCAPE = re.compile(r'\\(["\\n])')
"""The only escapes (prometheus/alertmanager, `pkg/labels/parse.go`): any other backslash stands for itself."""


class BadMatcherError(ValueError):
    """A matcher that can't be read. Its text names the fault and the expected form."""


class Pattern(Protocol):
    """A compiled regular expression."""

    def fullmatch(self, text: str) -> object: ...  # noqa: D102 - as in `re`


class Matcher(msgspec.Struct, frozen=True):
    """One comparison of a label with a value. An absent label counts as the empty string.

    `values` are those that the value stands for: itself, or each one that an expression like `a|b` names. Any other
    expression has none of them and a `pattern`.
    """

    name: str
    op: Operator
    value: str
    values: frozenset[str] = frozenset()
    pattern: Pattern | None = None

    def __str__(self) -> str:
        name = self.name if _BARE_NAME.fullmatch(self.name) else _quote(self.name)
        return f"{name}{self.op}{_quote(self.value)}"

    def matches(self, view: Mapping[str, str]) -> bool:
        """Return whether an event's view (see `view_of`) satisfies the matcher."""
        actual = view.get(self.name, "")
        found = actual in self.values if self.pattern is None else self.pattern.fullmatch(actual) is not None
        return found is (self.op in ("=", "=~"))


class Matchable(Protocol):
    """The fields that matchers look at, as an event and an alert have them."""

    @property
    def labels(self) -> Mapping[str, str]: ...  # noqa: D102 - the fields of an event
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def severity(self) -> str: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def format(self) -> str: ...  # noqa: D102


def view_of(event: Matchable) -> dict[str, str]:
    """Return an event as matchers see it: its labels and its own fields, which win over labels of the same name."""
    view = dict(event.labels)
    if not EVENT_NAMES.isdisjoint(view):
        for name in EVENT_NAMES & view.keys():
            view[LABEL_PREFIX + name] = view[name]
    view["source"] = event.source
    view["status"] = event.status
    view["severity"] = event.severity
    view["title"] = event.title
    view["key"] = event.key
    view["format"] = event.format
    return view


def parse_matchers(text: str) -> list[Matcher]:
    """Read `name="value"`, or several separated by commas, with or without braces. Raises `BadMatcherError`."""
    return [make_matcher(name, op, value) for name, op, value in parse_comparisons(text)]


def parse_comparisons(text: str) -> list[tuple[str, Operator, str]]:
    """Read the name, operator and value of each matcher of a text, as they are written. Raises `BadMatcherError`."""
    rest = text.strip()
    if rest.startswith("{"):
        if not rest.endswith("}"):
            raise BadMatcherError(f"{text!r} opens a brace and does not close it; add the missing }}")
        rest = rest[1:-1].strip()
    comparisons: list[tuple[str, Operator, str]] = []
    position = 0
    while position < len(rest):
        found = _SYNTAX.match(rest, position)
        if found is None:
            raise BadMatcherError(f'expected a matcher, like severity=~"critical|major"; found {text!r}')
        comparisons.append(_comparison(found))
        position = found.end()
        if position < len(rest):
            if rest[position] != ",":
                raise BadMatcherError(f"{text!r}: expected a comma or the end, found {rest[position:]!r}")
            position += 1
    if not comparisons:
        raise BadMatcherError('expected a matcher, like source="fabric"; found an empty one')
    return comparisons


def _comparison(found: re.Match[str]) -> tuple[str, Operator, str]:
    name = found["name"] if found["name"] is not None else _unescape(found["quoted_name"])
    value = _unescape(found["bare"] if found["quoted"] is None else found["quoted"])
    op: Operator = found["op"]  # type: ignore[assignment]  # the expression admits only the four
    if not name:
        raise BadMatcherError("expected a label's name before the operator, found none")
    return name, op, value


def make_matcher(name: str, op: Operator, value: str) -> Matcher:
    """Build a matcher, its RE2 expression anchored at both ends. Raises `BadMatcherError`."""
    if name.startswith(LABEL_PREFIX) and name.removeprefix(LABEL_PREFIX) not in EVENT_NAMES:
        name = name.removeprefix(LABEL_PREFIX)
    if op in ("=", "!="):
        return Matcher(name, op, value, frozenset((value,)))
    pattern = compile_re2(value)
    if _NAMED_VALUES.fullmatch(value):
        return Matcher(name, op, value, frozenset(_ESCAPED_SIGN.sub(r"\1", one) for one in value.split("|")))
    return Matcher(name, op, value, pattern=pattern)


def compile_re2(expression: str) -> Pattern:
    """Compile a user's regular expression with RE2 (linear time). Raises `BadMatcherError`."""
    options = re2.Options()
    options.log_errors = False
    try:
        pattern: Pattern = re2.compile(expression, options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise BadMatcherError(f"expected a regular expression of RE2; found {expression!r}: {reason}") from error
    return pattern


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: {"n": "\n"}.get(found[1], found[1]), text)
