"""The planner: stage by stage, it makes deliveries of new events and of alerts and groups that are due."""

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
from relay.ports import Clock, Log, NotifyOperator

CROWD = 32
"""After a plan of this many events, the next plan waits for more. In a large plan an event costs the store less."""
COMPANY = 0.1
"""Longest wait for a full batch, in seconds. After a small batch the wait is shorter."""


class PlannerStore(PlanStore, DueStore, EventStore, HeldStore, DiversionStore, Protocol):
    """The store as all stages together need it."""


class Planner(Loop):
    """Runs the stages that are due, in order: stages that move messages come before those that add to them."""

    def __init__(
        self,
        store: PlannerStore,
        rules: Rules,
        arrivals: Arrivals,
        book: LaneBook,
        brake: Brake,
        clock: Clock,
        log: Log,
        notify: NotifyOperator,
    ) -> None:
        super().__init__(clock, arrivals.woken)
        self.turn = asyncio.Lock()
        """Locked during each step: take it to put other rules in force."""
        self._arrivals = arrivals
        self._brake = brake
        self._plans = plans = Plans(store, rules, book, clock, log)
        self._again = False
        self._batch_wait = 0.0
        self.vigil = Vigil(plans.suppressor, store, clock, self.nudge)
        self.diversions = Diversions(store, book, plans)
        alerts = DueAlerts(store, plans, arrivals)
        self.stages: tuple[Stage, ...] = (
            self.diversions,
            HeldAlerts(self.vigil, alerts),
            alerts,
            NewStorms(plans),
            DueGroups(store, plans),
            NewEvents(store, plans, arrivals, brake, clock, notify, self.vigil.relearn),
        )

    @property
    def rules(self) -> Rules:
        """The rules in force."""
        return self._plans.rules

    @property
    def suppressor(self) -> Suppressor:
        """The suppressor, which decides whether an alert is silenced, muted or inhibited."""
        return self._plans.suppressor

    def use(self, rules: Rules) -> None:
        """Put other rules in force, and look at all open alerts again. The caller must hold `turn`."""
        self._plans.use(rules)
        self.vigil.renew()
        self.look_again()

    def look_again(self) -> None:
        """Look in the store for due alerts and groups in the next step, whatever this step finds."""
        self._again = True
        self.nudge()

    def nudge(self) -> None:
        """Wake the loop, even while it waits for a full batch."""
        self._arrivals.full.set()
        super().nudge()

    async def wait(self) -> None:
        """Wait for work; under load, first wait a moment for a full batch."""
        if self._batch_wait > 0:
            await self._clock.wait(self._arrivals.full, self._batch_wait)
        await super().wait()

    def rest(self) -> float:
        """Return the seconds until a stage is due."""
        return min(LONGEST_REST, self.due_at - self._clock.now())

    @property
    def due_at(self) -> float:
        """When there is something to plan even if no event comes, in Unix seconds."""
        plans = self._plans
        return min(plans.alerts_due_at, plans.groups_due_at, self.vigil.due_at, self.diversions.wakes_at)

    async def step(self) -> int:
        """Run the due stages, with one batch of events at most; return how many events. Raises `StoreError`."""
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
            self._batch_wait = COMPANY * planned / BATCH if planned >= CROWD else 0.0
            return planned
