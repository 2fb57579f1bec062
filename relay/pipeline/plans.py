"""Commits of plans, shared by the planner's stages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence, Set
from typing import Protocol, TypeVar

from relay.core.plan import Plan
from relay.core.rules import Rules
from relay.core.storm import TOO_LONG, Pressure, Storm, Storms
from relay.core.suppression import Suppressor
from relay.pipeline.book import LaneBook
from relay.ports import Clock, Log, Over, StoreError

MOST_COUNTED = 10_000
"""The most new posts that are counted beyond a room's `digest_over`."""
T = TypeVar("T")


class PlanStore(Protocol):
    """The store of plans and storms. Raises `StoreError`."""

    async def storms(self) -> list[Storm]:
        """Return the storms that are not over."""
        ...

    async def waiting_posts(self, room: str, limit: int) -> tuple[int, int]:
        """Count the new posts among the first `limit` deliveries of a room. Return also the last event's `seq`."""
        ...

    def commit_plan(self, plan: Plan, now: float) -> Awaitable[Sequence[Over]]:
        """Begin at once to write a plan, all or nothing; return the deliveries that it replaces."""
        ...


class Plans:
    """Commits plans, offers their deliveries to the lanes, and knows when incidents and groups are due next.

    Times in Unix seconds on the relay's own clock.
    """

    def __init__(self, store: PlanStore, rules: Rules, book: LaneBook, clock: Clock, log: Log) -> None:
        self.rules = rules
        self.suppressor = Suppressor(rules.inhibit, rules.intervals)
        self.started_at = clock.now()
        self.alerts_due_at = self.groups_due_at = self.started_at
        self.log = log
        self._store = store
        self._book = book
        self._clock = clock
        self._storms: list[Storm] | None = None
        self.touched: set[str] = set()
        """Rooms of the deliveries planned since the last look at the diversions."""

    def use(self, rules: Rules) -> None:
        """Put other rules in force."""
        self.rules = rules
        self.suppressor.use(rules.inhibit, rules.intervals)

    def look_again(self) -> None:
        """Look at all due alerts and groups in the next step. Some may be due earlier than expected."""
        self.alerts_due_at = self.groups_due_at = self._clock.now()

    async def storms(self, coming: int) -> Storms:
        """Return the storms that are not over, and the queues of rooms in which `coming` events may begin one."""
        if self._storms is None:
            self._storms = await self._store.storms()
        return Storms(self._storms, await self._pressure(coming, {storm.room for storm in self._storms}))

    def forget_storms(self) -> None:
        """Forget the storms in memory. The next plan reads them anew."""
        self._storms = None

    async def _pressure(self, coming: int, busy: Set[str]) -> dict[str, Pressure]:
        found: dict[str, Pressure] = {}
        for room, digest_over in self.rules.digest_over.items():
            waiting, each = self._book.load_of(room)
            if room not in busy and waiting + coming > digest_over and (waiting + coming) * each > TOO_LONG:
                posts, seq = await self._store.waiting_posts(room, digest_over + MOST_COUNTED) if waiting else (0, 0)
                found[room] = Pressure(posts, each, digest_over, seq)
        return found

    async def commit(self, made: Plan) -> None:
        """Commit a plan; leases of its deliveries may share the commit. Raises `StoreError`."""
        if made.storms:
            self.forget_storms()  # before the commit: if it fails, memory must not be ahead of the store
        commit = self._store.commit_plan(made, self._clock.now())
        self._book.expect(made)
        self._book.planned(made, await commit)
        self.touched |= {intent.room for intent in made.intents}
        wakes = [*(one.wake_at for one in made.incidents.values()), *(one.wake_at for one in made.alerts.values())]
        self.alerts_due_at = min([self.alerts_due_at, *(at for at in wakes if at is not None)])
        groups = (*made.groups.values(), *made.touched.values())
        looks = [*(one.wake_at for one in groups), *(one.wake_at for one in made.storms.values())]
        looks += made.stirred.values()
        self.groups_due_at = min([self.groups_due_at, *(at for at in looks if at is not None)])


async def together_or_alone(
    items: Sequence[T],
    plan: Callable[[Sequence[T]], Awaitable[None]],
    failed: Callable[[T, Exception], Awaitable[None]],
    log: Log,
) -> bool:
    """Plan items together or, if that fails, one by one; return True if an item failed alone, too.

    So a bad item fails alone, and `failed` is called with it. Raises `StoreError`.
    """
    try:
        await plan(items)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - the border around one batch: it is repeated item by item
        log.warning("plan_failed", items=len(items), error=repr(error))
    else:
        return False
    any_failed = False
    for item in items:
        try:
            await plan([item])
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the border around one item
            any_failed = True
            await failed(item, error)
    return any_failed
