"""The planner's borders: what fails alone stops nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from relay.core.alert import Alert, AlertKey
from relay.core.diverting import Divert
from relay.core.group import Members
from relay.core.plan import Known, Plan, Waiting
from relay.core.routing import Route
from relay.core.rules import Rules
from relay.core.storm import Storm, StormMembers
from relay.core.suppression import Silence
from relay.lifecycle import SystemClock
from relay.logs import make_log
from relay.pipeline.arrivals import Arrivals
from relay.pipeline.book import LaneBook
from relay.pipeline.brake import Brake
from relay.pipeline.chronicle import Chronicle
from relay.pipeline.planner import Planner
from relay.pipeline.plans import together_or_alone
from relay.ports import Diverted, Over
from relay.web.metrics import Metrics


def ignore(*_: object) -> None:
    """Take note of nothing."""


GOOD, BAD = ("lab", "good"), ("lab", "bad")


class Store:
    """Two alerts are due; what is known of one can't be read."""

    def __init__(self) -> None:
        self.looked_at: list[AlertKey] = []

    async def count_waiting_events(self) -> int:
        return 0

    async def waiting_events(self, limit: int, now: float) -> list[Waiting]:  # noqa: ARG002 - the port's
        return []

    async def known(self, keys: Sequence[AlertKey]) -> Known:
        if BAD in keys:
            raise KeyError("damaged")
        self.looked_at += keys
        return Known({}, {})

    async def due_keys(self, now: float, limit: int) -> list[AlertKey]:  # noqa: ARG002 - the port's
        return [BAD, GOOD]

    async def due_groups(self, now: float, limit: int) -> list[Members | StormMembers]:  # noqa: ARG002 - the port's
        return []

    async def storms(self) -> list[Storm]:
        return []

    async def waiting_posts(self, room: str, limit: int) -> tuple[int, int]:  # noqa: ARG002 - the port's
        return 0, 0

    async def open_keys(self, after: AlertKey, limit: int) -> list[AlertKey]:  # noqa: ARG002 - the port's
        return []

    async def firing_alerts(self) -> list[Alert]:
        return []

    async def silences(self) -> list[Silence]:
        return []

    async def save_silence(self, silence: Silence) -> None:
        raise AssertionError(silence)

    async def next_wakes(self) -> tuple[float | None, float | None]:
        return 0.0, None

    def commit_plan(self, plan: Plan, now: float) -> asyncio.Future[Sequence[Over]]:  # noqa: ARG002
        written: asyncio.Future[Sequence[Over]] = asyncio.get_running_loop().create_future()
        written.set_result([])
        return written

    async def diversions(self) -> list[str]:
        return []

    async def divert(self, order: Divert) -> Diverted:
        raise AssertionError(order)

    async def set_event_aside(self, seq: int, why: str) -> None:
        raise AssertionError(f"{seq} {why}")


async def test_an_alert_that_cannot_be_looked_at_stops_no_other() -> None:
    store = Store()
    rules = Rules(Route(path="route", rooms=("noc",)), {"noc": None})
    clock, log = SystemClock(), make_log("error")
    book = LaneBook(clock, Chronicle(Metrics((), {}, 0), log, ignore))
    planner = Planner(store, rules, Arrivals(store, clock), book, Brake(clock, log, ignore), clock, log, ignore)
    await planner.run_once()  # events that wait go first
    await planner.run_once()
    assert store.looked_at == [GOOD]
    await planner.run_once()
    assert store.looked_at == [GOOD]


async def test_a_batch_that_fails_only_together_has_no_failed_item() -> None:
    planned: list[int] = []

    async def plan(items: Sequence[int]) -> None:
        if len(items) > 1:
            raise ValueError("too many at once")
        planned.extend(items)

    async def failed(item: int, error: Exception) -> None:
        raise AssertionError(f"{item} {error}")

    assert await together_or_alone([1, 2, 3], plan, failed, make_log("error")) is False
    assert planned == [1, 2, 3]


async def test_a_batch_with_an_item_that_fails_alone_says_so() -> None:
    async def plan(items: Sequence[int]) -> None:
        if 2 in items:
            raise ValueError("two")

    bad: list[int] = []

    async def failed(item: int, error: Exception) -> None:  # noqa: ARG001 - the same for all
        bad.append(item)

    assert await together_or_alone([1, 2, 3], plan, failed, make_log("error")) is True
    assert bad == [2]
