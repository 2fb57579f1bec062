"""The store on PostgreSQL: one connection that writes in one thread, and two that read in others."""

from __future__ import annotations

from contextlib import ExitStack, closing

from relay.ports import Limits
from relay.storage.postgres.database import migrate
from relay.storage.postgres.session import open_session
from relay.storage.sequence import Sequences
from relay.storage.store import Store
from relay.storage.writer import Writer


class PostgresStore(Store):
    """A store in a database of a server."""

    def __init__(self, address: str) -> None:
        """Connect to the database at an address of libpq, and bring its schema up to date. Raises a `StoreError`."""
        with ExitStack() as undo:
            self._session, reading, asking = (undo.enter_context(closing(open_session(address))) for _ in range(3))
            migrate(self._session.connection)
            sequences = Sequences(self._session)
            undo.pop_all()
        super().__init__(Writer(self._session), reading, asking, sequences, own_clock=False)

    async def close(self) -> None:
        """Write all pending items, and close the connections."""
        await super().close()
        self._session.close()

    @property
    def trouble(self) -> str | None:
        """The reason why events can't be committed now, or None."""
        return self._writer.trouble

    @property
    def full(self) -> bool:
        """False: the room of a server's disk is looked after there."""
        return False

    async def prune(self, limits: Limits, now: float) -> bool:
        """Delete one slice of old rows; return whether there is more to look at."""
        return await self._writer.submit(self._pruner.prune, (limits, now))

    async def make_room(self) -> bool:
        """Return whether events can be committed."""
        return self.trouble is None

    async def has_plenty(self) -> bool:
        """Return True: the room of a server's disk is looked after there."""
        return True
