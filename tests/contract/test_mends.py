"""What once went wrong with groups, storms and silences, each as a claim."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random  # noqa: TID251 - seeded, not the relay's chance

import msgspec

from relay.core.event import Draft, Status
from relay.core.matching import parse_matchers
from relay.core.suppression import Silence
from relay.ports import Limits
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from tests.contract.test_dust import SETTINGS
from tests.contract.test_groups import GROUPED, at, settled
from tests.contract.test_living import end, fault, replies, top
from tests.fakes.running import PATIENCE, ROOM, running
from tests.fakes.simulated import ManualClock, Room, Simulated

ALL = Limits(done=0.0, dead=0.0, size=1, pressing=True)


async def test_pruning_takes_nothing_that_a_group_waits_for(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, route={**GROUPED, "group_wait": "1s", "group_interval": "1s"}) as relay:
        await relay.post([at("a", key="k1"), at("a", key="k2")])
        await relay.post(at("a", key="k1", severity="critical"))
        async with asyncio.timeout(PATIENCE):
            while (await relay.get("/api/v1/status"))[1]["events"]["waiting"]:
                pass
        await relay.daemon.store.prune(ALL, relay.daemon.pipeline.planner.vigil._clock.now())
        await relay.until(lambda: any("2 firing" in message.text for message in relay.messages()))
        await settled(relay)
        await relay.post([end(key="k1", occurred_at="2020-01-01T00:00:00Z"), end(key="k2")])
        async with asyncio.timeout(PATIENCE):
            while (await relay.get("/api/v1/status"))[1]["events"]["waiting"]:
                pass
        for _ in range(3):
            await relay.daemon.store.prune(ALL, relay.daemon.pipeline.planner.vigil._clock.now())
        await relay.until(lambda: any("all 2 resolved" in message.text for message in relay.messages()))


async def test_a_label_that_speaks_of_storms_is_only_a_label(tmp_path: Path, sandbox: Sandbox) -> None:
    for _ in range(2):
        async with running(tmp_path, sandbox, route={**GROUPED, "group_wait": "0s"}) as relay:
            await relay.post(at("x|storm y"))
            await relay.until(lambda: len(top(relay)) == 1)
            assert await relay.daemon.store.storms() == []


async def test_a_restart_tells_no_alert_to_be_expired_before_it_has_been_heard_of(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    sources = {"lab": {"type": "webhook", "resolve_timeout": "1s"}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        await relay.post(fault())
        await relay.until(lambda: len(relay.messages()) == 1)
    wait = asyncio.Event()
    asyncio.get_running_loop().call_later(1.2, wait.set)
    await wait.wait()
    async with running(tmp_path, sandbox, sources=sources) as relay:
        await relay.post(end())
        await relay.until(lambda: top(relay)[0].text.startswith("✅ resolved"))
        await settled(relay)
        assert not any("expired" in text for text in replies(relay))


async def test_the_last_word_of_a_message_that_never_stood_is_not_posted(tmp_path: Path, sandbox: Sandbox) -> None:
    route = {"rooms": ["noc"], "mention": ["anna@example.net"]}
    sandbox.state.add_room("NOC")
    sandbox.state.faults = [Fault(status=400, latency=0.5, count=1)]
    async with running(tmp_path, sandbox, route=route) as relay:
        await relay.post(fault())
        await relay.until_state("leased")
        await relay.post(fault(severity="critical"))
        await relay.until_state("dropped")
        await relay.until(lambda: len(relay.messages()) == 1)
        await relay.post(end())
        await relay.until(lambda: top(relay)[0].text.startswith("✅ resolved"))
        await settled(relay)
        assert len(top(relay)) == 1


async def test_what_happened_while_a_room_was_gone_is_told_when_it_is_back(tmp_path: Path, sandbox: Sandbox) -> None:
    rooms = {"noc": ROOM, "ops": {**ROOM, "title": "OPS"}}
    grouped = {"matchers": ["site=a"], "group_by": ["site"], "group_wait": "0s", "group_interval": "100ms"}
    there = {"rooms": ["noc"], "routes": [grouped]}
    gone = {"rooms": ["ops"], "routes": [{**grouped, "rooms": ["ops"]}]}
    async with running(tmp_path, sandbox, rooms=rooms, route=there) as relay:
        await relay.post([fault(key="single"), at("a", key="k1"), at("a", key="k2")])
        await relay.until(lambda: len(top(relay)) == 2)
        await settled(relay)
    async with running(tmp_path, sandbox, rooms={"ops": rooms["ops"]}, route=gone) as relay:
        await relay.post([end(key="single"), end(key="k1"), end(key="k2")])
        await settled(relay)
        assert not any(message.text.startswith("✅") for message in top(relay))
    async with running(tmp_path, sandbox, rooms=rooms, route=there) as relay:
        await relay.until(lambda: all(message.text.startswith("✅") for message in top(relay)))
        assert len(top(relay)) == 2


def test_a_backslash_that_escapes_nothing_stands_for_itself() -> None:
    for text, value in ((r'a=~"host\d+"', r"host\d+"), (r'a=~"a\.b"', r"a\.b"), (r'a="x\\y\"z\n"', 'x\\y"z\n'),
                        (r"a=\\", "\\"), (r"a=~\d+", r"\d+")):  # fmt: skip
        (matcher,) = parse_matchers(text)
        assert matcher.value == value
        (again,) = parse_matchers(str(matcher))
        assert msgspec.structs.replace(again, pattern=None) == msgspec.structs.replace(matcher, pattern=None)


async def test_a_room_that_is_gone_keeps_nobody_busy_and_its_storm_is_told_of_when_it_is_back(tmp_path: Path) -> None:
    dice, clock = Random(1), ManualClock()  # noqa: S311 - seeded, so that it can be repeated
    room = Room(clock, dice)
    two = {**SETTINGS["rooms"], "ops": {"account": "webex", "title": "OPS"}}
    with_both = {**SETTINGS, "rooms": two}
    without = {**SETTINGS, "rooms": {"ops": two["ops"]}, "route": {"rooms": ["ops"], "repeat_interval": "10s"}}
    relay = Simulated(tmp_path, clock, room, dice, with_both)
    await relay.start()
    drafts = [Draft(title=f"k{n} is down", status="firing", key=f"k{n}", severity="minor") for n in range(40)]
    await relay.post(drafts[:1])
    await relay.settle(5.0)
    await relay.post(drafts)
    while not any(message.text.startswith("🌊 **Storm**") for message in room.messages.values()):
        await relay.turn()
    await relay.stop()
    relay = Simulated(tmp_path, clock, room, dice, without)
    await relay.start()
    await relay.post([Draft(title="over", status="resolved", key=f"k{n}") for n in range(1, 40)])
    await relay.settle(400.0)
    assert relay.planner.due_at > clock.time
    await relay.stop()
    relay = Simulated(tmp_path, clock, room, dice, with_both)
    await relay.start()
    await relay.post([Draft(title="over", status="resolved", key="k0")])
    await relay.settle(400.0)
    shown = [message.text for message in room.messages.values() if not message.orphan]
    storms = [text for text in shown if text.startswith("🌊 **Storm")]
    assert all("Storm over" in text for text in storms)
    assert any("all have ended" in text for text in storms)
    assert not any(text.startswith("🟡") for text in shown)
    await relay.stop()


async def test_a_repeat_that_expires_sooner_is_looked_at_sooner(tmp_path: Path) -> None:
    dice, clock = Random(1), ManualClock()  # noqa: S311 - seeded, so that it can be repeated
    room = Room(clock, dice)
    relay = Simulated(tmp_path, clock, room, dice, SETTINGS)
    await relay.start()
    clock.time += 1_000.0
    alert = Draft(title="a", status="firing", key="k", severity="minor", ends_at=clock.time + 3_000.0)
    await relay.post([alert])
    await relay.settle(5.0)
    await relay.post([msgspec.structs.replace(alert, ends_at=clock.time + 10.0)])
    await relay.settle(30.0)
    assert [message.text[:1] for message in room.messages.values()] == ["⌛", "⌛"]
    await relay.stop()


async def test_a_dead_delivery_that_is_retried_late_tells_what_is_true_then(tmp_path: Path) -> None:
    dice, clock = Random(1), ManualClock()  # noqa: S311 - seeded, so that it can be repeated
    room = Room(clock, dice)
    room.trouble = 1.0
    relay = Simulated(tmp_path, clock, room, dice, SETTINGS)
    await relay.start()
    await relay.post([Draft(title="a", status="firing", key="k", severity="minor")])
    await relay.turn()
    await relay.post([Draft(title="a", status="resolved", key="k")])
    await relay.turn()
    await relay.stop()
    with closing(sqlite3.connect(tmp_path / "relay.db")) as database:
        dead = "UPDATE deliveries SET state = 'dead', reason = 'remote', settled_at = ? WHERE settled_at IS NULL"
        database.execute(dead, (clock.time,))
        database.commit()
    room.trouble = 0.0
    relay = Simulated(tmp_path, clock, room, dice, SETTINGS)
    await relay.start()
    clock.time += 8 * 86_400.0
    while await relay.store.prune(Limits(), clock.time):
        pass
    assert await relay.store.change_deliveries("retry", [1], clock.time) == [(1, "noc")]
    await relay.dispatcher.changed("retry", ["noc"])
    await relay.settle(5.0)
    assert [message.text[:1] for message in room.messages.values()] == ["✅"]
    await relay.stop()


async def test_a_silenced_alert_that_changed_and_ended_wakes_nobody(tmp_path: Path) -> None:
    dice, clock = Random(1), ManualClock()  # noqa: S311 - seeded, so that it can be repeated
    room = Room(clock, dice)
    relay = Simulated(tmp_path, clock, room, dice, SETTINGS)
    await relay.start()
    held = Silence(
        id="s", matchers=("key=k",), starts_at=clock.time, ends_at=clock.time + 7_200.0, created_by="anna",
        comment="work", updated_at=clock.time,
    )  # fmt: skip
    await relay.planner.vigil.put([held])
    history: list[tuple[str, Status]] = [("a", "firing"), ("worse", "firing"), ("a", "resolved")]
    for title, status in history:
        await relay.post([Draft(title=title, status=status, key="k", severity="minor")])
        await relay.settle(400.0)
    await relay.post([Draft(title="a", status="firing", key="k", severity="minor")])
    await relay.settle(5.0)
    await relay.stop()
    relay = Simulated(tmp_path, clock, room, dice, SETTINGS)
    await relay.start()
    await relay.settle(60.0)
    assert relay.planner.due_at > clock.time
    await relay.stop()
