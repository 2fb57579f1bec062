"""The planner: events of the inbox become deliveries, in batches; a bad event is set aside alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from relay.core.planning import Known, Plan, Rules, Waiting, plan
from relay.ports import Clock, Log, PlanStore, StoreError, Tell

BATCH = 256
"""Events that one plan takes at the most."""


class Planner:
    """Plans what waits in the inbox."""

    def __init__(
        self,
        store: PlanStore,
        rules: Rules,
        clock: Clock,
        log: Log,
        tell: Tell,
        planned: Callable[[Plan], None],
    ) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock
        self._log = log
        self._tell = tell
        self._planned = planned
        self._wake = asyncio.Event()
        self.waiting = 0
        """How many events wait in the inbox, near enough."""

    def wake(self, count: int) -> None:
        """Say that so many events were committed."""
        self.waiting += count
        self._wake.set()

    def nudge(self) -> None:
        """Have `wait` return."""
        self._wake.set()

    async def wait(self) -> None:
        """Wait for work."""
        await self._clock.wait(self._wake, 5.0)

    async def run_once(self) -> int:
        """Plan one batch; how many events it had. Raises `StoreError`."""
        self._wake.clear()
        batch = await self._store.waiting_events(BATCH)
        if not batch:
            self.waiting = 0
            return 0
        try:
            await self._plan(batch)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the border around one batch: it is repeated event by event
            self._log.warning("plan_failed", events=len(batch), error=repr(error))
            for waiting in batch:
                await self._plan_alone(waiting)
        self.waiting = max(0, self.waiting - len(batch))
        if len(batch) == BATCH:
            self._wake.set()
        return len(batch)

    async def _plan(self, batch: Sequence[Waiting]) -> None:
        keys = list({(w.event.source, w.event.key): None for w in batch if w.event.status != "notice"})
        known = await self._store.known(keys) if keys else Known({}, {})
        made = plan(batch, self._rules, known)
        await self._store.commit_plan(made, self._clock.now())
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
