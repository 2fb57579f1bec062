"""Silences: how they are made, changed and expired, with Alertmanager's rules (its API v2, `/silences`)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from relay.core.matching import BadMatcherError, parse_matchers
from relay.core.suppression import Silence

MOST_MATCHERS = 100
WITHIN = 0.001
"""Seconds by which two times may differ and still count as the same."""
LONGEST_TEXT = 1_000
"""Characters of an author or a comment."""


class BadSilenceError(ValueError):
    """A silence that is not valid; its text names the fault and the expected value."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A silence as somebody asks for it. Times are Unix seconds. Without `starts_at` it begins at once."""

    matchers: tuple[str, ...]
    ends_at: float
    created_by: str
    comment: str
    starts_at: float | None = None


def make_silence(wish: Wish, new_id: str, now: float) -> Silence:
    """Return a new silence. Raises `BadSilenceError`."""
    starts_at = round(
        max(now, wish.starts_at or now), 3
    )  # as the API shows it, so that a client can send it back unchanged
    _check(wish, starts_at, now)
    return Silence(
        id=new_id,
        matchers=_canonical(wish.matchers),
        starts_at=starts_at,
        ends_at=wish.ends_at,
        created_by=wish.created_by.strip(),
        comment=wish.comment.strip(),
        updated_at=now,
    )


def change_silence(known: Silence, wish: Wish, new_id: str, now: float) -> list[Silence]:
    """Return the silences to write when one is changed. Raises `BadSilenceError`.

    A change in place gives the silence itself. If the change would hold back other alerts, it gives a new silence,
    first, and the old one expired.
    """
    starts_at = known.starts_at if wish.starts_at is None else wish.starts_at
    state = known.state(now)
    in_place = _canonical(wish.matchers) == known.matchers and (
        (state == "active" and abs(starts_at - known.starts_at) < WITHIN) or (state == "pending" and starts_at >= now)
    )
    if not in_place:
        return [make_silence(wish, new_id, now), *expire(known, now)]
    _check(wish, starts_at, now)
    return [
        msgspec.structs.replace(
            known,
            starts_at=starts_at,
            ends_at=wish.ends_at,
            created_by=wish.created_by.strip(),
            comment=wish.comment.strip(),
            updated_at=now,
        )
    ]


def expire(known: Silence, now: float) -> list[Silence]:
    """Return the silence ended now, or nothing if it has ended already."""
    if known.state(now) == "expired":
        return []
    return [msgspec.structs.replace(known, starts_at=min(known.starts_at, now), ends_at=now, updated_at=now)]


def _check(wish: Wish, starts_at: float, now: float) -> None:
    if wish.ends_at <= now:
        raise BadSilenceError("expected an end in the future, found one in the past")
    if wish.ends_at <= starts_at:
        raise BadSilenceError("expected an end after the beginning, found one before it")
    for name, text in (("comment", wish.comment), ("author", wish.created_by)):
        if not text.strip():
            raise BadSilenceError(f"the {name} is missing; give one, so that others see why an alert is silenced")
        if len(text) > LONGEST_TEXT:
            raise BadSilenceError(f"expected at most {LONGEST_TEXT} characters in the {name}, found {len(text)}")


def _canonical(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the matchers in one form and order, without duplicates. Raises `BadSilenceError`."""
    try:
        matchers = [matcher for text in texts for matcher in parse_matchers(text)]
    except BadMatcherError as error:
        raise BadSilenceError(str(error)) from error
    if not matchers:
        raise BadSilenceError('expected at least one matcher, like source="fabric"; found none')
    if len(matchers) > MOST_MATCHERS:
        raise BadSilenceError(f"expected at most {MOST_MATCHERS} matchers, found {len(matchers)}")
    if all(matcher.op in ("=", "=~") and matcher.matches({}) for matcher in matchers):
        raise BadSilenceError("at least one matcher must not match an empty value: this would silence everything")
    return tuple(sorted(set(map(str, matchers))))
