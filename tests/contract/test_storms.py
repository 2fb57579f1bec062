"""Storms: a room that can't take what comes gets a digest, and every event is accounted for."""

from __future__ import annotations

from pathlib import Path
from random import Random  # noqa: TID251 - seeded, not the relay's chance

from relay.core.event import Draft
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Message
from tests.fakes.alerts import GROUPED, at, burst
from tests.fakes.running import ROOM, Running, replies, running, settled, top
from tests.fakes.silences import change, silence
from tests.fakes.simulated import SETTINGS, ManualClock, Room, Simulated


def digest_of(relay: Running) -> Message:
    (found,) = (message for message in top(relay) if message.text.startswith("🌊"))
    return found


async def test_what_a_room_cannot_take_becomes_a_digest_that_lives(tmp_path: Path, sandbox: Sandbox) -> None:
    sandbox.state.limit(2.0)
    async with running(tmp_path, sandbox, rooms={"noc": ROOM}) as relay:
        for batch in range(10):
            await relay.post(burst(batch * 40, 40))
        await relay.until(lambda: any(message.file is not None for message in relay.messages()))
        status = await settled(relay)
        digest = digest_of(relay)
        (attached,) = (message for message in relay.messages() if message.file is not None)
        assert attached.parent == digest.id
        assert attached.file is not None
        listed = attached.file.content.decode()
        alone = [message.text.splitlines()[0].split(" · ")[1] for message in top(relay) if message is not digest]
        for number in range(400):
            title = f"fault {number} at node-{number}"
            assert (f"\t{title}\t" in listed) != (title in alone), title
        for number in range(0, 400, 40):
            title = f"fault {number} at node-{number}"
            assert title in digest.text or title in alone
        assert len(relay.messages()) <= 20
        assert digest.text.startswith(f"🌊 Storm over · {400 - len(alone)} events")
        assert status["deliveries"]["merged"] == 400 - len(alone)
        await relay.post([{"status": "resolved", "key": f"k{n}"} for n in range(400)])
        await relay.until(lambda: "✅ all of the storm's alerts have ended" in replies(relay))
        await settled(relay)
        assert "all have ended" in digest.text.splitlines()[0]
        assert digest.edits <= 10
        assert await relay.daemon.store.queries.count_untold_events() == 0


async def test_a_room_that_becomes_slow_while_posts_wait_for_it_gets_a_digest(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, rooms={"noc": ROOM}) as relay:
        for number in range(12):
            await relay.post({"title": f"quick {number}"})
            await relay.until(lambda number=number: len(relay.messages()) == number + 1)  # type: ignore[misc]
        sandbox.state.limit(2.0)
        await relay.post([*burst(1, 39), *burst(40, 1)])
        await relay.until(lambda: any(message.text.startswith("🌊") for message in relay.messages()))
        first = [message.text.splitlines()[0] for message in top(relay)]
        assert "🔴 CRITICAL · fault 40 at node-40" in first[: first.index(next(x for x in first if x.startswith("🌊")))]
        await settled(relay)


async def test_a_storm_outlives_a_restart_and_has_notices_in_it(tmp_path: Path, sandbox: Sandbox) -> None:
    sandbox.state.limit(2.0)
    async with running(tmp_path, sandbox, rooms={"noc": ROOM}) as relay:
        await relay.post(burst(1, 60))
        await relay.until(lambda: any(message.text.startswith("🌊") for message in relay.messages()))
        await relay.post([{"title": f"notice {n}", "severity": "info"} for n in range(40)])
    async with running(tmp_path, sandbox, rooms={"noc": ROOM}) as relay:
        await relay.post(burst(121, 5))
        await relay.until(lambda: any(message.file is not None for message in relay.messages()))
        await settled(relay)
        (attached,) = (message for message in relay.messages() if message.file is not None)
        assert attached.file is not None
        alone = [message for message in top(relay) if message is not digest_of(relay)]
        assert len(attached.file.content.decode().splitlines()) == 105 - len(alone)
        assert await relay.daemon.store.queries.count_untold_events() == 0


async def test_groups_that_are_due_together_and_the_end_of_a_silence_are_storms(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    sandbox.state.limit(2.0)
    rooms = {"noc": ROOM, "ops": {**ROOM, "title": "OPS"}}
    grouped = {"group_by": ["key"], "group_wait": "500ms", "group_interval": "1s"}
    route = {"rooms": ["ops"], "routes": [{"matchers": ["source=lab"], "rooms": ["noc"], **grouped}]}
    sources = {"lab": {"type": "webhook"}, "hushed": {"type": "webhook"}}
    async with running(tmp_path, sandbox, rooms=rooms, route=route, sources=sources) as relay:
        silence_id = await silence(relay, "source=hushed")
        await relay.post(burst(1, 60), "/hooks/hushed")
        await settled(relay)
        assert relay.messages("OPS") == []
        await change(relay, f"/api/v1/silences/{silence_id}/expire")
        await relay.post(burst(1, 60))
        for title in ("NOC", "OPS"):
            await relay.until(lambda title=title: any(message.file for message in relay.messages(title)))  # type: ignore[misc]
        await settled(relay)
        for title in ("NOC", "OPS"):
            has_everything(relay.messages(title), 60)
        await relay.post([{"status": "resolved", "key": f"k{n}"} for n in range(1, 61)])
        await relay.until(lambda: "✅ all of the storm's alerts have ended" in replies(relay))
        await settled(relay)
        assert all(message.text.startswith(("✅", "🌊 Storm over")) for message in top(relay))
        assert await relay.daemon.store.queries.count_untold_events() == 0


def has_everything(messages: list[Message], count: int) -> None:
    """Each of a burst has a message of its own or a line in the digest's list, and messages are few."""
    (attached,) = (message.file.content.decode() for message in messages if message.file is not None)
    alone = [message.text.splitlines()[0] for message in messages if message.parent is None]
    for number in range(1, count + 1):
        title = f"fault {number} at node-{number}"
        assert (f"\t{title}\t" in attached) != any(line.endswith(f" · {title}") for line in alone), title
    assert len(messages) <= 20


async def test_a_label_that_speaks_of_storms_is_only_a_label(tmp_path: Path, sandbox: Sandbox) -> None:
    for _ in range(2):
        async with running(tmp_path, sandbox, route={**GROUPED, "group_wait": "0s"}) as relay:
            await relay.post(at("x|storm y"))
            await relay.until(lambda: len(top(relay)) == 1)
            assert await relay.daemon.store.storms() == []


OPS = {"account": "webex", "title": "OPS"}


async def test_a_room_that_is_gone_keeps_nobody_busy_and_its_storm_is_told_of_when_it_is_back(tmp_path: Path) -> None:
    dice, clock = Random(1), ManualClock()  # noqa: S311 - seeded, so that it can be repeated
    room = Room(clock, dice)
    with_both = {**SETTINGS, "rooms": {**SETTINGS["rooms"], "ops": OPS}}
    without = {**SETTINGS, "rooms": {"ops": OPS}, "route": {"rooms": ["ops"], "repeat_interval": "10s"}}
    relay = Simulated(tmp_path, clock, room, dice, with_both)
    await relay.start()
    drafts = [Draft(title=f"k{n} is down", status="firing", key=f"k{n}", severity="minor") for n in range(40)]
    await relay.post(drafts[:1])
    await relay.settle(5.0)
    await relay.post(drafts)
    while not any(message.text.startswith("🌊 **Storm**") for message in room.messages.values()):
        await relay.turn()
        clock.time += 0.001
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
