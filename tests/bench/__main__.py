"""The project's benchmark: `python -m tests.bench`. Each figure is a ratio within this run, as machines are noisy.

Loads, sink and relay are processes of their own; only loopback is contacted.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

LOAD = str(Path(__file__).with_name("load.py"))
ROOMS = 20
PATIENCE = 600.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def server(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, LOAD, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield process
    finally:
        process.kill()
        process.wait()


def load(*arguments: object) -> str:
    return subprocess.run(
        [sys.executable, LOAD, *map(str, arguments)], check=True, capture_output=True, text=True
    ).stdout


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return bytes(answer.read())


def wait_until(true: Callable[[], bool], pause: float) -> None:
    """Look again after each pause until something is true. Raise `TimeoutError` when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(pause)


def sunk(sink: int) -> int:
    """Return how many messages the sink has had."""
    return int(get(f"http://127.0.0.1:{sink}/count"))


def has_sunk(sink: int, count: int) -> bool:
    return sunk(sink) >= count


class Relay:
    """A relay of its own, in a folder of its own, posting to the sink."""

    def __init__(self, folder: Path, sink: int, feed: int | None = None, dead: bool = False) -> None:
        self.events, self.admin = free_port(), free_port()
        self.folder = folder
        rooms = {f"r{n}": {"account": "webex", "id": f"room{n}", "digest_over": 10**9} for n in range(ROOMS)}
        sources: dict[str, object] = {"bench": {"type": "webhook"}}
        if feed is not None:
            sources["feed"] = {"type": "websocket", "url": f"ws://127.0.0.1:{feed}"}
        config = {
            "listen": {"events": f"127.0.0.1:{self.events}", "admin": f"127.0.0.1:{self.admin}"},
            "storage": f"sqlite:{folder}/relay.db",
            "accounts": {"webex": {"type": "webex", "token": "x", "url": f"http://127.0.0.1:{1 if dead else sink}/v1"}},
            "rooms": rooms,
            "sources": sources,
            "limits": {"backlog": 10**9},  # what is measured is one source alone
            "route": {
                "rooms": ["r0"],
                "routes": [{"matchers": [f'room="r{n}"'], "rooms": [f"r{n}"]} for n in range(ROOMS)],
            },
        }
        (folder / "relay.yaml").write_text(json.dumps(config))
        self.log = (folder / "log").open("w")
        began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "relay", "run", "-c", str(folder / "relay.yaml"), "--log-level", "error"],
            stderr=self.log,
            cwd=folder,
        )
        wait_until(self._is_ready, 0.005)
        self.ready_after = time.monotonic() - began

    def _is_ready(self) -> bool:
        try:
            return bool(get(f"http://127.0.0.1:{self.admin}/readyz"))
        except OSError:
            if self.process.poll() is not None:
                raise SystemExit((self.folder / "log").read_text()) from None
            return False

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def status(self) -> dict[str, Any]:
        return dict(json.loads(get(f"http://127.0.0.1:{self.admin}/api/v1/status")))

    def memory(self) -> float:
        """Resident memory in MB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1024

    def wait_done(self, count: int) -> None:
        wait_until(lambda: self.status()["deliveries"].get("done", 0) >= count, 0.02)

    def wait_planned(self) -> None:
        """Wait until no event is to be planned."""
        wait_until(lambda: not self.status()["events"]["waiting"], 0.1)


def has_events(running: Relay, count: int) -> bool:
    return int(running.status()["events"]["total"]) >= count


@contextmanager
def relay(sink: int, feed: int | None = None, dead: bool = False) -> Iterator[Relay]:
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder, Relay(Path(folder), sink, feed, dead) as running:
        yield running


def sink_rate(sink: int, count: int, began: float) -> float:
    """Events a second until the sink has had `count`."""
    wait_until(lambda: sunk(sink) >= count, 0.005)
    return count / (time.monotonic() - began)


def show(name: str, figure: str, bar: str, good: bool) -> bool:
    print(f"{name:<44} {figure:<46} {bar:<12} {'ok' if good else 'BELOW'}", flush=True)
    return good


def accept(count: int) -> bool:
    with ExitStack() as stack:
        noop = free_port()
        stack.enter_context(server("noop", noop))
        running = stack.enter_context(relay(1, dead=True))
        ratios, ours, theirs = [], [], []
        for _ in range(5):
            theirs.append(count / float(load("post", noop, "/hooks/bench", count, 32, 1, ROOMS)))
            ours.append(count / float(load("post", running.events, "/hooks/bench", count, 32, 1, ROOMS)))
            ratios.append(ours[-1] / theirs[-1])
    ratio = statistics.median(ratios)
    figure = f"{statistics.median(ours):,.0f}/s of {statistics.median(theirs):,.0f}/s: {ratio:.0%}"
    return show("accept, of a no-op aiohttp handler", figure, ">= 35 %", ratio >= 0.35)


def end_to_end(count: int, batch: int, bar: float) -> bool:
    ratios, ours, theirs = [], [], []
    with ExitStack() as stack:
        sink = free_port()
        stack.enter_context(server("sink", sink))
        for _ in range(3):
            theirs.append(count / float(load("bare_client", sink, count, 32)))
            with relay(sink) as running:
                get(f"http://127.0.0.1:{sink}/reset")
                arguments = ("post", running.events, "/hooks/bench", count // batch, 32, batch, ROOMS)
                posting = subprocess.Popen([sys.executable, LOAD, *map(str, arguments)], stdout=subprocess.DEVNULL)
                wait_until(lambda: sunk(sink) > 0, 0.002)
                ours.append(sink_rate(sink, count, time.monotonic()))
                posting.wait()
            ratios.append(ours[-1] / theirs[-1])
    ratio = statistics.median(ratios)
    figure = f"{statistics.median(ours):,.0f}/s of {statistics.median(theirs):,.0f}/s: {ratio:.0%}"
    return show(
        f"end to end to {ROOMS} rooms, {batch} a request, of a bare client", figure, f">= {bar:.0%}", ratio >= bar
    )


def websocket(count: int) -> bool:
    ratios, ours, theirs = [], [], []
    with ExitStack() as stack:
        port = free_port()
        stack.enter_context(server("feed", port, count, ROOMS))
        for _ in range(3):
            theirs.append(count / float(load("bare_feed", port, count)))
            began = time.monotonic()
            with relay(1, feed=port, dead=True) as running:
                began = time.monotonic()
                wait_until(partial(has_events, running, count), 0.02)
                ours.append(count / (time.monotonic() - began))
            ratios.append(ours[-1] / theirs[-1])
    ratio = statistics.median(ratios)
    figure = f"{statistics.median(ours):,.0f}/s of {statistics.median(theirs):,.0f}/s: {ratio:.0%}"
    return show("websocket intake, of a bare client", figure, ">= 10 %", ratio >= 0.10)


def latency(rate: float, count: int) -> bool:
    with ExitStack() as stack:
        sink = free_port()
        stack.enter_context(server("sink", sink))
        running = stack.enter_context(relay(sink))
        load("steady", running.events, "/hooks/bench", rate, 500, ROOMS)
        running.wait_done(500)
        get(f"http://127.0.0.1:{sink}/reset?note")
        answered = json.loads(load("steady", running.events, "/hooks/bench", rate, count, ROOMS))
        sink_rate(sink, count, time.monotonic())
        arrived = json.loads(get(f"http://127.0.0.1:{sink}/arrivals"))
    times = sorted((arrived[mark] - answered[mark]) * 1000 for mark in answered)
    median, worst = times[len(times) // 2], times[int(len(times) * 0.99)]
    figure = f"median {median:.1f} ms, 99 % {worst:.1f} ms"
    return show(f"accepted to posted at {rate:.0f} events/s", figure, "<= 5, 25 ms", median <= 5 and worst <= 25)


def footprint(waiting: int) -> bool:
    good = True
    with ExitStack() as stack:
        sink = free_port()
        stack.enter_context(server("sink", sink))
        with relay(sink) as running:
            good &= show("ready after start", f"{running.ready_after:.2f} s", "<= 1 s", running.ready_after <= 1)
            time.sleep(1)
            idle = running.memory()
            good &= show("resident memory, idle", f"{idle:.0f} MB", "<= 80 MB", idle <= 80)
            empty = 5000 / float(load("post", running.events, "/hooks/bench", 5000, 32, 1, ROOMS))
        with relay(sink, dead=True) as running:
            load("post", running.events, "/hooks/bench", waiting // 100, 8, 100, ROOMS)
            running.wait_planned()
            held = sum(room["waiting"] for room in running.status()["rooms"])
            full = running.memory()
            good &= show(f"resident memory, {held:,} waiting", f"{full:.0f} MB", "<= 120 MB", full <= 120)
            loaded = 5000 / float(load("post", running.events, "/hooks/bench", 5000, 32, 1, ROOMS))
            ratio = loaded / empty
            good &= show(f"accept with {held:,} waiting, of an empty queue", f"{ratio:.0%}", ">= 80 %", ratio >= 0.8)
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "relay", "--help"], check=True, capture_output=True)
    took = time.monotonic() - began
    return show("relay --help", f"{took:.2f} s", "<= 0.4 s", took <= 0.4) and good


def drain(waiting: int) -> bool:
    """Speed of sending with many waiting, of the speed with few."""
    rates = []
    with ExitStack() as stack:
        sink = free_port()
        stack.enter_context(server("sink", sink))
        for count in (waiting // 20, waiting):
            with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
                with Relay(Path(folder), sink, dead=True) as running:
                    load("post", running.events, "/hooks/bench", count // 100, 8, 100, ROOMS)
                    running.wait_planned()
                get(f"http://127.0.0.1:{sink}/reset")
                with Relay(Path(folder), sink) as running:
                    wait_until(lambda: sunk(sink) >= 200, 0.01)
                    start, began = sunk(sink), time.monotonic()
                    end = start + min(waiting // 20, 10_000) - 500
                    wait_until(partial(has_sunk, sink, end), 0.01)
                    rates.append((end - start) / (time.monotonic() - began))
    ratio = rates[1] / rates[0]
    figure = f"{rates[1]:,.0f}/s of {rates[0]:,.0f}/s: {ratio:.0%}"
    return show(f"sending with {waiting:,} waiting, of a short queue", figure, ">= 80 %", ratio >= 0.8)


def main() -> None:
    parts = {
        "accept": lambda n: accept(int(10_000 * n)),
        "single": lambda n: end_to_end(int(10_000 * n), 1, 0.12),
        "batch": lambda n: end_to_end(int(20_000 * n), 100, 0.20),
        "websocket": lambda n: websocket(int(50_000 * n)),
        "latency": lambda n: latency(500.0, int(5_000 * n)),
        "footprint": lambda n: footprint(int(100_000 * n)),
        "drain": lambda n: drain(int(100_000 * n)),
    }
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all without one")
    parser.add_argument("--size", type=float, default=1.0, help="factor on all counts")
    chosen = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    names = chosen.parts or list(parts)
    if unknown := set(names) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    good = [parts[name](chosen.size) for name in names]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
