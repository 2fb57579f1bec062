"""The planner: events of the inbox become deliveries, in batches; a bad event is set aside alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence, Set

from relay.core.alert import AlertKey
from relay.core.group import Members
from relay.core.grouping import plan_groups
from relay.core.planning import Known, Plan, Waiting, concerns_alert, plan, plan_due
from relay.core.rules import Rules
from relay.core.storm import TOO_LONG, Pressure, Storm, StormMembers, Storms
from relay.core.suppression import Suppressor
from relay.pipeline.brake import Brake
from relay.pipeline.diversions import Diversions, Fallbacks
from relay.pipeline.vigil import Vigil
from relay.ports import Clock, Log, Over, PlanStore, StoreError, Tell

BATCH = 512
"""Events that one plan takes at the most."""
MOST_IN_MEMORY = 2_048
"""Committed events that are held for the planner; where more wait, it reads them from the store."""


CROWD = 32
"""Events in a plan from which the next one waits for company: many at once cost the store far less each."""
COMPANY = 0.1
"""Seconds that it waits for a full batch then, after a full one; after a smaller one its share of that."""


MOST_COUNTED = 10_000
"""New posts that are counted beyond those that a room wants to see one by one."""
LATE = 60.0
"""Seconds that what is due by the time alone lets events that wait go first: they may tell otherwise."""
GENTLE_FOR = 10.0
"""Seconds from the start in which what was missed while the relay was down is looked at a little at a time."""
GENTLE = 50
GENTLE_REST = 0.5
LOOK_FOR_STORMS = 1.0
"""Seconds between two looks at what waits for the rooms, though nothing comes."""
LOOK_AGAIN = 3_600.0
"""Seconds after which the planner looks what is due though it knows of nothing."""


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
        planned: Callable[[Plan, Sequence[Over]], None],
        rate: Callable[[str], tuple[int, float]],
        fallbacks: Fallbacks,
    ) -> None:
        """`expect` is told of a plan as its commit begins, so that leases can share it.

        `planned` is told when it is done, with what waits no more because of it; `rate` gives how many deliveries wait
        for a room, and the seconds that each takes; `fallbacks` knows which rooms are down.
        """
        self._store = store
        self._rules = rules
        self._clock = clock
        self._log = log
        self._tell = tell
        self._expect = expect
        self._planned = planned
        self._rate = rate
        self.diversions = Diversions(store, fallbacks, clock)
        self._open: list[Storm] | None = None
        self._storms_at = 0.0
        self._wake, self._full = asyncio.Event(), asyncio.Event()
        self._company = 0.0
        self._held: list[Waiting] = []
        self._behind = True
        self._up_to = 0
        self._wake_at = self._groups_at = clock.now()
        self._again = False
        self._started_at = clock.now()
        self._gentle_until = self._started_at + GENTLE_FOR
        self.suppressor = Suppressor(rules.inhibit, rules.intervals)
        self.vigil = Vigil(self.suppressor, store, clock, self._wake.set)
        self.brake = Brake(clock, log, tell)
        self.turn = asyncio.Lock()
        """Held through each step: who has it may put other rules in force."""
        self.waiting = 0
        """How many events wait in the inbox, near enough."""
        self.taken: Callable[[Iterable[str]], None] = lambda _: None
        """Told the sources of events that were planned."""

    @property
    def rules(self) -> Rules:
        """The rules in force."""
        return self._rules

    def use(self, rules: Rules) -> None:
        """Put other rules in force, within `turn`: all that is open is looked at again."""
        self._rules = rules
        self.suppressor.use(rules.inhibit, rules.intervals)
        self.vigil.renew()
        self.look_again()

    def look_again(self) -> None:
        """Look at what is due in the store in the next step, whatever this one finds."""
        self._again = True
        self.nudge()

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
        if self._company > 0:
            await self._clock.wait(self._full, self._company)
        await self._clock.wait(self._wake, min(5.0, max(0.0, self.due_at - self._clock.now())))

    @property
    def due_at(self) -> float:
        """When there is something to plan, though nothing comes."""
        return min(self._wake_at, self._groups_at, self.vigil.due_at, self.diversions.due_at)

    async def run_once(self) -> int:
        """Plan what is due and one batch of events; how many they were. Raises `StoreError`."""
        async with self.turn:
            if self._again:
                self._again = False
                self._wake_at = self._groups_at = self._clock.now()
            return await self._step()

    async def _step(self) -> int:
        self._wake.clear()
        self.suppressor.ahead = self._clock.now() - self._clock.wall()
        self.brake.look()
        await self._divert()
        await self._plan_held()
        await self._plan_due()
        await self._plan_storms()
        await self._plan_groups()
        batch = await self._next_batch()
        self._company = COMPANY * len(batch) / BATCH if len(batch) >= CROWD else 0.0
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
        self.taken(waiting.event.source for waiting in batch)
        if self._held or self._behind:
            self._wake.set()
        return len(batch)

    async def _next_batch(self) -> list[Waiting]:
        if not self._behind:
            batch, self._held = self._held[:BATCH], self._held[BATCH:]
            return [waiting for waiting in batch if waiting.seq > self._up_to]
        self._behind = False  # what is committed from here on is offered; what the read sees as well is left out above
        try:
            batch = await self._store.waiting_events(BATCH, self._clock.now())
        except StoreError:
            self._fall_behind()
            raise
        if len(batch) == BATCH:
            self._fall_behind()
        elif not batch:
            self.waiting = len(self._held)
        return batch

    async def _plan(self, batch: Sequence[Waiting]) -> None:
        keys = list({(w.event.source, w.event.key): None for w in batch if concerns_alert(w.event)})
        known = await self._store.known(keys) if keys else Known({}, {})
        storms = await self._storms(len(batch))
        echoes = self.brake.hold(batch)
        await self._commit(
            plan(batch, self._rules, known, self.suppressor, storms, now=self._clock.now(), echoes=echoes)
        )

    async def _storms(self, coming: int) -> Storms:
        """The storms that are not over, and how much waits for rooms where that and what is coming may be one."""
        if self._open is None:
            self._open = await self._store.storms()
        return Storms(self._open, await self._pressure(coming, {storm.room for storm in self._open}))

    async def _pressure(self, coming: int, busy: Set[str]) -> dict[str, Pressure]:
        found: dict[str, Pressure] = {}
        for room, digest_over in self._rules.digest_over.items():
            waiting, each = self._rate(room)
            if room not in busy and waiting + coming > digest_over and (waiting + coming) * each > TOO_LONG:
                posts, seq = await self._store.waiting_posts(room, digest_over + MOST_COUNTED) if waiting else (0, 0)
                found[room] = Pressure(posts, each, digest_over, seq)
        return found

    async def _plan_storms(self) -> None:
        """Begin a storm where a room takes what waits for it more slowly than it seemed that it would."""
        now = self._clock.now()
        if now < self._storms_at:
            return
        self._storms_at = now + LOOK_FOR_STORMS
        storms = await self._storms(0)
        if storms.begin(now):
            await self._commit(Plan(0, storms=storms.changed))

    async def _commit(self, made: Plan) -> None:
        if made.storms:
            self._open = None  # as they stand after the commit, or its failure
        commit = self._store.commit_plan(made, self._clock.now())
        self._expect(made)
        self._planned(made, await commit)
        self.diversions.note({intent.room for intent in made.intents})
        wakes = [*(one.wake_at for one in made.incidents.values()), *(one.wake_at for one in made.alerts.values())]
        self._wake_at = min([self._wake_at, *(at for at in wakes if at is not None)])
        looks = [*(group.wake_at for group in (*made.groups.values(), *made.touched.values())), *made.stirred.values()]
        looks += [storm.wake_at for storm in made.storms.values()]
        self._groups_at = min([self._groups_at, *(at for at in looks if at is not None)])

    async def _divert(self) -> None:
        if await self.diversions.look():
            self._open = None  # a digest may stand elsewhere now

    async def _plan_held(self) -> None:
        """Look at a batch of open alerts again, where something may have changed of what is held back."""
        keys = await self.vigil.next_keys(BATCH)
        if keys:
            await self._plan_all(keys, self._clock.now(), expires=False)
            self.vigil.done()
            self._wake.set()

    async def _plan_groups(self) -> None:
        """Plan groups that are due, one by one where they fail together."""
        now = self._clock.now()
        if now < self._groups_at:
            return
        found = await self._store.due_groups(now, BATCH)
        self._groups_at = now + LOOK_AGAIN
        try:
            await self._commit(plan_groups(found, self._rules, self.suppressor, now, await self._storms(len(found))))
        except StoreError:
            self._groups_at = now
            raise
        except Exception as error:  # noqa: BLE001 - the border around one batch: it is repeated group by group
            self._log.warning("plan_failed", groups=len(found), error=repr(error))
            for members in found:
                await self._plan_group_alone(members, now)
            self._groups_at = now + LATE
            return
        _, next_at = await self._store.next_wakes()
        self._groups_at = next_at or now + LOOK_AGAIN

    async def _plan_group_alone(self, members: Members | StormMembers, now: float) -> None:
        try:
            await self._commit(plan_groups([members], self._rules, self.suppressor, now, await self._storms(1)))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the border around one group: it is told, and tried again later
            self._log.error("group_not_looked_at", group=members.group.id, error=repr(error))

    async def _plan_due(self) -> None:
        """Plan what the time alone asks for, a batch of keys at a time."""
        now = self._clock.now()
        if now - self._wake_at < (LATE if self._behind or self._held else 0.0):
            return
        gentle = now < self._gentle_until
        keys = await self._store.due_keys(now, GENTLE if gentle else BATCH)
        if not await self._plan_all(keys, now):
            self._wake_at = now + LATE  # what failed is due still
        elif gentle and len(keys) == GENTLE:
            self._wake_at = now + GENTLE_REST
        else:
            next_at, _ = await self._store.next_wakes()
            self._wake_at = next_at or now + LOOK_AGAIN

    async def _plan_all(self, keys: Sequence[AlertKey], now: float, *, expires: bool = True) -> bool:
        """Look at keys together, or one by one where that fails; False where it did."""
        try:
            await self._plan_keys(keys, now, expires=expires)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the border around one batch: it is repeated key by key
            self._log.warning("plan_failed", keys=len(keys), error=repr(error))
            for key in keys:
                await self._plan_key_alone(key, now, expires=expires)
            return False
        return True

    async def _plan_keys(self, keys: Sequence[AlertKey], now: float, *, expires: bool) -> None:
        if keys:
            known, storms = await self._store.known(keys), await self._storms(len(keys))
            made = plan_due(
                keys, self._rules, known, self.suppressor, now, storms, started_at=self._started_at, expires=expires
            )
            await self._commit(made)

    async def _plan_key_alone(self, key: AlertKey, now: float, *, expires: bool) -> None:
        try:
            await self._plan_keys([key], now, expires=expires)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the border around one alert: it is told, and tried again later
            self._log.error("alert_not_looked_at", source=key[0], key=key[1], error=repr(error))

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
