"""The decision about a room that can't be reached: which deliveries go to its fallback, and which come back. Pure.

A diversion lasts until a note gets through to the room itself. The note waits in front of all other deliveries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from relay.core.delivery import Action, DeliveryState, position_of

NEXT_NOTE = 300.0
"""Seconds from a dead note to the next one. The room refuses notes, and must not be hammered."""


class Divert(msgspec.Struct, frozen=True, kw_only=True):
    """An order to send the deliveries that wait for `room` to the fallback `to`, None if the room has none any more.

    `known`: the room is configured. `edits`: its service edits messages. `stuck`: the fallback can't be reached either,
    so nothing goes there.
    """

    room: str
    to: str | None
    now: float
    known: bool = True
    edits: bool = True
    stuck: bool = False


class OpenDiversion(msgspec.Struct, frozen=True):
    """A diversion that is not over: its number, its note's state (None if the note was pruned), and its fallback.

    `seq` is the event that the note stands for.
    """

    number: int
    note: DeliveryState | None
    fallback: str
    seq: int


class Candidate(msgspec.Struct, frozen=True):
    """A delivery that waits for a room and may move. `stands`: its message is in the room already."""

    id: int
    message: int
    action: Action
    seq: int
    rank: int
    position: int
    stands: bool
    origin: str


class Rehome(msgspec.Struct, frozen=True):
    """Move a message that stands nowhere yet to the other room, with the delivery that waits for it."""

    moved: Candidate
    counts: bool


class Replace(msgspec.Struct, frozen=True):
    """Replace a message that stands in the room by a new one elsewhere, which shows its incidents from now on."""

    moved: Candidate
    counts: bool = True

    @property
    def carries_file(self) -> bool:
        """Return whether the delivery is a file, which the new message's thread then gets as well."""
        return self.moved.action == "file"


class Follow(msgspec.Struct, frozen=True):
    """Move another delivery of a replaced message: a file goes to the new one, anything else the new post covers."""

    moved: Candidate
    counts: bool = False

    @property
    def carries_file(self) -> bool:
        """Return whether the delivery is a file, and moves."""
        return self.moved.action == "file"


Move = Rehome | Replace | Follow


class Leave(msgspec.Struct, frozen=True):
    """Do nothing."""


class Begin(msgspec.Struct, frozen=True):
    """Begin a diversion, with a note for the event `seq`."""

    seq: int
    moves: tuple[Move, ...]


class GoOn(msgspec.Struct, frozen=True):
    """Move the deliveries that came since. If the note has died, another is due at `next_note`, in Unix seconds."""

    moves: tuple[Move, ...]
    next_note: float | None


class End(msgspec.Struct, frozen=True):
    """End a diversion.

    `tell_fallback`: its fallback gets a note too. `refresh`: messages that were left in the room are brought up to
    date. `comes_home`: deliveries that the fallback has not taken yet go to the room after all.
    """

    tell_fallback: bool
    refresh: bool
    comes_home: bool


def decide(order: Divert, found: OpenDiversion | None, candidates: Sequence[Candidate]) -> Leave | Begin | GoOn | End:
    """Decide how a diversion (None if there is none yet) goes on, and where the deliveries for its room go."""
    if found is None:
        if not candidates or order.to is None or order.stuck:
            return Leave()
        return Begin(candidates[-1].seq, moves_of(candidates))
    if found.note == "done" or order.to is None or not order.known:
        return End(
            tell_fallback=order.to == found.fallback and not order.stuck,
            refresh=order.known and order.edits,
            comes_home=order.stuck and order.known,
        )
    next_note = None if found.note in ("waiting", "leased") else order.now + NEXT_NOTE
    return GoOn(() if order.stuck else moves_of(candidates), next_note)


def moves_of(candidates: Iterable[Candidate]) -> tuple[Move, ...]:
    """Return the moves that take deliveries, in their order, to another room."""
    moves: list[Move] = []
    replaced: set[int] = set()
    for one in candidates:
        if not one.stands:
            moves.append(Rehome(one, counts=one.action in ("post", "digest", "edit")))
        elif one.message in replaced:
            moves.append(Follow(one))
        else:
            replaced.add(one.message)
            moves.append(Replace(one))
    return tuple(moves)


def moves_home(candidates: Iterable[Candidate], home: str) -> tuple[Move, ...]:
    """Return the moves of deliveries that a fallback has not taken yet, back to the room that they were meant for."""
    return moves_of([one for one in candidates if one.origin == home and not one.stands])


def position_after(moved: Candidate, delivery: int) -> int:
    """Return the place of a moved delivery in its new lane, under its new number. One in haste stays in haste."""
    in_haste = moved.position < 0 and not moved.stands
    return position_of(delivery, "first" if in_haste else "in turn")
