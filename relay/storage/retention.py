"""Pruning of rows that need not be kept, in slices so short that no other write waits long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from relay.ports import Limits
from relay.storage.session import Session

WINDOW = 500
"""The most rows of a table that one slice looks at."""
_SWEPT = {
    "deliveries": ("prune_deliveries",),
    "events": ("prune_events",),
}
_AT_ONCE = (
    "prune_keys",
    "prune_refusals",
    "prune_alerts",
    "prune_incidents",
    "prune_groups",
    "prune_diversions",
    "prune_silences",
)
DEDUPE_KEPT = 7 * 86_400.0
"""Seconds that an idempotency key is remembered at the least."""
MOST_REFUSALS = 10_000
"""The most refusals that are kept; the oldest go first."""
FULL_AT = 0.9
"""Share of the allowed size above which settled deliveries are pruned before their time."""


class Pruner:
    """Sweeps over the tables by row number, which is the order of time. A slice is one window of each table."""

    def __init__(self) -> None:
        self._after = dict.fromkeys(_SWEPT, 0)

    def prune(self, session: Session, items: list[tuple[Limits, float]]) -> list[bool]:
        """Prune one slice for each item's limits and time; return whether each sweep goes on."""
        return [self._prune(session, limits, now) for limits, now in items]

    def _prune(self, session: Session, limits: Limits, now: float) -> bool:
        """Prune one window of each table. If the file is nearly full, keep no time: done ones go, then dead ones."""
        done, dead = now - limits.done, now - limits.dead
        if limits.pressing:
            done = now
        elif used_bytes(session) > limits.size * FULL_AT:
            done = now
            if not session.run("retention.anything_done").fetchone()[0]:
                dead = now
        values: dict[str, float | int] = {
            "done_before": done,
            "dead_before": dead,
            "dedupe_before": now - max(DEDUPE_KEPT, limits.done),
            "window": WINDOW,
            "most": MOST_REFUSALS,
        }
        more = False
        for table, names in _SWEPT.items():
            more |= self._sweep(session, table, names, values, max(done, dead))
        for name in _AT_ONCE:
            more |= session.run(f"retention.{name}", values).rowcount > 0
        return more

    def _sweep(
        self, session: Session, table: str, names: Sequence[str], values: dict[str, float | int], before: float
    ) -> bool:
        values = {**values, "after": self._after[table]}
        end, count, oldest = session.run(f"retention.window_of_{table}", values).fetchone()
        if not count or oldest > before:
            self._after[table] = 0
            return False
        values["end"] = end
        changed = sum(_run(session, name, values) for name in names)
        self._after[table] = end if count == WINDOW else 0
        return changed > 0 or count == WINDOW


def _run(session: Session, name: str, values: Mapping[str, float | int]) -> int:
    """Run one statement; return how many rows it changed. A message is pruned with the last of its deliveries."""
    if name != "prune_deliveries":
        return session.run(f"retention.{name}", values).rowcount
    touched = session.run(f"retention.{name}", values).fetchall()
    if touched:
        messages = msgspec.json.encode([message for (message,) in touched]).decode()
        session.run("retention.prune_messages", (messages,))
    return len(touched)


def used_bytes(session: Session) -> int:
    """Return how many bytes the database uses."""
    return int(session.run("retention.used_bytes").fetchone()[0])
