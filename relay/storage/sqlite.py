"""The store on SQLite: one connection that writes in one thread, one that reads in another, one for few alerts."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from relay.core.alert import Alert, AlertKey
from relay.core.delivery import DigestLine, Settlement
from relay.core.diverting import Divert
from relay.core.event import OPERATOR_SOURCE
from relay.core.group import Members
from relay.core.plan import Known, Plan, Waiting
from relay.core.storm import Storm, StormMembers
from relay.core.suppression import Silence
from relay.ports import (
    Begun,
    Diverted,
    LaneHead,
    Limits,
    Over,
    Recovered,
    Refusal,
    Start,
    StoreUnavailableError,
    Submission,
)
from relay.storage import outbox, plans, queries, retention
from relay.storage.asking import SqliteQueries
from relay.storage.clocks import note_time
from relay.storage.database import (
    Reserve,
    connect,
    fold_log,
    limit_size,
    lock_patiently,
    open_database,
    write_notice,
)
from relay.storage.diversions import Diverter, open_diversions
from relay.storage.inbox import InboxWriter, entry_of, state_of
from relay.storage.outbox import ExchangeRequest, OutboxWriter
from relay.storage.plans import PlanWriter
from relay.storage.reading import Reader
from relay.storage.retention import Pruner
from relay.storage.sequence import Sequences
from relay.storage.writer import Writer

PLENTY = 8
"""The room that is plenty, as a multiple of the room from which events are taken again."""
MOST_AT_ONCE = 32
"""Keys of alerts that are read in the event loop: it takes 0.1 ms, and 1 ms or more by way of a thread."""


class SqliteStore:
    """Implements the pipeline's `Store` and `Retention`; `queries` answers people's questions."""

    def __init__(self, path: Path, size: int | None) -> None:
        """Open (and lock) the database at `path`, to grow to `size` bytes at most. Raises a `StoreError`."""
        self._path = path
        self._size = size
        self._lock = lock_patiently(path)
        write_notice(self._lock, b"")
        try:
            self._connection = open_database(path, size)
        except BaseException:
            os.close(self._lock)
            raise
        self._direct = connect(path, read_only=True)
        self._direct.execute("PRAGMA busy_timeout = 0")  # the event loop does not wait for a lock
        self._reading = Reader(path, "store-reader")
        self._read = self._reading.read
        self._asking = Reader(path, "store-queries")
        self.queries = SqliteQueries(self._asking)
        self._reserve = Reserve(path)
        self._reserve.take()
        self._full = False
        self._loop = asyncio.get_running_loop()
        self.on_full: Callable[[], object] = lambda: None
        """Called in the event loop when the disk is full, so that pruning starts at once."""
        sequences = Sequences(self._connection)
        self._sequences = sequences
        self._plans = PlanWriter(sequences)
        self._outbox = OutboxWriter(sequences)
        self._diverter = Diverter(sequences)
        self._pruner = Pruner()
        self._writer = Writer(self._connection, path, self._went_full)

    async def close(self) -> None:
        """Write all pending items, fold the log into the file, and release the lock."""
        await self._writer.close()
        self._reading.close()
        self._asking.close()
        self._direct.close()
        self._connection.close()
        self._reserve.give_up()
        write_notice(self._lock, b"")
        os.close(self._lock)

    def leave_word(self, notice: bytes) -> None:
        """Write a notice for this machine's commands into the lock."""
        write_notice(self._lock, notice)

    @property
    def trouble(self) -> str | None:
        """The reason why events can't be committed now, or None."""
        return self._writer.trouble or (f"{self._path}: no room left for events" if self._full else None)

    @property
    def full(self) -> bool:
        """True while there is no room for events."""
        return self._full

    # Inbox

    def accept(self, submission: Submission) -> Begun:
        """Commit a submission's events, or return the result of the earlier one with its key.

        On a full disk the reserve takes the relay's own notices: they are few, and one of them says that it is full.
        """
        if self._full and submission.source != OPERATOR_SOURCE:
            raise StoreUnavailableError(f"{self._path}: no room left for events", full=True)
        entry = entry_of(submission, self._sequences.take("event", len(submission.events)))
        return Begun(entry.first, self._writer.submit(InboxWriter.accept, entry))

    def refuse(self, refusal: Refusal) -> Awaitable[None]:
        """Record input that could not be read."""
        return self._writer.submit(InboxWriter.refuse, refusal)

    async def source_state(self, source: str) -> dict[str, bytes]:
        """Return the state from which a source's listener resumes, by name."""
        return await self._read(state_of, source)

    # PlanStore

    async def waiting_events(self, limit: int, now: float) -> list[Waiting]:
        """Return events that wait for the planner, in order of arrival."""
        return await self._read(plans.waiting_events, limit, now)

    async def count_waiting_events(self) -> int:
        """Return how many events wait for the planner."""
        return await self._read(plans.count_waiting_events)

    async def firing_keys(self, source: str) -> list[str]:
        """Return the keys of a source's alerts that fire, or that have events waiting to be planned."""
        return await self._read(plans.firing_keys, source)

    async def known(self, keys: Sequence[AlertKey]) -> Known:
        """Return the alerts of these keys, and the last incident of each in each room."""
        if len(keys) <= MOST_AT_ONCE:
            with suppress(sqlite3.Error):  # whatever it is, it is told by the thread
                return plans.known(self._direct, list(keys))
        return await self._read(plans.known, list(keys))

    async def due_keys(self, now: float, limit: int) -> list[AlertKey]:
        """Return keys of incidents that are due by a time."""
        return await self._read(plans.due_keys, now, limit)

    async def due_groups(self, now: float, limit: int) -> list[Members | StormMembers]:
        """Return groups that are due by a time, each with the incidents to look at."""
        return await self._read(plans.due_groups, now, limit)

    async def open_keys(self, after: AlertKey, limit: int) -> list[AlertKey]:
        """Return keys of open incidents that come after a key, in order."""
        return await self._read(plans.open_keys, after, limit)

    async def storms(self) -> list[Storm]:
        """Return the storms that are not over."""
        return await self._read(plans.storms)

    async def waiting_posts(self, room: str, limit: int) -> tuple[int, int]:
        """Count the new posts among the first `limit` deliveries of a room. Return also the last event's `seq`."""
        return await self._read(plans.waiting_posts, room, limit)

    async def digest_lines(self, message: int, limit: int) -> list[DigestLine]:
        """Return the lines of a digest, the worst first."""
        return await self._asking.read(outbox.digest_lines, message, limit)

    async def firing_alerts(self) -> list[Alert]:
        """Return all alerts that fire."""
        return await self._read(plans.firing_alerts)

    async def silences(self) -> list[Silence]:
        """Return all silences on record."""
        return await self._read(plans.silences)

    async def save_silence(self, silence: Silence) -> None:
        """Write a silence; it replaces the one of the same id."""
        await self._writer.submit(plans.save_silences, silence)

    async def next_wakes(self) -> tuple[float | None, float | None]:
        """Return when the next incident is due, and when the next group, in Unix seconds; None if none is."""
        return await self._read(plans.next_wakes)

    def commit_plan(self, plan: Plan, now: float) -> Awaitable[Sequence[Over]]:
        """Write a plan, all or nothing; return the deliveries that it replaces."""
        return self._writer.submit(self._plans.commit, (plan, now))

    async def diversions(self) -> list[str]:
        """Return the rooms whose messages go to a fallback."""
        return await self._read(open_diversions)

    async def divert(self, order: Divert) -> Diverted:
        """Move waiting deliveries to the fallback, or end the diversion if the room is back."""
        return await self._writer.submit(self._diverter.divert, order)

    async def set_event_aside(self, seq: int, why: str) -> None:
        """Set one event aside, with the reason."""
        await self._writer.submit(self._plans.set_aside, (seq, why))

    # Outbox

    async def exchange(
        self, settlements: Sequence[Settlement], lanes: Mapping[str, str], works: Mapping[str, bool], now: float
    ) -> Sequence[LaneHead]:
        """Settle deliveries and lease the next of each free lane, in one commit."""
        return await self._writer.submit(self._outbox.exchange, ExchangeRequest(settlements, lanes, works, now))

    async def recover(self, start: Start) -> Recovered:
        """Adapt the deliveries on record to this process, its configuration and its clock."""
        return await self._writer.submit(self._outbox.recover, start)

    async def depths(self) -> dict[str, list[int]]:
        """Return the number of waiting deliveries by room and severity, the worst first."""
        return await self._read(outbox.depths)

    # Retention

    async def prune(self, limits: Limits, now: float) -> bool:
        """Delete one slice of old rows; return whether there is more to look at.

        On a full disk, settled deliveries are pruned before their time if that can free the room that is missing.
        """
        if self._size not in (None, limits.size):
            self._size = limits.size
            await self._writer.submit(self._set_size, self._reserve.size if self._full else 0)
        pressing = self._full and await self._read(self._could_help)
        kept = msgspec.structs.replace(limits, pressing=True) if pressing else limits
        more = await self._writer.submit(self._pruner.prune, (kept, now))
        if pressing:
            await self._writer.submit(retention.shrink, None)
            self._writer.fold_log_next()
        return more

    async def note_time(self, now: float, wall: float) -> None:
        """Record the relay's own clock and the machine's. From these the next start sees if the machine's was set."""
        await self._writer.submit(note_time, (now, wall))

    async def make_room(self) -> bool:
        """Return True if events can be committed. After a full disk, take the reserve again once there is room."""
        if self._full and await self._read(self._roomy):
            if not await asyncio.to_thread(self._reserve.take):
                return False
            await self._writer.submit(self._set_size, 0)
            self._full = False
        return self.trouble is None

    async def has_plenty(self) -> bool:
        """Return whether there is so much room that it will not soon be full again."""
        return await self._read(lambda connection: self._room(connection) > PLENTY * self._needed())

    def _went_full(self) -> None:
        """Give up the reserve (in the writer's thread), so that sends can still be recorded and old rows pruned."""
        self._full = True
        self._reserve.give_up()
        fold_log(self._connection)
        with suppress(sqlite3.Error):  # the next commit tells whether there is room
            self._set_size(self._connection, [self._reserve.size])
        self._loop.call_soon_threadsafe(self.on_full)

    def _set_size(self, connection: sqlite3.Connection, extra: list[int]) -> list[None]:
        limit_size(connection, self._size, extra[-1])
        return [None] * len(extra)

    def _roomy(self, connection: sqlite3.Connection) -> bool:
        """Return whether there is room for events."""
        return self._room(connection) > self._needed()

    def _could_help(self, connection: sqlite3.Connection) -> bool:
        """Return whether there is too little room, and pruning could make enough."""
        return self._room(connection) <= self._needed() < self._room(connection) + self._path.stat().st_size

    def _needed(self) -> int:
        return 2 * self._reserve.size if self._size is None else min(2 * self._reserve.size, self._size // 20)

    def _room(self, connection: sqlite3.Connection) -> int:
        room = shutil.disk_usage(self._path.parent).free
        if self._size is not None:
            room = min(room, max(0, self._size - retention.used_bytes(connection)))
        return room

    async def change_deliveries(
        self, verb: Literal["retry", "drop"], ids: Sequence[int], now: float
    ) -> list[tuple[int, str]]:
        """Retry or drop deliveries; return ids and rooms of those that were changed."""
        return await self._writer.submit(queries.change, (verb, tuple(ids), now))
