"""What a start makes of a machine's clock that was set back while no relay ran."""

from __future__ import annotations

from sqlite3 import Connection

from relay.storage.statements import statements

_SQL = statements("clocks")
SAME = 2.0
"""Seconds by which the time may seem to run back that mean nothing."""
RECENT = 86_400.0
"""Seconds for which what has ended may begin again, and so has times that matter."""


def turn_back(connection: Connection, now: float) -> None:
    """Move all that is due by as much as the clock was set back since the last process, at its end.

    `now` is the relay's own clock in Unix seconds: it starts at the machine's time. Where that lies before what is on
    record as past, everything due would be late by the difference. How long no relay ran can't be known then, and
    counts as no time. A clock that was set forward looks like a long stop: what it makes due is told at the start.
    """
    (latest,) = connection.execute(_SQL["latest"]).fetchone()
    note_time(connection, [now])
    if latest - now <= SAME:
        return
    values = {"by": now - latest, "now": now, "recent": latest - RECENT}
    for name in ("incidents", "groups", "alerts", "silences", "deliveries"):
        connection.execute(_SQL[f"shift_{name}"], values)


def note_time(connection: Connection, times: list[float]) -> list[None]:
    """Record how far the relay's own clock has come, in Unix seconds."""
    connection.execute(_SQL["note_time"], {"now": round(times[-1])})
    return [None] * len(times)
