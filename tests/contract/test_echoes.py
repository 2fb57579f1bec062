"""A relay that hears itself: its own messages come back by a webhook, a feed, a bridge or another relay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from relay.sandbox.server import Sandbox
from relay.sandbox.state import Message, Person, make_id
from tests.fakes.running import ROOM, TOKEN, Running, running

MOST = 10
"""Messages that one "hello" may become."""
OPERATOR = {"room": "ops"}
ROOMS = {"noc": {**ROOM, "digest_over": 10_000}, "ops": {**ROOM, "title": "Ops"}}


@asynccontextmanager
async def bridge(sandbox: Sandbox, carry: Callable[[Message], Awaitable[None]]) -> AsyncIterator[list[Message]]:
    """Carry each new message of the sandbox to somewhere; those that were carried."""
    carried: list[Message] = []

    async def work() -> None:
        seen: set[str] = set()
        while True:
            changed = sandbox.state.changed
            rooms = list(sandbox.state.rooms.values())
            fresh = [one for room in rooms for one in room.messages.values() if one.id not in seen]
            for message in fresh:
                seen.add(message.id)
                carried.append(message)
                await carry(message)
            if not fresh:
                await changed.wait()

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work())
        try:
            yield carried
        finally:
            working.cancel()


def webhook(message: Message, person: Person) -> dict[str, Any]:
    """What Webex posts of a message (Webex for Developers, "Webhooks")."""
    return {
        "id": "hook",
        "name": "noc messages",
        "resource": "messages",
        "event": "created",
        "actorId": person.id,
        "data": {
            "id": message.id,
            "roomId": message.room,
            "roomType": "group",
            "personId": person.id,
            "personEmail": person.email,
            "created": "2027-01-15T08:00:00.000Z",
        },
    }


@pytest.mark.parametrize("left_out", [(), ("actorId",), ("personEmail",), ("personId", "actorId")])
async def test_what_the_relays_own_account_wrote_in_webex_is_no_event(
    tmp_path: Path, sandbox: Sandbox, left_out: tuple[str, ...]
) -> None:
    sources = {"lab": {"type": "webhook", "format": "webex"}, "other": {"type": "webhook"}}

    async def carry(message: Message) -> None:
        payload = webhook(message, message.person)
        for name in left_out:
            payload.pop(name, None)
            payload["data"].pop(name, None)
        assert (await relay.post(payload))[0] == 202

    async with running(tmp_path, sandbox, sources=sources) as relay, bridge(sandbox, carry) as carried:
        await relay.post({"title": "hello"}, "/hooks/other")
        await relay.until(lambda: len(carried) == 1)
        human = Person("Y2lzY29zcGFyazovL3VzL1BFT1BMRS9pZGE", "ida@example.net", "Ida", "person")
        await relay.post(webhook(carried[0], human))
        await relay.until(lambda: len(carried) == 2)
        await relay.post({"title": "the end"}, "/hooks/other")
        await relay.until(lambda: len(carried) == 3)
        heads = [message.text.splitlines()[0].partition(" · ")[2] for message in relay.messages()]
        assert heads == ["hello", "Webex message created: ida@example.net", "the end"]
        await relay.until_shown("/metrics", lambda text: 'relay_suppressed_total{reason="own"} 3.0' in text)
        wanted = {"source": "lab", "payload": webhook(carried[0], carried[0].person)}
        async with relay.session.post(f"{relay.admin}/api/v1/explain", json=wanted) as answer:
            (explained,) = await answer.json()
        assert (explained["suppressed"], explained["rooms"]) == ("own", [])


async def until_heard(relay: Running, number: int) -> None:
    """Wait until so many messages were posted, and as many have come back."""
    await relay.until(lambda: len(relay.messages()) >= number)
    await relay.until_shown("/metrics", lambda text: f'relay_suppressed_total{{reason="own"}} {number}.0' in text)


async def test_a_webhook_of_the_same_bot_into_the_same_room_makes_nothing_of_a_hello(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """Webhooks as the sandbox posts them, of every message."""
    async with running(tmp_path, sandbox, sources={"lab": {"type": "webhook", "format": "webex"}}) as relay:
        wanted = {"name": "all", "targetUrl": f"{relay.events}/hooks/lab", "resource": "messages", "event": "created"}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with relay.session.post(f"{sandbox.address}/v1/webhooks", json=wanted, headers=headers) as answer:
            assert answer.status == 200
        human = Person(make_id("PEOPLE"), "ida@example.net", "Ida", "person")
        room = sandbox.state.add_room("Elsewhere")
        for number in (1, 2, 3):
            sandbox.state.add_message(room, human, "hello", None, None)
            await until_heard(relay, number)
        assert len(relay.messages()) == 3


async def test_a_message_that_another_deletes_or_a_member_that_another_adds_is_an_event(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    sources = {"lab": {"type": "webhook", "format": "webex"}, "other": {"type": "webhook"}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        await relay.post({"title": "hello"}, "/hooks/other")
        await relay.until(lambda: len(relay.messages()) == 1)
        (message,) = relay.messages()
        for resource, event in (("messages", "deleted"), ("memberships", "created")):
            payload = {**webhook(message, message.person), "resource": resource, "event": event}
            _, taken = await relay.post({**payload, "actorId": "Y2lzY29zcGFyazovL3VzL1BFT1BMRS9pZGE"})
            assert taken["accepted"] == 1
            _, taken = await relay.post({**payload, "actorId": message.person.id})
            assert taken["accepted"] == 0


async def assert_braked(relay: Running, source: str) -> None:
    """One "hello" has become a few messages; the operator knows; all else of the source is posted."""
    await relay.until_logged("source_braked")
    title = f"relay: Source {source} repeats the relay's own messages"
    await relay.until(lambda: any(title in message.text for message in relay.messages("Ops")))
    events = await relay.until_shown("/api/v1/events?limit=1000", lambda found: any(one["suppressed"] for one in found))
    assert {one["suppressed"] for one in events if one["suppressed"]} == {"echo"}
    assert len(relay.messages()) <= MOST


async def test_a_source_that_is_told_each_message_is_braked_and_all_else_of_it_is_posted(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    async def carry(message: Message) -> None:
        assert (await relay.post({"title": message.text}))[0] == 202

    async with (
        running(tmp_path, sandbox, rooms=ROOMS, operator=OPERATOR) as relay,
        bridge(sandbox, carry) as carried,
    ):
        await relay.post({"title": "hello"})
        await assert_braked(relay, "lab")
        for number in range(30):
            await relay.post({"title": f"port {number} is down", "status": "firing", "key": f"port {number}"})
        await relay.until(lambda: sum("port" in message.text for message in relay.messages()) >= 30)
        await relay.until(lambda: len(carried) == sum(len(room.messages) for room in sandbox.state.rooms.values()))
        assert sum("port" in message.text for message in relay.messages()) == 30
        assert len(relay.messages("Ops")) == 1
    async with running(tmp_path, sandbox, rooms=ROOMS, operator=OPERATOR) as relay, bridge(sandbox, carry):
        await relay.post({"title": "good morning"})
        await relay.until(lambda: any("good morning" in message.text for message in relay.messages()))
        await relay.post({"title": "the end"})
        await relay.until(lambda: any("the end" in message.text for message in relay.messages()))
        assert sum("good morning" in message.text for message in relay.messages()) <= MOST
        assert len(relay.messages("Ops")) == 1, "a restart does not tell it again"


async def test_a_source_that_answers_each_message_with_the_same_words_is_braked(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    async def carry(message: Message) -> None:
        if "relay: Source" not in message.text:
            assert (await relay.post({"title": "there is a new message"}))[0] == 202

    async with running(tmp_path, sandbox, rooms=ROOMS, operator=OPERATOR) as relay, bridge(sandbox, carry):
        await relay.post({"title": "hello"})
        await assert_braked(relay, "lab")
        await relay.post({"title": "disk full", "status": "firing", "key": "disk"})
        await relay.until(lambda: any("disk full" in message.text for message in relay.messages()))


async def test_a_feed_that_echoes_is_braked(tmp_path: Path, sandbox: Sandbox) -> None:
    peers: set[ServerConnection] = set()

    async def script(connection: ServerConnection) -> None:
        peers.add(connection)
        await connection.wait_closed()

    async def carry(message: Message) -> None:
        for peer in peers:
            await peer.send(json.dumps({"title": "a message", "body": message.markdown}))

    async with serve(script, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        sources = {"lab": {"type": "webhook"}, "feed": {"type": "websocket", "url": url}}
        async with (
            running(tmp_path, sandbox, sources=sources, rooms=ROOMS, operator=OPERATOR) as relay,
            bridge(sandbox, carry),
        ):
            await relay.until_logged("feed_opened")
            await relay.post({"title": "hello"})
            await assert_braked(relay, "feed")


async def test_two_relays_that_post_into_each_others_source_are_braked(tmp_path: Path, sandbox: Sandbox) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()

    def rooms(title: str) -> dict[str, Any]:
        return {"noc": {**ROOM, "title": title}, "ops": {**ROOM, "title": f"{title} Ops"}}

    async def carry(message: Message) -> None:
        title = sandbox.state.rooms[message.room].title
        for name, relay in (("A", b), ("B", a)):
            if title == name:
                await relay.post({"title": message.text})

    async with (
        running(tmp_path / "a", sandbox, rooms=rooms("A"), operator=OPERATOR) as a,
        running(tmp_path / "b", sandbox, rooms=rooms("B"), operator=OPERATOR) as b,
        bridge(sandbox, carry),
    ):
        await a.post({"title": "hello"})
        await a.until(lambda: a.messages("A Ops") or b.messages("B Ops"))
        await a.post({"title": "the end"})
        await a.until(lambda: any("the end" in message.text for message in b.messages("B")))
        assert sum("hello" in message.text for title in "AB" for message in a.messages(title)) <= MOST


STORMS: dict[str, Callable[[int], dict[str, Any]]] = {
    "different": lambda number: {"title": f"MAJOR port {number} is down", "key": f"p{number}", "status": "firing"},
    "flapping": lambda number: {
        "title": "link is down",
        "key": "link",
        "status": ("firing", "resolved")[number % 2],
    },
    "the same notice": lambda _: {"title": "backup failed"},
}


@pytest.mark.parametrize(("storm", "messages"), [("different", 200), ("flapping", 1), ("the same notice", 200)])
async def test_a_storm_that_nobody_echoes_is_not_braked(
    tmp_path: Path, sandbox: Sandbox, storm: str, messages: int
) -> None:
    async with running(tmp_path, sandbox) as relay:
        for number in range(200):
            await relay.post(STORMS[storm](number))
        await relay.until(lambda: len(relay.messages()) >= messages)
        assert 'relay_suppressed_total{reason="echo"} 0.0' in (await relay.get("/metrics"))[1]
        assert "source_braked" not in relay.log.read_text(encoding="utf-8")
