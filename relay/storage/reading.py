"""A session that reads, in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from relay.storage.session import Session

P = ParamSpec("P")
R = TypeVar("R")


class Reader:
    """Runs queries one after the other. Queries of people have a reader of their own, so that none delays an alert."""

    def __init__(self, session: Session, name: str) -> None:
        """`name` is the thread's."""
        self._session = session
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def close(self) -> None:
        """Wait for the running query, and close."""
        self._thread.shutdown(wait=True)
        self._session.close()

    async def read(self, query: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a query with these arguments; return its result. Raises a `StoreError`."""
        run = partial(query, self._session, *args, **kwargs)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        except Exception as error:
            ours = self._session.trouble(error)
            if ours is None:
                raise
            raise ours from error
