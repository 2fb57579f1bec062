"""A session with a database: the statements of a store by name, whatever database has them.

The rows of `inbox`, `plans`, `outbox` … are the same on each database. Only the texts of the statements differ, and
they stand in one folder for each: `sqlite/sql`, `postgres/sql`. A statement is named `file.statement`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from relay.ports import StoreError

Row = Sequence[object]
Values = Row | Mapping[str, object]
"""The values of a statement, by place or by name."""


class Cursor(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        ...

    def fetchone(self) -> Any:
        """Return its next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Return its rows that are left."""
        ...


class Session(Protocol):
    """One connection, used by one thread at a time."""

    def run(self, name: str, values: Values = ()) -> Cursor:
        """Run a statement."""
        ...

    def write(self, name: str, rows: Sequence[Row]) -> int:
        """Run a statement for many rows in few steps; return how many rows it changed."""
        ...

    def read(self, name: str, values: Values = ()) -> str:
        """Return the one JSON document that a statement yields, or `null` if it yields none."""
        ...

    def moment(self) -> AbstractContextManager[None]:
        """Have all statements of the context read the database as of one moment."""
        ...

    def begin(self) -> None:
        """Begin a transaction that writes."""
        ...

    def commit(self) -> None:
        """Commit it. It is on disk when this returns."""
        ...

    def roll_back(self) -> None:
        """Undo it, if one is open."""
        ...

    def trouble(self, error: Exception) -> StoreError | None:
        """Return what an error of the database means for the relay; None if it comes from the values or the code."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
