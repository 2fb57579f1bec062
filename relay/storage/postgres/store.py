"""The store on PostgreSQL: one connection that writes in one thread, and two that read in others."""

from __future__ import annotations

from relay.ports import Limits
from relay.storage.postgres.database import connect, migrate
from relay.storage.postgres.session import PostgresSession, open_session
from relay.storage.sqlite.sequence import MemorySequences
from relay.storage.store import Store
from relay.storage.writer import Writer


class PostgresStore(Store):
    """A store in a database of a server."""

    def __init__(self, address: str) -> None:
        """Connect to the database at an address of libpq, and bring its schema up to date. Raises a `StoreError`."""
        connection = connect(address)
        try:
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        self._session = PostgresSession(connection)
        writer = Writer(self._session)
        sequences = MemorySequences(self._session)
        super().__init__(writer, open_session(address), open_session(address), sequences, own_clock=False)

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
