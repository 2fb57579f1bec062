"""Posts to Webex rooms: by id, by title (found through paging, created where asked for), or to a person.

Source: Webex for Developers, API reference for Messages, Rooms and Memberships.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from urllib.parse import quote, urlsplit

import msgspec

from relay.core.delivery import Delivered, Failed, Outcome, Refused
from relay.core.markdown import WEBEX_MAX_BYTES, cut
from relay.ports import Log, Send, Service
from relay.senders.http import HttpClient, Token
from relay.senders.outcomes import OPERATIONS, Answer, classify

SERVICE = Service(longest=WEBEX_MAX_BYTES, longest_list=WEBEX_MAX_BYTES, edits=True, files=True)
MAX_PAGES = 200
"""Pages of rooms that are followed at the most."""


class RoomAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a configured room is: exactly one of `id`, `title`, `person`."""

    id: str | None = None
    title: str | None = None
    person: str | None = None
    create: bool = False
    members: tuple[str, ...] = ()


class _Message(msgspec.Struct):
    id: str
    roomId: str = ""  # noqa: N815 - Webex's name


class _Room(msgspec.Struct):
    id: str
    title: str = ""


class _Rooms(msgspec.Struct):
    items: list[_Room]


_message = msgspec.json.Decoder(_Message)
_room = msgspec.json.Decoder(_Room)
_rooms = msgspec.json.Decoder(_Rooms)


class WebexSender:
    """Implements the pipeline's `Sender` for one Webex account."""

    def __init__(
        self,
        http: HttpClient,
        token: Token,
        rooms: Mapping[str, RoomAddress],
        wall: Callable[[], float],
        log: Log,
    ) -> None:
        self._http = http
        self._token = token
        self._rooms = rooms
        self._wall = wall
        self._log = log
        self._found: dict[str, str] = {}
        self._finding = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    @property
    def service(self) -> Service:
        """What Webex can do."""
        return SERVICE

    async def check(self) -> Failed | Refused | None:
        """Ask who the token belongs to."""
        answer = await self._http.call("GET", "/people/me")
        if isinstance(answer, (Failed, Refused)) or answer.status == 200:
            return None if isinstance(answer, Answer) else answer
        outcome = classify("find", answer, self._wall())
        return outcome if isinstance(outcome, (Failed, Refused)) else None

    async def renew(self) -> bool:
        """Read the account's token again; tell whether it changed."""
        return await asyncio.to_thread(self._token.reread)

    async def send(self, message: Send) -> Outcome:
        """Post once; a room known by its title that has gone is looked for once more."""
        outcome = await self._try(message)
        title = self._rooms[message.room].title
        if isinstance(outcome, Refused) and outcome.kind == "unknown_room" and title in self._found:
            del self._found[title]
            outcome = await self._try(message)
        return outcome

    async def _try(self, message: Send) -> Outcome:
        address = self._rooms[message.room]
        target = {"roomId": message.space} if message.space is not None else await self._target(address)
        if not isinstance(target, dict):
            return target
        text = cut(message.text, WEBEX_MAX_BYTES)
        if len(message.markdown) * 4 > WEBEX_MAX_BYTES and len(message.markdown.encode()) > WEBEX_MAX_BYTES:
            return Refused("too_large", "delivery", f"markdown is over Webex's {WEBEX_MAX_BYTES} bytes")
        answer = await self._call(message, {**target, "markdown": message.markdown, "text": text})
        if isinstance(answer, (Failed, Refused)):
            return answer
        if answer.status != 200:
            return classify(OPERATIONS[message.action], answer, self._wall())
        try:
            posted = _message.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Failed("remote", "200 without a message's id", ambiguous=True)
        return Delivered(posted.id, posted.roomId)

    async def _call(self, message: Send, body: dict[str, str]) -> Answer | Failed | Refused:
        if message.action == "edit" and message.message is not None:
            return await self._http.call("PUT", f"/messages/{quote(message.message, safe='')}", body)
        if message.action in ("reply", "file") and message.message is not None:
            body = {**body, "parentId": message.message}
        return await self._http.call("POST", "/messages", body, message.file)

    async def _target(self, address: RoomAddress) -> dict[str, str] | Outcome:
        if address.id is not None:
            return {"roomId": address.id}
        if address.person is not None:
            return {"toPersonEmail": address.person}
        known = self._found.get(address.title or "")
        if known is not None:
            return {"roomId": known}
        async with self._finding:
            return await self._find(address)

    async def _find(self, address: RoomAddress) -> dict[str, str] | Outcome:
        """Look for a room by its title, page by page; what is seen on the way is remembered."""
        title = address.title or ""
        if title not in self._found:
            async for page in self._pages("/rooms?type=group&max=1000"):
                if not isinstance(page, list):
                    return page
                for room in page:
                    self._found.setdefault(room.title, room.id)
                if title in self._found:
                    break
        if title in self._found:
            return {"roomId": self._found[title]}
        if address.create:
            return await self._create(address)
        return Refused("unknown_room", "room", f"no room of this account has the title {title!r}")

    async def _pages(self, path: str) -> AsyncIterator[list[_Room] | Outcome]:
        following: str | None = path
        for _ in range(MAX_PAGES):
            if following is None:
                return
            answer = await self._http.call("GET", following)
            if isinstance(answer, (Failed, Refused)):
                yield answer
                return
            if answer.status != 200:
                yield classify("find", answer, self._wall())
                return
            try:
                yield _rooms.decode(answer.body).items
            except (msgspec.DecodeError, UnicodeDecodeError):
                yield Failed("remote", "200 without a list of rooms")
                return
            following = self._next(answer)

    def _next(self, answer: Answer) -> str | None:
        """The next page's path and query; the host is ours, whatever the link says."""
        if answer.next_page is None:
            return None
        link = urlsplit(answer.next_page)
        tail = link.path[link.path.rfind("/rooms") :] if "/rooms" in link.path else "/rooms"
        return f"{tail}?{link.query}"

    async def _create(self, address: RoomAddress) -> dict[str, str] | Outcome:
        title = address.title or ""
        answer = await self._http.call("POST", "/rooms", {"title": title})
        if isinstance(answer, (Failed, Refused)):
            return answer
        if answer.status != 200:
            return classify("create", answer, self._wall())
        try:
            room = _room.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Failed("remote", "200 without a room's id")
        self._found[title] = room.id
        self._log.info("room_created", title=title, room_id=room.id)
        for email in address.members:
            added = await self._http.call("POST", "/memberships", {"roomId": room.id, "personEmail": email})
            if isinstance(added, (Failed, Refused)) or added.status not in (200, 409):
                self._log.warning("member_not_added", title=title, member=email)
        return {"roomId": room.id}
