"""Whatever has happened, after the dust settles the room shows the truth: random histories in a time of their own.

Groups, single alerts, notices and storms; silences and acknowledgements; a service that fails and loses answers,
commits that fail, restarts that forget, people who delete messages, and pruning that takes all that it may.
"""

from __future__ import annotations

import re
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance
from typing import Any

import pytest

from relay.core.event import Draft
from relay.core.suppression import Silence
from relay.ports import Limits
from relay.senders.spika import SERVICE as SPIKA
from relay.senders.webex import SERVICE as WEBEX
from tests.fakes.simulated import SETTINGS, ManualClock, Room, Simulated

SITES = ("ams1", "fra1")
PLAIN: dict[str, Any] = {
    "accounts": {"spika": {"type": "spika", "url": "http://127.0.0.1:1", "access_token": "t"}},
    "rooms": {"noc": {"account": "spika", "id": 5, "digest_over": 8}},
}
PRUNED = Limits(done=0.0, dead=0.0, size=1, pressing=True)
LONG = 4_000.0
"""Seconds after which nothing flaps, no silence holds, and every digest has said how its alerts ended."""


class History:
    """What is done to a relay, and what is true of its alerts afterwards."""

    def __init__(self, dice: Random, *, prunes: bool) -> None:
        self.dice = dice
        self.prunes = prunes
        self.firing: dict[str, Draft] = {}
        self.notices: list[str] = []
        self.deleted: set[str] = set()
        self._numbers = iter(range(10**6))

    def next_draft(self) -> Draft:
        """An alert that opens, changes, is said again or ends, or a notice."""
        dice = self.dice
        if dice.random() < 0.1:
            self.notices.append(f"notice {next(self._numbers)}")
            return Draft(title=self.notices[-1])
        if self.firing and dice.random() < 0.5:
            key = dice.choice(sorted(self.firing))
            at = self.firing.pop(key)
            return Draft(
                title="over",
                status="resolved",
                key=key,
                occurred_at=None if dice.random() < 0.8 else 1.0,
                labels=at.labels if dice.random() < 0.5 else {},
            )
        key = f"k{dice.randrange(12 if dice.random() < 0.3 else 200)}"
        site = dice.choice(("", "", *SITES)) if key not in self.firing else self.firing[key].labels.get("site", "")
        labels = {"site": site, "of": "x|storm y"} if site else {}
        draft = Draft(
            title=f"{key} is down {dice.randrange(2)}",
            status="firing",
            key=key,
            labels=labels,
            severity=dice.choice(("critical", "major", "minor")),
        )
        self.firing[key] = draft
        return draft

    async def step(self, relay: Simulated) -> None:
        """Something happens, and each loop comes round."""
        dice, now = self.dice, relay.clock.time
        roll = dice.random()
        relay.room.trouble = dice.choice((0.0, 0.0, 0.05, 0.5))
        relay.flaky.trouble = dice.choice((0.0, 0.0, 0.2))
        if roll < 0.5:
            await relay.post([self.next_draft() for _ in range(dice.randrange(1, 4))])
        elif roll < 0.56:
            await relay.post([self.next_draft() for _ in range(40)])
        elif roll < 0.60:
            matcher = dice.choice(("site=ams1", f"key=k{dice.randrange(12)}", 'severity="minor"'))
            ends_at = now + dice.uniform(5.0, 300.0)
            await relay.planner.vigil.put(
                [
                    Silence(
                        id=f"s{next(self._numbers)}",
                        matchers=(matcher,),
                        starts_at=now,
                        ends_at=ends_at,
                        created_by="anna",
                        comment="work",
                        updated_at=now,
                    )
                ]
            )
        elif roll < 0.64 and self.firing:
            await relay.intake.acknowledge(("lab", dice.choice(sorted(self.firing))), "anna", "mine")
        elif roll < 0.70:
            await relay.store.prune(PRUNED if self.prunes else Limits(), now)
        elif roll < 0.72 and relay.room.messages:
            gone = relay.room.messages.pop(dice.choice(sorted(relay.room.messages)))
            self.deleted.add(gone.id)
        else:
            relay.clock.time += dice.choice((1.0, 5.0, 40.0, 400.0))
        await relay.turn()


async def play(folder: Path, seed: int, steps: int) -> None:
    """Play one history with some restarts, and look at the room when the dust has settled."""
    dice = Random(seed)  # noqa: S311 - seeded, so that a history can be repeated
    clock = ManualClock()
    plain = seed % 5 == 4
    room, history = Room(clock, dice, SPIKA if plain else WEBEX), History(dice, prunes=seed % 2 == 1)
    for life in range(4):
        relay = Simulated(folder, clock, room, dice, {**SETTINGS, **(PLAIN if plain else {})})
        await relay.start()
        if life < 3:
            for _ in range(steps):
                await history.step(relay)
        else:
            room.trouble = 0.0
            await relay.settle(LONG)
            await check(relay, history, plain=plain)
        await relay.stop()


async def check(relay: Simulated, history: History, *, plain: bool) -> None:
    """The room shows what is true, by what was sent to the relay."""
    found = await relay.incidents(ended=True)
    fires = [one for one in found if one["state"] == "firing"]
    assert {one["key"] for one in fires} == set(history.firing)
    top = {
        message.id: message for message in relay.room.messages.values() if message.parent is None and not message.orphan
    }
    told: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        taken_up = one["acknowledged_by"] is not None  # before its room was told of it, if there is no message
        assert one["state"] != "firing" or one["message_id"] is not None or taken_up, one
        assert one["held"] is None or one["state"] != "firing", one
        told.setdefault(one["message_id"], []).append(one)
    for message_id, message in () if plain else top.items():
        mine = [one for one in told.get(message_id, []) if one["state"] == "firing"]
        tells_the_truth(message.text, message.edits, mine, history)
    missing = {one["message_id"] for one in fires} - {*top, None}
    assert missing <= history.deleted
    seen = "\n".join(relay.room.shown)
    assert [title for title in history.notices if title not in seen] == []
    named = not re.search(r"and \d+ more", seen)  # where a message names all that is new
    assert [one["key"] for one in fires if plain and named and f"{one['key']} is down" not in seen] == []
    assert history.prunes or await relay.store.queries.count_untold_events() == 0


def tells_the_truth(text: str, edits: int, mine: list[dict[str, Any]], history: History) -> None:
    """A message says how many of its alerts fire, or that none does."""
    first = text.splitlines()[0].rstrip()
    if first.startswith("🌊"):
        assert first.startswith("🌊 **Storm over**"), first
        if not mine:
            assert "still firing" not in first, first
        elif edits < 9 and "still firing" in first:
            assert f"{len(mine)} still firing" in first, (first, mine)
    elif not mine:
        assert first.startswith(("✅", "⏩", "⌛")) or first.split(" · ")[-1] in history.notices, text
    elif f"{len(mine)} firing" in first:
        assert sum(one["title"] in text for one in mine) == min(10, len(mine)), (text, mine)
    else:
        (only,) = mine
        truth = history.firing[only["key"]]
        assert truth.severity is not None
        assert f"**{truth.severity.upper()}** · {truth.title}" in first, (text, truth)


@pytest.mark.parametrize("seed", range(5))
async def test_after_the_dust_settles_the_room_shows_the_truth(tmp_path: Path, seed: int) -> None:
    await play(tmp_path, seed, steps=60)
