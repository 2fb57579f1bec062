"""The parts of the benchmark. Each measures its subjects in turn and returns figures."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.measuring import Figure, in_turn, percentile
from tests.bench.subjects import Relay, a_relay, a_sink, a_subject, begin_load, free_port, load, server, wait_until
from tests.bench.work import KINDS, LIFE

CONNECTIONS = 16
WARM = 500
"""Events before a measurement of latency."""

Part = Callable[[str, list[str], int, float], list[Figure]]
"""Measures `(name, subjects, repetitions, size)`."""


def end_to_end(kind: str, batch: int, name: str, subjects: list[str], repetitions: int, size: float) -> list[Figure]:
    """Measure the rate from the first request to the last message at the sink, the processor time and the memory."""
    count = int(12_000 * size) // batch * batch
    machine: list[float] = []

    def measure(subject: str) -> dict[str, float]:
        with a_sink() as sink:
            if subject == "relay":
                machine.append(3_000 / float(load("bare_client", sink.port, 3_000, 32)))
                sink.reset()
            with a_subject(subject, sink.port, kind) as running:
                used = running.cpu()
                posting = begin_load("post", running.events, subject, kind, count // batch, CONNECTIONS, batch)
                wait_until(lambda: sink.count() > 0, 0.002)
                began = time.monotonic()
                sink.wait(count)
                took = time.monotonic() - began
                posting.wait()
                return {
                    "rate, alerts/s": count / took,
                    "CPU for 1,000, s": (running.cpu() - used) * 1000 / count,
                    "memory at the peak, MB": running.memory(peak=True),
                }

    figures = in_turn(name, subjects, repetitions, measure)
    return [*figures, Figure("machine", f"bare client during {name}, requests/s", {"relay": machine})]


def latency(kind: str, name: str, subjects: list[str], repetitions: int, size: float) -> list[Figure]:
    """Measure the time from when a request is due until its message is at the sink, at 500 events/s."""
    count = int(5_000 * size)

    def measure(subject: str) -> dict[str, float]:
        late, answers = late_by(subject, kind, 500.0, count)
        return {
            "to the sink p50, ms": percentile(late, 0.5),
            "to the sink p99, ms": percentile(late, 0.99),
            "to the answer p50, ms": percentile(answers, 0.5),
            "to the answer p99, ms": percentile(answers, 0.99),
        }

    return in_turn(name, subjects, repetitions, measure)


def late_by(subject: str, kind: str, rate: float, count: int) -> tuple[list[float], list[float]]:
    """Return, sorted and in ms, how long after its due time each alert was at the sink, and was answered."""
    with a_sink() as sink, a_subject(subject, sink.port, kind) as running:
        load("post", running.events, subject, kind, WARM, CONNECTIONS, 1, 10**6)
        sink.wait(WARM)
        sink.reset(note=True)
        times = json.loads(load("steady", running.events, subject, kind, rate, count))
        sink.wait(count)
        arrived = sink.arrivals()
    late = sorted((arrived[mark] - due) * 1000 for mark, (due, _) in times.items())
    return late, sorted((answered - due) * 1000 for due, answered in times.values())


def mixed(name: str, subjects: list[str], repetitions: int, size: float) -> list[Figure]:
    """Measure alerts that fire, are updated and end, until their messages have said so."""
    count = max(1, int(12_000 * size) // (3 * LIFE)) * 3 * LIFE

    def measure(_: str) -> dict[str, float]:
        with a_sink() as sink, a_relay(sink.port, "mixed") as running:
            used, began = running.cpu(), time.monotonic()
            load("post", running.events, "relay", "mixed", count, CONNECTIONS, 1)
            running.wait_idle()
            took = time.monotonic() - began
            return {"rate, alerts/s": count / took, "CPU for 1,000, s": (running.cpu() - used) * 1000 / count}

    return in_turn(name, subjects, repetitions, measure)


def start(name: str, subjects: list[str], repetitions: int, size: float) -> list[Figure]:  # noqa: ARG001 - a part
    """Measure the time from the start of the process until it is ready, and the time of `relay --help`."""

    def measure(subject: str) -> dict[str, float]:
        with a_subject(subject, free_port(), KINDS[-1]) as running:
            found = {"ready after, s": running.ready_after, "memory when idle, MB": running.memory()}
        if subject == "relay":
            began = time.monotonic()
            subprocess.run([sys.executable, "-m", "relay", "--help"], check=True, capture_output=True)
            found["relay --help, s"] = time.monotonic() - began
        return found

    return in_turn(name, subjects, repetitions, measure)


def accept(name: str, subjects: list[str], repetitions: int, size: float) -> list[Figure]:
    """Measure the rate of answers while nothing can be posted."""
    count = int(10_000 * size)

    def measure(_: str) -> dict[str, float]:
        with a_relay(1, dead=True) as running:
            return {"rate, requests/s": count / float(load("post", running.events, "relay", "native", count, 32, 1))}

    return in_turn(name, subjects, repetitions, measure)


def websocket(name: str, subjects: list[str], repetitions: int, size: float) -> list[Figure]:
    """Measure the rate at which a feed's frames are committed."""
    count = int(50_000 * size)

    def measure(_: str) -> dict[str, float]:
        port = free_port()
        with server("feed", port, count), a_relay(1, feed=port, dead=True) as running:
            began = time.monotonic()
            running.wait_events(count)
            return {"rate, frames/s": count / (time.monotonic() - began)}

    return in_turn(name, subjects, repetitions, measure)


def waiting(name: str, subjects: list[str], repetitions: int, size: float) -> list[Figure]:
    """Measure memory and speed while many deliveries wait, and how fast they are sent afterwards."""
    count = int(100_000 * size)

    def measure(_: str) -> dict[str, float]:
        found: dict[str, float] = {}
        with a_sink() as sink, tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
            with Relay(Path(folder), sink.port, dead=True) as running:
                load("post", running.events, "relay", "native", count // 100, 8, 100)
                running.wait_planned()
                found["memory, MB"] = running.memory()
                seconds = float(load("post", running.events, "relay", "native", 5_000, 32, 1, count))
                found["accepted, requests/s"] = 5_000 / seconds
            with Relay(Path(folder), sink.port) as running:
                found["ready after, s"] = running.ready_after
                sink.wait(200)
                first, began = sink.count(), time.monotonic()
                last = first + min(count // 2, 10_000)
                sink.wait(last)
                found["sent, messages/s"] = (last - first) / (time.monotonic() - began)
        return found

    return in_turn(name, subjects, repetitions, measure)


PARTS: dict[str, Part] = {
    "single": partial(end_to_end, "alertmanager", 1),
    "batch": partial(end_to_end, "alertmanager", 100),
    "latency": partial(latency, "alertmanager"),
    "native-single": partial(end_to_end, "native", 1),
    "native-batch": partial(end_to_end, "native", 100),
    "native-latency": partial(latency, "native"),
    "mixed": mixed,
    "accept": accept,
    "websocket": websocket,
    "waiting": waiting,
    "start": start,
}
RIVALS = {
    **dict.fromkeys(("single", "batch", "latency", "start"), ("relay", "alertmanager", "ceiling")),
    **dict.fromkeys(("native-single", "native-batch", "native-latency"), ("relay", "ceiling")),
}
"""The subjects of each part; the others measure the relay alone."""
