"""A connection that reads, in a thread of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from relay.storage.database import connect, translate

P = ParamSpec("P")
R = TypeVar("R")


class Reader:
    """Runs queries one after the other. Queries of people have a reader of their own, so that none delays an alert."""

    def __init__(self, path: Path, name: str) -> None:
        """Open a database; `name` is the thread's."""
        self._path = path
        self._connection = connect(path, read_only=True)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def close(self) -> None:
        """Wait for the running query, and close."""
        self._thread.shutdown(wait=True)
        self._connection.close()

    async def read(
        self, query: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run a query with these arguments; return its result. Raises a `StoreError`."""
        run = partial(query, self._connection, *args, **kwargs)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        except sqlite3.Error as error:
            raise translate(error, self._path) from error
