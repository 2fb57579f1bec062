"""Replies that wait say what is true when they are sent, or are not sent."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance
from typing import Any

import msgspec
import pytest

from relay.core.event import Draft
from relay.core.retry import RetryPolicy
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
SLOW: dict[str, Any] = {
    **SETTINGS,
    "route": {
        **SETTINGS["route"],
        "reopen_within": "3400s",
        "routes": [{**SETTINGS["route"]["routes"][0], "group_interval": "5m"}],
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
async def outage(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Outage]:
    clock = ManualClock()
    dice = Random(1)  # noqa: S311 - as above
    room = Room(clock, dice)
    relay = Simulated(
        tmp_path, clock, room, dice, getattr(request, "param", SETTINGS), policy=RetryPolicy(1.0, 300.0, 86_400.0)
    )
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
    assert (re.search(r"posted 1\d min late$", text) is not None) is says


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


@pytest.mark.parametrize("keys", [("bgp",), ("b0", "b1")])
async def test_an_end_that_came_twice_in_an_outage_is_told_once(outage: Outage, keys: tuple[str, ...]) -> None:
    site = "ams" if len(keys) > 1 else ""
    for key in keys:
        await outage.event(key, "firing", site=site)
    outage.room.down = True
    await outage.event(keys[0], "firing", "minor", site=site)
    await outage.wait(700.0)  # the next try is minutes away
    for status in ("resolved", "firing", "resolved"):
        for key in keys:
            await outage.event(key, status, site=site)
    await outage.back()
    (text,) = outage.replies()
    assert text.startswith("✅ all 2 resolved" if site else "✅ resolved")


@pytest.mark.parametrize("site", ["", "ams"])
async def test_of_reminders_that_waited_the_last_is_sent(outage: Outage, site: str) -> None:
    for key in ("b0", "b1"):
        await outage.event(key, "firing", site=site)
    outage.room.down = True
    await outage.wait(3 * 3_700.0)
    await outage.back()
    assert len([text for text in outage.replies() if "still firing" in text]) == (1 if site else 2)


async def test_a_group_that_ended_in_an_outage_lasted_until_its_end_and_is_told_late(outage: Outage) -> None:
    for key in ("b0", "b1"):
        await outage.event(key, "firing", site="ams")
    outage.room.down = True
    for key in ("b0", "b1"):
        await outage.event(key, "resolved", site="ams")
    await outage.wait(3_600.0)
    await outage.back()
    (group,) = (message.text for message in outage.room.messages.values() if message.parent is None)
    first, second, *_ = group.split("  \n")
    assert re.fullmatch(r"✅ \*\*all 2 resolved\*\* · site ams · lasted 3\d s", first)
    assert re.search(r" · posted 1 h 0\d late$", second)


async def test_a_change_of_an_old_alert_is_not_late(outage: Outage) -> None:
    await outage.event("bgp", "firing")
    await outage.wait(3_600.0)
    await outage.relay.intake.acknowledge(("lab", "bgp"), "anna", "")
    await outage.back()
    (message,) = (message.text for message in outage.room.messages.values() if message.parent is None)
    assert "👤 anna" in message
    assert "late" not in message


async def test_an_alert_that_fires_anew_in_its_group_is_listed_once_and_its_former_end_is_not_told(
    outage: Outage,
) -> None:
    for key in ("b0", "b1"):
        await outage.event(key, "firing", site="ams")
    for _ in range(3):
        await outage.event("b0", "resolved", site="ams")
        await outage.wait(4_000.0)  # longer than reopen_within
        await outage.event("b0", "firing", site="ams")
    (group,) = (message.text for message in outage.room.messages.values() if message.parent is None)
    assert group.startswith("🟠 **2 firing** · ")
    assert [line.split(" · ")[0] for line in group.split("  \n")[2:]] == ["- 🟠 b1 down", "- 🟠 b0 down"]
    for key in ("b0", "b1"):
        await outage.event(key, "resolved", site="ams")
    await outage.back()
    assert [text.split(",")[0] for text in outage.replies() if "all" in text] == ["✅ all 2 resolved"]


@pytest.mark.parametrize("outage", [SLOW], indirect=True)
async def test_the_end_of_a_former_life_is_not_told_of_an_alert_that_fires_anew(outage: Outage) -> None:
    await outage.event("b0", "firing", site="ams")
    outage.room.down = True
    await outage.event("b0", "resolved", site="ams")
    await outage.wait(3_420.0)  # its end is told five minutes later, so its group still counts as the same
    await outage.event("b0", "firing", site="ams")
    await outage.wait(400.0)
    await outage.back()
    assert not [text for text in outage.replies() if text.startswith("✅")]
    (group,) = (message.text for message in outage.room.messages.values() if message.parent is None)
    assert group.startswith("🟠 **MAJOR** · b0 down")


async def test_a_large_group_says_what_all_of_it_have_in_common(outage: Outage) -> None:
    def pod(number: int, zone: str) -> Draft:
        labels = {"site": "ams", "pod": f"cart-{number}", "zone": zone}
        return Draft(title="Pod crashes", status="firing", key=f"k{number}", labels=labels, body="See step 4.")

    await outage.relay.post([pod(number, "z1") for number in range(25)])
    await outage.back()
    (message,) = outage.room.messages.values()
    assert message.text.startswith("🔵 **25 firing** · Pod crashes · worst WARNING · site ams · zone z1  \n")
    assert "See step 4." in message.text
    await outage.relay.post([pod(25, "z2")])
    await outage.back()
    assert message.text.startswith("🔵 **26 firing** · Pod crashes · worst WARNING · site ams  \n")
    trail = await outage.relay.store.queries.trail(1)
    assert trail is not None
    assert trail.message is not None
    assert len(trail.message.summary.unnamed) == 16


async def deliveries(relay: Simulated, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The deliveries on record that are wanted."""
    found = msgspec.json.decode(await relay.store.queries.list_deliveries(limit=1_000))
    return [one for one in found if wanted(one)]
