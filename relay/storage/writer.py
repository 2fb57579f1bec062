"""One thread that writes. All pending items share a transaction and its fsync (group commit)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar

from relay.ports import StoreError, StoreUnavailableError
from relay.storage.session import Session

T = TypeVar("T")
R = TypeVar("R")

Operation = Callable[[Session, list[T]], Sequence[R | StoreError]]
"""Writes a list of items in the open transaction; returns one result for each: an error for one it did not write."""
QUIET_TURNS = 3
"""A commit begins after this many loop turns without a new item. A request needs as many turns to become rows.

An event's plan needs fewer, and so do the leases of a plan. So they join the commit of the event.
"""
MOST_TURNS = 30
"""The most turns of the loop that a commit waits for more items."""
_Job = tuple[Operation[Any, Any], Any, "asyncio.Future[Any]"]
_Result = tuple["asyncio.Future[Any]", object, BaseException | None]


class Commit(asyncio.Future[R]):
    """The result of a commit. It can't be cancelled: who is cancelled meanwhile is so when the commit has ended."""

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - asyncio's
        """Return False: what has been submitted is written."""
        return False


class Writer:
    """Runs operations in one session, in one thread. Pending items of one operation are passed in one call.

    Items that are submitted during a commit wait for the next one. A commit begins once some turns of the loop have
    added nothing. So a burst shares one commit. The thread then does not compete with a busy loop for the interpreter.
    """

    def __init__(
        self, session: Session, on_full: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None
    ) -> None:
        """`on_full` is called when the disk is full, `after` when a commit has ended; both in the thread."""
        self._session = session
        self._on_full = on_full
        self._after = after
        self._pending: list[_Job] = []
        self._busy = False
        self._queue: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self.trouble: str | None = None
        """The error of the last commit, if the store caused it."""
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation[T, R], item: T) -> asyncio.Future[R]:
        """Have an item written; return a future that is done after the commit. It may raise a `StoreError`."""
        future: asyncio.Future[R] = Commit(loop=self._loop)
        if self._closed:
            future.set_exception(StoreUnavailableError("the store is closed"))
            return future
        self._pending.append((operation, item, future))
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._gather, 0, 0, MOST_TURNS)
        return future

    def _gather(self, seen: int, quiet: int, turns: int) -> None:
        """Hand pending items to the thread, once some turns of the loop have added nothing."""
        count = len(self._pending)
        quiet = quiet + 1 if count == seen else 0
        if quiet < QUIET_TURNS and turns > 0:
            self._loop.call_soon(self._gather, count, quiet, turns - 1)
            return
        jobs, self._pending = self._pending, []
        self._queue.put(jobs)

    def _resolve(self, results: list[_Result]) -> None:
        for future, value, error in results:
            if future.done():
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)
        if self._pending:
            self._loop.call_soon(self._gather, 0, 0, MOST_TURNS)
        else:
            self._busy = False

    async def close(self) -> None:
        """Write pending items, then end the thread."""
        self._closed = True
        if self._pending:
            jobs, self._pending = self._pending, []
            self._queue.put(jobs)
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (jobs := self._queue.get()) is not None:
            results = self._commit(jobs)
            self._loop.call_soon_threadsafe(self._resolve, results)

    def _commit(self, jobs: list[_Job]) -> list[_Result]:
        """Run all jobs in one transaction; return the result of each. A failure is a result, never an exception."""
        session = self._session
        groups: dict[Operation[Any, Any], tuple[list[Any], list[asyncio.Future[Any]]]] = {}
        for operation, item, future in jobs:
            items, futures = groups.setdefault(operation, ([], []))
            items.append(item)
            futures.append(future)
        results: list[_Result] = []
        try:
            session.begin()
            for operation, (items, futures) in groups.items():
                written = operation(session, items)
                for future, value in zip(futures, written, strict=True):
                    results.append((future, value, value if isinstance(value, StoreError) else None))
            session.commit()
        except Exception as error:  # noqa: BLE001 - every error reaches the one who waits for its item
            session.roll_back()
            return self._after_failure(jobs, error)
        self.trouble = None
        self._after()
        return results

    def _after_failure(self, jobs: list[_Job], error: Exception) -> list[_Result]:
        """Fail all items if the store is unusable. Else repeat them one by one, so that a bad item fails alone."""
        ours = self._session.trouble(error)
        if ours is not None:
            self.trouble = str(ours)
            if isinstance(ours, StoreUnavailableError) and ours.full:
                self._on_full()
            return [(future, None, ours) for _, _, future in jobs]
        if len(jobs) == 1:
            return [(jobs[0][2], None, error)]
        return [result for job in jobs for result in self._commit([job])]
