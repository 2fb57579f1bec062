"""What a start makes of a machine's clock that was set while the last process ran, or back after its end."""

from __future__ import annotations

from sqlite3 import Connection

from relay.storage.statements import statements

_SQL = statements("clocks")
SAME = 2.0
"""Seconds by which the time may seem to run back that mean nothing."""
RECENT = 86_400.0
"""Seconds for which what has ended may begin again, and so has times that matter."""


def turn_back(connection: Connection, now: float) -> None:
    """Move all that is due from the last process's own clock to this one's.

    `now` is this one's in Unix seconds: it starts at the machine's time. The last process's ran on while the machine's
    was set, so both were noted. Where the machine's time lies before what was noted, it was set back after the end:
    how long no relay ran can't be known then, and counts as no time. A clock that was set forward after the end looks
    like a long stop: what it makes due is told at the start.
    """
    latest, noted_at, noted_wall = connection.execute(_SQL["latest"]).fetchone()
    note_time(connection, [(now, now)])
    noted_at, noted_wall = (latest, latest) if noted_at is None else (noted_at, noted_wall)
    later = max(0.0, latest - noted_at)  # what happened after the note
    by = now - (noted_at + later + max(0.0, now - (noted_wall + later)))
    if abs(by) <= SAME:
        return
    values = {"by": by, "now": now, "recent": latest - RECENT}
    for name in ("incidents", "groups", "alerts", "silences", "deliveries"):
        connection.execute(_SQL[f"shift_{name}"], values)


def note_time(connection: Connection, times: list[tuple[float, float]]) -> list[None]:
    """Record how far the relay's own clock has come, and the machine's, in Unix seconds."""
    now, wall = times[-1]
    connection.execute(_SQL["note_time"], {"now": round(now), "wall": round(wall)})
    return [None] * len(times)
