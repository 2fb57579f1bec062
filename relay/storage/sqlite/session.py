"""A session with SQLite: named SQL from the `.sql` files, and many rows in one statement.

Every step of a statement releases the interpreter's lock and takes it again. Under load that costs far more than the
row itself. So one statement writes hundreds of rows, and reads return one JSON document.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import chain
from pathlib import Path

from relay.ports import StoreError
from relay.storage.named import statements
from relay.storage.session import Row, Values
from relay.storage.sqlite.database import connect, open_database, translate

PACKAGE = "relay.storage.sqlite"
_ROWS = re.compile(r":rows\((\d+)\)")
_CHUNKS = (512, 256, 128, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)


@cache
def _expanded(sql: str, count: int) -> str:
    return _ROWS.sub(lambda found: ",".join(["(" + ",".join("?" * int(found[1])) + ")"] * count), sql)


class SqliteSession:
    """Implements `Session` on a connection."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        """`path` is named in errors."""
        self.connection = connection
        self._path = path
        self._sql = statements(PACKAGE)

    def run(self, name: str, values: Values = ()) -> sqlite3.Cursor:
        """Run a statement."""
        return self.connection.execute(self._sql[name], values)

    def write(self, name: str, rows: Sequence[Row]) -> int:
        """Run a statement with `:rows(n)` for rows of n values each, in few large steps."""
        sql = self._sql[name]
        start = changed = 0
        for size in _CHUNKS:
            while len(rows) - start >= size:
                values: Iterable[object] = chain.from_iterable(rows[start : start + size])
                changed += self.connection.execute(_expanded(sql, size), tuple(values)).rowcount
                start += size
        return changed

    def read(self, name: str, values: Values = ()) -> str:
        """Return the one JSON document that a statement yields, or `null` if it yields none."""
        row = self.connection.execute(self._sql[name], values).fetchone()
        return "null" if row is None or row[0] is None else str(row[0])

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Have all statements of the context read the database as of one moment."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    def begin(self) -> None:
        """Begin a transaction that writes."""
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit it."""
        self.connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Undo it, if one is open. A full disk has undone it by itself; the next one shows whether the store works."""
        if self.connection.in_transaction:
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")

    def trouble(self, error: Exception) -> StoreError | None:
        """Return what an error of SQLite means for the relay; None if it comes from the values or the code."""
        values = isinstance(error, (sqlite3.IntegrityError, sqlite3.ProgrammingError))
        return translate(error, self._path) if isinstance(error, sqlite3.Error) and not values else None

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def open_session(path: Path) -> SqliteSession:
    """Open, configure and migrate a database. Raises a `StoreError`."""
    return SqliteSession(open_database(path), path)


def open_reading(path: Path) -> SqliteSession:
    """Open a database to read from it."""
    return SqliteSession(connect(path, read_only=True), path)
