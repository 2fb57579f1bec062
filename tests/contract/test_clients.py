"""Clients that know nothing of the relay drive the sandbox's Webex: it is a faithful stand-in."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from tests.fakes.running import TOKEN, messages, until

CARD = {"type": "AdaptiveCard", "version": "1.3", "body": [{"type": "TextBlock", "text": "disk full"}]}
CARD_TYPE = "application/vnd.microsoft.card.adaptive"


async def drive(sandbox: Sandbox, work: Callable[[str, Path], None], folder: Path) -> None:
    """Have a client that blocks do its work in a thread, with a file to send."""
    file = folder / "graph.pdf"
    file.write_bytes(b"%PDF-1.4 graph")
    await asyncio.to_thread(work, f"{sandbox.address}/v1", file)


def with_webexpythonsdk(base: str, file: Path) -> None:
    from webexpythonsdk import ApiError, WebexAPI

    api = WebexAPI(access_token=TOKEN, base_url=f"{base}/")
    me = api.people.me()
    assert me.emails == ["relay@sandbox.example"]
    for number in range(4):
        api.rooms.create(f"Room {number}")
    made = api.rooms.create("NOC")
    for number in range(4, 8):
        api.rooms.create(f"Room {number}")
    (room,) = [one for one in api.rooms.list(max=3) if one.title == "NOC"]  # over three pages
    assert room.id == made.id
    text = api.messages.create(room.id, text="hello")
    assert api.messages.create(room.id, markdown="**hello**").html == "<p><strong>hello</strong></p>"
    assert len(api.messages.create(room.id, text="a graph", files=[str(file)]).files) == 1
    assert api.messages.create(room.id, text="a card", attachments=[{"contentType": CARD_TYPE, "content": CARD}])
    assert api.messages.create(room.id, text="a reply", parentId=text.id).parentId == text.id
    api.messages.edit(text.id, room.id, text="changed")
    assert api.messages.get(text.id).text == "changed"
    newest_first = ["a reply", "a card", "a graph", "hello", "changed"]
    assert [one.text for one in api.messages.list(room.id, max=2)] == newest_first
    assert api.memberships.create(room.id, personEmail="anna@example.net").personEmail == "anna@example.net"
    with pytest.raises(ApiError, match="409"):
        api.memberships.create(room.id, personEmail="anna@example.net")
    assert {one.personEmail for one in api.memberships.list(roomId=room.id)} == {
        "relay@sandbox.example",
        "anna@example.net",
    }
    api.messages.create(toPersonEmail="anna@example.net", text="direct")
    assert [one.text for one in api.messages.list_direct(personEmail="anna@example.net")] == ["direct"]
    for one in api.messages.list(room.id):
        if one.personId == me.id:
            api.messages.delete(one.id)
    assert list(api.messages.list(room.id)) == []


def with_wxc_sdk(base: str, file: Path) -> None:
    from wxc_sdk import WebexSimpleApi
    from wxc_sdk.messages import MessageAttachment
    from wxc_sdk.rest import RestSession

    RestSession.BASE = base
    api = WebexSimpleApi(tokens=TOKEN)
    me = api.people.me()
    made = api.rooms.create("NOC")
    for number in range(6):
        api.rooms.create(f"Room {number}")
    (room_id,) = [one.id for one in api.rooms.list(max=3) if one.title == "NOC"]
    assert room_id is not None
    assert room_id == made.id
    text = api.messages.create(room_id=room_id, text="hello")
    assert text.id is not None
    api.messages.create(room_id=room_id, markdown="**hello**")
    api.messages.create(room_id=room_id, text="a graph", files=[str(file)])
    card = MessageAttachment(content_type=CARD_TYPE, content=CARD)
    api.messages.create(room_id=room_id, text="a card", attachments=[card])
    api.messages.create(room_id=room_id, text="a reply", parent_id=text.id)
    api.messages.edit(text.model_copy(update={"text": "changed"}))
    found = [one.text for one in api.messages.list(room_id=room_id, max=2)]
    assert found == ["a reply", "a card", "a graph", "hello", "changed"]
    api.membership.create(room_id=room_id, person_email="anna@example.net")
    assert "anna@example.net" in {one.person_email for one in api.membership.list(room_id=room_id)}
    for one in list(api.messages.list(room_id=room_id)):
        assert one.person_id == me.person_id
        assert one.id is not None
        api.messages.delete(one.id)
    assert list(api.messages.list(room_id=room_id)) == []


@pytest.mark.filterwarnings("ignore")  # what the clients' own libraries warn of is not ours to mend
@pytest.mark.parametrize("work", [with_webexpythonsdk, with_wxc_sdk])
async def test_a_client_does_all_that_the_relay_does(
    sandbox: Sandbox, tmp_path: Path, work: Callable[[str, Path], None]
) -> None:
    await drive(sandbox, work, tmp_path)


@pytest.mark.filterwarnings("ignore")
async def test_apprise_posts_texts_and_files(sandbox: Sandbox, tmp_path: Path) -> None:
    room = sandbox.state.add_room("NOC")
    (tmp_path / "room").write_text(room.id, encoding="utf-8")
    long_token = "T" * 80  # apprise knows a bot's token by its length
    sandbox.state.add_token(long_token, "apprise@sandbox.example", "Apprise")
    await drive(sandbox, lambda base, file: _apprise_with(long_token, base, file), tmp_path)
    assert ["full" in one.text for one in messages(sandbox)][:1] == [True]
    assert any(one.file is not None and one.file.name == "graph.pdf" for one in messages(sandbox))


def _apprise_with(token: str, base: str, file: Path) -> None:
    import apprise.plugins.webexteams as plugin

    plugin.NotifyWebexTeams.api_url = f"{base}/messages"
    room = file.with_name("room").read_text(encoding="utf-8")
    from apprise import Apprise, AppriseAttachment

    client = Apprise()
    assert client.add(f"wxteams://{token}/{room}")
    assert client.notify(title="disk", body="**full**", body_format="markdown")
    assert client.notify(title="disk", body="a graph", attach=AppriseAttachment(str(file)))


async def call(sandbox: Sandbox, method: str, path: str, token: str = TOKEN, **options: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers, trust_env=False) as session,
        session.request(method, f"{sandbox.address}/v1{path}", **options) as answer,
    ):
        return answer.status, await answer.json() if answer.status != 204 else None


async def test_a_fault_of_a_room_meets_uploads_too(sandbox: Sandbox) -> None:
    room = sandbox.state.add_room("NOC")
    form = aiohttp.FormData({"roomId": room.id, "text": "a list"})
    form.add_field("files", b"line", filename="list.txt", content_type="text/plain")
    sandbox.state.faults = [Fault(status=503, room="OTHER"), Fault(status=423, retry_after="1", room="NOC", count=1)]
    assert (await call(sandbox, "POST", "/messages", data=form))[0] == 423
    again = aiohttp.FormData({"roomId": room.id, "text": "a list"})
    again.add_field("files", b"line", filename="list.txt", content_type="text/plain")
    status, posted = await call(sandbox, "POST", "/messages", data=again)
    assert status == 200
    assert posted["files"] == [f"{sandbox.address}/v1/contents/{posted['id']}"]


async def test_a_bot_sees_in_a_group_room_what_mentions_it(sandbox: Sandbox) -> None:
    room = sandbox.state.add_room("NOC")
    for text in ("for all", "<@personEmail:relay@webex.bot> for the bot"):
        await call(sandbox, "POST", "/messages", json={"roomId": room.id, "markdown": text})
    bot = f"{TOKEN}-bot"
    assert (await call(sandbox, "GET", f"/messages?roomId={room.id}", bot))[0] == 403
    _, found = await call(sandbox, "GET", f"/messages?roomId={room.id}&mentionedPeople=me", bot)
    assert len(found["items"]) == 1
    assert "for the bot" in found["items"][0]["text"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"files": ["a", "b"]}, "Only one file"),
        ({"files": ["/etc/passwd"]}, "one public address"),
        ({"attachments": [{"contentType": "text/plain", "content": {}}]}, "one card of the type"),
        (
            {"attachments": [{"contentType": CARD_TYPE, "content": {"type": "x"}}]},
            "expected content of the type AdaptiveCard",
        ),
        ({"toPersonId": "x"}, "Exactly one of"),
    ],
)
async def test_what_webex_would_not_take_is_refused(sandbox: Sandbox, change: dict[str, Any], said: str) -> None:
    room = sandbox.state.add_room("NOC")
    status, answer = await call(sandbox, "POST", "/messages", json={"roomId": room.id, "text": "x", **change})
    assert status == 400
    assert said in answer["message"]


async def test_webhooks_are_posted_and_signed(sandbox: Sandbox) -> None:
    room = sandbox.state.add_room("NOC")
    got: list[tuple[bytes, str]] = []

    async def take(request: web.Request) -> web.Response:
        got.append((await request.read(), request.headers["X-Spark-Signature"]))
        sandbox.state.touch()
        return web.Response()

    application = web.Application()
    application.add_routes([web.post("/hook", take)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    wanted = {
        "name": "w",
        "targetUrl": f"http://127.0.0.1:{runner.addresses[0][1]}/hook",
        "resource": "messages",
        "event": "created",
        "filter": f"roomId={room.id}",
        "secret": "s3",
    }
    assert (await call(sandbox, "POST", "/webhooks", json={**wanted, "targetUrl": "http://192.0.2.1/"}))[0] == 400
    _, made = await call(sandbox, "POST", "/webhooks", json=wanted)
    assert "secret" not in made
    await call(sandbox, "POST", "/messages", json={"roomId": sandbox.state.add_room("OTHER").id, "text": "no"})
    await call(sandbox, "POST", "/messages", json={"roomId": room.id, "text": "yes"})
    await until(sandbox, lambda: len(got) == 1)
    body, signature = got[0]
    assert signature == hmac.new(b"s3", body, hashlib.sha1).hexdigest()
    assert (await call(sandbox, "DELETE", f"/webhooks/{made['id']}"))[0] == 204
    await runner.cleanup()
