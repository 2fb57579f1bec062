"""Replies that wait say what is true when they are sent, or are not sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance
from typing import Any

import msgspec
import pytest

from relay.core.event import Draft
from tests.fakes.simulated import ManualClock, Room, Simulated

SETTINGS: dict[str, Any] = {
    "accounts": {"webex": {"type": "webex", "token": "none"}},
    "rooms": {"noc": {"account": "webex", "id": "a", "digest_over": 1_000}},
    "sources": {"lab": {"type": "webhook"}},
    "route": {
        "rooms": ["noc"],
        "repeat_interval": "1h",
        "reopen_within": "1h",
        "routes": [{"matchers": ['site=~".+"'], "group_by": ["site"], "group_wait": "1s", "group_interval": "5s"}],
    },
}


@dataclass
class Outage:
    """A relay whose room can be taken away."""

    relay: Simulated
    room: Room
    clock: ManualClock

    async def event(self, key: str, status: str, severity: str = "major", site: str = "") -> None:
        """Take an event of an alert, and let ten seconds go by."""
        labels = {"site": site} if site else {}
        await self.relay.post([Draft(title=f"{key} down", status=status, severity=severity, key=key, labels=labels)])  # type: ignore[arg-type]  # of the table
        await self.wait(10.0)

    async def wait(self, seconds: float) -> None:
        """Let time go by."""
        until = self.clock.time + seconds
        while self.clock.time < until:
            await self.relay.turn()
            self.clock.time += 1.0

    def replies(self) -> list[str]:
        """All replies in the room, in order."""
        return [message.text for message in self.room.messages.values() if message.parent is not None]

    async def back(self) -> None:
        """Let the room take messages again, and wait until nothing waits."""
        self.room.down = False
        await self.relay.settle(30.0)


@pytest.fixture
async def outage(tmp_path: Path) -> AsyncIterator[Outage]:
    clock = ManualClock()
    dice = Random(1)  # noqa: S311 - as above
    room = Room(clock, dice)
    relay = Simulated(tmp_path, clock, room, dice, SETTINGS)
    await relay.start()
    try:
        yield Outage(relay, room, clock)
    finally:
        await relay.stop()


async def test_an_end_is_not_told_of_what_fires_again(outage: Outage) -> None:
    await outage.event("bgp", "firing")
    outage.room.down = True
    await outage.event("bgp", "resolved")
    await outage.event("bgp", "firing")
    await outage.back()
    (text,) = outage.replies()
    assert text.startswith("🟠 **MAJOR** again")


async def test_nothing_is_said_to_fire_that_has_ended(outage: Outage) -> None:
    await outage.event("bgp", "firing")
    outage.room.down = True
    await outage.event("bgp", "firing", "critical")
    await outage.event("bgp", "resolved")
    await outage.back()
    (text,) = outage.replies()
    assert text.startswith("✅ resolved")


async def test_all_of_a_group_has_ended_only_if_it_has(outage: Outage) -> None:
    for key in ("b0", "b1", "b2"):
        await outage.event(key, "firing", site="ams")
    outage.room.down = True
    for key in ("b0", "b1", "b2"):
        await outage.event(key, "resolved", site="ams")
    await outage.event("b1", "firing", site="ams")
    await outage.back()
    assert [text for text in outage.replies() if "all 3" in text] == []
    assert [text for text in outage.replies() if "b1 down" in text] != []
    await outage.event("b1", "resolved", site="ams")
    assert [text.split(",")[0] for text in outage.replies() if "all" in text] == ["✅ all 3 resolved"]


async def test_a_reply_about_several_leaves_out_those_that_have_ended(outage: Outage) -> None:
    for key in ("b0", "b1", "b2"):
        await outage.event(key, "firing", site="ams")
    outage.room.down = True
    await outage.relay.post(
        [
            Draft(title=f"{key} down", status="firing", severity="critical", key=key, labels={"site": "ams"})
            for key in ("b0", "b1")
        ]
    )
    await outage.wait(10.0)
    await outage.event("b0", "resolved", site="ams")
    await outage.back()
    alarms = [text for text in outage.replies() if "CRITICAL" in text]
    assert len(alarms) == 1
    assert "b1 down" in alarms[0]
    assert "b0 down" not in alarms[0]


async def test_a_reminder_is_not_sent_of_what_someone_has(outage: Outage) -> None:
    await outage.event("bgp", "firing")
    outage.room.down = True
    await outage.wait(3_610.0)
    await outage.relay.intake.acknowledge(("lab", "bgp"), "anna", "")
    await outage.back()
    assert [text for text in outage.replies() if "still firing" in text] == []


@pytest.mark.parametrize(("seconds", "says"), [(30.0, False), (600.0, True)])
async def test_a_reply_that_waited_says_how_late_it_is(outage: Outage, seconds: float, says: bool) -> None:
    await outage.event("bgp", "firing")
    outage.room.down = True
    await outage.event("bgp", "resolved")
    await outage.wait(seconds)
    await outage.back()
    (text,) = outage.replies()
    assert text.startswith("✅ resolved")
    assert ("posted 10 min late" in text) is says


async def test_a_reply_that_is_true_no_more_is_superseded_on_record(outage: Outage) -> None:
    await outage.event("bgp", "firing")
    outage.room.down = True
    await outage.event("bgp", "resolved")
    await outage.event("bgp", "firing")
    await outage.back()
    states = {
        one["action"]: one["state"] for one in await deliveries(outage.relay, lambda one: one["action"] == "reply")
    }
    assert set(states.values()) <= {"superseded", "done"}
    replies = [one["state"] for one in await deliveries(outage.relay, lambda one: one["action"] == "reply")]
    assert sorted(replies) == ["done", "superseded"]


async def deliveries(relay: Simulated, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The deliveries on record that are wanted."""
    found = msgspec.json.decode(await relay.store.queries.list_deliveries(limit=1_000))
    return [one for one in found if wanted(one)]
