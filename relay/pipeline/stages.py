"""The planner's stages. Each knows when it is due, and does one kind of work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from relay.core.alert import AlertKey
from relay.core.group import Members
from relay.core.grouping import plan_groups
from relay.core.plan import Known, Plan, Waiting
from relay.core.planning import concerns_alert, plan, plan_due
from relay.core.storm import StormMembers
from relay.pipeline.arrivals import BATCH, Arrivals
from relay.pipeline.brake import Brake
from relay.pipeline.plans import Plans, together_or_alone
from relay.pipeline.vigil import Vigil
from relay.ports import Clock, NotifyOperator, OutOfStepError, StoreError

LATE = 60.0
"""Due alerts wait up to this many seconds for queued events. Such an event may say that an alert still fires."""
GENTLE_FOR = 10.0
"""Due alerts are handled in small batches for this many seconds after the start: many came due during the stop."""
GENTLE = 50
"""Alerts in such a small batch."""
GENTLE_REST = 0.5
"""Seconds between two small batches."""
LOOK_FOR_STORMS = 1.0
"""Seconds between two looks at the queues of the rooms when no event comes."""
LOOK_AGAIN = 3_600.0
"""Seconds after which a stage asks the store for due work even if it knows of none."""


class DueStore(Protocol):
    """The alerts, incidents and groups on record, and when they are due. Raises `StoreError`."""

    async def known(self, keys: Sequence[AlertKey]) -> Known:
        """Return the alerts of these keys, and the last incident of each in each room."""
        ...

    async def due_keys(self, now: float, limit: int) -> list[AlertKey]:
        """Return keys of incidents that are due by a time."""
        ...

    async def due_groups(self, now: float, limit: int) -> list[Members | StormMembers]:
        """Return groups that are due by a time, each with the incidents to look at."""
        ...

    async def next_wakes(self) -> tuple[float | None, float | None]:
        """Return when the next incident is due, and when the next group, in Unix seconds; None if none is."""
        ...


class EventStore(Protocol):
    """The alerts of events, and events that are set aside. Raises `StoreError`."""

    async def known(self, keys: Sequence[AlertKey]) -> Known:
        """Return the alerts of these keys, and the last incident of each in each room."""
        ...

    async def set_event_aside(self, seq: int, why: str) -> None:
        """Set one event aside, with the reason."""
        ...


class Stage(Protocol):
    """One kind of planning. The planner runs each stage that is due, in order, while it holds its `turn`."""

    @property
    def due_at(self) -> float:
        """When the stage is due, in Unix seconds on the relay's own clock."""
        ...

    async def run(self, now: float) -> int:
        """Do a bounded part of the work; return how many events were planned. Raises `StoreError`."""
        ...


class DueAlerts:
    """Handles alerts that expire, and reminders of incidents that have a message of their own."""

    def __init__(self, store: DueStore, plans: Plans, arrivals: Arrivals) -> None:
        self._store = store
        self._plans = plans
        self._arrivals = arrivals

    @property
    def due_at(self) -> float:
        """When the first alert is due, or `LATE` seconds later while events wait that may change it."""
        return self._plans.alerts_due_at + (LATE if self._arrivals.may_have_more else 0.0)

    async def run(self, now: float) -> int:
        """Look at a batch of due alerts; right after a start, at smaller batches with a rest between."""
        gentle = now < self._plans.started_at + GENTLE_FOR
        keys = await self._store.due_keys(now, GENTLE if gentle else BATCH)
        if await self.look_at(keys, now):
            # The failed alerts are still due: without a rest the stage would try them again at once.
            self._plans.alerts_due_at = now + LATE
        elif gentle and len(keys) == GENTLE:
            self._plans.alerts_due_at = now + GENTLE_REST
        else:
            next_at, _ = await self._store.next_wakes()
            self._plans.alerts_due_at = next_at or now + LOOK_AGAIN
        return 0

    async def look_at(self, keys: Sequence[AlertKey], now: float, *, expires: bool = True) -> bool:
        """Look at alerts by key; return True if one failed. If `expires` is false, let none expire."""

        async def plan_keys(some: Sequence[AlertKey]) -> None:
            if some:
                known, storms = await self._store.known(some), await self._plans.storms(len(some))
                made = plan_due(
                    some,
                    self._plans.rules,
                    known,
                    self._plans.suppressor,
                    now,
                    storms,
                    started_at=self._plans.started_at,
                    expires=expires,
                )
                await self._plans.commit(made)

        async def failed(key: AlertKey, error: Exception) -> None:
            self._plans.log.error("alert_not_looked_at", source=key[0], key=key[1], error=repr(error))

        return await together_or_alone(keys, plan_keys, failed, self._plans.log)


class HeldAlerts:
    """Looks at all open alerts again when a silence, a mute time or an inhibition begins or ends."""

    def __init__(self, vigil: Vigil, alerts: DueAlerts) -> None:
        self._vigil = vigil
        self._alerts = alerts

    @property
    def due_at(self) -> float:
        """When a silence, a mute interval or an inhibiting alert begins or ends."""
        return self._vigil.due_at

    async def run(self, now: float) -> int:
        """Look at a batch of open alerts."""
        keys = await self._vigil.next_keys(BATCH)
        if keys:
            await self._alerts.look_at(keys, now, expires=False)
            self._vigil.done()
        return 0


class NewStorms:
    """Begins storms without a new event, when a room takes its queue more slowly than expected."""

    def __init__(self, plans: Plans) -> None:
        self._plans = plans
        self.due_at = 0.0

    async def run(self, now: float) -> int:
        """Look at the queue of each room."""
        self.due_at = now + LOOK_FOR_STORMS
        storms = await self._plans.storms(0)
        if storms.begin(now):
            await self._plans.commit(Plan(0, storms=storms.changed))
        return 0


class DueGroups:
    """Handles groups that are due for news or a reminder, and digests of storms."""

    def __init__(self, store: DueStore, plans: Plans) -> None:
        self._store = store
        self._plans = plans

    @property
    def due_at(self) -> float:
        """When the first group is due."""
        return self._plans.groups_due_at

    async def run(self, now: float) -> int:
        """Look at a batch of groups."""
        found = await self._store.due_groups(now, BATCH)
        self._plans.groups_due_at = now + LOOK_AGAIN

        async def plan_some(some: Sequence[Members | StormMembers]) -> None:
            storms = await self._plans.storms(len(some))
            await self._plans.commit(plan_groups(some, self._plans.rules, self._plans.suppressor, now, storms))

        async def failed(members: Members | StormMembers, error: Exception) -> None:
            self._plans.log.error("group_not_looked_at", group=members.group.id, error=repr(error))

        try:
            if await together_or_alone(found, plan_some, failed, self._plans.log):
                self._plans.groups_due_at = now + LATE
                return 0
        except StoreError:
            self._plans.groups_due_at = now
            raise
        _, next_at = await self._store.next_wakes()
        self._plans.groups_due_at = next_at or now + LOOK_AGAIN
        return 0


class NewEvents:
    """Plans events: few within their commit, many after it.

    A bad one is set aside as a bug, and the operator is notified.
    """

    def __init__(
        self,
        store: EventStore,
        plans: Plans,
        arrivals: Arrivals,
        brake: Brake,
        clock: Clock,
        notify: NotifyOperator,
        forget: Callable[[], None],
    ) -> None:
        """Call `forget` when a plan was not committed: the suppressor then learns anew which alerts fire."""
        self._store = store
        self._plans = plans
        self._arrivals = arrivals
        self._brake = brake
        self._clock = clock
        self._notify = notify
        self._forget = forget
        self.due_at = 0.0

    async def run(self, now: float) -> int:  # noqa: ARG002 - time goes on while earlier stages work
        """Plan a batch of events."""
        batch = await self._arrivals.next_batch()
        if not batch:
            return 0
        try:
            if await together_or_alone(batch, self._plan, self._set_aside, self._plans.log):
                self._arrivals.fall_behind()
        except OutOfStepError:  # the commit of an event has failed
            self._go_back()
            return 0
        except StoreError:
            self._go_back()
            raise
        return len(batch)

    def _go_back(self) -> None:
        """Forget what was planned and not committed: some of it may never have happened."""
        self._arrivals.fall_behind()
        self._forget()

    async def _plan(self, batch: Sequence[Waiting]) -> None:
        keys = list({(one.event.source, one.event.key): None for one in batch if concerns_alert(one.event)})
        known = await self._store.known(keys) if keys else Known({}, {})
        storms = await self._plans.storms(len(batch))
        echoes = self._brake.hold(batch)
        rules, suppressor = self._plans.rules, self._plans.suppressor
        await self._plans.commit(plan(batch, rules, known, suppressor, storms, now=self._clock.now(), echoes=echoes))
        self._arrivals.planned(batch)

    async def _set_aside(self, waiting: Waiting, error: Exception) -> None:
        event = waiting.event
        self._plans.log.error("event_set_aside", event_id=event.id, source=event.source, error=repr(error))
        await self._store.set_event_aside(waiting.seq, f"bug: {error!r}")
        self._arrivals.planned([waiting])
        title = f"relay: an event of {event.source} could not be planned"
        self._notify("planner", title, "major", "notice", f"event {event.id} is set aside: {error!r}")
