"""The proposal of a mapping, with remarks on all that is a guess."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from relay.core.markdown import middle
from relay.core.severity import severity_of
from relay.formats.mapping import MappingSettings
from relay.formats.proposing import choosing, keys
from relay.formats.proposing.fields import Field, Item, find_item
from relay.formats.statuses import status_of

MOST_LABELS = 6
MOST_LINKS = 2
MOST_WORDS = 8
"""Words of one field that a proposal guesses the meaning of."""
MOST_NAMED = 12
"""Fields that the last remark names as not used."""


class Proposal(msgspec.Struct, frozen=True):
    """A mapping that is likely to read a payload, and sentences on what is a guess or was not found."""

    settings: MappingSettings
    remarks: tuple[str, ...]


def propose(payload: Any) -> Proposal | None:
    """Return a mapping that is likely to read a payload, or None if there is no value in it."""
    item = find_item(payload)
    if not any(one.text for one in item.fields):
        return None
    remarks: list[str] = []
    title, named = _title(item, remarks)
    status, statuses, status_field = _status(item, title, remarks)
    severity = choosing.severity(item.fields, status_field)
    if status is None:
        remarks.append(_without_status(severity, choosing.number(item.fields)))
    severities = _severities(severity, remarks)
    key = _key(item, title, status_field, remarks, is_alert=status is not None)
    at = choosing.time(item.fields)
    if at is None:
        remarks.append("no time was found: the time of arrival is used")
    used = {one.path for one in (title, status_field, severity, at) if one is not None}
    body = choosing.body(item.fields, used)
    used |= {body.path} if body is not None else set()
    settings = MappingSettings(
        title=_titled(item, title, is_text=named or (title is not None and " " in title.text)),
        each=item.each,
        body=None if body is None else body.path,
        status=status,
        statuses=statuses,
        severity=None if severity is None else severity.path,
        severities=severities,
        key=key,
        occurred_at=None if at is None else at.path,
        labels=choosing.labels(item.fields, used, MOST_LABELS),
        links=choosing.links(item.fields, MOST_LINKS),
    )
    return Proposal(settings, (*remarks, *_unused(item, settings)))


def _title(item: Item, remarks: list[str]) -> tuple[Field | None, bool]:
    found, named = choosing.title(item.fields)
    if found is None:
        remarks.append("title: no text was found; write one, with what the person at night has to know")
    elif not named:
        remarks.append(f"title: {found.path} is a guess, since no field is called title, summary, message or the like")
    return found, named


def _titled(item: Item, title: Field | None, *, is_text: bool) -> str:
    """Return the expression of a title; without a text, the place and a word for what happened, else any value."""
    subject = choosing.subject(item.fields)
    places = keys.identities(item.fields)[:1] or ([] if title is None else [title])
    if subject is not None and subject not in places and places and not is_text:
        return _joined(": ", [*places, subject])
    if title is not None:
        return title.path
    one = next((one for one in item.fields if one.text and one.value is not False), None)
    if one is None:
        return "'an alert'"
    said = re.sub(r"[^\w .:-]", " ", one.name)
    return f"join(' ', ['{said}', to_string({one.path})])"


def _joined(glue: str, parts: Sequence[Field]) -> str:
    """Return an expression that joins fields, of which some may be absent at another time."""
    written = [f"{one.path} || ''" if isinstance(one.value, str) else f"to_string({one.path})" for one in parts]
    return written[0].removesuffix(" || ''") if len(written) == 1 else f"join('{glue}', [{', '.join(written)}])"


def _status(item: Item, title: Field | None, remarks: list[str]) -> tuple[str | None, dict[str, str], Field | None]:
    """Return the expression of the status, the meanings of words that nobody knows, and the field."""
    found, known = choosing.status(item.fields)
    flag = choosing.status_flag(item.fields)
    if found is not None and known and (flag is None or not choosing.is_kind(found)):
        others = dict.fromkeys(_unplaced(found, status_of), "firing")
        if others:
            remarks.append(f"statuses: could not be placed, so it is a guess: {', '.join(others)} mean firing")
        if choosing.is_kind(found):
            why = f"{middle(found.text, 40)!r} may be the kind of the event"
            remarks.append(f"status: {found.path} is a guess, since {why}; try the payload of an end too")
        return found.path, others, found
    if flag is not None:
        remarks.append(f"status: taken from {flag[1]}, which is a guess; try the payload of an end too")
        return flag[0], {}, None
    if title is not None and (bracket := choosing.bracket(title)) is not None:
        remarks.append("status: taken from the bracket of the title, which is a guess; try the payload of an end too")
        return bracket, {}, None
    if found is not None:
        guesses = {word: choosing.meaning(word) for word in _unplaced(found, status_of)}
        shown = ", ".join(f"{word!r}: {guess}" for word, guess in guesses.items())
        remarks.append(f"statuses: could not be placed, so it is a guess: {shown}. Add the word that ends the alert")
        return found.path, {word: str(guess) for word, guess in guesses.items()}, found
    return None, {}, None


def _without_status(severity: Field | None, number: Field | None) -> str:
    """Return the remark on a payload without a status, and what to write if another field says how things are."""
    lack = "no status was found: each item is a notice, and nothing fires or ends"
    if number is not None:
        return (
            f"{lack}; if {number.path} is one, write `status: {number.path}` and what {number.text} means in `statuses`"
        )
    if severity is None or severity.text.replace(".", "", 1).isdecimal():
        return lack
    return f"{lack}; if the severity says OK or the like at the end, write `status: {severity.path}`"


def _severities(severity: Field | None, remarks: list[str]) -> dict[str, str]:
    """Return the meaning of a word that nobody knows, as a guess."""
    if severity is None:
        remarks.append("no severity was found: the source's default is used")
        return {}
    words = [word for word in _unplaced(severity, severity_of) if word]
    if words:
        shown = ", ".join(repr(word) for word in words)
        remarks.append(f"severities: {shown} could not be placed; warning is a guess. Add the other words too")
    return dict.fromkeys(words, "warning")


def _unplaced(field: Field, known: Callable[[str], object]) -> list[str]:
    """Return the words of all items that nobody knows, and the numbers, of which nobody knows what they mean."""
    found = [word[:60] for word in field.words if word.isdecimal() or known(word.lower()) is None]
    return found[:MOST_WORDS]


def _key(item: Item, title: Field | None, status: Field | None, remarks: list[str], *, is_alert: bool) -> str | None:
    """Return the expression of the key: an id, else the fields that say where it is and what is watched."""
    found, named = keys.choose(item.fields, title, status)
    if found is not None:
        if not named:
            remarks.append(
                f"key: {found.path} is a guess; it must be the same for an alert and its end, and for no other"
            )
        place = keys.place_of(found, item.fields)
        return _joined("/", [found] if place is None else [found, place])
    parts = keys.instead_of_an_id(item.fields, title, is_alert=is_alert)
    if parts:
        remarks.append("key: no id of an alert was found; the place and what is watched are a guess")
        return _joined("/", parts)
    remarks.append("no key was found: a resolved event can't be matched with its firing one")
    return None


def _unused(item: Item, settings: MappingSettings) -> list[str]:
    """Return a remark that names the fields with a value that the proposal does not use."""
    given = msgspec.to_builtins(settings)
    written = " ".join(
        str(one) for value in given.values() for one in (value.values() if isinstance(value, dict) else [value])
    )
    told = [one for one in item.fields if one.text and not one.outer]
    left = [
        middle(one.path, 60) for one in told if not re.search(rf'(?<![\w."]){re.escape(one.path)}(?![\w.])', written)
    ]
    if not left:
        return []
    more = f", and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
    return [f"not used: {', '.join(left[:MOST_NAMED])}{more}"]
