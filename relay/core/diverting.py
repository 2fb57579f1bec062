"""The decision about a room that can't be reached: what goes to its fallback, and what comes back. Pure.

A diversion lasts until a note, which waits in front of all else, gets through to the room itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from relay.core.delivery import Action, DeliveryState, position_of

NEXT_NOTE = 300.0
"""Seconds after which another note is tried where one has died: the room refuses it, and must not be hammered."""


class Divert(msgspec.Struct, frozen=True, kw_only=True):
    """An order to send what waits for a `room` `to` its fallback, or None where it has none any more.

    `known`: the room is configured. `edits`: its service edits messages. `stuck`: the fallback can't be reached either,
    and nothing goes there.
    """

    room: str
    to: str | None
    now: float
    known: bool = True
    edits: bool = True
    stuck: bool = False


class OpenDiversion(msgspec.Struct, frozen=True):
    """A diversion that is not over: its number, its note's state (None where that was pruned), and its fallback.

    `seq` is the event that the note stands for.
    """

    number: int
    note: DeliveryState | None
    fallback: str
    seq: int


class Candidate(msgspec.Struct, frozen=True):
    """A delivery that waits for a room and may move; `stands`: its message is in the room already."""

    id: int
    message: int
    action: Action
    seq: int
    rank: int
    position: int
    stands: bool
    origin: str


class Rehome(msgspec.Struct, frozen=True):
    """A message that stands nowhere yet takes the other room, with the delivery that waits for it."""

    moved: Candidate
    counts: bool


class Replace(msgspec.Struct, frozen=True):
    """A message that stands can't be changed in its room: a new one tells of its incidents from now on."""

    moved: Candidate
    counts: bool = True

    @property
    def carries_file(self) -> bool:
        """Whether the delivery is a file, which the new message's thread then gets as well."""
        return self.moved.action == "file"


class Follow(msgspec.Struct, frozen=True):
    """Another delivery of a message that is replaced: a file moves to the new one, what the new post tells is over."""

    moved: Candidate
    counts: bool = False

    @property
    def carries_file(self) -> bool:
        """Whether the delivery is a file, and moves."""
        return self.moved.action == "file"


Move = Rehome | Replace | Follow


class Leave(msgspec.Struct, frozen=True):
    """Do nothing."""


class Begin(msgspec.Struct, frozen=True):
    """Begin a diversion, with a note for the event `seq`."""

    seq: int
    moves: tuple[Move, ...]


class GoOn(msgspec.Struct, frozen=True):
    """Move what has come since. Where the note has died another one is due at `next_note`, in Unix seconds."""

    moves: tuple[Move, ...]
    next_note: float | None


class End(msgspec.Struct, frozen=True):
    """End a diversion.

    `tell_fallback`: its fallback hears of it. `refresh`: messages that were left in the room tell the present.
    `comes_home`: what the fallback has not taken yet goes to the room after all.
    """

    tell_fallback: bool
    refresh: bool
    comes_home: bool


def decide(order: Divert, found: OpenDiversion | None, candidates: Sequence[Candidate]) -> Leave | Begin | GoOn | End:
    """Decide what becomes of a diversion (None where there is none yet) and of what waits for its room."""
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
    """Return how deliveries, in their order, get to another room."""
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
    """Return how what a fallback has not taken yet goes back to the room that it was meant for."""
    return moves_of([one for one in candidates if one.origin == home and not one.stands])


def position_after(moved: Candidate, delivery: int) -> int:
    """Return the place in the new lane of what was moved, under its new number: what was in haste stays so."""
    in_haste = moved.position < 0 and not moved.stands
    return position_of(delivery, "first" if in_haste else "in turn")
