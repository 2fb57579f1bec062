"""What need not be kept any more, in slices short enough that nobody waits for them."""

from __future__ import annotations

from sqlite3 import Connection

import msgspec

from relay.ports import Limits
from relay.storage.statements import statements

_SQL = statements("retention")
SLICE = 500
"""Rows a slice deletes of one table at the most."""
DEDUPE_KEPT = 7 * 86_400.0
"""Seconds that an idempotency key is remembered at least."""
MOST_REFUSALS = 10_000
FULL_AT = 0.9
"""Share of the allowed size from which what is done is pruned before its time."""


def prune(connection: Connection, items: list[tuple[Limits, float]]) -> list[int]:
    """Delete one slice for each item's limits and time; the rows deleted."""
    return [_prune(connection, limits, now) for limits, now in items]


def _prune(connection: Connection, limits: Limits, now: float) -> int:
    done, dead = now - limits.done, now - limits.dead
    if used_bytes(connection) > limits.size * FULL_AT:
        done = now
        if not _anything_done(connection):
            dead = now
    values = {
        "done_before": done,
        "dead_before": dead,
        "dedupe_before": now - max(DEDUPE_KEPT, limits.done),
        "slice": SLICE,
        "most": MOST_REFUSALS,
    }
    touched = connection.execute(_SQL["prune_deliveries"], values).fetchall()
    deleted = len(touched)
    if touched:
        messages = msgspec.json.encode([message for (message,) in touched]).decode()
        connection.execute(_SQL["prune_messages"], (messages,))
    for name in ("prune_events", "prune_requests", "prune_refusals", "prune_alerts", "prune_incidents"):
        deleted += connection.execute(_SQL[name], values).rowcount
    return deleted


def used_bytes(connection: Connection) -> int:
    """Bytes of the file that hold something."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def _anything_done(connection: Connection) -> bool:
    query = (
        "SELECT EXISTS (SELECT 1 FROM deliveries WHERE state IN ('done', 'superseded', 'merged', 'moved', 'dropped'))"
    )
    return bool(connection.execute(query).fetchone()[0])
