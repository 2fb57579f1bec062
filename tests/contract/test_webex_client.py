"""The Webex client against the sandbox: each call, pages, and what goes wrong as a value."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO
from typing import TypeVar

import pytest
from aiohttp import web

from relay.core.delivery import Failed, Refused, Throttled, Trouble
from relay.core.redaction import Redactor
from relay.lifecycle import SystemClock
from relay.logs import make_log
from relay.ports import File
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from relay.senders.http import GivenToken, HttpClient, HttpSettings
from relay.senders.webex_client import Membership, Message, Outgoing, Page, Person, Room, WebexClient, Webhook
from relay.settings.secrets import LiveSecret, SecretRef
from tests.fakes.running import TOKEN

T = TypeVar("T")
CARD = {"type": "AdaptiveCard", "version": "1.3", "body": [{"type": "TextBlock", "text": "x"}]}


def made(url: str) -> WebexClient:
    token = GivenToken(LiveSecret(SecretRef("literal", TOKEN)))
    return WebexClient(HttpClient(HttpSettings(url=url), token, make_log("critical"), Redactor()), SystemClock().wall)


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[WebexClient]:
    opened = made(f"{sandbox.address}/v1/")
    yield opened
    await opened.close()


async def everything(pages: AsyncIterator[Page[T] | Trouble]) -> list[T]:
    found: list[T] = []
    async for page in pages:
        assert isinstance(page, Page)
        found += page.items
    return found


async def test_every_call(client: WebexClient, sandbox: Sandbox) -> None:  # noqa: PLR0915 - one call after the other
    me = await client.me()
    assert isinstance(me, Person)
    assert me.emails == ("relay@sandbox.example",)
    room = await client.create_room("NOC")
    assert isinstance(room, Room)
    assert await client.room(room.id) == room
    first = await client.post(Outgoing(room_id=room.id, markdown="**one**", text="one"))
    assert isinstance(first, Message)
    assert (first.html, first.person_id) == ("<p><strong>one</strong></p>", me.id)
    changed = await client.edit(first.id, room.id, markdown="**two**")
    assert await client.message(first.id) == changed
    file = File(name="plan.pdf", content_type="application/pdf", open=lambda: BytesIO(b"%PDF"))
    posted = [
        await client.post(Outgoing(room_id=room.id, parent_id=first.id, file=file)),
        await client.post(Outgoing(room_id=room.id, link="https://cams.example.net/1.jpg")),
        await client.post(Outgoing(room_id=room.id, text="card", card=CARD)),
        await client.post(Outgoing(person_email="anna@example.net", text="direct")),
        await client.post(Outgoing(person_id=sandbox.state.person("ben@example.net").id, text="direct")),
    ]
    assert all(isinstance(one, Message) for one in posted)
    assert [one.text for one in await everything(client.direct_messages(person_email="anna@example.net"))] == ["direct"]
    assert len(await everything(client.messages(room.id))) == 4
    member = await client.add_member(room.id, "anna@example.net")
    assert isinstance(member, Membership)
    again = await client.add_member(room.id, "anna@example.net")
    assert isinstance(again, Refused)
    assert again.detail.startswith("409")
    assert len(await everything(client.memberships(room_id=room.id))) == 2
    assert await client.delete_membership(member.id) is None
    hook = await client.create_webhook("w", "http://127.0.0.1:1/", "messages", "created", secret="s")
    assert isinstance(hook, Webhook)
    assert [one.id for one in await everything(client.webhooks())] == [hook.id]
    assert await client.delete_webhook(hook.id) is None
    assert isinstance(await client.attachment_action("none"), Refused)
    assert await client.delete_message(first.id) is None
    assert isinstance(await client.message(first.id), Refused)
    assert await client.delete_room(room.id) is None


async def test_pages_are_followed_as_they_are_asked_for(client: WebexClient, sandbox: Sandbox) -> None:
    for number in range(7):
        sandbox.state.add_room(f"Room {number}")
    before = sandbox.state.requests
    pages = client.rooms(kind="group", at_once=3)
    first = await anext(pages)
    assert isinstance(first, Page)
    assert (len(first.items), sandbox.state.requests - before) == (3, 1)
    rest = await everything(client.rooms(start=first.following))
    assert [room.title for room in (*first.items, *rest)] == [f"Room {number}" for number in range(7)]


async def test_an_empty_page_is_no_end_and_a_link_leads_nowhere_else() -> None:
    asked: list[str] = []

    async def rooms(request: web.Request) -> web.Response:
        asked.append(request.query_string)
        cursor = int(request.query.get("cursor", 0))
        items = [] if cursor == 0 else [{"id": "r1", "title": "NOC", "somethingNew": 1}]
        answer = web.json_response({"items": items})
        if cursor < 2:
            answer.headers["Link"] = f'<https://evil.example.net/v1/people?cursor={cursor + 1}>; rel="next"'
        return answer

    application = web.Application()
    application.router.add_get("/v1/rooms", rooms)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = made(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    assert [room.title for room in await everything(client.rooms())] == ["NOC", "NOC"]
    assert asked[1:] == ["cursor=1", "cursor=2"]
    await client.close()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "kind"), [(429, Throttled), (423, Failed), (503, Failed), (403, Refused), (404, Refused), (401, Refused)]
)
async def test_what_goes_wrong_is_a_value(
    client: WebexClient, sandbox: Sandbox, status: int, kind: type[Trouble]
) -> None:
    sandbox.state.faults = [Fault(status=status, method="*", retry_after="3")]
    assert isinstance(await client.me(), kind)
    assert isinstance(await client.post(Outgoing(room_id="x", text="x")), kind)
    assert isinstance(await client.delete_message("x"), kind)
    assert isinstance([page async for page in client.rooms()][-1], kind)


async def test_a_new_file_can_be_had_once_it_was_looked_at(client: WebexClient, sandbox: Sandbox) -> None:
    room = sandbox.state.add_room("NOC")
    file = File(name="plan.pdf", content_type="application/pdf", open=lambda: BytesIO(b"%PDF"))
    posted = await client.post(Outgoing(room_id=room.id, file=file))
    assert isinstance(posted, Message)
    http = client._http
    path = posted.files[0].removeprefix(f"{sandbox.address}/v1")
    assert (await http.call("GET", path)).status == 423  # type: ignore[union-attr]
    sandbox.state.scanning = 0
    assert (await http.call("GET", path)).body == b"%PDF"  # type: ignore[union-attr]


async def test_a_given_token_that_was_not_refused_is_not_looked_for_again(
    client: WebexClient, sandbox: Sandbox
) -> None:
    assert not await client.renew()
    sandbox.state.faults = [Fault(status=401, method="*", count=1)]
    assert isinstance(await client.me(), Refused)
    assert not await client.renew()  # there is no other
    assert isinstance(await client.me(), Person)
    assert not await client.renew()
