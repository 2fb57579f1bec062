"""Costs of operators, methods and filters in steps of work, known before the work is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from jinja2 import pass_environment
from jinja2.filters import make_attrgetter

CHARACTERS = 8
"""Characters of text that one step handles. The slowest filters take as long for them as a loop for one turn."""
MOST_BITS = 10_000
"""Most bits of a whole number, about 3,000 digits. Up to this size, each operator on numbers takes one step."""
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
"""Methods that may compare each character of the text with each character that they look for."""
METHODS: Mapping[type, frozenset[str]] = {
    str: _TEXT,
    dict: frozenset({"copy", "get", "items", "keys", "values"}),
    list: frozenset({"copy", "count", "index"}),
    tuple: frozenset({"count", "index"}),
    range: frozenset({"count", "index"}),
    int: frozenset({"bit_length"}),
    float: frozenset({"is_integer"}),
}
"""The methods that templates may call. The cost of any other method is not known, so it is refused."""


Payment = Callable[[Any, Sequence[Any], Mapping[str, Any]], None]
"""Pays from a purse for a filter or test, by its arguments in order and its arguments by name."""


class Purse(Protocol):
    """The steps of a rendering, from which its work is paid."""

    def spend(self, steps: int) -> bool:
        """Take steps, and return True. Raises if too few are left."""
        ...

    def weigh(self, value: object) -> None:
        """Pay for a value and everything within it."""
        ...

    def counted(self, value: object) -> object:
        """Pay for a text's characters or a list's items, and return the value."""
        ...


def of_text(length: int) -> int:
    """Return the steps that text of a length costs."""
    return 1 + length // CHARACTERS


def widths(text: str) -> int:
    """Return the sum of the numbers in a format. No width or precision in it is larger."""
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
    """Pay for the text that `%` writes: the width of each field, and a named value each time it is used."""
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
    """Pay for all arguments, for a filter that reads or compares the texts within them."""
    purse.weigh(values)
    purse.weigh(named)


def _pay_once(purse: Purse, *_: object) -> None:
    """Pay one step, for a filter that looks at one item or none."""
    purse.spend(1)


def _pay_for_items(purse: Purse, values: Sequence[Any], _: object) -> None:
    """Pay for each item but not for the values within it. Later uses of an item pay for those."""
    purse.spend(1 + _length(values[0]))


def _pay_for_portions(purse: Purse, values: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Pay for each item, and for the items that fill up the last portion."""
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
    """Return the values that a filter compares."""
    if isinstance(values, dict):
        return [*values, *values.values()]
    if attribute is None:
        return list(values)
    getters = [make_attrgetter(environment, one) for one in {attribute, *attribute.split(",")}]
    return [get(value) for value in values for get in getters]


def _pay_for_order(purse: Purse, values: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Pay for each key once. Comparing keys again while sorting is fast beside that."""
    purse.spend(1 + _length(values[0]))
    attribute = next((one for one in (*values[1:], *named.values()) if isinstance(one, str)), None)
    purse.weigh(_keys(purse, values[0], attribute))


@pass_environment
def add_up(environment: Any, iterable: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
    """Return the sum as Jinja2's `sum` does, but have each addition pay for its result."""
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
"""Payments of the filters that pay for less or more than all of their arguments."""


def _bits(operator: str, left: float, right: float) -> int:
    """Return the most bits that the result of an operator may have, or 0 if it is no larger than its parts."""
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
    """Return the sum of the whole numbers among values. No width or count is larger."""
    return sum(max(0, one) for one in values if isinstance(one, int))


def _replaced(text: str, old: str = "", new: str = "") -> int:
    """Return the most characters that a replacement adds."""
    return (len(text) + 1 if not old else text.count(old)) * len(new)
