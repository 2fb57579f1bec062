"""The desk of accounts: requests of a person to a service, for the API and the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TypeVar

import msgspec

from relay.app.assembly.accounts import MadeAccount
from relay.core.delivery import Failed, Outcome, Refused, Throttled, Trouble
from relay.core.words import iso
from relay.ports import Credentials, File, Send, SendNow
from relay.senders.webex import RoomAddress, WebexSender
from relay.senders.webex_client import Message, Page, Room, RoomType, WebexClient

T = TypeVar("T")


class _Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag=str.lower, forbid_unknown_fields=True):
    """A request; `page` is the place at which a list goes on, from the previous answer."""


class Me(_Request, frozen=True, kw_only=True):
    """Get the owner of the account's token."""


class Rooms(_Request, frozen=True, kw_only=True):
    """List the account's rooms, latest activity first."""

    type: RoomType | None = None
    page: str = ""


class Find(_Request, frozen=True, kw_only=True):
    """Find a room by its configured name, its id, or its title."""

    room: str


class Create(_Request, frozen=True, kw_only=True):
    """Create a room."""

    title: str


class Members(_Request, frozen=True, kw_only=True):
    """List the members of a room, by the room's id."""

    room_id: str
    page: str = ""


class Add(_Request, frozen=True, kw_only=True):
    """Add a member to a room."""

    room_id: str
    email: str


class Messages(_Request, frozen=True, kw_only=True):
    """List the messages of a room, newest first; with `person`, those of the direct room with them."""

    room_id: str = ""
    person: str = ""
    before: str | None = None
    mentioning_me: bool = False
    page: str = ""


class Delete(_Request, frozen=True, kw_only=True):
    """Delete a message."""

    message: str


class Login(_Request, frozen=True, kw_only=True):
    """Get the tokens for the code of a login."""

    code: str


Asked = Me | Rooms | Find | Create | Members | Add | Messages | Delete
_request: msgspec.json.Decoder[Asked | Login] = msgspec.json.Decoder(Asked | Login)


class AccountRequests:
    """Answers requests to the services of all accounts."""

    def __init__(
        self,
        accounts: Callable[[], Mapping[str, MadeAccount]],
        addresses: Callable[[], Mapping[str, Mapping[str, RoomAddress]]],
        logged_in: Callable[[], None],
    ) -> None:
        """`accounts` are by name, `addresses` the configured rooms by account; new tokens call `logged_in`."""
        self._accounts = accounts
        self._addresses = addresses
        self._logged_in = logged_in

    async def ask(self, account: str, request: bytes) -> object | Trouble:
        """Return the answer as JSON values. Raises KeyError for an unknown account, `msgspec.MsgspecError`."""
        made = self._accounts()[account]
        wanted = _request.decode(request)
        if isinstance(wanted, Login):
            return await self._login(account, made, wanted.code)
        if not isinstance(made.sender, WebexSender):
            return Refused("refused", "account", f"{account} is a Spika account, whose access token can only post")
        with made.used():
            answer = await self._answer(made.sender, self._addresses().get(account, {}), wanted)
        return answer if isinstance(answer, (Throttled, Failed, Refused)) else msgspec.to_builtins(answer)

    async def _login(self, account: str, made: MadeAccount, code: str) -> object | Trouble:
        if made.oauth is None:
            message = f"account {account} has its own token; `relay login` is for accounts with `oauth`"
            return Refused("refused", "account", message)
        with made.used():
            granted = await made.oauth.login(code)
        if not isinstance(granted, Credentials):
            return granted
        self._logged_in()
        return {
            "account": account,
            "access_token_expires_at": iso(granted.access_until or 0.0),
            "refresh_token_expires_at": iso(granted.refresh_until or 0.0),
        }

    async def _answer(
        self, sender: WebexSender, addresses: Mapping[str, RoomAddress], wanted: Asked
    ) -> object | Trouble:
        client = sender.client
        match wanted:
            case Me():
                return await client.me()
            case Rooms(type=kind, page=page):
                return await _page(client.rooms(kind=kind, sort_by="lastactivity", start=page))
            case Find(room=room):
                return await self._find(sender, addresses, room)
            case Create(title=title):
                return await sender.create_room(title)
            case Members(room_id=room_id, page=page):
                return await _page(client.memberships(room_id=room_id, start=page))
            case Add(room_id=room_id, email=email):
                return await client.add_member(room_id, email)
            case Messages():
                return await _page(_messages(client, wanted))
            case _:
                return await client.delete_message(wanted.message)

    async def _find(self, sender: WebexSender, addresses: Mapping[str, RoomAddress], room: str) -> Room | Trouble:
        if room in addresses:
            return await self._configured(sender, addresses[room], room)
        if "@" in room and " " not in room:
            return Room(id="", title=room, type="direct")
        titled: list[Room] = []
        async for page in sender.client.rooms(kind="group"):
            if not isinstance(page, Page):
                return page
            titled += [one for one in page.items if room in (one.title, one.id)]
        if len(titled) == 1:
            return titled[0]
        if titled:
            ids = ", ".join(one.id for one in titled[:5])
            return Refused("unknown_room", "room", f"{len(titled)} rooms have the title {room!r}; give an id: {ids}")
        return await self._by_id(sender, room)

    @staticmethod
    async def _configured(sender: WebexSender, address: RoomAddress, room: str) -> Room | Trouble:
        if address.person is not None:
            return Room(id="", title=address.person, type="direct")
        room_id = await sender.room_id(msgspec.structs.replace(address, create=False))
        if isinstance(room_id, Refused) and address.create:
            message = f"room {room} does not exist yet; its first message creates it"
            return msgspec.structs.replace(room_id, detail=message)
        return await sender.client.room(room_id) if isinstance(room_id, str) else room_id

    @staticmethod
    async def _by_id(sender: WebexSender, room: str) -> Room | Trouble:
        found = await sender.client.room(room)
        if isinstance(found, Refused) and found.scope == "room":
            return Refused("unknown_room", "room", f"no room of this account has the name, id or title {room!r}")
        return found


def _messages(client: WebexClient, wanted: Messages) -> AsyncIterator[Page[Message] | Trouble]:
    if wanted.person:
        if "@" in wanted.person:
            return client.direct_messages(person_email=wanted.person, start=wanted.page)
        return client.direct_messages(person_id=wanted.person, start=wanted.page)
    return client.messages(wanted.room_id, before=wanted.before, mentioning_me=wanted.mentioning_me, start=wanted.page)


async def post_now(made: MadeAccount, wanted: SendNow, file: File | None) -> Outcome:
    """Post a person's message at once; a file, or the address of one, goes into the thread of `parent`."""
    if (file is not None or wanted.link is not None or wanted.card is not None) and not made.sender.service.files:
        return Refused("refused", "delivery", "Spika accepts no files and no cards from an access token")
    message = Send(
        action="post" if wanted.parent is None else "file",
        room=wanted.room,
        markdown=wanted.markdown,
        message=wanted.parent,
        delivery="now",
        link=wanted.link,
        card=wanted.card,
        file=file,
    )
    return await made.sender.send(message)


async def _page(pages: AsyncIterator[Page[T] | Trouble]) -> Page[T] | Trouble:
    """Return the first page that is not empty, or the last one."""
    last: Page[T] = Page([])
    async for page in pages:
        if not isinstance(page, Page) or page.items:
            return page
        last = page
    return last
