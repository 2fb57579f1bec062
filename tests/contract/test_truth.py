"""Whatever a room reads agrees with its alerts at the moment of sending: headers, signs, counts and replies.

Random histories of flapping groups, updates without a body, acknowledgements given and withdrawn, silences, and outages
behind which replies wait. A witness looks at each message as the room takes it.
"""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance
from typing import Any

import pytest

from relay.core.event import Draft
from relay.core.suppression import Silence
from relay.ports import Send
from tests.fakes.simulated import ManualClock, Room, Simulated, Standing

KEYS = ("b0", "b1", "b2", "b3")
BODY = "Call the provider; the number is in the runbook."
SETTINGS: dict[str, Any] = {
    "accounts": {"webex": {"type": "webex", "token": "none"}},
    "rooms": {"noc": {"account": "webex", "id": "a", "digest_over": 1_000}},
    "sources": {"lab": {"type": "webhook"}},
    "route": {
        "rooms": ["noc"],
        "repeat_interval": "20m",
        "reopen_within": "10m",
        "routes": [{"matchers": ["site=ams"], "group_by": ["site"], "group_wait": "5s", "group_interval": "20s"}],
    },
}
SIGNS = "🔴🟠🟡🔵⚪"
LATE = re.compile(r" · posted .+ late$")


class Witness(Room):
    """A room that compares each message with the alerts on record at that moment."""

    def __init__(self, clock: ManualClock, dice: Random, file: Path) -> None:
        super().__init__(clock, dice)
        self._file = file
        self.seen: list[str] = []
        """What kinds of messages were looked at."""

    def _take(self, message: Send) -> Standing:
        found = self._incidents(int(message.delivery))
        if found and not message.markdown.startswith("⏩"):
            self._look(message, message.markdown.split("\n")[0].rstrip(), found)
        return super()._take(message)

    def _incidents(self, delivery: int) -> list[dict[str, Any]]:
        connection = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)
        try:
            rows = connection.execute(
                "SELECT i.incident, i.over FROM deliveries AS d JOIN messages AS m ON m.id = d.message"
                " JOIN incidents AS i ON i.message = coalesce(m.tells, m.id) WHERE d.id = ?",
                (delivery,),
            ).fetchall()
        finally:
            connection.close()
        return [{**json.loads(incident), "over": bool(over)} for incident, over in rows]

    def _look(self, message: Send, first: str, found: list[dict[str, Any]]) -> None:
        first = LATE.sub("", first)
        if message.action == "reply":
            self._look_at_reply(first, found)
            return
        self._look_at_header(first, found)
        firing = sum(not one["over"] for one in found)
        lines = [line[2:] for line in message.markdown.split("\n") if line.startswith("- ") and " more" not in line]
        assert sum(line[0] in SIGNS for line in lines) <= firing, message.markdown
        assert len(found) == 1 or len(lines) == min(10, len(found)), message.markdown
        if len(found) <= 10 and all(one["event"]["body"] for one in found):
            assert BODY in message.markdown, message.markdown

    def _look_at_header(self, first: str, found: list[dict[str, Any]]) -> None:
        firing = sum(not one["over"] for one in found)
        if (counts := re.match(r". \*\*(\d+) firing(?:, (\d+) ended)?\*\*", first)) is not None:
            self.seen.append("group")
            assert (int(counts[1]), int(counts[2] or 0)) == (firing, len(found) - firing), (first, found)
            assert first[0] in SIGNS, first
        elif (ended := re.match(r"[✅⌛] \*\*all (\d+) ", first)) is not None:
            self.seen.append("all ended")
            assert (firing, int(ended[1])) == (0, len(found)), (first, found)
        else:
            self.seen.append("single")
            (one,) = found
            assert first.startswith(("✅", "⌛")) == one["over"], (first, found)

    def _look_at_reply(self, first: str, found: list[dict[str, Any]]) -> None:
        if "**" not in first:
            self._look_at_end(first, sum(not one["over"] for one in found), found)
        elif first.startswith(("✅ **", "⌛ **")):  # the present, where no edit is left
            self.seen.append("end as a reply")
            assert all(one["over"] for one in found), (first, found)
        elif not first.startswith("🔕"):
            self.seen.append("alarm")
            fires = any(one["state"] == "firing" or (one["quiet"] and "flapping" in first) for one in found)
            assert fires or "flaps no more" in first, (first, found)

    def _look_at_end(self, first: str, firing: int, found: list[dict[str, Any]]) -> None:
        if first.startswith("flapping"):
            self.seen.append("flapping")
            assert any(one["quiet"] for one in found), (first, found)
        elif first.startswith(("✅ all", "⌛ all")):
            self.seen.append("all ended, in a reply")
            assert firing == 0, (first, found)
        elif first.startswith(("✅", "⌛")):
            self.seen.append("ended")
            assert any(one["over"] for one in found), (first, found)


async def step(relay: Simulated, dice: Random, firing: set[str], number: int) -> None:
    """Something happens to the alerts, to the room, or only time goes by."""
    roll, now = dice.random(), relay.clock.time
    key = dice.choice(KEYS)
    site = {"site": "ams"} if key != "b3" else {}
    if roll < 0.45:
        resolved = key in firing and dice.random() < 0.6
        (firing.discard if resolved else firing.add)(key)
        body = BODY if dice.random() < 0.4 or not (resolved or key in firing) else ""
        severity = dice.choice(("critical", "major", "minor"))
        status: Any = "resolved" if resolved else "firing"
        await relay.post(
            [Draft(title=f"{key} down", status=status, key=key, labels=site, severity=severity, body=body)]
        )
    elif roll < 0.52:
        await relay.intake.acknowledge(("lab", key), "anna", "")
    elif roll < 0.57:
        await relay.intake.unacknowledge(("lab", key), "anna", "")
    elif roll < 0.62:
        silence = Silence(
            id=f"s{number}",
            matchers=(f"key={key}",),
            starts_at=now,
            ends_at=now + dice.uniform(5.0, 120.0),
            created_by="anna",
            comment="work",
            updated_at=now,
        )
        await relay.planner.vigil.put([silence])
    elif roll < 0.70:
        relay.room.down = not relay.room.down
    else:
        relay.clock.time += dice.choice((1.0, 5.0, 20.0, 60.0, 300.0, 700.0))
    await relay.turn()


async def play(folder: Path, seed: int, steps: int) -> list[str]:
    """Play one history; return which kinds of messages the witness has seen."""
    dice = Random(seed)  # noqa: S311 - seeded, so that a history can be repeated
    clock = ManualClock()
    room = Witness(clock, dice, folder / "relay.db")
    relay = Simulated(folder, clock, room, dice, SETTINGS)
    await relay.start()
    firing: set[str] = set()
    try:
        for number in range(steps):
            await step(relay, dice, firing, number)
        room.down = False
        await relay.settle(60.0)
    finally:
        await relay.stop()
    return room.seen


async def test_what_a_room_reads_is_true_when_it_is_sent(tmp_path: Path) -> None:
    seen: set[str] = set()
    for seed in range(6):
        folder = tmp_path / str(seed)
        folder.mkdir()
        seen.update(await play(folder, seed, steps=250))
    assert seen >= {"group", "all ended", "single", "alarm", "flapping", "all ended, in a reply", "ended"}


@pytest.mark.parametrize("text", ["🟠 **2 firing** · worst MAJOR", "✅ **all 2 resolved**"])
def test_the_witness_finds_a_header_that_lies(tmp_path: Path, text: str) -> None:
    clock = ManualClock()
    room = Witness(clock, Random(0), tmp_path / "relay.db")  # noqa: S311 - as above
    one = {"key": "b0", "state": "firing", "quiet": False, "held": None, "over": False, "event": {"body": ""}}
    message = Send(action="edit", room="noc", markdown=text, delivery="1")
    with pytest.raises(AssertionError):
        room._look(message, text, [one, {**one, "over": True}])
