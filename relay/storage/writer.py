"""One thread that writes: all that waits shares a transaction and its fsync (group commit)."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from relay.ports import StoreError, StoreUnavailableError
from relay.storage.database import translate

T = TypeVar("T")
R = TypeVar("R")

Operation = Callable[[sqlite3.Connection, list[T]], Sequence[R]]
"""Writes a list of items in the open transaction; one result an item."""
_Job = tuple[Operation[Any, Any], Any, "asyncio.Future[Any]"]
_Result = tuple["asyncio.Future[Any]", object, BaseException | None]


class Writer:
    """Runs operations on one connection in one thread; items of one operation that wait together are one call."""

    def __init__(self, connection: sqlite3.Connection, path: Path, on_full: Callable[[], None]) -> None:
        self._connection = connection
        self._path = path
        self._on_full = on_full
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self.trouble: str | None = None
        """What the last commit failed of, where the store was the reason."""
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation[T, R], item: T) -> asyncio.Future[R]:
        """Have an item written; the future is done after the commit. It raises a `StoreError`."""
        future: asyncio.Future[R] = self._loop.create_future()
        if self._closed:
            future.set_exception(StoreUnavailableError("the store is closed"))
        else:
            self._queue.put((operation, item, future))
        return future

    async def close(self) -> None:
        """Write what waits, then end the thread."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        closing = False
        while not closing:
            jobs = [self._queue.get()]
            try:
                while True:
                    jobs.append(self._queue.get_nowait())
            except Empty:
                pass
            closing = None in jobs
            work = [job for job in jobs if job is not None]
            if work:
                results = self._commit(work)
                self._loop.call_soon_threadsafe(_resolve, results)

    def _commit(self, jobs: list[_Job]) -> list[_Result]:
        connection = self._connection
        groups: dict[Operation[Any, Any], tuple[list[Any], list[asyncio.Future[Any]]]] = {}
        for operation, item, future in jobs:
            items, futures = groups.setdefault(operation, ([], []))
            items.append(item)
            futures.append(future)
        results: list[_Result] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for operation, (items, futures) in groups.items():
                written = operation(connection, items)
                results.extend((future, value, None) for future, value in zip(futures, written, strict=True))
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - every error reaches the one who waits for its item
            self._roll_back()
            return self._after_failure(jobs, error)
        self.trouble = None
        return results

    def _after_failure(self, jobs: list[_Job], error: Exception) -> list[_Result]:
        """Give an unusable store's error to all; else repeat item by item, so that one bad item fails alone."""
        if isinstance(error, sqlite3.Error) and not isinstance(error, (sqlite3.IntegrityError, sqlite3.ProgrammingError)):
            ours: StoreError = translate(error, self._path)
            self.trouble = str(ours)
            if isinstance(ours, StoreUnavailableError) and ours.full:
                self._on_full()
            return [(future, None, ours) for _, _, future in jobs]
        if len(jobs) == 1:
            return [(jobs[0][2], None, error)]
        return [result for job in jobs for result in self._commit([job])]

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                return  # a full disk rolls back by itself; the next BEGIN shows whether the store works


def _resolve(results: list[_Result]) -> None:
    for future, value, error in results:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
