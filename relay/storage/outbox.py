"""Reads and writes of the dispatcher: settling, leasing, and the depth of rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

import msgspec

from relay.core.delivery import (
    MOST_COMPARED,
    MOST_DIGEST_LINES,
    MOST_EDITS,
    MOST_LINES,
    DigestLine,
    Diversion,
    IncidentView,
    Lease,
    Settlement,
    Summary,
)
from relay.core.event import OPERATOR_SOURCE, SEVERITIES
from relay.core.incident import Incident
from relay.core.leasing import (
    Drop,
    Head,
    Later,
    Ready,
    first_of_lanes,
    next_step,
    with_attached,
    with_digest,
    with_note,
    with_reply,
)
from relay.core.retry import PutOff, bring_all_forward
from relay.core.storm import Storm
from relay.ports import LaneHead, Over, Recovered, Start
from relay.storage.clocks import turn_back
from relay.storage.sequence import Sequences
from relay.storage.session import Row, Session

_STATEMENTS = {"uncounted": "uncount_edit", "sealed": "seal_message", "gone": "forget_message"}
_incidents = msgspec.json.Decoder(list[Incident])
_views = msgspec.json.Decoder(tuple[IncidentView, ...])
_heads = msgspec.json.Decoder(list[Head])
_put_off = msgspec.json.Decoder(list[PutOff])
_lines = msgspec.json.Decoder(list[DigestLine])
_texts = msgspec.json.Decoder(tuple[str, ...])
_counts = msgspec.json.Decoder(tuple[tuple[int, str, int], ...])
_storm = msgspec.json.Decoder(Storm)
_note = msgspec.json.Decoder(Diversion)
_pairs = msgspec.json.Decoder(list[tuple[str, float]])
_asides = msgspec.json.Decoder(list[tuple[str, int, int, float]])
_triples = msgspec.json.Decoder(list[tuple[str, int, int]])


class ExchangeRequest(msgspec.Struct, frozen=True):
    """A request for the dispatcher's commit: settlements, free lanes by room, and rooms that work (see `Outbox`)."""

    settlements: Sequence[Settlement]
    lanes: Mapping[str, str]
    works: Mapping[str, bool]
    now: float


class OutboxWriter:
    """Operations of the group commit on deliveries."""

    def __init__(self, sequences: Sequences, *, own_clock: bool) -> None:
        """`own_clock`: times on record are by a process's own clock, so a start corrects them (see `turn_back`)."""
        self._sequences = sequences
        self._own_clock = own_clock

    def exchange(self, session: Session, requests: list[ExchangeRequest]) -> list[tuple[LaneHead, ...]]:
        """Settle, bring failed deliveries of working rooms forward, then lease the next delivery of each free lane."""
        heads: list[tuple[LaneHead, ...]] = []
        for request in requests:
            if request.settlements:
                self._settle(session, request.settlements, request.now)
            if request.works:
                _bring_forward(session, request.works, request.now)
            heads.append(_lease(session, request) if request.lanes else ())
        return heads

    def _settle(self, session: Session, settlements: Sequence[Settlement], now: float) -> None:
        session.write(
            "outbox.settle",
            [
                (
                    s.id,
                    s.state,
                    s.attempts,
                    s.spent,
                    s.due_at,
                    int(s.aside),
                    s.reason,
                    s.detail,
                    None if s.state == "waiting" else now,
                    s.failing_since,
                    s.failed_at,
                )
                for s in settlements
            ],
        )
        posted = [(s.message, s.remote_id, s.space) for s in settlements if s.remote_id is not None]
        session.write("outbox.settle_messages", posted)
        for s in settlements:
            if s.message_is is not None:
                values = {"message": s.message, "most": MOST_EDITS}
                session.run(f"outbox.{_STATEMENTS[s.message_is]}", values)
            if s.unset_aside is not None:
                session.run("outbox.unset_aside", {"id": s.unset_aside, "now": now})
            if s.state == "waiting":
                # The message's other deliveries are set aside or freed with it: no edit may overtake a failed post.
                retry = {"aside": int(s.aside), "due_at": s.due_at, "message": s.message}
                session.run("outbox.hold_message", retry)
            elif s.state == "dead":
                session.run("outbox.free_message", {"message": s.message, "now": now})
            for part, content in enumerate(s.parts, 1):
                session.run("outbox.add_part", (self._sequences.next("delivery"), part, now, content, s.id))
            for file in s.files:
                added = {"id": self._sequences.next("delivery"), "now": now, "file": file, "delivery": s.id}
                session.run("outbox.add_file", added)

    def recover(self, session: Session, starts: list[Start]) -> list[Recovered]:
        """Put back deliveries that an earlier process left leased, and bound due times by `Start.latest`.

        Deliveries for rooms that are gone become dead. Groups and incidents that were skipped while their room was
        gone become due again.
        """
        found: list[Recovered] = []
        for start in starts:
            if start.fresh and self._own_clock:
                turn_back(session, start.now)
            # A lease without a settlement: the last process ended between the send and its record, so the message
            # may have arrived. It is sent again; the dispatcher counts it as ambiguous.
            left = session.run("outbox.recover").fetchall() if start.fresh else ()
            in_flight = [room for (room,) in left]
            session.run("outbox.not_later_than", {"latest": start.latest})
            for name in ("wake_groups", "wake_ended"):
                session.run(f"outbox.{name}", {"now": start.now})
            values = {"now": start.now, "rooms": msgspec.json.encode(start.rooms).decode()}
            homeless = [room for (room,) in session.run("outbox.bury_homeless", values).fetchall()]
            found.append(Recovered(in_flight, homeless))
        return found


def _lease(session: Session, request: ExchangeRequest) -> tuple[LaneHead, ...]:
    """Lease the next delivery of each free lane. `next_step` decides for each lane, within the transaction."""
    lanes, now = request.lanes, request.now
    wanted = {"lanes": msgspec.json.encode(list(lanes.items())).decode(), "now": now, "named": MOST_LINES}
    first = first_of_lanes(_heads.decode(session.read("outbox.heads", wanted)))
    found: list[LaneHead] = []
    leased: list[Row] = []
    later: dict[str, float] = {}
    for lane, head in first.items():
        match next_step(head, now):
            case Later(due_at):
                later[lane] = due_at
            case Drop():
                session.run("outbox.drop", (now, head.lease.id))
                found.append(LaneHead(lane, now, None, ((head.lease.room, head.lease.rank, "dropped"),)))
            case Ready() as ready:
                found.append(_take(session, lane, ready, now))
                if (lease := found[-1].lease) is not None:
                    leased.append((lease.id, ready.recorded_as))
    session.write("outbox.lease", leased)
    idle = [pair for pair in lanes.items() if pair[1] not in first or pair[1] in later]
    if idle:
        values = {"lanes": msgspec.json.encode(idle).decode(), "now": now}
        for lane, due_at in _pairs.decode(session.read("outbox.next_aside", values)):
            later[lane] = min(due_at, later.get(lane, due_at))
    found.extend(LaneHead(lane, due_at, None) for lane, due_at in later.items())
    return tuple(found)


def _take(session: Session, lane: str, ready: Ready, now: float) -> LaneHead:
    """Return a lane's delivery, ready to send, or the end of a reply that is no longer true."""
    lease = _load(session, ready, now)
    if lease is None:
        values: dict[str, object] = {"id": ready.lease.id, "message": ready.lease.message, "now": now}
        return LaneHead(lane, now, None, tuple(session.run("outbox.outdate", values).fetchall()))
    if lease.summary is not None and lease.content is None and lease.kind == "living":
        lease = msgspec.structs.replace(lease, summary=with_unnamed(session, lease.message, lease.summary))
    if lease.action == "edit":
        session.run("outbox.count_edit", (lease.message, MOST_EDITS))
    return LaneHead(lane, lease.due_at, lease, _supersede(session, lease, now) if ready.supersedes else ())


def _load(session: Session, ready: Ready, now: float) -> Lease | None:
    """Add to a lease the values that few need, such as a storm's counts. Return None if its reply is no longer true."""
    lease = ready.lease
    match ready.wants:
        case "digest":
            row = session.run("outbox.storm_of", (lease.message,)).fetchone()
            storm = None if row is None else _storm.decode(row[0])
            counts = _counts.decode(session.read("outbox.digest_counts", {"message": lease.message}))
            lines = digest_lines(session, lease.message, MOST_DIGEST_LINES)
            return with_digest(lease, storm, counts, tuple(lines))
        case "note":
            row = session.run("outbox.note_of", (lease.message,)).fetchone()
            return with_note(lease, None if row is None else _note.decode(row[0]))
        case "attached":
            return with_attached(lease, _texts.decode(session.read("outbox.attached", (lease.message,))))
        case "reply":
            alerts = [] if lease.says is None else lease.says.alerts
            values = {"message": lease.message, "alerts": msgspec.json.encode(alerts).decode()}
            return with_reply(lease, _incidents.decode(session.read("outbox.incidents_of", values)), now)
        case "nothing":
            return lease
    assert_never(ready.wants)


def with_unnamed(session: Session, message: int, summary: Summary) -> Summary:
    """Return the summary of a message with the incidents that it does not name, unless there are too many."""
    named = len(summary.incidents)
    if not named < summary.count <= MOST_COMPARED:
        return summary
    values = {"message": message, "named": named, "most": MOST_COMPARED}
    return msgspec.structs.replace(summary, unnamed=_views.decode(session.read("outbox.unnamed", values)))


def _supersede(session: Session, lease: Lease, now: float) -> tuple[Over, ...]:
    """Supersede waiting deliveries that a lease covers; return their rooms, ranks and states."""
    values = {"id": lease.id, "message": lease.message, "action": lease.action, "now": now}
    return tuple(session.run("outbox.take_over", values).fetchall())


def _bring_forward(session: Session, works: Mapping[str, bool], now: float) -> None:
    """Make failed deliveries of rooms that work due earlier."""
    rooms = {"rooms": msgspec.json.encode(list(works.items())).decode(), "now": now}
    found = _put_off.decode(session.read("outbox.put_off", rooms))
    rows: list[Row] = [(one.id, one.due_at, one.times) for one in bring_all_forward(found, now)]
    session.write("outbox.bring_forward", rows)


def digest_lines(session: Session, message: int, limit: int) -> list[DigestLine]:
    """Return the lines of a digest, the worst first; with the events' labels, unless it is the full list."""
    values = {"message": message, "limit": limit, "labels": limit <= MOST_DIGEST_LINES}
    return _lines.decode(session.read("outbox.digest_lines", values))


def depths(session: Session) -> dict[str, list[int]]:
    """Return the number of waiting deliveries by room and severity, the worst first."""
    found: dict[str, list[int]] = {}
    for room, rank, count in _triples.decode(session.read("outbox.depths")):
        found.setdefault(room, [0] * len(SEVERITIES))[rank] = count
    return found


class SetAside(msgspec.Struct, frozen=True):
    """Deliveries of a room that are set aside: how many, the worst severity first, and when the next is tried."""

    counts: tuple[int, ...]
    until: float


def set_aside(session: Session) -> dict[str, SetAside]:
    """Return the deliveries that are set aside, by room, without those that a storm may absorb."""
    counts: dict[str, list[int]] = {}
    until: dict[str, float] = {}
    for room, rank, count, due_at in _asides.decode(session.read("outbox.set_aside")):
        counts.setdefault(room, [0] * len(SEVERITIES))[rank] = count
        until[room] = min(due_at, until.get(room, due_at))
    return {room: SetAside(tuple(found), until[room]) for room, found in counts.items()}


class Dead(msgspec.Struct, frozen=True, array_like=True):
    """The dead deliveries of a room: how many, and the number of open incidents that it knows nothing of.

    `title` is that of the last alert among them, None if all are the relay's own notices; `reason` and `error` its end.
    """

    room: str
    count: int
    untold: int
    reason: str | None
    error: str | None
    title: str | None


_deaths = msgspec.json.Decoder(list[Dead])


def deaths(session: Session) -> dict[str, Dead]:
    """Return the dead deliveries by room."""
    found = _deaths.decode(session.read("outbox.deaths", {"operator": OPERATOR_SOURCE}))
    return {one.room: one for one in found}


def waiting_counts(session: Session) -> dict[str, int]:
    """Return the number of waiting deliveries by room."""
    return {room: int(count) for room, count in _pairs.decode(session.read("outbox.waiting_counts"))}


def dead_counts(session: Session) -> dict[str, int]:
    """Return the number of dead deliveries by room."""
    return {room: int(count) for room, count in _pairs.decode(session.read("outbox.dead_counts"))}


def oldest_waiting(session: Session, rooms: list[str]) -> dict[str, float]:
    """Return when the oldest waiting delivery of each room was made, in Unix seconds."""
    return dict(_pairs.decode(session.read("outbox.oldest_waiting", (msgspec.json.encode(rooms).decode(),))))
