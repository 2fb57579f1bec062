"""Choosing the field of a payload that is likeliest an event's title, status, severity, key and so on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from relay.core.event import Status
from relay.core.severity import NO_TROUBLE, severity_of
from relay.formats.proposing import names
from relay.formats.proposing.fields import Field
from relay.formats.reading import moment
from relay.formats.statuses import is_status, status_of

LONGEST_TITLE = 200
_BESIDE = 3
"""The rank of an id that is a key only because it stands with the status."""
_CONSTANT = re.compile(r"[A-Z0-9_.:-]+|[a-z0-9]+(?:[_.][a-z0-9]+)+|[0-9a-fA-F-]{16,}")
"""A word of a program rather than of a person."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_BRACKET = re.compile(r"\[([A-Za-z ]{2,20})(?::\d+)?\]")


def _best(fields: Sequence[Field], rank: Callable[[Field], tuple[float, ...] | None]) -> Field | None:
    """Return the field with the lowest rank, and of equals the least nested one."""
    ranked = [(found, one.outer, one.depth, number) for number, one in enumerate(fields) if (found := rank(one))]
    return fields[min(ranked)[3]] if ranked else None


def is_words(one: Field) -> bool:
    """Return whether a value is a text that a person reads: no address, time, or word of a program."""
    text = one.text
    if not isinstance(one.value, str) or len(text) < 2 or text.startswith(("http://", "https://", "{")):
        return False
    return not (_DATE.match(text) or _CONSTANT.fullmatch(text) or moment(text) is not None)


def is_title(one: Field) -> bool:
    """Return whether a value can stand in one line as a title."""
    return isinstance(one.value, str) and "\n" not in one.text and 1 < len(one.text) <= LONGEST_TITLE


def title(fields: Sequence[Field]) -> tuple[Field | None, bool]:
    """Return the field that is likeliest the title, and whether it is known by its name."""

    def by_name(one: Field) -> tuple[float, ...] | None:
        rank = names.title_rank(one.name, one.parent)
        named = rank is not None and is_title(one) and not one.outer and not one.text.startswith(("http", "{"))
        # a name alone may be a word of a program: `disk_full`. A text may not
        return (
            (rank,) if rank is not None and named and (is_words(one) or one.name.endswith("name") or rank < 1) else None
        )

    def by_value(one: Field) -> tuple[float, ...] | None:
        if not is_title(one) or not is_words(one) or one.outer or names.is_id(one.name):
            return None
        weak = names.near(one.name, names.GUESSES)
        is_name = one.name.endswith("name")
        return (
            " " not in one.text and not is_name,
            len(names.GUESSES) * 2 if weak is None else weak,
            -one.text.count(" "),
        )

    found = _best(fields, by_name)
    return (found, True) if found is not None else (_best(fields, by_value), False)


def status(fields: Sequence[Field]) -> tuple[Field | None, bool]:
    """Return the field that is likeliest the status, and whether its word is known."""

    def known(one: Field) -> tuple[float, ...] | None:
        if not isinstance(one.value, str) or names.is_before(one.name) or status_of(one.text) is None:
            return None
        strong, weak = names.near(one.name, names.STATUSES), names.near(one.name, names.ACTIONS)
        if strong is not None:
            return (0, strong)
        # of other names only a word that speaks of an event: `alert.fired`, `RECOVERY`, but not `info`
        if weak is None or status_of(one.text) == "notice" or (one.name in names.KINDS and not is_status(one.text)):
            return None
        return (1, weak)

    def unknown(one: Field) -> tuple[float, ...] | None:
        strong = None if names.is_before(one.name) else names.near(one.name, names.STATUSES)
        words = isinstance(one.value, str) and 0 < len(one.text) <= 40 and not one.text.isdecimal()
        return None if strong is None or not words else (strong,)

    found = _best(fields, known)
    return (found, True) if found is not None else (_best(fields, unknown), False)


def status_flag(fields: Sequence[Field]) -> tuple[str, str] | None:
    """Return an expression that tells the status from a flag or the time of an end, and the field that it reads."""
    for one in fields:
        if isinstance(one.value, bool) and one.name in names.ENDED:
            return f"{one.path} && 'resolved' || 'firing'", one.path
        if isinstance(one.value, bool) and one.name in names.FIRING:
            return f"{one.path} && 'firing' || 'resolved'", one.path
    for one in fields:
        if one.name in names.END_TIMES and (one.value is None or moment(one.value) is not None):
            return f"{one.path} && 'resolved' || 'firing'", one.path
    return None


def bracket(one: Field) -> str | None:
    """Return an expression that tells the status from the bracket in front of a title: `[FIRING] disk full`."""
    found = _BRACKET.match(one.text)
    if found is None or status_of(found[1]) not in ("firing", "resolved"):
        return None
    ends = "".join(f" || starts_with({one.path}, '[{word}')" for word in ("OK", "RECOVERED"))
    return f"(starts_with({one.path}, '[RESOLVED'){ends}) && 'resolved' || 'firing'"


def severity(fields: Sequence[Field], taken: Field | None) -> Field | None:
    """Return the field that is likeliest the severity; `taken` is that of the status, which may say both."""

    def rank(one: Field) -> tuple[float, ...] | None:
        word, place = one.text.lower(), names.near(one.name, names.SEVERITIES)
        if names.is_before(one.name) or isinstance(one.value, bool) or not 0 < len(word) <= 60:
            return None
        known = None if word.isdecimal() else severity_of(word)
        if known is None:
            named = one.name in names.SEVERITIES or one.name.rpartition("_")[2] in (
                "severity",
                "criticality",
                "priority",
            )
            return ((1 if place < 2 else 3), place) if place is not None and named and one is not taken else None
        if place is None:
            is_kind = one.name in ("type", "alert_type") or (one is taken and status_of(word) == "firing")
            trouble = word not in NO_TROUBLE and word not in ("alert", "info", "notification")
            return (0, 100) if is_kind and trouble else None
        return (2 if word in NO_TROUBLE else 0, place)

    return _best(fields, rank)


def key(fields: Sequence[Field], status: Field | None) -> tuple[Field | None, int]:
    """Return the field that is likeliest the key, and how likely: 0 and 1 are known by their names, others guessed.

    An id that stands with the `status` is that of the thing whose status it is: `site_id` beside `site_state`.
    """
    beside = {"id"} if status is not None and status.parent else set()
    beside |= {f"{status.name.rpartition('_')[0]}_id"} if status is not None and "_" in status.name else set()

    def rank(one: Field) -> tuple[float, ...] | None:
        found = None if one.shared or one.outer else names.key_rank(one.name, one.parent)
        if found is None and status is not None and one.name in beside and not one.shared and not one.outer:
            found = _BESIDE if one.path.rpartition(".")[0] == status.path.rpartition(".")[0] else None
        short = isinstance(one.value, (str, int)) and not isinstance(one.value, bool) and 0 < len(one.text) <= 200
        return (found,) if found is not None and short and not one.text.startswith(("http://", "https://")) else None

    found = _best(fields, rank)
    rank_of = None if found is None else names.key_rank(found.name, found.parent)
    return found, _BESIDE if rank_of is None else rank_of


def identities(fields: Sequence[Field]) -> list[Field]:
    """Return the fields that together say where it is and what is watched: at most three."""

    def about(one: Field) -> str:
        return one.parent if one.name in ("name", "id") else one.name

    found = [one for one in fields if about(one) in names.IDENTITIES and _is_label(one)]
    found.sort(key=lambda one: names.IDENTITIES.index(about(one)))
    kept = {one.text: one for one in reversed(found)}
    return [one for one in found if kept[one.text] is one][:3]


def time(fields: Sequence[Field]) -> Field | None:
    """Return the field that is likeliest the time at which it happened."""

    def rank(one: Field) -> tuple[float, ...] | None:
        found = names.time_rank(one.name, one.parent)
        if isinstance(one.value, bool) or one.value is None or moment(one.value) is None:
            return None
        return (found,) if found is not None else None

    return _best(fields, rank)


def body(fields: Sequence[Field], used: set[str]) -> Field | None:
    """Return the field that is likeliest the body, else the longest text of some words."""

    def rank(one: Field) -> tuple[float, ...] | None:
        if one.path in used or one.outer or not is_words(one):
            return None
        place = names.near(one.name, names.BODIES)
        if place is not None:
            return (0, place)
        return (1, -len(one.text)) if one.text.count(" ") >= 3 else None

    return _best(fields, rank)


def labels(fields: Sequence[Field], used: set[str], most: int) -> dict[str, str]:
    """Return labels by name: places, services and the like, each value once."""
    found: dict[str, Field] = {}
    for one in fields:
        name = one.parent if one.name == "name" else one.name
        if name in names.LABELS and one.path not in used and _is_label(one):
            found.setdefault(name, one)
    values: dict[str, str] = {}
    for name, one in sorted(found.items(), key=lambda pair: names.LABELS.index(pair[0])):
        values.setdefault(one.text, name)
    return {name: found[name].path for name in list(values.values())[:most]}


def links(fields: Sequence[Field], most: int) -> dict[str, str]:
    """Return links by name."""
    found = [one for one in fields if one.text.startswith(("http://", "https://"))]
    found = [one for one in found if not any(word in one.name for word in names.NO_LINKS)]
    found.sort(key=lambda one: (one.outer, _place(names.near(one.name, names.LINKS)), one.depth))
    return {_spoken(one): one.path for one in found[:most]}


def meaning(word: str) -> Status:
    """Return the status that a word nobody knows is guessed to mean."""
    return "notice" if word.lower() in ("unknown", "pending", "none") else "firing"


def _place(place: int | None) -> int:
    return 1_000 if place is None else place


def _is_label(one: Field) -> bool:
    return (
        not isinstance(one.value, bool) and one.value is not None and 0 < len(one.text) <= 100 and "\n" not in one.text
    )


def _spoken(one: Field) -> str:
    name = one.parent if one.name in ("url", "link", "href") and one.parent else one.name
    return name.removesuffix("_url").removesuffix("_link").replace("_", " ").capitalize() or "Link"
