"""Choosing the key of an alert: an id that it keeps until its end, and that no other alert has."""

from __future__ import annotations

import re
from collections.abc import Sequence

from relay.formats.proposing import names
from relay.formats.proposing.fields import Field, best

_KEYS = ("fingerprint", "incident_key", "alert_key", "aggregation_key")
"""Names that promise to be the same for an alert and its end, as those with `dedup` and of a series do."""
_SERIES = frozenset(("correlation", "series", "episode"))
_IDS = ("id", "uid", "uuid", "guid", "number", "identifier", "key", "alias", "code")
_ADDRESSES = ("uri", "arn", "urn", "dn", "fdn")
"""Names of an address, which is an id if it stands with the title."""
_KINDS = frozenset(("type", "category", "class", "template", "profile", "severity", "source", "level"))
"""Things of an alert whose id is shared by all alerts of the same kind."""
_RECIPES = names.CHECKS | {"definition", "config", "configuration", "setting"}
"""Things that may watch many places: their id alone is not enough."""
_WRAPPERS = frozenset(("attribute", "data", "detail", "payload", "content"))
"""Objects that only wrap the alert."""
_JOINED = re.compile(rf"^({'|'.join(sorted(names.ALERTS | names.THINGS | names.BATCHES | names.STRANGERS))})id$")
"""A name that is written without a joint: `alertid`."""
_ADDRESSED = names.CHECKS | {"site"}
"""Things that are known by their address."""
_NAMED, _ALERT, _ALONE, _GUESS = range(4)
"""Ranks: promises to be a key; the id of an alert; an id alone; the id of what is watched, or another id."""


def rank_of(name: str, parent: str) -> int | None:
    """Return how likely a name is that of an alert's key, or None: for the sender's ids, secrets and shared ones."""
    name = _JOINED.sub(r"\1_id", name)
    first, _, last = name.rpartition("_")
    words = set(first.split("_")) if first else set()
    if name in _KEYS or words & _SERIES or name.startswith("dedup"):
        return _NAMED
    if last not in _IDS and not name.endswith("id"):
        return None
    return _rank_of_id(name, last, {names.stem(one) for one in words}, names.stem(first or parent), parent)


def _rank_of_id(name: str, last: str, words: set[str], head: str, parent: str) -> int | None:
    about = words or {head} - {""}
    if head in _KINDS or (about & names.ALERTS and head in names.STRANGERS - {"group", "instance"}):
        return None
    if head in _RECIPES - {"event"}:
        return _GUESS
    if about & names.ALERTS and last in _IDS:
        return _ALERT
    if about & names.STRANGERS or (last == "code" and about) or name == "code":
        return None
    if name == "key":
        return _GUESS if parent else _NAMED
    if not about or about & _WRAPPERS:
        return _ALONE if last in _IDS else None
    if about & (names.THINGS | names.BATCHES):
        return _GUESS
    return _GUESS if last in ("id", "uuid", "guid", "key") and not parent else None


def choose(fields: Sequence[Field], title: Field | None, status: Field | None) -> tuple[Field | None, bool]:
    """Return the field that is likeliest the key, and whether it is known by its name.

    An id alone that stands neither with the title nor with the status is that of the delivery. An id that stands with
    the status is that of the thing whose status it is: `site_id` beside `site_state`.
    """
    homes = {_home(one) for one in (title, status) if one is not None}
    is_told_apart = len(identities(fields)) > 1

    def rank(one: Field) -> tuple[float, ...] | None:
        short = isinstance(one.value, (str, int)) and not isinstance(one.value, bool) and 0 < len(one.text) <= 200
        if one.shared or one.outer or not short or one.text.startswith(("http://", "https://")):
            return None
        found, at_home = rank_of(one.name, one.parent), _home(one) in homes
        if found == _ALONE and not at_home and homes:
            return None
        if found == _GUESS and status is None and _watched_by(one) not in _RECIPES - {"event"}:
            return None  # of a thing that has many events, of a delivery, or of a kind
        if found == _GUESS and is_told_apart and _watched_by(one) == "event":
            return None  # it may be that of a delivery
        if found is None and status is not None and one.home == status.home and _is_beside(one, status):
            found = _GUESS
        if found is None and title is not None and one.home == title.home and _may_be_id(one):
            found = _ALONE
        return (found,) if found is not None else None

    found = best(fields, rank)
    named = None if found is None else rank_of(found.name, found.parent)
    return found, named is not None and named <= _ALERT


def _home(one: Field) -> str:
    """Return the object that a field belongs to. `attributes` belong to the object around them (JSON:API)."""
    return one.home.removesuffix("attributes").rstrip(".")


def _is_beside(one: Field, status: Field) -> bool:
    about = status.name.rpartition("_")[0]
    return (one.name == "id" and status.parent != "") or (about != "" and one.name == f"{about}_id")


def _may_be_id(one: Field) -> bool:
    """Return whether a field that stands with the title is the id of the same thing."""
    return one.name in _ADDRESSES or (
        one.name in ("id", "uuid", "guid") and names.stem(one.parent) not in names.STRANGERS
    )


def _watched_by(one: Field) -> str:
    """Return what an id is the id of."""
    return names.stem(one.name.rpartition("_")[0] or one.parent)


def place_of(key: Field, fields: Sequence[Field]) -> Field | None:
    """Return the field with the place of an alert, if the key is the id of something that may watch many places."""
    if _watched_by(key) not in _RECIPES:
        return None
    return next((one for one in identities(fields) if names.bare(one.name, one.parent) in names.PLACES), None)


def identities(fields: Sequence[Field]) -> list[Field]:
    """Return the fields that together say where it is and what is watched: at most three."""

    def about(one: Field) -> str:
        return names.bare(one.name, one.parent)

    found = [one for one in fields if about(one) in names.IDENTITIES and one.is_label]
    found.sort(key=lambda one: names.IDENTITIES.index(about(one)))
    kept = {one.text: one for one in reversed(found)}
    return [one for one in found if kept[one.text] is one][:3]


def instead_of_an_id(fields: Sequence[Field], title: Field | None, *, is_alert: bool) -> list[Field]:
    """Return the fields that make a key without an id, or none. A place or a thing alone is one only of an alert.

    The name of an alert is a part of its key if that is the title. Without any of these it is the address of a check.
    """
    found = identities(fields)
    only_places = all(names.bare(one.name, one.parent) in names.PLACES for one in found)
    if not is_alert:
        return found if len(found) > 1 and not only_places else []
    if only_places and title is not None and title.name.endswith("name") and title.text not in [a.text for a in found]:
        found.append(title)
    if found and all(one.shared or one.outer for one in found):
        return []  # all items would have it
    return found or [one for one in fields if one.name == "url" and names.stem(one.parent) in _ADDRESSED][:1]
