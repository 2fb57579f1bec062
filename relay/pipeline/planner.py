"""The planner: what has come, and what the time asks for, becomes deliveries, stage by stage."""

from __future__ import annotations

import asyncio
from typing import Protocol

from relay.core.rules import Rules
from relay.core.suppression import Suppressor
from relay.pipeline.arrivals import BATCH, Arrivals
from relay.pipeline.book import LaneBook
from relay.pipeline.brake import Brake
from relay.pipeline.diversions import Diversions, DiversionStore
from relay.pipeline.loop import LONGEST_REST, Loop
from relay.pipeline.plans import Plans, PlanStore
from relay.pipeline.stages import DueAlerts, DueGroups, DueStore, EventStore, HeldAlerts, NewEvents, NewStorms, Stage
from relay.pipeline.vigil import HeldStore, Vigil
from relay.ports import Clock, Log, Tell

CROWD = 32
"""Events in a plan from which on the next one waits for company: many at once cost the store far less each."""
COMPANY = 0.1
"""Seconds that it waits for a full batch after a full one; after a smaller one its share of that."""


class PlannerStore(PlanStore, DueStore, EventStore, HeldStore, DiversionStore, Protocol):
    """What the stages need of the store, together."""


class Planner(Loop):
    """Runs the stages that are due, in their order: what moves messages comes before what adds to them."""

    def __init__(
        self,
        store: PlannerStore,
        rules: Rules,
        arrivals: Arrivals,
        book: LaneBook,
        brake: Brake,
        clock: Clock,
        log: Log,
        tell: Tell,
    ) -> None:
        super().__init__(clock, arrivals.woken)
        self.turn = asyncio.Lock()
        """Held through each step: who has it may put other rules in force."""
        self._arrivals = arrivals
        self._brake = brake
        self._plans = plans = Plans(store, rules, book, clock, log)
        self._again = False
        self._company = 0.0
        self.vigil = Vigil(plans.suppressor, store, clock, self.nudge)
        self.diversions = Diversions(store, book, plans)
        alerts = DueAlerts(store, plans, arrivals)
        self.stages: tuple[Stage, ...] = (
            self.diversions,
            HeldAlerts(self.vigil, alerts),
            alerts,
            NewStorms(plans),
            DueGroups(store, plans),
            NewEvents(store, plans, arrivals, brake, clock, tell),
        )

    @property
    def rules(self) -> Rules:
        """The rules in force."""
        return self._plans.rules

    @property
    def suppressor(self) -> Suppressor:
        """What holds alerts back."""
        return self._plans.suppressor

    def use(self, rules: Rules) -> None:
        """Put other rules in force, within `turn`: all that is open is looked at again."""
        self._plans.use(rules)
        self.vigil.renew()
        self.look_again()

    def look_again(self) -> None:
        """Look at what is due in the store in the next step, whatever this one finds."""
        self._again = True
        self.nudge()

    def nudge(self) -> None:
        """Wake the loop, even one that waits for company."""
        self._arrivals.full.set()
        super().nudge()

    async def wait(self) -> None:
        """Wait for work; in a rush, for a batch of it."""
        if self._company > 0:
            await self._clock.wait(self._arrivals.full, self._company)
        await super().wait()

    def rest(self) -> float:
        """Return the seconds until a stage is due."""
        return min(LONGEST_REST, self.due_at - self._clock.now())

    @property
    def due_at(self) -> float:
        """When there is something to plan, though nothing comes."""
        plans = self._plans
        return min(plans.alerts_due_at, plans.groups_due_at, self.vigil.due_at, self.diversions.wakes_at)

    async def step(self) -> int:
        """Plan what is due and one batch of events; return how many these were. Raises `StoreError`."""
        async with self.turn:
            if self._again:
                self._again = False
                self._plans.look_again()
            self._plans.suppressor.ahead = self._clock.now() - self._clock.wall()
            self._brake.look()
            planned = 0
            for stage in self.stages:
                if (now := self._clock.now()) >= stage.due_at:
                    planned += await stage.run(now)
            self._company = COMPANY * planned / BATCH if planned >= CROWD else 0.0
            return planned
