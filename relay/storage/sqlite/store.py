"""The store on SQLite: one connection that writes in one thread, one that reads in another, one for few alerts."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from relay.core.alert import AlertKey
from relay.core.event import OPERATOR_SOURCE
from relay.core.plan import Known
from relay.ports import Begun, Limits, StoreUnavailableError, Submission
from relay.storage import plans
from relay.storage.retention import used_bytes
from relay.storage.sequence import Sequences
from relay.storage.session import Session
from relay.storage.sqlite.database import (
    Reserve,
    fold_log,
    limit_size,
    lock_patiently,
    open_database,
    write_notice,
)
from relay.storage.sqlite.session import SqliteSession, open_reading
from relay.storage.store import Store
from relay.storage.writer import Writer

PLENTY = 8
"""The room that is plenty, as a multiple of the room from which events are taken again."""
MOST_AT_ONCE = 32
"""Keys of alerts that are read in the event loop: it takes 0.1 ms, and 1 ms or more by way of a thread."""
SHRINK_BY = 500
"""The most pages that are given back to a full disk at a time."""


class SqliteStore(Store):
    """A store in one file, which one process uses. Implements the pipeline's `Retention`, too."""

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
        session = SqliteSession(self._connection, path)
        self._direct = open_reading(path)
        self._direct.connection.execute("PRAGMA busy_timeout = 0")  # the event loop does not wait for a lock
        self._reserve = Reserve(path)
        self._reserve.take()
        self._full = False
        self._fold_next = False
        self._loop = asyncio.get_running_loop()
        self.on_full: Callable[[], object] = lambda: None
        """Called in the event loop when the disk is full, so that pruning starts at once."""
        writer = Writer(session, self._went_full, self._committed)
        super().__init__(writer, open_reading(path), open_reading(path), Sequences(session), own_clock=True)

    async def close(self) -> None:
        """Write all pending items, fold the log into the file, and release the lock."""
        await super().close()
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

    def accept(self, submission: Submission) -> Begun:
        """Commit a submission's events, or return the result of the earlier one with its key.

        On a full disk the reserve takes the relay's own notices: they are few, and one of them says that it is full.
        """
        if self._full and submission.source != OPERATOR_SOURCE:
            raise StoreUnavailableError(f"{self._path}: no room left for events", full=True)
        return super().accept(submission)

    async def known(self, keys: Sequence[AlertKey]) -> Known:
        """Return the alerts of these keys, and the last incident of each in each room."""
        if len(keys) <= MOST_AT_ONCE:
            with suppress(sqlite3.Error):  # whatever it is, it is told by the thread
                return plans.known(self._direct, list(keys))
        return await super().known(keys)

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
            await self._writer.submit(self._shrink, None)
            self._fold_next = True
        return more

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
        return await self._read(lambda session: self._room(session) > PLENTY * self._needed())

    def _went_full(self) -> None:
        """Give up the reserve (in the writer's thread), so that sends can still be recorded and old rows pruned."""
        self._full = True
        self._reserve.give_up()
        fold_log(self._connection)
        with suppress(sqlite3.Error):  # the next commit tells whether there is room
            limit_size(self._connection, self._size, self._reserve.size)
        self._loop.call_soon_threadsafe(self.on_full)

    def _committed(self) -> None:
        """Write the log into the file after a commit (in the writer's thread), to give its room back to the disk."""
        if self._fold_next:
            self._fold_next = False
            fold_log(self._connection)

    def _set_size(self, _: Session, extra: list[int]) -> list[None]:
        limit_size(self._connection, self._size, extra[-1])
        return [None] * len(extra)

    def _shrink(self, _: Session, items: list[None]) -> list[None]:
        """Give unused pages back to the disk."""
        self._connection.execute(f"PRAGMA incremental_vacuum({SHRINK_BY})").fetchall()
        return items

    def _roomy(self, session: Session) -> bool:
        """Return whether there is room for events."""
        return self._room(session) > self._needed()

    def _could_help(self, session: Session) -> bool:
        """Return whether there is too little room, and pruning could make enough."""
        return self._room(session) <= self._needed() < self._room(session) + self._path.stat().st_size

    def _needed(self) -> int:
        return 2 * self._reserve.size if self._size is None else min(2 * self._reserve.size, self._size // 20)

    def _room(self, session: Session) -> int:
        room = shutil.disk_usage(self._path.parent).free
        if self._size is not None:
            room = min(room, max(0, self._size - used_bytes(session)))
        return room
