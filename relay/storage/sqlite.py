"""The store on SQLite: one connection that writes in one thread, one that reads in another."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from relay.core.alert import AlertKey
from relay.core.delivery import Settlement
from relay.core.planning import Known, Plan, Waiting
from relay.ports import (
    Accepted,
    Conflict,
    DeliveryFilter,
    EventFilter,
    LaneHead,
    Limits,
    Refusal,
    StoreUnavailableError,
    Submission,
)
from relay.storage import outbox, plans, queries, retention
from relay.storage.database import Reserve, connect, limit_size, lock_patiently, open_database, translate
from relay.storage.inbox import InboxWriter, entry_of
from relay.storage.outbox import ExchangeRequest, OutboxWriter
from relay.storage.plans import PlanWriter
from relay.storage.sequence import Sequences
from relay.storage.writer import Writer

T = TypeVar("T")
R_co = TypeVar("R_co")


class SqliteStore:
    """Implements the pipeline's ports `Inbox`, `PlanStore`, `Outbox` and `Retention`, and the API's queries."""

    def __init__(self, path: Path, size: int | None) -> None:
        """Open (and lock) the database at `path`, to grow to `size` bytes at most. Raises a `StoreError`."""
        self._path = path
        self._size = size
        self._lock = lock_patiently(path)
        try:
            self._connection = open_database(path, size)
        except BaseException:
            os.close(self._lock)
            raise
        self._reading = connect(path, read_only=True)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._reserve = Reserve(path)
        self._reserve.take()
        self._full = False
        self._loop = asyncio.get_running_loop()
        self.on_full: Callable[[], object] = lambda: None
        """Called in the loop when the store has gone full: pruning is due now."""
        sequences = Sequences(self._connection)
        self._inbox = InboxWriter(sequences)
        self._plans = PlanWriter(sequences)
        self._outbox = OutboxWriter(sequences)
        self._writer = Writer(self._connection, path, self._went_full)

    async def close(self) -> None:
        """Write what waits, fold the log into the file, give the lock back."""
        await self._writer.close()
        self._reader.shutdown(wait=True)
        self._reading.close()
        self._connection.close()
        self._reserve.give_up()
        os.close(self._lock)

    @property
    def trouble(self) -> str | None:
        """Why events can't be committed now, or None."""
        return self._writer.trouble or (f"{self._path}: no room left for events" if self._full else None)

    # Inbox

    def accept(self, submission: Submission) -> Awaitable[Accepted | Conflict]:
        """Commit a submission's events, or find that it was committed before."""
        if self._full:
            raise StoreUnavailableError(f"{self._path}: no room left for events", full=True)
        return self._writer.submit(self._inbox.accept, entry_of(submission))

    def refuse(self, refusal: Refusal) -> Awaitable[None]:
        """Keep what could not be read."""
        return self._writer.submit(self._inbox.refuse, refusal)

    # PlanStore

    async def waiting_events(self, limit: int) -> list[Waiting]:
        """Events that wait for the planner, in order of arrival."""
        return await self._read(plans.waiting_events, limit)

    async def count_waiting_events(self) -> int:
        """How many events wait for the planner."""
        return await self._read(lambda connection, _: plans.count_waiting_events(connection), None)

    async def known(self, keys: Sequence[AlertKey]) -> Known:
        """What is on record of these keys."""
        return await self._read(plans.known, list(keys))

    def commit_plan(self, plan: Plan, now: float) -> Awaitable[None]:
        """Write a plan, all of it or nothing."""
        return self._writer.submit(self._plans.commit, (plan, now))

    async def set_event_aside(self, seq: int, why: str) -> None:
        """Take one event out of the way, with the reason."""
        await self._writer.submit(self._plans.set_aside, (seq, why))

    # Outbox

    async def exchange(
        self, settlements: Sequence[Settlement], lanes: Mapping[str, str], eager: Set[str], now: float
    ) -> Sequence[LaneHead]:
        """Settle deliveries and lease the next of each free lane, in one commit."""
        return await self._writer.submit(self._outbox.exchange, ExchangeRequest(settlements, lanes, eager, now))

    async def recover(self) -> list[str]:
        """Put back what an earlier process left leased: its rooms, one entry a delivery."""
        return await self._writer.submit(self._outbox.recover, None)

    async def depths(self) -> dict[str, list[int]]:
        """Waiting deliveries by room, worst severity first."""
        return await self._read(lambda connection, _: outbox.depths(connection), None)

    async def dead_counts(self) -> dict[str, int]:
        """Dead deliveries by room."""
        return await self._read(lambda connection, _: outbox.dead_counts(connection), None)

    async def oldest_waiting(self, rooms: list[str]) -> dict[str, float]:
        """When the oldest waiting delivery of each room was made, in Unix seconds."""
        return await self._read(outbox.oldest_waiting, rooms)

    # Retention

    async def prune(self, limits: Limits, now: float) -> int:
        """Delete one slice of what need not be kept (when full: of all that is done); the rows deleted."""
        kept = msgspec.structs.replace(limits, size=0) if self._full else limits
        return await self._writer.submit(retention.prune, (kept, now))

    async def make_room(self) -> bool:
        """Tell whether events can be committed; after a full disk, take the reserve anew when there is room."""
        if self._full and await self._read(lambda connection, _: self._roomy(connection), None):
            if not await asyncio.to_thread(self._reserve.take):
                return False
            await self._writer.submit(self._set_size, 0)
            self._full = False
        return self.trouble is None

    def _went_full(self) -> None:
        """In the writer's thread: live on the reserve, so that what is done can be recorded and pruned."""
        self._full = True
        self._reserve.give_up()
        self._set_size(self._connection, [self._reserve.size])
        self._loop.call_soon_threadsafe(self.on_full)

    def _set_size(self, connection: sqlite3.Connection, extra: list[int]) -> list[None]:
        limit_size(connection, self._size, extra[-1])
        return [None] * len(extra)

    def _roomy(self, connection: sqlite3.Connection) -> bool:
        needed = 2 * self._reserve.size
        free = shutil.disk_usage(self._path.parent).free
        if self._size is not None:
            free = min(free, max(0, self._size - retention.used_bytes(connection)))
            needed = min(needed, self._size // 20)
        return free > needed

    # Queries

    async def list_events(self, wanted: EventFilter) -> str:
        """Events (or what was refused), newest first, as JSON."""
        return await self._read(queries.list_events, wanted)

    async def show_event(self, event_id: str) -> str:
        """One event with its payload as JSON, or `null`."""
        return await self._read(queries.show_event, event_id)

    async def list_deliveries(self, wanted: DeliveryFilter) -> str:
        """Deliveries, newest first, as JSON."""
        return await self._read(queries.list_deliveries, wanted)

    async def counts(self) -> dict[str, dict[str, int]]:
        """How many deliveries stand in each state, and how many events there are."""
        return await self._read(lambda connection, _: queries.counts(connection), None)

    async def change_deliveries(self, verb: Literal["retry", "drop"], ids: Sequence[int], now: float) -> list[int]:
        """Retry or drop deliveries; the ids that were changed."""
        return await self._writer.submit(queries.change, (verb, tuple(ids), now))

    async def _read(self, query: Callable[[sqlite3.Connection, T], R_co], value: T) -> R_co:
        def run() -> R_co:
            try:
                return query(self._reading, value)
            except sqlite3.Error as error:
                raise translate(error, self._path) from error

        return await asyncio.get_running_loop().run_in_executor(self._reader, run)
