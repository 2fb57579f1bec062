"""Moves waiting deliveries to a room's fallback, and back. `relay.core.diverting` decides which."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import msgspec

from relay.core.delivery import Action, position_in_front
from relay.core.diverting import (
    Begin,
    Candidate,
    Divert,
    End,
    Follow,
    GoOn,
    Leave,
    Move,
    OpenDiversion,
    Rehome,
    Replace,
    decide,
    moves_home,
    position_after,
)
from relay.core.event import RANK
from relay.ports import Diverted, Over
from relay.storage.sequence import Sequences
from relay.storage.session import Session

MOST_AT_ONCE = 500
"""The most deliveries that one commit moves."""
_NOTE_RANK = RANK["info"]


class _Work(msgspec.Struct):
    """One commit's work for a diversion: deliveries go from room `home` to room `to`."""

    diversion: int
    home: str
    to: str
    now: float
    over: list[Over] = []
    added: list[tuple[str, int]] = []


def open_diversions(session: Session) -> list[str]:
    """Return the rooms whose messages go to a fallback."""
    return msgspec.json.decode(session.read("diversions.open_diversions"), type=list[str])


class Diverter:
    """Operations of the group commit on diversions."""

    def __init__(self, sequences: Sequences) -> None:
        self._sequences = sequences

    def divert(self, session: Session, orders: list[Divert]) -> list[Diverted]:
        """Decide and carry out each order; return the result of each."""
        return [self._divert(session, order) for order in orders]

    def _divert(self, session: Session, order: Divert) -> Diverted:
        row = session.run("diversions.diversion_of", (order.room,)).fetchone()
        found = None if row is None else OpenDiversion(*row)
        decision = decide(order, found, _candidates(session, order.room))
        match decision, found:
            case Begin(), None:
                return self._begin(session, order, decision)
            case GoOn(), OpenDiversion():
                return self._go_on(session, order, found, decision)
            case End(), OpenDiversion():
                return self._end(session, order, found, decision)
            case Leave(), _:
                return Diverted()
            case _:
                raise AssertionError((decision, found))

    def _begin(self, session: Session, order: Divert, decision: Begin) -> Diverted:
        (last,) = session.run("diversions.last_diversion").fetchone()
        work = _Work(last + 1, order.room, str(order.to), order.now)
        note = self._note(session, work, order.room, decision.seq)
        values = {"id": work.diversion, "room": order.room, "to": order.to, "now": order.now, "note": note}
        session.run("diversions.begin_diversion", values)
        moved = self._carry_out(session, work, decision.moves)
        return Diverted(over=work.over, added=work.added, began=True, moved=_count(session, work, moved))

    def _go_on(self, session: Session, order: Divert, found: OpenDiversion, decision: GoOn) -> Diverted:
        work = _Work(found.number, order.room, str(order.to), order.now)
        if decision.next_note is not None:
            note = self._note(session, work, order.room, found.seq, due_at=decision.next_note)
            session.run("diversions.renew_note", {"note": note, "id": found.number})
        moved = self._carry_out(session, work, decision.moves)
        return Diverted(over=work.over, added=work.added, moved=_count(session, work, moved))

    def _end(self, session: Session, order: Divert, found: OpenDiversion, decision: End) -> Diverted:
        work = _Work(found.number, found.fallback, order.room, order.now)
        session.run("diversions.end_diversion", {"now": order.now, "id": found.number})
        if decision.tell_fallback:
            self._note(session, work, found.fallback, found.seq)
        stale = session.run("diversions.left_behind", (found.number,)).fetchall() if decision.refresh else ()
        for message, room, last in stale:
            self._add(session, work, message=message, seq=last or found.seq, room=room, action="edit", rank=_NOTE_RANK)
        if decision.comes_home:
            while moves := moves_home(_candidates(session, found.fallback), order.room):
                self._carry_out(session, work, moves)
            session.run("diversions.at_home", {"room": order.room})
        return Diverted(over=work.over, added=work.added, ended=True)

    def _carry_out(self, session: Session, work: _Work, moves: Iterable[Move]) -> int:
        """Move deliveries; return how many messages this moved."""
        new: dict[int, tuple[int, int]] = {}
        counted = 0
        for move in moves:
            counted += move.counts
            one = move.moved
            match move:
                case Rehome():
                    successor = self._rehome(session, work, one)
                case Replace():
                    new[one.message] = self._replace(session, work, move)
                    _, successor = new[one.message]
                case Follow():
                    message, successor = new[one.message]
                    if move.carries_file:
                        successor = self._copy(session, work, one, message)
                case _:
                    assert_never(move)
            values = {"id": one.id, "new": successor, "now": work.now}
            work.over += session.run("diversions.settle_moved", values).fetchall()
        return counted

    def _rehome(self, session: Session, work: _Work, one: Candidate) -> int:
        """Change the room of a message that was never posted; return the delivery that waits for it there."""
        values = {"to": work.to, "room": work.home, "message": one.message, "new": one.message}
        for name in ("rehome", "move_incidents", "move_groups"):
            session.run(f"diversions.{name}", values)
        return self._copy(session, work, one, one.message)

    def _replace(self, session: Session, work: _Work, move: Replace) -> tuple[int, int]:
        """Move a message's incidents to a new message in the other room; return that message and its post."""
        one, message = move.moved, self._sequences.next("message")
        values = {
            "new": message,
            "message": one.message,
            "to": work.to,
            "origin": one.origin,
            "diversion": work.diversion,
        }
        for name in ("copy_message", "follow", "leave_behind", "move_incidents", "move_groups", "move_merged"):
            session.run(f"diversions.{name}", values)
        post = self._add(session, work, message=message, seq=one.seq, room=work.to, action="post", rank=one.rank)
        if move.carries_file:
            self._copy(session, work, one, message)
        return message, post

    def _copy(self, session: Session, work: _Work, one: Candidate, message: int) -> int:
        new = self._sequences.next("delivery")
        values = {
            "new": new,
            "id": one.id,
            "message": message,
            "to": work.to,
            "position": position_after(one, new),
            "now": work.now,
        }
        session.run("diversions.copy_delivery", values)
        work.added.append((work.to, one.rank))
        return new

    def _add(
        self,
        session: Session,
        work: _Work,
        *,
        message: int,
        seq: int,
        room: str,
        action: Action,
        rank: int,
        in_front: bool = False,
        due_at: float | None = None,
    ) -> int:
        new = self._sequences.next("delivery")
        values = {
            "id": new,
            "message": message,
            "seq": seq,
            "room": room,
            "action": action,
            "rank": rank,
            "position": position_in_front(new) if in_front else new,
            "now": work.now,
            "due_at": work.now if due_at is None else due_at,
        }
        session.run("diversions.insert_delivery", values)
        work.added.append((room, rank))
        return new

    def _note(self, session: Session, work: _Work, room: str, seq: int, due_at: float | None = None) -> int:
        """Put a note about the diversion in front of everything that waits for a room; return its delivery."""
        message = self._sequences.next("message")
        session.run("diversions.insert_note", {"message": message, "room": room, "diversion": work.diversion})
        return self._add(
            session,
            work,
            message=message,
            seq=seq,
            room=room,
            action="post",
            rank=_NOTE_RANK,
            due_at=due_at,
            in_front=True,
        )


def _count(session: Session, work: _Work, moved: int) -> int:
    """Record how many messages a diversion has moved so far, and where to."""
    if moved:
        session.run("diversions.count_moved", {"moved": moved, "to": work.to, "id": work.diversion})
    return moved


def _candidates(session: Session, room: str) -> list[Candidate]:
    values = {"room": room, "limit": MOST_AT_ONCE}
    return [Candidate(*row) for row in session.run("diversions.divertible", values).fetchall()]
