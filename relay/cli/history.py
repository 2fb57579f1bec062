"""Events on record, for what is tried on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay.cli.common import complain, fail

if TYPE_CHECKING:
    from relay.settings.load import Loaded

MOST = 10_000
"""Events that are looked at."""


def events_of_the_last(loaded: Loaded, last: str, source: str | None = None) -> list[dict[str, Any]]:
    """Events that have come within a duration, oldest first."""
    from relay.cli.access import access
    from relay.core.words import parse_duration, parse_time
    from relay.lifecycle import SystemClock

    try:
        since = SystemClock().wall() - parse_duration(last)
    except ValueError as error:
        fail(f"--last: {error}", 2)
    found = access(loaded).events({"source": source, "limit": MOST})
    kept = [event for event in reversed(found) if parse_time(event["received_at"]) >= since]
    if len(kept) == MOST:
        complain(f"more than {MOST:,} events came in the last {last}; the newest {MOST:,} are looked at")
    return kept
