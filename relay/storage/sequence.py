"""Row numbers, assigned in memory: one process writes, and a number lost to a rollback is only a gap."""

from __future__ import annotations

from typing import Literal

from relay.storage.session import Session

Table = Literal["event", "message", "delivery", "incident"]


class Sequences:
    """The last row number of each table."""

    def __init__(self, session: Session) -> None:
        event, message, delivery, incident = session.run("inbox.last_ids").fetchone()
        self._last: dict[Table, int] = {
            "event": event or 0,
            "message": message,
            "delivery": delivery,
            "incident": incident,
        }

    def next(self, table: Table) -> int:
        """Return the next number of a table."""
        number = self._last[table] = self._last[table] + 1
        return number

    def take(self, table: Table, count: int) -> int:
        """Take `count` consecutive numbers of a table; return the first."""
        first = self._last[table] + 1
        self._last[table] += count
        return first
