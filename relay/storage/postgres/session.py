"""A session with PostgreSQL: named SQL from the `.sql` files, and many rows in one statement, as arrays.

psycopg prepares a statement on the server once it has run a few times (its documentation, "Prepared statements"). A
statement for rows has one array for each column, so its text is the same for any number of rows. Arrays are sent in
binary form, which takes a fifth of the time of text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache

import psycopg
from psycopg.adapt import Loader
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from relay.ports import StoreError
from relay.storage.named import statements
from relay.storage.postgres.database import PACKAGE, connect, translate
from relay.storage.session import Row, Values

_ROWS = re.compile(r":rows\(([\w, ]+)\)")


@cache
def prepared() -> dict[str, str]:
    """Return all statements, with an array of its type in the place of each column of rows."""

    def arrays(found: re.Match[str]) -> str:
        return ", ".join(f"%b::{kind.strip()}[]" for kind in found[1].split(","))

    return {name: _ROWS.sub(arrays, sql) for name, sql in statements(PACKAGE).items()}


class _Text(Loader):
    """Leaves a JSON document as text: who reads it decodes it into its own types."""

    def load(self, data: bytes | bytearray | memoryview) -> str:
        return bytes(data).decode()


class PostgresSession:
    """Implements `Session` on a connection."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        connection.adapters.register_loader("json", _Text)
        connection.adapters.register_loader("jsonb", _Text)
        for dumper in (Int8Dumper, Int8BinaryDumper):  # else each size of a number is a statement of its own
            connection.adapters.register_dumper(int, dumper)
        self._sql = prepared()

    def run(self, name: str, values: Values = ()) -> psycopg.Cursor:
        """Run a statement."""
        return self.connection.execute(self._sql[name], values or None)

    def write(self, name: str, rows: Sequence[Row]) -> int:
        """Run a statement with `:rows(types)` for all rows at once."""
        if not rows:
            return 0
        return self.connection.execute(self._sql[name], [list(column) for column in zip(*rows, strict=True)]).rowcount

    def read(self, name: str, values: Values = ()) -> str:
        """Return the one JSON document that a statement yields, or `null` if it yields none."""
        row = self.run(name, values).fetchone()
        return "null" if row is None or row[0] is None else str(row[0])

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Have all statements of the context read the database as of one moment."""
        self.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    def begin(self) -> None:
        """Begin a transaction that writes."""
        self.connection.execute("BEGIN")

    def commit(self) -> None:
        """Commit it."""
        self.connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Undo it, if one is open. If the connection is lost, the server undoes it."""
        with suppress(psycopg.Error):
            self.connection.execute("ROLLBACK")

    def trouble(self, error: Exception) -> StoreError | None:
        """Return what an error of the server means for the relay; None if it comes from the values or the code."""
        values = isinstance(error, (psycopg.IntegrityError, psycopg.ProgrammingError, psycopg.DataError))
        return translate(error) if isinstance(error, psycopg.Error) and not values else None

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def open_session(address: str) -> PostgresSession:
    """Connect to a database. Raises a `StoreError`."""
    return PostgresSession(connect(address))
