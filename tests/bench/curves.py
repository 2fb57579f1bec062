"""The curves of the benchmark: what an alert costs the relay by how much there is of something.

Each is a figure whose values are kept by place on the curve instead of by subject. The places are measured in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relay.core.suppression import Silence
from relay.storage.sqlite.store import SqliteStore
from tests.bench.measuring import Figure, in_turn, percentile
from tests.bench.parts import CONNECTIONS, late_by
from tests.bench.subjects import Relay, Sink, a_relay, a_sink, load
from tests.bench.work import LARGE, ROOMS, matcher_of

WARM = 500
"""Alerts before a measurement."""
MEASURED = 2_000
"""Alerts in a measurement."""
OTHERS = 10**6
"""The number of the first alert that is there before a measurement."""
RATES = (100, 200, 400, 600, 800, 1_000, 1_200)
"""Alerts a second in the curve of latency."""

Point = Callable[[int], Mapping[str, float]]
"""Measures one place on a curve."""


def _cost(running: Relay, sink: Sink, teams: int = ROOMS) -> dict[str, float]:
    """Return what an alert costs, from the request to the message at the sink, one alert a request."""
    load("post", running.events, "relay", "alertmanager", WARM, CONNECTIONS, 1, 0, teams)
    running.wait_idle()
    sink.reset()
    used = running.cpu()
    load("post", running.events, "relay", "alertmanager", MEASURED, CONNECTIONS, 1, WARM, teams)
    sink.wait(MEASURED)
    return {"CPU for 1,000, s": (running.cpu() - used) * 1000 / MEASURED}


@contextmanager
def _relay(settings: Callable[[dict[str, Any]], None] | None = None) -> Iterator[tuple[Relay, Sink]]:
    with a_sink() as sink, a_relay(sink.port, "alertmanager", settings=settings) as running:
        yield running, sink


def by_routes(count: int) -> Mapping[str, float]:
    """Routes with a regular expression each, before the 20 routes that match."""

    def settings(config: dict[str, Any]) -> None:
        others = [{"matchers": [matcher_of("alertmanager", ROOMS + n)], "rooms": ["r0"]} for n in range(count)]
        config["route"]["routes"] = others + config["route"]["routes"]

    with _relay(settings) as (running, sink):
        return _cost(running, sink)


def by_rooms(count: int) -> Mapping[str, float]:
    """Rooms, each with a route; the alerts go to all in turn."""

    def settings(config: dict[str, Any]) -> None:
        room = config["rooms"]["r0"]
        config["rooms"] = {f"r{n}": {**room, "id": f"room{n}"} for n in range(count)}
        config["route"]["routes"] = [
            {"matchers": [matcher_of("alertmanager", n)], "rooms": [f"r{n}"]} for n in range(count)
        ]

    with _relay(settings) as (running, sink):
        return _cost(running, sink, count)


def by_incidents(count: int) -> Mapping[str, float]:
    """Incidents that are open before."""
    with _relay() as (running, sink):
        load("post", running.events, "relay", "alertmanager", -(-count // 100), 4, min(count, 100), OTHERS)
        running.wait_idle()
        return _cost(running, sink)


def by_silences(count: int) -> Mapping[str, float]:
    """Silences that match none of the alerts. They are in the database before the start."""
    silences = [
        Silence(
            id=f"quiet-{number}",
            matchers=(f'instance="quiet-{number}"',),
            starts_at=0.0,
            ends_at=10.0**10,
            created_by="bench",
            comment="work on the device",
            updated_at=0.0,
        )
        for number in range(count)
    ]

    async def save(file: Path) -> None:
        store = SqliteStore(file, None)
        await asyncio.gather(*map(store.save_silence, silences))
        await store.close()

    def settings(config: dict[str, Any]) -> None:
        asyncio.run(save(Path(config["storage"].removeprefix("sqlite:"))))

    with _relay(settings) as (running, sink):
        return _cost(running, sink)


def by_waiting(count: int) -> Mapping[str, float]:
    """Deliveries that wait, while nothing can be posted; the cost is that of accepting and planning."""
    with a_relay(1, "alertmanager", dead=True) as running:
        load("post", running.events, "relay", "alertmanager", -(-count // 100), 4, min(count, 100), OTHERS)
        running.wait_planned()
        load("post", running.events, "relay", "alertmanager", WARM, CONNECTIONS, 1)
        running.wait_planned()
        used = running.cpu()
        load("post", running.events, "relay", "alertmanager", MEASURED, CONNECTIONS, 1, WARM)
        running.wait_planned()
        cpu = (running.cpu() - used) * 1000 / MEASURED
        return {"CPU for 1,000, s": cpu, "memory, MB": running.memory()}


def by_size(megabytes: int) -> Mapping[str, float]:
    """The size of the database, in MB: it holds events with long texts that are done."""

    def settings(config: dict[str, Any]) -> None:
        config["sources"]["large"] = {"type": "webhook", "path": "/hooks/large"}
        config["route"]["routes"].append({"matchers": ['room="nobody"'], "rooms": []})

    with _relay(settings) as (running, sink):
        load("post", running.events, "large", "large", megabytes * 10**6 // (2 * LARGE), 4, 1, OTHERS)
        running.wait_planned()
        return _cost(running, sink)


CURVES: dict[str, tuple[str, tuple[int, ...], Point]] = {
    "by-routes": ("further routes", (1, 10, 100, 1_000, 10_000), by_routes),
    "by-rooms": ("rooms", (1, 10, 100, 1_000), by_rooms),
    "by-incidents": ("open incidents", (100, 1_000, 10_000, 100_000), by_incidents),
    "by-silences": ("silences", (1, 10, 100, 1_000, 10_000), by_silences),
    "by-waiting": ("waiting deliveries", (1, 1_000, 10_000, 100_000, 1_000_000), by_waiting),
    "by-size": ("MB of the database", (10, 100, 1_000, 5_000), by_size),
}
"""What is on the axis of each curve, its places, and how one is measured."""


def curve(name: str, subjects: list[str], repetitions: int, size: float) -> list[Figure]:  # noqa: ARG001 - a part
    """Measure a curve; `size` below 1 leaves out the places beyond that share of the last one."""
    _, places, measure = CURVES[name]
    near = [str(place) for place in places if place <= max(places[-1] * size, places[0])]
    return in_turn(name, near, repetitions, lambda place: measure(int(place)))


def by_rate(name: str, subjects: list[str], repetitions: int, size: float) -> list[Figure]:
    """Measure latency by the rate of the alerts, of each subject."""
    found: dict[str, dict[str, list[float]]] = {}
    for repetition in range(repetitions):
        for rate in RATES:
            for subject in subjects if repetition % 2 == 0 else subjects[::-1]:
                late, _ = late_by(subject, "alertmanager", float(rate), max(200, int(5 * rate * size)))
                for share in (0.5, 0.99):
                    place = found.setdefault(f"{subject} p{share:.0%}"[:-1], {}).setdefault(str(rate), [])
                    place.append(percentile(late, share))
    return [Figure(name, figure, values) for figure, values in found.items()]
