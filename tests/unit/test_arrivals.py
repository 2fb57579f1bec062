"""Events are planned once and in order, whenever their commits end and however often the queue falls behind."""

from __future__ import annotations

import asyncio
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance

from hypothesis import given
from hypothesis import strategies as st

from relay.core.plan import Waiting
from relay.lifecycle import SystemClock
from relay.pipeline.arrivals import BATCH, FEW, MOST_IN_MEMORY, Arrivals
from tests.fakes.made import event


class Shelf:
    """Events on disk. A commit that has begun ends later, in order, as commits do."""

    def __init__(self) -> None:
        self.committed: list[Waiting] = []
        self.planned_up_to = 0

    async def count_waiting_events(self) -> int:
        return len(self.committed)

    async def waiting_events(self, limit: int, now: float) -> list[Waiting]:  # noqa: ARG002 - the port's
        await asyncio.tasks.sleep(0)
        return [one for one in self.committed if one.seq > self.planned_up_to][:limit]

    def plan(self, batch: list[Waiting]) -> bool:
        """Record a plan as the store does: only if it is of all the events that waited before its last one."""
        there = [one.seq for one in self.committed if self.planned_up_to < one.seq <= batch[-1].seq]
        if there != [one.seq for one in batch]:
            return False
        self.planned_up_to = batch[-1].seq
        return True


def some(first: int, count: int) -> list[Waiting]:
    return [Waiting(seq, event(id=f"e{seq}"), 0.0) for seq in range(first, first + count)]


class History:
    """Commits that begin, end or fail, and a planner that takes their events, in any order that can be."""

    def __init__(self, seed: int) -> None:
        self.dice, self.shelf = Random(seed), Shelf()  # noqa: S311 - likewise
        self.arrivals = Arrivals(self.shelf, SystemClock())
        self.begun: list[tuple[list[Waiting], bool]] = []
        self.seqs = 0
        self.fresh: list[int] = []
        self.planned: list[int] = []

    def begin(self) -> None:
        events = some(self.seqs + 1, self.dice.choice([1, 1, 1, 3, BATCH, MOST_IN_MEMORY + 1]))
        self.seqs += len(events)
        good = self.dice.random() < 0.9
        self.fresh += [one.seq for one in events if good]
        self.begun.append((events, good))
        self.arrivals.expect(events, early=self.dice.random() < 0.8)

    def land(self) -> None:
        if self.begun:
            events, good = self.begun.pop(0)
            self.shelf.committed += events if good else []
            self.arrivals.landed(events, fresh=good)

    async def take(self) -> list[Waiting]:
        """Take a batch; whoever says that it may have more gives some of it, or soon says so no more."""
        for _ in range(10):
            if batch := await self.arrivals.next_batch():
                return batch
            if not self.arrivals.may_have_more:
                return []
        raise AssertionError("nothing can be taken, though there may be more")

    async def plan(self) -> None:
        batch = await self.take()
        if not batch:
            return
        while self.begun and self.begun[0][0][0].seq <= batch[-1].seq:  # they share the plan's commit, or came before
            self.land()
        if self.shelf.plan(batch):
            self.planned.extend(one.seq for one in batch)
            self.arrivals.planned(batch)
        else:
            self.arrivals.fall_behind()

    async def run(self, actions: list[str]) -> None:
        """Do these things in turn, then let every commit end and plan what is left."""
        for action in actions:
            match action:
                case "begin":
                    self.begin()
                case "land":
                    self.land()
                case "plan":
                    await self.plan()
                case "plan in vain":  # the store is in trouble before the plan's commit begins
                    await self.take()
                    self.arrivals.fall_behind()
                case _:
                    self.arrivals.fall_behind()
        while self.begun:
            self.land()
        while self.arrivals.may_have_more:
            await self.plan()


@given(
    st.integers(0, 2**16),
    st.lists(
        st.sampled_from([*["begin"] * 3, *["land"] * 2, *["plan"] * 2, "plan in vain", "fall behind"]), max_size=30
    ),
)
def test_every_event_is_planned_once_and_in_order(seed: int, actions: list[str]) -> None:
    history = History(seed)
    with asyncio.Runner() as runner:
        runner.run(history.run(actions))
    assert history.planned == history.fresh
    assert (history.arrivals.waiting, history.arrivals.waiting_of("fabric")) == (0, 0)


async def test_an_event_that_is_in_flight_while_the_store_is_read_is_read_later() -> None:
    shelf = Shelf()
    arrivals, events = Arrivals(shelf, SystemClock()), some(1, 1)
    arrivals.expect(events, early=True)  # a new process reads the store first
    assert await arrivals.next_batch() == []
    shelf.committed += events
    arrivals.landed(events, fresh=True)
    assert arrivals.woken.is_set()
    assert await arrivals.next_batch() == events


async def test_of_many_events_only_those_whose_commit_has_ended_are_planned() -> None:
    arrivals = Arrivals(Shelf(), SystemClock())
    await arrivals.next_batch()
    first, second = some(1, FEW), some(FEW + 1, FEW)
    arrivals.expect(first, early=True)
    arrivals.expect(second, early=True)
    arrivals.woken.clear()
    assert await arrivals.next_batch() == []
    assert not arrivals.woken.is_set(), "the planner would take steps without work"
    assert not arrivals.may_have_more, "due alerts would wait, and the planner would not rest"
    arrivals.landed(first, fresh=True)
    assert arrivals.woken.is_set()
    assert await arrivals.next_batch() == first
    assert await arrivals.next_batch() == second, "so few may be planned before they are committed"


async def test_an_event_that_may_be_on_record_is_planned_after_its_commit() -> None:
    arrivals = Arrivals(Shelf(), SystemClock())
    await arrivals.next_batch()
    first, keyed, behind = some(1, 1), some(2, 1), some(3, 1)
    for events in (first, keyed, behind):
        arrivals.expect(events, early=events is not keyed)
    assert await arrivals.next_batch() == first
    arrivals.landed(first, fresh=True)
    arrivals.landed(keyed, fresh=False)
    assert await arrivals.next_batch() == behind
