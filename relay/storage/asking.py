"""The queries of the API and of the page, on a connection of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from relay.core.alert import Alert, AlertKey
from relay.storage import outbox, plans, queries
from relay.storage.queries import Snapshot, Trail
from relay.storage.reading import Reader


class Queries:
    """Answers people's questions about what is on record. Raises `StoreError`."""

    def __init__(self, reader: Reader) -> None:
        self._read = reader.read

    async def list_events(
        self, *, source: str | None = None, after: int = 0, limit: int = 100, refused: bool = False
    ) -> str:
        """Return events (or refusals) that came after a `seq`, newest first, as JSON."""
        return await self._read(queries.list_events, source=source, after=after, limit=limit, refused=refused)

    async def show_event(self, event_id: str) -> str:
        """Return one event with its payload as JSON, or `null`."""
        return await self._read(queries.show_event, event_id)

    async def newest(self) -> tuple[int, float]:
        """Return the last event's number, and the last outcome's time in Unix seconds."""
        return await self._read(queries.newest)

    async def events_after(self, seq: int, limit: int) -> list[dict[str, Any]]:
        """Return events after a number, oldest first."""
        return list(msgspec.json.decode(await self._read(queries.events_after, seq, limit)))

    async def outcomes_after(self, at: float, delivery: int, limit: int) -> list[tuple[float, dict[str, Any]]]:
        """Return deliveries that were settled after a time and a number, in the order of both, each with its time."""
        found = await self._read(queries.outcomes_after, at, delivery, limit)
        return [(settled, msgspec.json.decode(one)) for settled, one in found]

    async def list_deliveries(
        self,
        *,
        ids: Sequence[int] | None = None,
        event: str | None = None,
        state: Sequence[str] | None = None,
        room: str | None = None,
        reason: str | None = None,
        created_before: float | None = None,
        limit: int = 100,
    ) -> str:
        """Return deliveries, newest first, as JSON; `created_before` in Unix seconds."""
        return await self._read(
            queries.list_deliveries,
            ids=ids,
            event=event,
            state=state,
            room=room,
            reason=reason,
            created_before=created_before,
            limit=limit,
        )

    async def list_incidents(self, *, ended: bool = False, limit: int = 10_000) -> str:
        """Return open incidents, the worst first, followed by ended ones if asked for, as JSON."""
        return await self._read(queries.list_incidents, ended=ended, limit=limit)

    async def trail(self, number: int) -> Trail | None:
        """Return an incident by its number with its last events and its message; None if there is none."""
        return await self._read(queries.trail, number)

    async def key_of_incident(self, number: int) -> AlertKey | None:
        """Return the key of an open incident's alert, or None."""
        return await self._read(queries.key_of_incident, number)

    async def open_alerts(self) -> list[Alert]:
        """Return all alerts that fire, and those that flap and have ended for now."""
        return await self._read(plans.open_alerts)

    async def keys_in_downtime(self) -> list[AlertKey]:
        """Return the open alerts that their sources hold back in a downtime."""
        return await self._read(plans.keys_in_downtime)

    async def counts(self) -> dict[str, dict[str, int]]:
        """Count deliveries by state, events, and open incidents."""
        return await self._read(queries.counts)

    async def dead_counts(self) -> dict[str, int]:
        """Return the number of dead deliveries by room."""
        return await self._read(outbox.dead_counts)

    async def count_untold_events(self) -> int:
        """Count the events without a delivery that nothing suppressed."""
        return await self._read(queries.count_untold_events)

    async def snapshot(self, rooms: Sequence[str], *, everything: bool) -> Snapshot:
        """Return the queue at one moment. With `everything`, also count all rows on record, which is slow."""
        return await self._read(queries.snapshot, rooms, everything=everything)
