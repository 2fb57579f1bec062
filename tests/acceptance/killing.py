"""kill -9 at random moments under load: what was answered 202 is posted, in order, and hardly ever twice.

As a test it runs small; `python -m tests.acceptance.killing --kills 100` runs the full figure and prints it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import tempfile
from itertools import pairwise
from pathlib import Path
from random import Random  # noqa: TID251 - seeded moments, not the relay's chance
from typing import Any

import aiohttp
import msgspec

from relay.lifecycle import SystemClock
from relay.sandbox.server import Sandbox
from tests.acceptance.harness import free_port, relay_process
from tests.fakes.looking import PATIENCE, until_seen
from tests.fakes.running import configuration, messages, started_sandbox

ROOMS = 4
SENDERS = 8


class Figures(msgspec.Struct):
    """What a run came to."""

    kills: int = 0
    accepted: int = 0
    posted: int = 0
    lost: int = 0
    duplicates: int = 0
    most_duplicates: int = 0
    out_of_order: int = 0


class Load:
    """Senders that post marked events, each to its own room, and remember what was answered 202."""

    def __init__(self, url: str) -> None:
        self.accepted: list[list[str]] = [[] for _ in range(SENDERS)]
        self.over = asyncio.Event()
        self._url = url
        self._sent = 0

    async def send(self, sender: int, session: aiohttp.ClientSession) -> None:
        """Post until it is over, or the relay is gone."""
        while not self.over.is_set():
            self._sent += 1
            title = f"s{sender}-{self._sent:08}"
            event = {"title": title, "labels": {"room": f"r{sender % ROOMS}"}}
            try:
                async with session.post(self._url, json=event) as answer:
                    if answer.status == 202:
                        self.accepted[sender].append(title)
            except aiohttp.ClientError:
                return


async def kill_under_load(folder: Path, sandbox: Sandbox, kills: int, seed: int, longest: float = 0.4) -> Figures:
    """Kill a relay that works, again and again, and account for every event that it has acknowledged."""
    config, url = _configure(folder, sandbox)
    load = Load(url)
    moments = Random(seed)  # noqa: S311 - moments, not secrets; seeded, so that a run can be repeated
    for _ in range(kills):
        await _kill_once(config, load, moments.uniform(0.02, longest))
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        await until_seen(lambda: relay.get(session, "/api/v1/status"), _settled, patience=PATIENCE * 10)
        await relay.stop()
    return _account(sandbox, load.accepted, kills)


def _configure(folder: Path, sandbox: Sandbox) -> tuple[Path, str]:
    names = [f"r{n}" for n in range(ROOMS)]
    rooms = {name: {"account": "webex", "title": name, "digest_over": 1_000_000} for name in names}
    for name in names:
        sandbox.state.add_room(name)
    route = {"rooms": names[:1], "routes": [{"matchers": [f'room="{name}"'], "rooms": [name]} for name in names]}
    listen = {"events": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}"}
    config = folder / "relay.yaml"
    values = configuration(sandbox, folder, rooms=rooms, route=route, listen=listen)
    config.write_text(json.dumps(values), encoding="utf-8")
    return config, f"http://{listen['events']}/hooks/lab"


async def _kill_once(config: Path, load: Load, after: float) -> None:
    load.over = asyncio.Event()
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        async with asyncio.TaskGroup() as tasks:
            for sender in range(SENDERS):
                tasks.create_task(load.send(sender, session))
            await SystemClock().wait(asyncio.Event(), after)
            relay.process.send_signal(signal.SIGKILL)
            load.over.set()
        await relay.ended()


def _settled(status: dict[str, Any]) -> bool:
    """Return whether nothing waits any more."""
    waiting = sum(status["deliveries"].get(state, 0) for state in ("waiting", "leased", "dead"))
    return not waiting and not status["events"]["waiting"]


def _account(sandbox: Sandbox, accepted: list[list[str]], kills: int) -> Figures:
    rooms = [[m.text.splitlines()[0].split(" · ")[1] for m in messages(sandbox, f"r{n}")] for n in range(ROOMS)]
    posted = [title for room in rooms for title in room]
    first = [{title: place for place, title in reversed(list(enumerate(room)))} for room in rooms]
    disorder = 0
    for sender, sent in enumerate(accepted):
        places = [first[sender % ROOMS].get(title, -1) for title in sent]
        disorder += sum(later < earlier for earlier, later in pairwise(places))
    titles = {title for sent in accepted for title in sent}
    return Figures(
        kills=kills,
        accepted=len(titles),
        posted=len(posted),
        lost=len(titles - set(posted)),
        duplicates=len(posted) - len(set(posted)),
        most_duplicates=kills * ROOMS,
        out_of_order=disorder,
    )


async def main() -> None:
    """Run the full figure."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.killing", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="relay-kill-") as folder:
        async with started_sandbox() as sandbox:
            figures = await kill_under_load(Path(folder), sandbox, chosen.kills, chosen.seed)
    print(msgspec.json.encode(figures).decode())  # noqa: T201 - a script that prints its figure
    assert figures.lost == figures.out_of_order == 0
    assert figures.duplicates <= figures.most_duplicates


if __name__ == "__main__":
    asyncio.run(main())
