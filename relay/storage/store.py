"""The store, without what is particular to one database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Literal

from relay.core.alert import Alert, AlertKey
from relay.core.delivery import DigestLine, Settlement
from relay.core.diverting import Divert
from relay.core.group import Members
from relay.core.plan import Known, Plan, Waiting
from relay.core.storm import Storm, StormMembers
from relay.core.suppression import Silence
from relay.ports import Begun, Diverted, LaneHead, Over, Recovered, Refusal, Start, Submission
from relay.storage import outbox, plans, queries
from relay.storage.asking import Queries
from relay.storage.clocks import note_time
from relay.storage.diversions import Diverter, open_diversions
from relay.storage.inbox import InboxWriter, entry_of, state_of
from relay.storage.outbox import ExchangeRequest, OutboxWriter
from relay.storage.plans import PlanWriter
from relay.storage.reading import Reader
from relay.storage.retention import Pruner
from relay.storage.sequence import Sequences
from relay.storage.session import Session
from relay.storage.writer import Writer


class Store:
    """Implements the pipeline's `Store`. It writes in one thread, and reads in two others.

    `queries` answers people's questions, in a thread of its own.
    """

    def __init__(
        self, writer: Writer, reading: Session, asking: Session, sequences: Sequences, *, own_clock: bool
    ) -> None:
        """Write with `writer`. `reading` reads for the pipeline, `asking` for people.

        `own_clock`: times on record are by a process's own clock, not by one that all processes share.
        """
        self._writer = writer
        self._reading = Reader(reading, "store-reader")
        self._read = self._reading.read
        self._asking = Reader(asking, "store-queries")
        self.queries = Queries(self._asking)
        self._sequences = sequences
        self._plans = PlanWriter(sequences)
        self._outbox = OutboxWriter(sequences, own_clock=own_clock)
        self._diverter = Diverter(sequences)
        self._pruner = Pruner()

    async def close(self) -> None:
        """Write all pending items, then end the threads and the sessions that read."""
        await self._writer.close()
        await asyncio.to_thread(self._reading.close)
        await asyncio.to_thread(self._asking.close)

    # Inbox

    def accept(self, submission: Submission) -> Begun:
        """Commit a submission's events, or return the result of the earlier one with its key."""
        entry = entry_of(submission, self._sequences.take("event", len(submission.events)))
        return Begun(entry.first, self._writer.submit(InboxWriter.accept, entry))

    def refuse(self, refusal: Refusal) -> Awaitable[None]:
        """Record input that could not be read."""
        return self._writer.submit(InboxWriter.refuse, refusal)

    async def source_state(self, source: str) -> dict[str, bytes]:
        """Return the state from which a source's listener resumes, by name."""
        return await self._read(state_of, source)

    # PlanStore

    async def waiting_events(self, limit: int, now: float) -> list[Waiting]:
        """Return events that wait for the planner, in order of arrival."""
        return await self._read(plans.waiting_events, limit, now)

    async def count_waiting_events(self) -> int:
        """Return how many events wait for the planner."""
        return await self._read(plans.count_waiting_events)

    async def firing_keys(self, source: str) -> list[str]:
        """Return the keys of a source's alerts that fire, or that have events waiting to be planned."""
        return await self._read(plans.firing_keys, source)

    async def known(self, keys: Sequence[AlertKey]) -> Known:
        """Return the alerts of these keys, and the last incident of each in each room."""
        return await self._read(plans.known, list(keys))

    async def due_keys(self, now: float, limit: int) -> list[AlertKey]:
        """Return keys of incidents that are due by a time."""
        return await self._read(plans.due_keys, now, limit)

    async def due_groups(self, now: float, limit: int) -> list[Members | StormMembers]:
        """Return groups that are due by a time, each with the incidents to look at."""
        return await self._read(plans.due_groups, now, limit)

    async def open_keys(self, after: AlertKey, limit: int) -> list[AlertKey]:
        """Return keys of open incidents that come after a key, in order."""
        return await self._read(plans.open_keys, after, limit)

    async def storms(self) -> list[Storm]:
        """Return the storms that are not over."""
        return await self._read(plans.storms)

    async def waiting_posts(self, room: str, limit: int) -> tuple[int, int]:
        """Count the new posts among the first `limit` deliveries of a room. Return also the last event's `seq`."""
        return await self._read(plans.waiting_posts, room, limit)

    async def digest_lines(self, message: int, limit: int) -> list[DigestLine]:
        """Return the lines of a digest, the worst first."""
        return await self._asking.read(outbox.digest_lines, message, limit)

    async def firing_alerts(self) -> list[Alert]:
        """Return all alerts that fire."""
        return await self._read(plans.firing_alerts)

    async def silences(self) -> list[Silence]:
        """Return all silences on record."""
        return await self._read(plans.silences)

    async def save_silence(self, silence: Silence) -> None:
        """Write a silence; it replaces the one of the same id."""
        await self._writer.submit(plans.save_silences, silence)

    async def next_wakes(self) -> tuple[float | None, float | None]:
        """Return when the next incident is due, and when the next group, in Unix seconds; None if none is."""
        return await self._read(plans.next_wakes)

    def commit_plan(self, plan: Plan, now: float) -> Awaitable[Sequence[Over]]:
        """Write a plan, all or nothing; return the deliveries that it replaces."""
        return self._writer.submit(self._plans.commit, (plan, now))

    async def diversions(self) -> list[str]:
        """Return the rooms whose messages go to a fallback."""
        return await self._read(open_diversions)

    async def divert(self, order: Divert) -> Diverted:
        """Move waiting deliveries to the fallback, or end the diversion if the room is back."""
        return await self._writer.submit(self._diverter.divert, order)

    async def set_event_aside(self, seq: int, why: str) -> None:
        """Set one event aside, with the reason."""
        await self._writer.submit(self._plans.set_aside, (seq, why))

    # Outbox

    async def exchange(
        self, settlements: Sequence[Settlement], lanes: Mapping[str, str], works: Mapping[str, bool], now: float
    ) -> Sequence[LaneHead]:
        """Settle deliveries and lease the next of each free lane, in one commit."""
        return await self._writer.submit(self._outbox.exchange, ExchangeRequest(settlements, lanes, works, now))

    async def recover(self, start: Start) -> Recovered:
        """Adapt the deliveries on record to this process, its configuration and its clock."""
        return await self._writer.submit(self._outbox.recover, start)

    async def depths(self) -> dict[str, list[int]]:
        """Return the number of waiting deliveries by room and severity, the worst first."""
        return await self._read(outbox.depths)

    async def note_time(self, now: float, wall: float) -> None:
        """Record the relay's own clock and the machine's. From these the next start sees if the machine's was set."""
        await self._writer.submit(note_time, (now, wall))

    # People's changes

    async def change_deliveries(
        self, verb: Literal["retry", "drop"], ids: Sequence[int], now: float
    ) -> list[tuple[int, str]]:
        """Retry or drop deliveries; return ids and rooms of those that were changed."""
        return await self._writer.submit(queries.change, (verb, tuple(ids), now))
