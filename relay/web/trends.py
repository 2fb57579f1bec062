"""Trends of the last minutes: rates and latency at regular intervals, for the page's sparklines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec
from aiohttp import web

from relay.core.words import iso
from relay.pipeline.loop import Loop
from relay.ports import Clock
from relay.web.answers import json_answer
from relay.web.metrics import BOUNDS, Metrics
from relay.web.operations import Operation

EVERY = 5.0
"""Seconds between two points."""
MOST = 120
"""Points that are kept."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The interval that ends at `at`: accepted events and finished deliveries a second, and the latency.

    `latency_p90_seconds` is the 90th percentile of the time from acceptance to the posted message, as the bound of its
    bucket; None if nothing was posted.
    """

    at: str
    events_per_second: float
    deliveries_per_second: float
    latency_p90_seconds: float | None


class Trends(Loop):
    """A loop that records a point at regular intervals."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        super().__init__(clock)
        self._points: deque[Point] = deque(maxlen=MOST)
        self._due_at = clock.now() + EVERY
        self._before = (clock.now(), 0, 0, metrics.delivery.counts())

    def rest(self) -> float:
        """Return the seconds until a point is due."""
        return min(EVERY, self._due_at - self._clock.now())

    async def step(self) -> int:
        """Record a point if one is due; return 1 if so, else 0."""
        now = self._clock.now()
        if now < self._due_at:
            return 0
        metrics = self._metrics
        at, received, done, counts = self._before
        self._before = (now, metrics.received_in_all, metrics.done_in_all, metrics.delivery.counts())
        self._due_at = now + EVERY
        took = max(0.001, now - at)
        posted = [new - old for new, old in zip(self._before[3], counts, strict=True)]
        point = Point(
            at=iso(now),
            events_per_second=round((metrics.received_in_all - received) / took, 2),
            deliveries_per_second=round((metrics.done_in_all - done) / took, 2),
            latency_p90_seconds=_percentile(posted, 0.9),
        )
        self._points.append(point)
        return 1

    def points(self) -> list[Point]:
        """Return the points, oldest first."""
        return list(self._points)


def _percentile(counts: Sequence[int], share: float) -> float | None:
    """Return the upper bound of the bucket that a percentile falls into; for the last bucket, its lower bound."""
    wanted, seen = sum(counts) * share, 0
    if not wanted:
        return None
    for count, bound in zip(counts, (*BOUNDS, BOUNDS[-1]), strict=True):
        seen += count
        if seen >= wanted:
            return float(bound)
    return float(BOUNDS[-1])


class TrendsApi:
    """Handler of `/api/v1/trends`."""

    def __init__(self, points: Callable[[], Sequence[Point]]) -> None:
        self._points = points

    def routes(self) -> list[Operation]:
        """Return the route."""
        return [Operation("GET", "/api/v1/trends", self.get_trends, list[Point])]

    async def get_trends(self, _: web.Request) -> web.Response:
        """Return the last ten minutes, one point for every five seconds."""
        return json_answer(self._points())
