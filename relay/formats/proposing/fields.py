"""The fields of a payload that nobody knows, and the list or object in it that is an alert."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from relay.formats.contract import as_text
from relay.formats.proposing import names

MAX_DEPTH = 8
MOST_FIELDS = 500
MOST_ITEMS = 100
"""Items of a list in which a value is looked for, to see whether all of them share it."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Field(msgspec.Struct, frozen=True):
    """A value of a payload: the expression that selects it, its name in words, and that of the object around it.

    `shared`: all items of the list have this value, else `others` are those of the other items. `outer`: it stands
    beside the list.
    """

    path: str
    name: str
    parent: str
    depth: int
    value: Any
    shared: bool = False
    others: tuple[Any, ...] = ()
    outer: bool = False

    @property
    def text(self) -> str:
        """Return the value as text, without space around it."""
        return as_text(self.value).strip()

    @property
    def home(self) -> str:
        """Return the expression of the object that the field belongs to, or an empty text."""
        return self.path.rpartition(".")[0]

    @property
    def is_label(self) -> bool:
        """Return whether the value can be a label, or a part of a key."""
        known = not isinstance(self.value, bool) and self.value is not None
        return known and 0 < len(self.text) <= 100 and "\n" not in self.text

    @property
    def words(self) -> list[str]:
        """Return the different values of all items as texts."""
        return list(dict.fromkeys(text for one in (self.value, *self.others) if (text := as_text(one).strip())))


def best(fields: Sequence[Field], rank: Callable[[Field], tuple[float, ...] | None]) -> Field | None:
    """Return the field with the lowest rank, and of equals the least nested one."""
    ranked = [(found, one.outer, one.depth, number) for number, one in enumerate(fields) if (found := rank(one))]
    return fields[min(ranked)[3]] if ranked else None


class Item(msgspec.Struct, frozen=True):
    """The part of a payload that is an alert: the expression of its list, or None, and its fields."""

    each: str | None
    fields: tuple[Field, ...]


def find_item(payload: Any) -> Item:
    """Return the part of a payload that is an alert."""
    if isinstance(payload, list):
        items = [one for one in payload[:MOST_ITEMS] if isinstance(one, dict)]
        return Item(None, _of_list(items) if items else _of_texts(payload))
    found = plain_fields(payload)
    lists = sorted(_lists(payload, "", 0), key=lambda one: (names.stem(one[0]) not in names.ALERTS, one[1].count(".")))
    for name, path, items in lists:
        inner = _of_list(items)
        if _is_the_alert(name, inner, found):
            outer = [msgspec.structs.replace(one, path=f"_payload.{one.path}", outer=True) for one in found]
            return Item(path, (*inner, *outer))
    if any(one.text for one in found):
        return Item(None, found)
    return Item(lists[0][1], _of_list(lists[0][2])) if lists else _without_fields(payload)


def _without_fields(payload: Any) -> Item:
    """Return the first list of texts in an object, else the object with the first value of each list."""
    inner = payload if isinstance(payload, dict) else {}
    lists = [(quoted(name), value) for name, value in inner.items() if isinstance(value, list) and value]
    found = [Item(path, texts) for path, value in lists if (texts := _of_texts(value))]
    return found[0] if found else Item(None, tuple(_first(path, value) for path, value in lists))


def _first(path: str, value: Any) -> Field:
    at = path
    while isinstance(value, list) and value:
        at, value = f"{at}[0]", value[0]
    return Field(at, names.plain(path), "", 0, None if isinstance(value, (dict, list)) else value)


def _of_texts(items: Sequence[Any]) -> tuple[Field, ...]:
    """Return the one field of a list of texts: the text itself."""
    texts = [one for one in items[:MOST_ITEMS] if isinstance(one, str) and one.strip()]
    return (Field("@", "text", "", 0, texts[0], others=tuple(texts[1:])),) if texts else ()


def plain_fields(value: Any) -> tuple[Field, ...]:
    """Return all values of an object but lists, with those of objects and of JSON texts within."""
    return tuple(islice(_fields(value, "", "", 0), MOST_FIELDS))


def _is_the_alert(name: str, inner: Sequence[Field], outer: Sequence[Field]) -> bool:
    """Return whether the items of a list are the alerts, rather than the object around it."""
    kind = names.stem(name)
    is_batch = kind in names.ALERTS or kind in names.BATCHES
    telling = any(one.name in names.TELLING or one.name in names.SUBJECTS for one in inner)
    best = min((rank for one in outer if (rank := names.title_rank(one.name, one.parent)) is not None), default=None)
    if not any(names.title_rank(one.name, one.parent) is not None for one in inner):
        return is_batch and best is None and telling
    if kind in names.ALERTS:
        return best is None or telling
    return best is None or (best >= names.WEAK and is_batch)


def _lists(value: Any, path: str, depth: int) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Yield the lists of objects in an object, two levels deep: the name, the expression, the first items."""
    for name, inner in value.items() if isinstance(value, dict) else ():
        at = f"{path}.{quoted(name)}" if path else quoted(name)
        if isinstance(inner, list) and inner and all(isinstance(one, dict) for one in inner[:MOST_ITEMS]):
            yield names.plain(name), at, inner[:MOST_ITEMS]
        elif depth < 2:
            yield from _lists(inner, at, depth + 1)


def _of_list(items: Sequence[dict[str, Any]]) -> tuple[Field, ...]:
    """Return the fields of the first item, each with its values in the other items."""
    others = [{one.path: one.value for one in plain_fields(item)} for item in items[1:]]
    found = []
    for one in plain_fields(items[0]):
        values = tuple(item.get(one.path) for item in others)
        shared = bool(values) and all(value == one.value for value in values)
        found.append(msgspec.structs.replace(one, shared=shared, others=values))
    return tuple(found)


def _fields(value: Any, path: str, parent: str, depth: int) -> Iterator[Field]:
    if not isinstance(value, Mapping) or depth > MAX_DEPTH:
        return
    for name, inner in value.items():
        at = f"{path}.{quoted(name)}" if path else quoted(name)
        if isinstance(inner, Mapping):
            yield from _fields(inner, at, names.plain(name), depth + 1)
        elif isinstance(inner, str) and isinstance(opened := _opened(inner), Mapping):
            yield from _fields(opened, f"json({at})", names.plain(name), depth + 1)
        elif not isinstance(inner, list):
            yield Field(at, names.plain(name), parent, depth, inner)


def _opened(text: str) -> Any:
    if text.lstrip()[:1] != "{":
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def quoted(name: str) -> str:
    """Return a name as an expression."""
    return name if _PLAIN.fullmatch(name) else msgspec.json.encode(name).decode()
