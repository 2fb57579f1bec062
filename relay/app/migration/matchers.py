"""Converting Alertmanager's matchers.

Alertmanager 0.25 reads the classic form (prometheus/alertmanager, `pkg/labels/parse.go`). Later versions prefer it if
both forms are possible; their UTF-8 form is nearly the relay's own.
"""

from __future__ import annotations

import re

import msgspec

from relay.core.matching import (
    EVENT_NAMES,
    LABEL_PREFIX,
    BadMatcherError,
    Matcher,
    Operator,
    make_matcher,
    parse_comparisons,
)

_BLANK = r"[\t\n\f\r ]*"
_CLASSIC = re.compile(rf"{_BLANK}([a-zA-Z_:][a-zA-Z0-9_:]*){_BLANK}(=~|=|!=|!~){_BLANK}(.*?){_BLANK}", re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\n])')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r'((?:[^"\\]|\\.)*\\?)', re.DOTALL)
_GO_ESCAPE = re.compile(r'\\(?!["\\n])')


def read_matchers(text: str) -> list[Matcher]:
    """Return the matchers of a text, one or several. Raises `BadMatcherError`."""
    classic = [_classic(token) for token in _tokens(text.removeprefix("{").removesuffix("}"))]
    found = [one for one in classic if one is not None]
    if len(found) < len(classic):
        if _GO_ESCAPE.search(text):
            raise BadMatcherError(f"expected a matcher in Alertmanager's classic form, found {text!r}")
        found = parse_comparisons(text)
    return [compare(name, op, value) for name, op, value in found]


def compare(name: str, op: Operator, value: str) -> Matcher:
    """Return a matcher of a label, with its name in the relay's form. Raises `BadMatcherError`."""
    written = f"{LABEL_PREFIX}{name}" if name.startswith(LABEL_PREFIX) else label(name)
    return msgspec.structs.replace(make_matcher(name, op, value), name=written)


def label(name: str) -> str:
    """Return the name of a label for matchers and groups: `label.NAME` if an event has a field of that name."""
    return f"{LABEL_PREFIX}{name}" if name in EVENT_NAMES else name


def _tokens(text: str) -> list[str]:
    """Split a text at the commas outside quotes; as in Alertmanager, a comma does not end an escape."""
    tokens, token, within, escaped = [], "", False, False
    for sign in text:
        if sign == "," and not within:
            tokens.append(token)
            token = ""
            continue
        if sign == '"' and not escaped:
            within = not within
        if sign != ",":
            escaped = sign == "\\" and not escaped
        token += sign
    return [*tokens, token] if token else tokens


def _classic(token: str) -> tuple[str, Operator, str] | None:
    found = _CLASSIC.fullmatch(token)
    if found is None:
        return None
    name, raw = found[1], found[3]
    op: Operator = found[2]  # type: ignore[assignment]  # the expression admits only the four
    value = (_QUOTED if raw.startswith('"') else _BARE).fullmatch(raw)
    if value is None:
        return None
    return name, op, _ESCAPE.sub(lambda one: "\n" if one[1] == "n" else one[1], value[1])
