"""Storms: a room that can't take what comes gets a digest, and every event is accounted for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relay.sandbox.server import Sandbox
from relay.sandbox.state import Message
from tests.contract.test_groups import settled
from tests.contract.test_living import replies, top
from tests.contract.test_suppression import change, silence
from tests.fakes.running import ROOM, Running, running


def burst(first: int, count: int, every: int = 40) -> list[dict[str, Any]]:
    return [
        {"title": f"fault {n} at node-{n}", "status": "firing", "key": f"k{n}",
         "severity": "critical" if n % every == 0 else "minor"}
        for n in range(first, first + count)
    ]  # fmt: skip


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
        assert await relay.daemon.store.count_untold_events() == 0


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
        assert await relay.daemon.store.count_untold_events() == 0


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
        assert await relay.daemon.store.count_untold_events() == 0


def has_everything(messages: list[Message], count: int) -> None:
    """Each of a burst has a message of its own or a line in the digest's list, and messages are few."""
    (attached,) = (message.file.content.decode() for message in messages if message.file is not None)
    alone = [message.text.splitlines()[0] for message in messages if message.parent is None]
    for number in range(1, count + 1):
        title = f"fault {number} at node-{number}"
        assert (f"\t{title}\t" in attached) != any(line.endswith(f" · {title}") for line in alone), title
    assert len(messages) <= 20
