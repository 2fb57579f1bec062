"""Reads and writes of the dispatcher: settling, leasing, and the depth of rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from sqlite3 import Connection

import msgspec

from relay.core.delivery import MOST_DIGEST_LINES, Digest, DigestLine, Diversion, Lease, Settlement, Standing, files_of
from relay.core.event import SEVERITIES
from relay.core.group import CHANGES, Group, grouped_labels
from relay.core.incident import MOVED
from relay.core.markdown import escape_markdown
from relay.core.retry import bring_forward
from relay.core.storm import is_storm, open_storm
from relay.ports import LaneHead, Over, Recovered, Start
from relay.storage.clocks import turn_back
from relay.storage.sequence import Sequences
from relay.storage.statements import Row, read_json, statements, write_rows

_SQL = statements("outbox")


class _Head(msgspec.Struct, frozen=True):
    lane: str
    due_at: float
    position: int
    part: int
    lease: Lease
    edits: int
    told_by: str | None = None


class _PutOff(msgspec.Struct, frozen=True, array_like=True):
    id: int
    message: int
    due_at: float
    failed_at: float | None
    times: int


DIVERSION = "diversion "
"""How the group of a message begins that tells of a diversion; its number follows."""
EDITS = 10
"""Edits that Webex admits of a message (Webex for Developers, "Edit a Message")."""
_STATEMENTS = {"uncounted": "uncount_edit", "sealed": "seal_message", "gone": "forget_message"}
_heads = msgspec.json.Decoder(list[_Head])
_put_off = msgspec.json.Decoder(list[_PutOff])
_lines = msgspec.json.Decoder(list[DigestLine])
_texts = msgspec.json.Decoder(tuple[str, ...])
_counts = msgspec.json.Decoder(tuple[tuple[int, str, int], ...])
_group = msgspec.json.Decoder(Group)
_pairs = msgspec.json.Decoder(list[tuple[str, float]])
_asides = msgspec.json.Decoder(list[tuple[str, int, int, float]])
_triples = msgspec.json.Decoder(list[tuple[str, int, int]])


class ExchangeRequest(msgspec.Struct, frozen=True):
    """What the dispatcher's one commit is asked: settlements, the free lanes by room, and the rooms that work."""

    settlements: Sequence[Settlement]
    lanes: Mapping[str, str]
    works: Mapping[str, bool]
    now: float


class OutboxWriter:
    """Operations of the group commit on deliveries."""

    def __init__(self, sequences: Sequences) -> None:
        self._sequences = sequences

    def exchange(self, connection: Connection, requests: list[ExchangeRequest]) -> list[tuple[LaneHead, ...]]:
        """Settle, bring forward what failed in rooms that work, then lease the next delivery of each free lane."""
        heads: list[tuple[LaneHead, ...]] = []
        for request in requests:
            if request.settlements:
                self._settle(connection, request.settlements, request.now)
            if request.works:
                _bring_forward(connection, request.works, request.now)
            heads.append(_lease(connection, request) if request.lanes else ())
        return heads

    def _settle(self, connection: Connection, settlements: Sequence[Settlement], now: float) -> None:
        write_rows(
            connection,
            _SQL["settle"],
            [(s.id, s.state, s.attempts, s.spent, s.due_at, int(s.aside), s.reason, s.detail,
              None if s.state == "waiting" else now, s.failing_since, s.failed_at) for s in settlements],
        )  # fmt: skip
        posted = [(s.message, s.remote_id, s.space) for s in settlements if s.remote_id is not None]
        write_rows(connection, _SQL["settle_messages"], posted)
        for s in settlements:
            if s.message_is is not None:
                connection.execute(_SQL[_STATEMENTS[s.message_is]], (s.message,))
            if s.unset_aside is not None:
                connection.execute(_SQL["unset_aside"], {"id": s.unset_aside, "now": now})
            if s.state == "waiting":
                values = {"aside": int(s.aside), "due_at": s.due_at, "message": s.message}
                connection.execute(_SQL["hold_message"], values)
            elif s.state == "dead":
                connection.execute(_SQL["free_message"], {"message": s.message, "now": now})
            for part, content in enumerate(s.parts, 1):
                connection.execute(_SQL["add_part"], (self._sequences.next("delivery"), part, now, content, s.id))
            for file in s.files:
                added = {"id": self._sequences.next("delivery"), "now": now, "file": file, "delivery": s.id}
                connection.execute(_SQL["add_file"], added)

    @staticmethod
    def recover(connection: Connection, starts: list[Start]) -> list[Recovered]:
        """Put back what an earlier process left leased; nothing waits longer than allowed, or for a room that is gone.

        What was not told while its room was gone is looked at again.
        """
        found: list[Recovered] = []
        for start in starts:
            if start.fresh:
                turn_back(connection, start.now)
            left = connection.execute(_SQL["recover"]).fetchall() if start.fresh else ()
            in_flight = [room for (room,) in left]
            connection.execute(_SQL["not_later_than"], {"latest": start.latest})
            for name in ("wake_groups", "wake_ended"):
                connection.execute(_SQL[name], {"now": start.now})
            values = {"now": start.now, "rooms": msgspec.json.encode(start.rooms).decode()}
            homeless = [room for (room,) in connection.execute(_SQL["bury_homeless"], values).fetchall()]
            found.append(Recovered(in_flight, homeless))
        return found


def _lease(connection: Connection, request: ExchangeRequest) -> tuple[LaneHead, ...]:
    lanes, now = request.lanes, request.now
    first = _first(connection, lanes, now)
    heads: list[LaneHead] = []
    leased: list[Row] = []
    later: dict[str, float] = {}
    for lane, found in first.items():
        head = _left_behind(found)
        if head.due_at > now:
            later[lane] = head.due_at
            continue
        last_word = head.lease.content is not None or head.lease.elsewhere is not None
        if head.lease.action == "edit" and last_word and head.lease.remote is None:
            connection.execute(_SQL["drop_last_word"], (now, head.lease.id))  # of a message that never stood
            heads.append(LaneHead(lane, now, None, ((head.lease.room, head.lease.rank, "dropped"),)))
            continue
        lease = _as_it_can_be(head)
        if is_storm(head.lease.group) and lease.content is None:
            lease = msgspec.structs.replace(lease, told=_with_digest(connection, lease, head.lease.group))
        lease = _with_rarities(connection, lease, head.lease.group)
        heads.append(LaneHead(lane, head.due_at, lease, _taken_over(connection, lease, now)))
        shown = "digest" if head.lease.action == "digest" and lease.action == "post" else lease.action
        leased.append((lease.id, shown))
        if lease.action == "edit":
            connection.execute(_SQL["count_edit"], (lease.message,))
    write_rows(connection, _SQL["lease"], leased)
    idle = [pair for pair in lanes.items() if pair[1] not in first or pair[1] in later]
    if idle:
        values = {"lanes": msgspec.json.encode(idle).decode(), "now": now}
        for lane, due_at in _pairs.decode(read_json(connection, _SQL["next_aside"], values)):
            later[lane] = min(due_at, later.get(lane, due_at))
    heads.extend(LaneHead(lane, due_at, None) for lane, due_at in later.items())
    return tuple(heads)


def _bring_forward(connection: Connection, works: Mapping[str, bool], now: float) -> None:
    """Have rooms that work try again what has failed; the rest of a message goes with the delivery that failed."""
    rooms = {"rooms": msgspec.json.encode(list(works.items())).decode(), "now": now}
    found = _put_off.decode(read_json(connection, _SQL["put_off"], rooms))
    failed = {one.message: one for one in found if one.failed_at is not None}
    rows: list[Row] = []
    for one in found:
        cause = failed.get(one.message)
        times = 0 if cause is None else cause.times
        failed_at = now if cause is None or cause.failed_at is None else cause.failed_at
        sooner = bring_forward(one.due_at, failed_at, now, times)
        if sooner is not None:
            rows.append((one.id, sooner, times + 1 if one is cause else 0))
    write_rows(connection, _SQL["bring_forward"], rows)


def _first(connection: Connection, lanes: Mapping[str, str], now: float) -> dict[str, _Head]:
    """The next delivery of each lane, whichever of its rooms it is for."""
    wanted = msgspec.json.encode(list(lanes.items())).decode()
    first: dict[str, _Head] = {}
    for head in _heads.decode(read_json(connection, _SQL["heads"], {"lanes": wanted, "now": now})):
        known = first.get(head.lane)
        if known is None or (head.position, head.part) < (known.position, known.part):
            first[head.lane] = head
    return first


def _taken_over(connection: Connection, lease: Lease, now: float) -> tuple[Over, ...]:
    """Supersede what a lease that tells the present state says as well; rooms and ranks of that."""
    if lease.told is None or lease.action in ("reply", "file"):
        return ()
    values = {"id": lease.id, "message": lease.message, "action": lease.action, "now": now}
    return tuple(connection.execute(_SQL["take_over"], values).fetchall())


def _as_it_can_be(head: _Head) -> Lease:
    """A lease as its message admits it: a second post is an edit, an edit of none a post, one too many a reply.

    A file, or a part of a long text, whose message is gone stands alone.
    """
    lease = head.lease
    if lease.action == "file" or head.part > 0 or (lease.told is None and lease.action not in ("edit", "digest")):
        return lease
    if lease.told is not None and "\n" in head.lease.group:
        lease = msgspec.structs.replace(
            lease, told=msgspec.structs.replace(lease.told, labels=grouped_labels(head.lease.group))
        )
    if lease.remote is None:
        return msgspec.structs.replace(lease, action="post", content=None)
    if lease.action == "reply":
        return lease
    most = CHANGES if lease.told is not None and lease.told.firing else EDITS
    return msgspec.structs.replace(lease, action="edit" if head.edits < most else "reply")


def _left_behind(head: _Head) -> _Head:
    """What was left behind by a diversion tells the present, where that can be said in its place."""
    lease = head.lease
    if lease.action != "edit" or lease.elsewhere is None or lease.content is not None:
        return head
    if lease.told is not None and not is_storm(head.told_by or ""):
        return head
    newer = "a newer message" if lease.elsewhere == lease.room else f"room {escape_markdown(lease.elsewhere)}"
    lease = msgspec.structs.replace(lease, content=f"{MOVED} **continued** in {newer}", told=None)
    return msgspec.structs.replace(head, lease=lease)


def _with_rarities(connection: Connection, lease: Lease, group: str) -> Lease:
    """What few leases need: the diversion that it tells of, the files that are there already."""
    if group.startswith(DIVERSION):
        note = _note_of(connection, group)
        content = "↩ **the room is back**" if note is None else None  # where what it tells of was pruned
        return msgspec.structs.replace(lease, note=note, content=content)
    if lease.told is not None and files_of(lease):
        return msgspec.structs.replace(lease, attached=_attached(connection, lease.message))
    return lease


def _note_of(connection: Connection, group: str) -> Diversion | None:
    """The diversion that a message tells of."""
    row = connection.execute(_SQL["note_of"], (int(group.removeprefix(DIVERSION)),)).fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=Diversion)


def _attached(connection: Connection, message: int) -> tuple[str, ...]:
    """The files that are in a message's thread, or on their way there."""
    return _texts.decode(read_json(connection, _SQL["attached"], (message,)))


def _with_digest(connection: Connection, lease: Lease, group: str) -> Standing:
    """What a storm's message tells, with its counts and the worst by name."""
    told = lease.told or Standing((), 0, 0, lease.created_at)
    row = connection.execute(_SQL["storm_of"], (group,)).fetchone()
    storm = _group.decode(row[0]) if row is not None else open_storm(lease.room, lease.created_at)
    counts = _counts.decode(read_json(connection, _SQL["digest_counts"], {"message": lease.message}))
    lines = tuple(digest_lines(connection, (lease.message, MOST_DIGEST_LINES)))
    digest = Digest(counts, lines, storm.began_at, storm.seen_at, storm.ended_at is not None)
    return msgspec.structs.replace(told, digest=digest)


def digest_lines(connection: Connection, wanted: tuple[int, int]) -> list[DigestLine]:
    """What a digest tells of, the worst first; at most so many."""
    values = {"message": wanted[0], "limit": wanted[1]}
    return _lines.decode(read_json(connection, _SQL["digest_lines"], values))


def depths(connection: Connection) -> dict[str, list[int]]:
    """Waiting deliveries by room, worst severity first."""
    found: dict[str, list[int]] = {}
    for room, rank, count in _triples.decode(read_json(connection, _SQL["depths"])):
        found.setdefault(room, [0] * len(SEVERITIES))[rank] = count
    return found


class SetAside(msgspec.Struct, frozen=True):
    """Deliveries of a room that are set aside: how many, the worst severity first, and when the next is tried."""

    counts: tuple[int, ...]
    until: float


def set_aside(connection: Connection) -> dict[str, SetAside]:
    """Return the deliveries that are set aside, by room; those that a storm may take in are not among them."""
    counts: dict[str, list[int]] = {}
    until: dict[str, float] = {}
    for room, rank, count, due_at in _asides.decode(read_json(connection, _SQL["set_aside"])):
        counts.setdefault(room, [0] * len(SEVERITIES))[rank] = count
        until[room] = min(due_at, until.get(room, due_at))
    return {room: SetAside(tuple(found), until[room]) for room, found in counts.items()}


def dead_counts(connection: Connection) -> dict[str, int]:
    """Dead deliveries by room."""
    return {room: int(count) for room, count in _pairs.decode(read_json(connection, _SQL["dead_counts"]))}


def oldest_waiting(connection: Connection, rooms: list[str]) -> dict[str, float]:
    """When the oldest waiting delivery of each room was made, in Unix seconds."""
    return dict(_pairs.decode(read_json(connection, _SQL["oldest_waiting"], (msgspec.json.encode(rooms).decode(),))))
