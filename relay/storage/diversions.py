"""Moving what waits for a room to its fallback, and telling both when that is over."""

from __future__ import annotations

from sqlite3 import Connection
from typing import NamedTuple

import msgspec

from relay.core.event import RANK
from relay.ports import Divert, Diverted, Over
from relay.storage.outbox import DIVERSION
from relay.storage.plans import HASTE
from relay.storage.sequence import Sequences
from relay.storage.statements import read_json, statements

_SQL = statements("diversions")
MOST_AT_ONCE = 500
"""Deliveries that one commit moves."""
NEXT_NOTE = 300.0
"""Seconds after which another note is tried where one has died: the room takes none, and is not to be hammered."""
_NOTE_RANK = RANK["info"]


class _Candidate(NamedTuple):
    """A delivery that may move; `stands`: its message is in the room already."""

    id: int
    message: int
    action: str
    seq: int
    rank: int
    position: int
    stands: int
    group: str
    route: str
    template: str | None
    origin: str


class _Move(msgspec.Struct):
    """One commit's work for a diversion."""

    diversion: int
    order: Divert
    over: list[Over] = []
    added: list[tuple[str, int]] = []
    messages: int = 0


def open_diversions(connection: Connection) -> list[str]:
    """Rooms whose messages go to a fallback."""
    return msgspec.json.decode(read_json(connection, _SQL["open_diversions"]), type=list[str])


class Diverter:
    """Operations of the group commit on diversions."""

    def __init__(self, sequences: Sequences) -> None:
        self._sequences = sequences

    def divert(self, connection: Connection, orders: list[Divert]) -> list[Diverted]:
        """Carry out orders: end a diversion whose note has got through, else move what waits."""
        return [self._divert(connection, order) for order in orders]

    def _divert(self, connection: Connection, order: Divert) -> Diverted:
        found = connection.execute(_SQL["diversion_of"], (order.room,)).fetchone()
        if found is not None:
            number, state, fallback, seq = found
            if state == "done" or order.to is None or not order.known:
                return self._end(connection, number, fallback, seq, order)
            work = _Move(number, order)
            if state not in ("waiting", "leased"):
                note = self._note(connection, work, order.room, seq, due_at=order.now + NEXT_NOTE)
                connection.execute(_SQL["renew_note"], {"note": note, "id": number})
            if order.stuck:
                return Diverted(over=work.over, added=work.added)
            return self._result(connection, work, began=False)
        candidates = self._candidates(connection, order)
        if not candidates or order.to is None or order.stuck:
            return Diverted()
        (last,) = connection.execute(_SQL["last_diversion"]).fetchone()
        work = _Move(last + 1, order)
        note = self._note(connection, work, order.room, candidates[-1].seq)
        values = {"id": work.diversion, "room": order.room, "to": order.to, "now": order.now, "note": note}
        connection.execute(_SQL["begin_diversion"], values)
        return self._result(connection, work, began=True)

    def _result(self, connection: Connection, work: _Move, *, began: bool) -> Diverted:
        """Move what waits, and count it."""
        order = work.order
        posts: dict[int, tuple[int, int]] = {}
        for one in self._candidates(connection, order):
            if not one.stands:
                self._move_unposted(connection, work, one)
            elif one.message not in posts:
                posts[one.message] = self._post_anew(connection, work, one)
            else:
                message, post = posts[one.message]
                listed = one.action == "file"
                self._settle(connection, work, one, self._copy(connection, work, one, message) if listed else post)
        if work.messages:
            values = {"moved": work.messages, "to": order.to, "id": work.diversion}
            connection.execute(_SQL["count_moved"], values)
        return Diverted(over=work.over, added=work.added, began=began, moved=work.messages)

    @staticmethod
    def _candidates(connection: Connection, order: Divert) -> list[_Candidate]:
        values = {"room": order.room, "limit": MOST_AT_ONCE}
        return [_Candidate(*row) for row in connection.execute(_SQL["divertible"], values).fetchall()]

    def _move_unposted(self, connection: Connection, work: _Move, one: _Candidate) -> None:
        """A message that stands nowhere yet takes another room, with all that waits for it."""
        order = work.order
        values = {"to": order.to, "room": order.room, "message": one.message, "new": one.message}
        for name in ("rehome", "move_incidents", "move_groups"):
            connection.execute(_SQL[name], values)
        new = self._copy(connection, work, one, one.message)
        work.messages += one.action in ("post", "digest", "edit")
        self._settle(connection, work, one, new)

    def _post_anew(self, connection: Connection, work: _Move, one: _Candidate) -> tuple[int, int]:
        """What stands in the room can't be changed there: a new message tells of its incidents from now on.

        The message's number, and its post's.
        """
        order, message = work.order, self._sequences.next("message")
        values = {
            "new": message, "message": one.message, "to": order.to, "group": one.group, "route": one.route,
            "template": one.template, "origin": one.origin, "diversion": work.diversion,
        }  # fmt: skip
        connection.execute(_SQL["copy_message"], values)
        for name in ("follow", "leave_behind", "move_incidents", "move_groups", "move_merged"):
            connection.execute(_SQL[name], values)
        post = self._add(
            connection, work, message=message, seq=one.seq, room=str(order.to), action="post", rank=one.rank
        )
        if one.action == "file":
            self._copy(connection, work, one, message)
        work.messages += 1
        self._settle(connection, work, one, post)
        return message, post

    def _copy(self, connection: Connection, work: _Move, one: _Candidate, message: int) -> int:
        new = self._sequences.next("delivery")
        position = new - HASTE if one.position < 0 and not one.stands else new
        values = {
            "new": new, "id": one.id, "message": message, "to": work.order.to, "position": position,
            "now": work.order.now,
        }  # fmt: skip
        connection.execute(_SQL["copy_delivery"], values)
        work.added.append((str(work.order.to), one.rank))
        return new

    @staticmethod
    def _settle(connection: Connection, work: _Move, one: _Candidate, successor: int) -> None:
        values = {"id": one.id, "new": successor, "now": work.order.now}
        work.over += connection.execute(_SQL["settle_moved"], values).fetchall()

    def _add(
        self, connection: Connection, work: _Move, *, message: int, seq: int, room: str, action: str, rank: int,
        first: bool = False, due_at: float | None = None,
    ) -> int:  # fmt: skip
        new = self._sequences.next("delivery")
        values = {
            "id": new, "message": message, "seq": seq, "room": room, "action": action, "rank": rank,
            "position": new - 2 * HASTE if first else new, "now": work.order.now,
            "due_at": work.order.now if due_at is None else due_at,
        }  # fmt: skip
        connection.execute(_SQL["insert_delivery"], values)
        work.added.append((room, rank))
        return new

    def _note(self, connection: Connection, work: _Move, room: str, seq: int, due_at: float | None = None) -> int:
        """A message that tells of the diversion, before all else that waits for a room."""
        message = self._sequences.next("message")
        values = {"message": message, "room": room, "group": f"{DIVERSION}{work.diversion}"}
        connection.execute(_SQL["insert_note"], values)
        return self._add(
            connection, work, message=message, seq=seq, room=room, action="post", rank=_NOTE_RANK, first=True,
            due_at=due_at,
        )  # fmt: skip

    def _end(self, connection: Connection, number: int, fallback: str, seq: int, order: Divert) -> Diverted:
        """The room is back: its fallback hears so, and each message left behind tells the present once."""
        work = _Move(number, order)
        connection.execute(_SQL["end_diversion"], {"now": order.now, "id": number})
        if order.to == fallback and not order.stuck:
            self._note(connection, work, fallback, seq)
        stale = connection.execute(_SQL["left_behind"], (number,)).fetchall() if order.known and order.edits else ()
        for message, room, last in stale:
            self._add(connection, work, message=message, seq=last or seq, room=room, action="edit", rank=_NOTE_RANK)
        if order.stuck and order.known:
            self._come_home(connection, work, fallback)
        return Diverted(over=work.over, added=work.added, ended=True)

    def _come_home(self, connection: Connection, work: _Move, fallback: str) -> None:
        """What a room's fallback has not taken comes back to the room."""
        home = work.order.room
        back = _Move(work.diversion, Divert(room=fallback, to=home, now=work.order.now), work.over, work.added)
        while ours := [
            one for one in self._candidates(connection, back.order) if one.origin == home and not one.stands
        ]:
            for one in ours:
                self._move_unposted(connection, back, one)
        connection.execute(_SQL["at_home"], {"room": home})
