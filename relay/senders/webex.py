"""Posts to Webex rooms: by id, by title (looked up page by page, created if `create`), or to a person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import msgspec

from relay.core.delivery import Delivered, Failed, Outcome, Refused, Throttled, Trouble
from relay.core.markdown import WEBEX_MAX_BYTES
from relay.ports import Credentials, Log, Send, Service
from relay.senders.outcomes import OPERATIONS
from relay.senders.webex_client import Message, Outgoing, Page, Person, Room, WebexClient

SERVICE = Service(longest=WEBEX_MAX_BYTES, longest_list=WEBEX_MAX_BYTES, edits=True, files=True)


class RoomAddress(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a room: exactly one of `id`, `title`, `person`.

    `create`: a room that no title matches is created, with `members`.
    """

    id: str | None = None
    title: str | None = None
    person: str | None = None
    create: bool = False
    members: tuple[str, ...] = ()


class WebexSender:
    """Implements the pipeline's `Sender` for one Webex account."""

    def __init__(self, client: WebexClient, rooms: Mapping[str, RoomAddress], log: Log) -> None:
        self.client = client
        self._rooms = rooms
        self._log = log
        self._found: dict[str, str] = {}
        self._finding = asyncio.Lock()
        self.met: Callable[[Iterable[str]], None] = lambda _: None
        """Called with the id and the email addresses of the account itself, whenever Webex reports new ones."""
        self._met: tuple[str, str] | None = None

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    @property
    def service(self) -> Service:
        """Return what Webex can do."""
        return SERVICE

    async def check(self) -> Failed | Refused | None:
        """Ask Webex who the token belongs to; return None if it is valid."""
        who = await self.client.me()
        if isinstance(who, Person):
            self.met((who.id, *who.emails))
        return who if isinstance(who, (Failed, Refused)) else None

    async def renew(self) -> bool:
        """Return whether there is another token than the one that was refused."""
        return await self.client.renew()

    async def tend(self) -> Credentials:
        """Renew the token if it expires soon, and return its state."""
        return await self.client.tend()

    async def send(self, message: Send) -> Outcome:
        """Post once. If the card is refused, post without it. If a room found by its title is gone, look it up anew."""
        outcome = await self._try(message)
        if message.card is not None and isinstance(outcome, Refused) and outcome.scope == "delivery":
            self._log.warning("card_refused", room=message.room, detail=outcome.detail)
            outcome = await self._try(msgspec.structs.replace(message, card=None))
        title = self._rooms[message.room].title
        if isinstance(outcome, Refused) and outcome.kind == "unknown_room" and title in self._found:
            del self._found[title]
            outcome = await self._try(message)
        return outcome

    async def _try(self, message: Send) -> Outcome:
        address = self._rooms[message.room]
        # a character has at most four bytes: short texts need not be encoded to be measured
        if len(message.markdown) * 4 > WEBEX_MAX_BYTES and len(message.markdown.encode()) > WEBEX_MAX_BYTES:
            return Refused("too_large", "delivery", f"the markdown is larger than Webex's {WEBEX_MAX_BYTES} bytes")
        target: str | Trouble | None = message.space
        if target is None and address.person is None:
            target = await self.room_id(address)
        if not (target is None or isinstance(target, str)):
            return target
        posted = await self._call(message, address, target)
        if not isinstance(posted, Message):
            return posted
        if (author := (posted.person_id, posted.person_email)) != self._met:
            self._met = author
            self.met(author)
        return Delivered(posted.id, posted.room_id)

    async def _call(self, message: Send, address: RoomAddress, room_id: str | None) -> Message | Trouble:
        if message.action == "edit" and message.message is not None and room_id is not None:
            return await self.client.edit(message.message, room_id, markdown=message.markdown)
        person = address.person
        outgoing = Outgoing(
            room_id=room_id,
            person_email=person if room_id is None and "@" in (person or "") else None,
            person_id=person if room_id is None and "@" not in (person or "") else None,
            markdown=message.markdown,
            parent_id=message.message if message.action in ("reply", "file") else None,
            link=message.link,
            file=message.file,
            card=message.card,
        )
        return await self.client.post(outgoing, OPERATIONS[message.action])

    async def room_id(self, address: RoomAddress) -> str | Trouble:
        """Return the id of a room that is addressed by id or title, not by person."""
        if address.id is not None:
            return address.id
        known = self._found.get(address.title or "")
        if known is not None:
            return known
        async with self._finding:
            return await self._find(address)

    async def _find(self, address: RoomAddress) -> str | Trouble:
        """Look up a room by its title, page by page; remember all rooms seen on the way."""
        title = address.title or ""
        if title not in self._found:
            async for page in self.client.rooms(kind="group"):
                if not isinstance(page, Page):
                    return page
                for room in page.items:
                    self._found.setdefault(room.title, room.id)
                if title in self._found:
                    break
        if title in self._found:
            return self._found[title]
        if address.create:
            made = await self.create_room(title, address.members)
            return made.id if isinstance(made, Room) else made
        return Refused("unknown_room", "room", f"no room of this account has the title {title!r}")

    async def create_room(self, title: str, members: tuple[str, ...] = ()) -> Room | Trouble:
        """Create a room and add members; log those that can't be added."""
        room = await self.client.create_room(title)
        if not isinstance(room, Room):
            return room
        self._found[title] = room.id
        self._log.notice("room_created", title=title, room_id=room.id)
        for email in members:
            added = await self.client.add_member(room.id, email)
            if isinstance(added, (Throttled, Failed, Refused)) and not added.detail.startswith("409"):
                self._log.warning("member_not_added", title=title, member=email, detail=added.detail)
        return room
