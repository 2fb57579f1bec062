"""When a real Alertmanager's routes tell of alerts, beside the relay's: group waits, intervals and mutes.

Random trees in which many siblings have equal matchers or none, each route with a receiver and times of its own. One
Alertmanager decides all of them in real time, and the relay the same configuration in simulated time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Event as Flag
from threading import Thread
from typing import Any

import msgspec
import yaml

from relay.app.trial.simulation import Simulation, simulate
from relay.formats import FORMATS
from relay.lifecycle import SystemClock
from relay.logs import make_log
from relay.settings.load import load
from tests.fakes.made import event

Labels = dict[str, str]
Tree = dict[str, Any]

TREES = 40
SECOND_AT = 2.0
"""Seconds behind the first alert of a tree at which its second one comes, into the same groups."""
WATCHED = 10.0
MATCHERS: tuple[list[str], ...] = ([], [], ['a="1"'], ['a="1"'], ['a=~"1|2"'], ['b!="1"'], ['a="1"', 'b="1"'])
INTERVALS = [
    {"name": "always", "time_intervals": [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]},
    {"name": "never", "time_intervals": [{"years": ["1999"]}]},
]
CLOCK = SystemClock()


@dataclass
class Drawn:
    """Trees in Alertmanager's words below one root, the receivers that they name, and each tree's label sets."""

    root: Tree
    receivers: list[str] = field(default_factory=list)
    labels: list[Labels] = field(default_factory=list)


def drawn(dice: Random) -> Drawn:
    """Draw all trees, and for each the labels of its alerts."""
    found = Drawn({"receiver": "r0", "group_by": ["tree"], "group_wait": "1s", "group_interval": "2s"})
    found.receivers.append("r0")
    found.root["routes"] = []
    for number in range(TREES):
        tree = some_route(dice, found, 0)
        found.root["routes"].append({**tree, "matchers": [f'tree="{number}"'], "continue": False})
        found.labels.append({"tree": str(number), "a": dice.choice("123"), "b": dice.choice("12")})
    return found


def some_route(dice: Random, found: Drawn, depth: int) -> Tree:
    """A route with a receiver and times of its own, and all below it."""
    name = f"r{len(found.receivers)}"
    found.receivers.append(name)
    route: Tree = {
        "receiver": name,
        "matchers": dice.choice(MATCHERS),
        "continue": dice.random() < 0.7,
        "group_wait": dice.choice(("1s", "3s")),
        "group_interval": dice.choice(("2s", "4s")),
    }
    if depth and dice.random() < 0.3:
        key = dice.choice(("mute_time_intervals", "active_time_intervals"))
        route[key] = [dice.choice(("always", "never"))]
    if depth < 3:
        children = [some_route(dice, found, depth + 1) for _ in range(dice.choice((0, 2, 3, 4)))]
        route["routes"] = children + [twin(dice, one, found) for one in children if dice.random() < 0.3]
    return route


def twin(dice: Random, route: Tree, found: Drawn) -> Tree:
    """A route with the same matchers as another, and times of its own."""
    return {**some_route(dice, found, 3), "matchers": route["matchers"]}


def alerts_of(found: Drawn, second: int) -> list[Labels]:
    """The first, or the second, alert of each tree; `n` tells them apart."""
    return [{**labels, "n": f"alert-{labels['tree']}-{second}-"} for labels in found.labels]


def ours(folder: Path, found: Drawn, start: float) -> dict[str, float]:
    """When each alert is first told by each receiver, in seconds behind the start, as the relay has it."""

    def as_relay(node: Tree) -> Tree:
        kept = {name: value for name, value in node.items() if name not in ("receiver", "routes")}
        return {**kept, "rooms": [node["receiver"]], "routes": [as_relay(child) for child in node.get("routes", ())]}

    file = folder / "timers.relay.yaml"
    written = {
        "accounts": {"webex": {"type": "webex", "token": "none"}},
        "sources": {"fabric": {"type": "webhook"}},
        "rooms": {room: {"account": "webex", "id": room} for room in found.receivers},
        "route": as_relay(found.root),
        "time_intervals": INTERVALS,
    }
    file.write_text(yaml.safe_dump(written))

    async def play(simulation: Simulation) -> None:
        for second, at in ((0, start), (1, start + SECOND_AT)):
            await simulation.run_until(at)
            one = event(severity="major", occurred_at=at, received_at=at)
            changes = [
                {"id": one["n"], "title": one["n"], "key": one["n"], "labels": one} for one in alerts_of(found, second)
            ]
            await simulation.take([msgspec.structs.replace(one, **change) for change in changes])
        await simulation.run_until(start + WATCHED)

    sent = asyncio.run(simulate(load(file, FORMATS), start, make_log("error"), play))
    first: dict[str, float] = {}
    for one in sent:
        for labels in (*alerts_of(found, 0), *alerts_of(found, 1)):
            if labels["n"] in one.text:
                first.setdefault(f"{one.room} {labels['n']}", one.at - start)
    return first


class _Server(ThreadingHTTPServer):
    request_queue_size = 1_024  # all receivers are told at once; a connection that finds no place is late by seconds
    daemon_threads = True


class Sink:
    """Takes webhooks, and notes when each receiver was first told of each alert."""

    def __init__(self) -> None:
        self.told: dict[str, float] = {}
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                at = CLOCK.now()
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in said["alerts"]:
                    sink.told.setdefault(f"{self.path[1:]} {alert['labels']['n']}", at)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = _Server(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()


@contextmanager
def sunk() -> Iterator[Sink]:
    """A sink that listens."""
    sink = Sink()
    try:
        yield sink
    finally:
        sink.server.shutdown()


def receivers(found: Drawn, sink: Sink) -> list[dict[str, Any]]:
    """Alertmanager's receivers, each at an address of its own."""
    url = f"http://127.0.0.1:{sink.server.server_address[1]}"
    return [{"name": name, "webhook_configs": [{"url": f"{url}/{name}"}]} for name in found.receivers]


def turn(at: float | None) -> int | None:
    """The turn in which something was told: all waits end at 1 s, 3 s, 5 s, … and a busy machine is late for them."""
    return None if at is None else int((at - 0.9) // 2)


def pause(seconds: float) -> None:
    """Let real time pass: Alertmanager's clock can't be set."""
    Flag().wait(seconds)
