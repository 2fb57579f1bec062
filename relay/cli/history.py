"""Events on record, for commands that try a configuration on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay.cli.common import complain, fail

if TYPE_CHECKING:
    from relay.settings.load import Loaded

MOST = 10_000
"""Most events that are read."""


def events_of_the_last(loaded: Loaded, last: str, source: str | None = None) -> list[dict[str, Any]]:
    """Return the events of the last duration, like 24h, oldest first; at most `MOST`."""
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
        complain(f"there are more than {MOST:,} events in the last {last}; only the newest {MOST:,} are used")
    return kept
