"""kill -9 at random moments under load: what was answered 202 is posted, in order, and hardly ever twice.

As a test it runs small; `python -m tests.acceptance.killing --kills 100` runs the full figure and prints it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import tempfile
from pathlib import Path

import aiohttp
import msgspec

from relay.sandbox.server import Sandbox
from tests.acceptance.harness import free_port, relay_process
from tests.fakes.running import PATIENCE, configuration, messages, started_sandbox, until

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


async def kill_under_load(folder: Path, sandbox: Sandbox, kills: int, seed: int, longest: float = 0.4) -> Figures:
    """Kill a relay that works, again and again, and account for every event that it has acknowledged."""
    chance = random.Random(seed)  # noqa: S311, TID251 - moments, not secrets; seeded, so that a run can be repeated
    rooms = {f"r{n}": {"account": "webex", "title": f"R{n}", "create": True} for n in range(ROOMS)}
    route = {
        "rooms": ["r0"],
        "routes": [{"matchers": [f'room="r{n}"'], "rooms": [f"r{n}"]} for n in range(ROOMS)],
    }
    for n in range(ROOMS):
        sandbox.state.add_room(f"R{n}")
    listen = {"events": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}"}
    config = folder / "relay.yaml"
    config.write_text(
        json.dumps(configuration(sandbox, folder, rooms=rooms, route=route, listen=listen)), encoding="utf-8"
    )
    accepted: dict[str, list[str]] = {f"{s}": [] for s in range(SENDERS)}
    sent = 0

    async def send(sender: int, session: aiohttp.ClientSession, over: asyncio.Event) -> None:
        nonlocal sent
        while not over.is_set():
            sent += 1
            title = f"s{sender}-{sent:08}"
            event = {"title": title, "labels": {"room": f"r{sender % ROOMS}"}}
            try:
                async with session.post(f"http://{listen['events']}/hooks/lab", json=event) as answer:
                    if answer.status == 202:
                        accepted[str(sender)].append(title)
            except aiohttp.ClientError:
                return

    for _ in range(kills):
        over = asyncio.Event()
        async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
            async with asyncio.TaskGroup() as tasks:
                for sender in range(SENDERS):
                    tasks.create_task(send(sender, session, over))
                try:
                    async with asyncio.timeout(chance.uniform(0.02, longest)):
                        await asyncio.Event().wait()
                except TimeoutError:
                    relay.process.send_signal(signal.SIGKILL)
                over.set()
            await relay.ended()
    titles = [title for sender in accepted.values() for title in sender]
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        async with asyncio.timeout(PATIENCE * 10):
            while True:
                status = await relay.get(session, "/api/v1/status")
                open_ = sum(status["deliveries"].get(state, 0) for state in ("waiting", "leased", "dead"))
                if not open_ and not status["events"]["waiting"]:
                    break
        await until(sandbox, lambda: set(titles) <= _posted(sandbox))
        await relay.stop()
    return _account(sandbox, accepted, kills)


def _posted(sandbox: Sandbox) -> set[str]:
    return {_title(m.text) for n in range(ROOMS) for m in messages(sandbox, f"R{n}")}


def _title(text: str) -> str:
    return text.splitlines()[0].split(" · ")[1]


def _account(sandbox: Sandbox, accepted: dict[str, list[str]], kills: int) -> Figures:
    posted = [[_title(m.text) for m in messages(sandbox, f"R{n}")] for n in range(ROOMS)]
    flat = [title for room in posted for title in room]
    titles = [title for sender in accepted.values() for title in sender]
    first_places = [{title: place for place, title in reversed(list(enumerate(room)))} for room in posted]
    disorder = 0
    for sender, sent in accepted.items():
        places = [first_places[int(sender) % ROOMS][title] for title in sent]
        disorder += sum(later < earlier for earlier, later in zip(places, places[1:], strict=False))
    return Figures(
        kills=kills,
        accepted=len(titles),
        posted=len(flat),
        lost=len(set(titles) - set(flat)),
        duplicates=len(flat) - len(set(flat)),
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
