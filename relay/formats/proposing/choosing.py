"""Choosing the field of a payload that is likeliest an event's title, status, severity, key and so on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from relay.core.event import Status
from relay.core.severity import NO_TROUBLE, severity_of
from relay.formats.proposing import names
from relay.formats.proposing.fields import Field, best
from relay.formats.reading import moment
from relay.formats.statuses import is_status, status_of

LONGEST_TITLE = 200
_CONSTANT = re.compile(r"[A-Z0-9_.:-]+|[a-z0-9]+(?:[_.][a-z0-9]+)+|[0-9a-fA-F-]{16,}")
"""A word of a program rather than of a person."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DATE_ALONE = re.compile(r"\d{4}[-./]\d\d[-./]\d\d")
_BRACKET = re.compile(r"\[([A-Za-z ]{2,20})(?::\d+)?\]")


def is_words(one: Field) -> bool:
    """Return whether a value is a text that a person reads: no address, time, or word of a program."""
    text = one.text
    if not isinstance(one.value, str) or len(text) < 2 or text.startswith(("http://", "https://", "{")):
        return False
    return not (_DATE.match(text) or _CONSTANT.fullmatch(text) or moment(text) is not None)


def is_title(one: Field) -> bool:
    """Return whether a value can stand in one line as a title."""
    return isinstance(one.value, str) and "\n" not in one.text and 0 < len(one.text) <= LONGEST_TITLE


def title(fields: Sequence[Field]) -> tuple[Field | None, bool]:
    """Return the field that is likeliest the title, and whether it is known by its name."""

    def by_name(one: Field) -> tuple[float, ...] | None:
        rank = names.title_rank(one.name, one.parent)
        named = rank is not None and is_title(one) and not one.outer and not one.text.startswith(("http", "{"))
        # a name alone may be a word of a program: `disk_full`. A text may not
        if rank is None or not named or not (is_words(one) or one.name.endswith("name") or rank < 1):
            return None
        return (names.NOTHING_SAID if names.says_nothing(one.text) else rank,)

    def by_value(one: Field) -> tuple[float, ...] | None:
        if not is_title(one) or not is_words(one) or one.outer or names.is_id(one.name) or is_status(one.text):
            return None
        weak = names.near(one.name, names.GUESSES)
        is_name = one.name.endswith("name")
        return (
            " " not in one.text and not is_name,
            len(names.GUESSES) * 2 if weak is None else weak,
            -one.text.count(" "),
        )

    found = best(fields, by_name)
    return (found, True) if found is not None else (best(fields, by_value), False)


def status(fields: Sequence[Field]) -> tuple[Field | None, bool]:
    """Return the field that is likeliest the status, and whether its word is known."""
    moved = {one.partition("_")[2] for each in fields for one in (each.name, each.parent) if names.is_before(one)}

    def strong(one: Field) -> tuple[float, ...] | None:
        name = names.meant(one.name, one.parent)
        place = names.near(name, names.STATUSES)
        if place is None or names.is_before(one.name) or names.is_before(one.parent):
            return None
        # of several, the one that the payload tells the state before of
        return (0, not any(name == stem or name.endswith(f"_{stem}") for stem in moved), place)

    def known(one: Field) -> tuple[float, ...] | None:
        if not isinstance(one.value, str) or names.is_before(one.name) or status_of(one.text) is None:
            return None
        if (found := strong(one)) is not None:
            return (*found, status_of(one.text) != "firing")
        # of other names only a word that speaks of an event: `alert.fired`, `RECOVERY`, but not `info`
        weak = names.near(one.name, names.ACTIONS)
        if weak is None or status_of(one.text) == "notice" or not names.is_change(one.text, one.name):
            return None
        return (1, 0, weak, False)

    def unknown(one: Field) -> tuple[float, ...] | None:
        words = isinstance(one.value, str) and 0 < len(one.text) <= 40 and not one.text.isdecimal()
        return strong(one) if words else None

    found = best(fields, known)
    return (found, True) if found is not None else (best(fields, unknown), False)


def number(fields: Sequence[Field]) -> Field | None:
    """Return a status that is a number, of which nobody knows what it means."""

    def rank(one: Field) -> tuple[float, ...] | None:
        known = one.name in names.STATUSES and not isinstance(one.value, bool) and one.text.isdecimal()
        return (names.STATUSES.index(one.name),) if known and len(one.text) < 3 else None

    return best(fields, rank)


def is_kind(status: Field) -> bool:
    """Return whether the status may be no more than the kind of the event, by its name and its word."""
    named = names.near(names.meant(status.name, status.parent), names.STATUSES) is not None
    return not named and names.is_kind(status.text)


def status_flag(fields: Sequence[Field]) -> tuple[str, str] | None:
    """Return an expression that tells the status from a flag or the time of an end, and the field that it reads."""
    for one in fields:
        if isinstance(one.value, bool) and one.name.removeprefix("is_") in names.ENDED:
            return f"{one.path} && 'resolved' || 'firing'", one.path
        if isinstance(one.value, bool) and one.name.removeprefix("is_") in names.FIRING:
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
        name = names.meant(one.name, one.parent)
        word, place = one.text.lower(), names.near(name, names.SEVERITIES)
        if (
            names.is_before(one.name)
            or names.is_before(one.parent)
            or isinstance(one.value, bool)
            or not 0 < len(word) <= 60
        ):
            return None
        known = None if word.isdecimal() else severity_of(word)
        if known is None:
            last = name.rpartition("_")[2]
            named = name in names.SEVERITIES or last in ("severity", "criticality", "priority")
            return ((1 if place < 2 else 3), place) if place is not None and named and one is not taken else None
        if place is None:
            is_kind = one.name in ("type", "alert_type") or (one is taken and status_of(word) == "firing")
            trouble = word not in NO_TROUBLE and word not in ("alert", "info", "notification")
            return (0, 100) if is_kind and trouble else None
        return (2 if word in NO_TROUBLE else 0, place)

    return best(fields, rank)


def time(fields: Sequence[Field]) -> Field | None:
    """Return the field that is likeliest the time at which it happened."""

    def rank(one: Field) -> tuple[float, ...] | None:
        found = names.time_rank(one.name, one.parent)
        if isinstance(one.value, bool) or one.value is None or moment(one.value) is None:
            return None
        # a date alone has its time of day elsewhere
        return (bool(_DATE_ALONE.fullmatch(one.text)), found) if found is not None else None

    return best(fields, rank)


def body(fields: Sequence[Field], used: set[str]) -> Field | None:
    """Return the field that is likeliest the body, else the longest text of some words."""

    def rank(one: Field) -> tuple[float, ...] | None:
        if one.path in used or one.outer or not is_words(one):
            return None
        place = names.near(one.name, names.BODIES)
        if place is not None:
            return (0, place)
        return (1, -len(one.text)) if one.text.count(" ") >= 3 else None

    return best(fields, rank)


def labels(fields: Sequence[Field], used: set[str], most: int) -> dict[str, str]:
    """Return labels by name: places, services and the like, each value once."""
    found: dict[str, Field] = {}
    for one in fields:
        name = one.parent if one.name == "name" else one.name
        if names.bare(name, "") in names.LABELS and one.path not in used and one.is_label:
            found.setdefault(name, one)
    values: dict[str, str] = {}
    for name, one in sorted(found.items(), key=lambda pair: names.LABELS.index(names.bare(pair[0], ""))):
        values.setdefault(one.text, name)
    return {name: found[name].path for name in list(values.values())[:most]}


def links(fields: Sequence[Field], most: int) -> dict[str, str]:
    """Return links by name."""
    found = [one for one in fields if one.text.startswith(("http://", "https://"))]
    found = [one for one in found if not any(word in one.name for word in names.NO_LINKS)]
    found.sort(key=lambda one: (one.outer, _place(names.near(one.name, names.LINKS)), one.depth))
    return {_spoken(one): one.path for one in found[:most]}


def subject(fields: Sequence[Field]) -> Field | None:
    """Return the field with a word for what happened, for payloads without a text."""

    def rank(one: Field) -> tuple[float, ...] | None:
        known = isinstance(one.value, str) and one.is_label and not one.outer and one.name in names.SUBJECTS
        return (names.SUBJECTS.index(one.name),) if known and not names.says_nothing(one.text) else None

    return best(fields, rank)


def meaning(word: str) -> Status:
    """Return the status that a word nobody knows is guessed to mean."""
    return "notice" if word.lower() in ("unknown", "pending", "none") else "firing"


def _place(place: int | None) -> int:
    return 1_000 if place is None else place


def _spoken(one: Field) -> str:
    name = one.parent if one.name in ("url", "link", "href") and one.parent else one.name
    return name.removesuffix("_url").removesuffix("_link").replace("_", " ").capitalize() or "Link"
