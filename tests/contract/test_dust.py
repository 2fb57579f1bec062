"""A random history of groups, silences, trouble with the service and restarts ends with the truth in every message."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance
from typing import Any

import pytest

from relay.sandbox.server import Sandbox
from tests.contract.test_living import end, fault, random_fault, top
from tests.contract.test_suppression import silence
from tests.fakes.running import PATIENCE, Running, running

SITES = ("ams1", "fra1")
KEYS = [f"{site}-{number}" for site in SITES for number in range(400)]
ROUTE = {
    "rooms": ["noc"], "group_by": ["site"], "group_wait": "20ms", "group_interval": "50ms", "repeat_interval": "1h",
    "reopen_within": "1h",
}  # fmt: skip


def random_event(dice: Random, firing: set[str]) -> dict[str, Any]:
    if firing and dice.random() < 0.5:
        key = dice.choice(sorted(firing))
        firing.discard(key)
        return end(key=key)
    key = dice.choice(KEYS if dice.random() < 0.8 else KEYS[:8])
    firing.add(key)
    labels = {"site": key.partition("-")[0]}
    return fault(key=key, title=f"{key} is down", labels=labels, severity=dice.choice(["critical", "major", "minor"]))


async def play(relay: Running, dice: Random, firing: set[str]) -> None:
    """Some steps of the history."""
    for _ in range(20):
        if dice.random() < 0.3:
            relay.sandbox.state.faults = [random_fault(dice)]
        assert (await relay.post([random_event(dice, firing) for _ in range(dice.randrange(1, 4))]))[0] == 202
        if dice.random() < 0.1:
            await silence(relay, f"key={dice.choice(KEYS)}", seconds=dice.uniform(0.2, 2.0))
        if dice.random() < 0.5:
            await relay.get("/api/v1/incidents")


async def all_told(relay: Running) -> list[dict[str, Any]]:
    """Wait until silences are over, groups told, deliveries done; what is open then."""
    async with asyncio.timeout(PATIENCE):
        while True:
            _, status = await relay.get("/api/v1/status")
            left = sum(status["deliveries"].get(name, 0) for name in ("waiting", "leased", "dead"))
            _, silences = await relay.get("/api/v1/silences")
            _, found = await relay.get("/api/v1/incidents")
            held = [one for one in found if one["held"] or one["message_id"] is None]
            active = [one for one in silences if one["state"] == "active"]
            due = [
                group for group in await relay.daemon.store.due_groups(1e12, 100) if group.group.flush_at is not None
            ]
            if not (left or status["events"]["waiting"] or held or active or due):
                return list(found)


@pytest.mark.parametrize("seed", range(3))
async def test_every_group_shows_what_fires_in_it(tmp_path: Path, sandbox: Sandbox, seed: int) -> None:
    dice = Random(seed)  # noqa: S311 - seeded, so that a history can be repeated
    firing: set[str] = set()
    sandbox.state.add_room("NOC")
    for _ in range(3):
        async with running(tmp_path, sandbox, route=ROUTE) as relay:
            await play(relay, dice, firing)
    sandbox.state.faults = []
    async with running(tmp_path, sandbox, route=ROUTE) as relay:
        found = await all_told(relay)
        assert {one["key"] for one in found} == firing
        _, everything = await relay.get("/api/v1/incidents?ended=true")
        flapping = {one["labels"]["site"] for one in everything if one["flapping"]}
        living = {message.id: message for message in top(relay)}
        for site in SITES:
            mine = [one for one in found if one["labels"]["site"] == site]
            shown = {one["message_id"] for one in mine}
            assert len(shown) <= 1
            for message_id in shown:
                check_message(living.pop(message_id).text, mine, quiet=site in flapping)
        assert flapping or all(message.text.startswith(("✅", "⏩")) for message in living.values())
        assert all(message.edits <= 10 for message in top(relay))
        assert await relay.daemon.store.count_untold_events() == 0


def check_message(text: str, mine: list[dict[str, Any]], *, quiet: bool) -> None:
    """A group's message counts what fires and names the worst; what flaps changes it only when it holds."""
    first = text.splitlines()[0]
    if not quiet:
        assert f"{len(mine)} firing" in first or (len(mine) == 1 and "is down" in first), (text, mine)
    named = sum(one["title"] in text for one in mine if not one["flapping"])
    assert quiet or named == min(10, len(mine)), (text, mine)
