"""The planner: events of the inbox become deliveries, in batches; a bad event is set aside alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from relay.core.planning import Known, Plan, Rules, Waiting, plan
from relay.ports import Clock, Log, PlanStore, StoreError, Tell

BATCH = 512
"""Events that one plan takes at the most."""
MOST_IN_MEMORY = 2_048
"""Committed events that are held for the planner; where more wait, it reads them from the store."""


CROWD = 32
"""Events in a plan from which the next one waits for company: many at once cost the store far less each."""
COMPANY = 0.05
"""Seconds that it waits for a full batch then."""


class Planner:
    """Plans what waits in the inbox: from memory while it keeps up, from the store when it has fallen behind."""

    def __init__(
        self,
        store: PlanStore,
        rules: Rules,
        clock: Clock,
        log: Log,
        tell: Tell,
        expect: Callable[[Plan], None],
        planned: Callable[[Plan], None],
    ) -> None:
        """`expect` is told of a plan as its commit begins, so that leases can share it; `planned` when it is done."""
        self._store = store
        self._rules = rules
        self._clock = clock
        self._log = log
        self._tell = tell
        self._expect = expect
        self._planned = planned
        self._wake = asyncio.Event()
        self._full = asyncio.Event()
        self._crowded = False
        self._held: list[Waiting] = []
        self._behind = True
        self._up_to = 0
        self.waiting = 0
        """How many events wait in the inbox, near enough."""

    def offer(self, committed: Sequence[Waiting]) -> None:
        """Take note of events that were committed, in order."""
        self.waiting += len(committed)
        if not self._behind:
            if len(self._held) + len(committed) <= MOST_IN_MEMORY:
                self._held.extend(committed)
            else:
                self._fall_behind()
        self._wake.set()
        if self._behind or len(self._held) >= BATCH:
            self._full.set()

    def _fall_behind(self) -> None:
        self._behind = True
        self._held.clear()

    def nudge(self) -> None:
        """Have `wait` return."""
        self._full.set()
        self._wake.set()

    async def wait(self) -> None:
        """Wait for work; in a rush, for a batch of it."""
        if self._crowded:
            await self._clock.wait(self._full, COMPANY)
        await self._clock.wait(self._wake, 5.0)

    async def run_once(self) -> int:
        """Plan one batch; how many events it had. Raises `StoreError`."""
        self._wake.clear()
        batch = await self._next_batch()
        self._crowded = len(batch) >= CROWD
        if self._held:
            self._wake.set()
        if len(self._held) < BATCH and not self._behind:
            self._full.clear()
        if not batch:
            return 0
        try:
            await self._plan(batch)
        except StoreError:
            self._fall_behind()
            raise
        except Exception as error:  # noqa: BLE001 - the border around one batch: it is repeated event by event
            self._log.warning("plan_failed", events=len(batch), error=repr(error))
            self._fall_behind()
            for waiting in batch:
                await self._plan_alone(waiting)
        self._up_to = batch[-1].seq
        self.waiting = max(0, self.waiting - len(batch))
        if self._held or self._behind:
            self._wake.set()
        return len(batch)

    async def _next_batch(self) -> list[Waiting]:
        if not self._behind:
            batch, self._held = self._held[:BATCH], self._held[BATCH:]
            return [waiting for waiting in batch if waiting.seq > self._up_to]
        self._behind = False  # what is committed from here on is offered; what the read sees as well is left out above
        try:
            batch = await self._store.waiting_events(BATCH)
        except StoreError:
            self._fall_behind()
            raise
        if len(batch) == BATCH:
            self._fall_behind()
        elif not batch:
            self.waiting = len(self._held)
        return batch

    async def _plan(self, batch: Sequence[Waiting]) -> None:
        keys = list({(w.event.source, w.event.key): None for w in batch if w.event.status != "notice"})
        known = await self._store.known(keys) if keys else Known({}, {})
        made = plan(batch, self._rules, known)
        commit = self._store.commit_plan(made, self._clock.now())
        self._expect(made)
        await commit
        self._planned(made)

    async def _plan_alone(self, waiting: Waiting) -> None:
        try:
            await self._plan([waiting])
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the border around one event: it is set aside as a bug
            event = waiting.event
            self._log.error("event_set_aside", event_id=event.id, source=event.source, error=repr(error))
            await self._store.set_event_aside(waiting.seq, f"bug: {error!r}")
            self._tell("planner", f"relay: an event of {event.source} could not be planned", "major", "notice",
                       f"event {event.id} is set aside: {error!r}")  # fmt: skip
