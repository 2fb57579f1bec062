"""What operators, methods and filters cost in steps of work, told before they work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from jinja2 import pass_environment
from jinja2.filters import make_attrgetter

CHARACTERS = 8
"""Characters of text that are handled in one step: the slowest filters take as long for them as a loop for a turn."""
MOST_BITS = 10_000
"""Bits of a whole number: about 3,000 digits. Below it each operator on numbers takes one step."""
_NUMBER = re.compile(r"\d+")
_TEXT = frozenset(
    {
        "capitalize",
        "casefold",
        "center",
        "count",
        "endswith",
        "expandtabs",
        "find",
        "format",
        "format_map",
        "index",
        "isalnum",
        "isalpha",
        "isascii",
        "isdecimal",
        "isdigit",
        "isidentifier",
        "islower",
        "isnumeric",
        "isprintable",
        "isspace",
        "istitle",
        "isupper",
        "join",
        "ljust",
        "lower",
        "lstrip",
        "partition",
        "removeprefix",
        "removesuffix",
        "replace",
        "rfind",
        "rindex",
        "rjust",
        "rpartition",
        "rsplit",
        "rstrip",
        "split",
        "splitlines",
        "startswith",
        "strip",
        "swapcase",
        "title",
        "upper",
        "zfill",
    }
)
COMPARING_TESTS = frozenset(
    {
        "==",
        "eq",
        "equalto",
        "!=",
        "ne",
        ">",
        "gt",
        "greaterthan",
        ">=",
        "ge",
        "<",
        "lt",
        "lessthan",
        "<=",
        "le",
        "in",
        "lower",
        "upper",
    }
)
_FOR_EACH_SIGN = frozenset({"lstrip", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "strip"})
"""Methods that may compare each character of the text with each of what they look for."""
METHODS: Mapping[type, frozenset[str]] = {
    str: _TEXT,
    dict: frozenset({"copy", "get", "items", "keys", "values"}),
    list: frozenset({"copy", "count", "index"}),
    tuple: frozenset({"count", "index"}),
    range: frozenset({"count", "index"}),
    int: frozenset({"bit_length"}),
    float: frozenset({"is_integer"}),
}
"""The methods that templates may call. Others are as unsafe as private ones: nobody has said what they cost."""


Payment = Callable[[Any, Sequence[Any], Mapping[str, Any]], None]
"""Pays from a purse for a filter or test, by the values that it is given, and those given by name."""


class Purse(Protocol):
    """What is paid from."""

    def spend(self, steps: int) -> bool:
        """Take steps."""
        ...

    def weigh(self, value: object) -> None:
        """Pay for all that is in a value."""
        ...

    def counted(self, value: object) -> object:
        """Pay for a text's characters or a list's items."""
        ...


def of_text(length: int) -> int:
    """Tell the steps that text of a length takes."""
    return 1 + length // CHARACTERS


def widths(text: str) -> int:
    """Add up the numbers in a format: no width or precision in it is larger."""
    return sum(int(number) if len(number) < 10 else 10**10 for number in _NUMBER.findall(text))


def pay_for_operator(purse: Purse, operator: str, left: Any, right: Any) -> None:
    """Pay for an operator."""
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        purse.spend(of_text(_bits(operator, left, right)))
    elif operator == "*":
        many, times = (left, right) if isinstance(right, int) else (right, left)
        purse.spend(_length(many) * max(1, times if isinstance(times, int) else 1) // _per_step(many))
    elif operator == "+":
        purse.counted(left)
        purse.counted(right)
    else:
        purse.weigh(left)
        purse.weigh(right)
        if operator == "%" and isinstance(left, str):
            _pay_for_percent(purse, left, right)


def _pay_for_percent(purse: Purse, left: str, right: Any) -> None:
    """Pay for what `%` writes: each field its width, and by name the same value again and again."""
    purse.spend(of_text(widths(left)))
    if "*" in left:
        purse.spend(of_text(left.count("*") * _numbers(right if isinstance(right, tuple) else (right,))))
    for _ in range(left.count("%(")):
        purse.weigh(right)


def pay_for_method(purse: Purse, owner: Any, name: str, given: Sequence[Any]) -> None:
    """Pay for a method of a text, a list or the like."""
    purse.weigh(given)
    if not isinstance(owner, str):
        (purse.weigh if name in ("count", "index") else purse.counted)(owner)
        return
    length, texts = len(owner), [one for one in given if isinstance(one, str)]
    if name in ("center", "ljust", "rjust", "zfill"):
        length += _numbers(given)
    elif name == "expandtabs":
        length *= max(8, _numbers(given))
    elif name == "join":
        length *= max(1, *map(_length, given), 1)
    elif name == "replace":
        length += _replaced(owner, *texts[:2])
    elif name in _FOR_EACH_SIGN:
        length *= max(1, sum(map(len, texts)))
    purse.spend(of_text(length))


def pay_for_all(purse: Purse, values: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Pay for all that is given: texts are read and compared."""
    purse.weigh(values)
    purse.weigh(named)


def _pay_once(purse: Purse, *_: object) -> None:
    """Pay one step: it looks at no item, or one."""
    purse.spend(1)


def _pay_for_items(purse: Purse, values: Sequence[Any], _: object) -> None:
    """Pay for each item, not for what is in it: whatever is done with it pays for that."""
    purse.spend(1 + _length(values[0]))


def _pay_for_portions(purse: Purse, values: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Pay for each item, and for the items that fill a portion up."""
    purse.spend(1 + _length(values[0]))
    purse.spend(_numbers([*values[1:], *named.values()]))


def _pay_for_round(purse: Purse, values: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Pay for the power of ten by which Jinja2 multiplies."""
    purse.spend(1 + sum(abs(one) for one in (*values[1:], *named.values()) if isinstance(one, int)))


def _pay_for_join(purse: Purse, values: Sequence[Any], named: Mapping[str, Any]) -> None:
    pay_for_all(purse, values, named)
    between = sum(_length(one) for one in (*values[1:], *named.values()) if isinstance(one, str))
    purse.spend(of_text(between * _length(values[0])))


def _pay_for_replace(purse: Purse, values: Sequence[Any], named: Mapping[str, Any]) -> None:
    pay_for_all(purse, values, named)
    old, new = ([str(one) for one in (*values[1:], *named.values())] + ["", ""])[:2]
    text = str(values[0])
    purse.spend(of_text(max(_replaced(text, old, new), _replaced(text, new, old) if named else 0)))


def _pay_for_trim(purse: Purse, values: Sequence[Any], named: Mapping[str, Any]) -> None:
    pay_for_all(purse, values, named)
    signs = sum(_length(one) for one in (*values[1:], *named.values()))
    purse.spend(of_text(_length(values[0]) * max(1, signs)))


def _keys(environment: Any, values: Any, attribute: str | None) -> list[Any]:
    """The values that a filter compares."""
    if isinstance(values, dict):
        return [*values, *values.values()]
    if attribute is None:
        return list(values)
    getters = [make_attrgetter(environment, one) for one in {attribute, *attribute.split(",")}]
    return [get(value) for value in values for get in getters]


def _pay_for_order(purse: Purse, values: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Pay for each key. Comparing them again and again while sorting is fast beside that."""
    purse.spend(1 + _length(values[0]))
    attribute = next((one for one in (*values[1:], *named.values()) if isinstance(one, str)), None)
    purse.weigh(_keys(purse, values[0], attribute))


@pass_environment
def add_up(environment: Any, iterable: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
    """Add up as Jinja2's `sum`, where each addition pays for what it makes."""
    get = make_attrgetter(environment, attribute) if attribute is not None else None
    for one in iterable:
        start = environment.call_binop(None, "+", start, one if get is None else get(one))
    return start


FILTERS: Mapping[str, Payment] = {
    **dict.fromkeys(("d", "default", "first", "last", "length"), _pay_once),
    **dict.fromkeys(
        ("items", "list", "map", "reject", "rejectattr", "reverse", "select", "selectattr", "sum"), _pay_for_items
    ),
    **dict.fromkeys(("batch", "slice"), _pay_for_portions),
    **dict.fromkeys(("dictsort", "groupby", "max", "min", "sort", "unique"), _pay_for_order),
    "join": _pay_for_join,
    "replace": _pay_for_replace,
    "round": _pay_for_round,
    "trim": _pay_for_trim,
}
"""Filters that do not pay for all that is in what they are given, or pay for more."""


def _bits(operator: str, left: float, right: float) -> int:
    """The bits of a number that is about to be made, where it may be much larger than its parts."""
    if not isinstance(left, int) or not isinstance(right, int):
        return 0
    if operator == "**":
        return left.bit_length() * max(0, right) if abs(left) > 1 else 0
    return left.bit_length() + right.bit_length()


def _length(value: Any) -> int:
    return len(value) if hasattr(value, "__len__") else 0


def _per_step(value: Any) -> int:
    return CHARACTERS if isinstance(value, str) else 1


def _numbers(values: Iterable[Any]) -> int:
    """All whole numbers among values: no width or count is larger."""
    return sum(max(0, one) for one in values if isinstance(one, int))


def _replaced(text: str, old: str = "", new: str = "") -> int:
    """The characters that a replacement adds at the most."""
    return (len(text) + 1 if not old else text.count(old)) * len(new)
