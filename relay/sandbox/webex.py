"""The sandbox's Webex over HTTP (Webex for Developers, API reference: Messages, Rooms, Memberships, People)."""

from __future__ import annotations

import math
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from relay.core.markdown import WEBEX_MAX_BYTES, plain_text
from relay.sandbox.faults import have_faults
from relay.sandbox.state import MAX_EDITS, File, Message, Person, Room, WebexState, message_json, room_json

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _PostMessage(msgspec.Struct, kw_only=True):
    roomId: str | None = None  # noqa: N815 - Webex's names
    toPersonEmail: str | None = None  # noqa: N815
    text: str | None = None
    markdown: str | None = None
    parentId: str | None = None  # noqa: N815


class _PutMessage(msgspec.Struct, kw_only=True):
    roomId: str  # noqa: N815
    text: str | None = None
    markdown: str | None = None


class _PostRoom(msgspec.Struct):
    title: str


class _PostMembership(msgspec.Struct, kw_only=True):
    roomId: str  # noqa: N815
    personEmail: str  # noqa: N815


class WebexError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class SandboxWebex:
    """Handlers of the API below `/v1`."""

    def __init__(self, state: WebexState) -> None:
        self.state = state

    def application(self) -> web.Application:
        """The API as an application, to be mounted at `/v1`."""
        application = web.Application(middlewares=[self._answer], client_max_size=100 * 2**20)
        application.add_routes(
            [
                web.get("/people/me", self.me),
                web.get("/rooms", self.list_rooms),
                web.post("/rooms", self.create_room),
                web.get("/rooms/{id}", self.get_room),
                web.delete("/rooms/{id}", self.delete_room),
                web.get("/messages", self.list_messages),
                web.post("/messages", self.post_message),
                web.get("/messages/{id}", self.get_message),
                web.get("/contents/{id}", self.get_content),
                web.put("/messages/{id}", self.put_message),
                web.delete("/messages/{id}", self.delete_message),
                web.get("/memberships", self.list_memberships),
                web.post("/memberships", self.add_member),
            ]
        )
        return application

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the token, have faults, and give errors their body."""
        tracking = f"SANDBOX_{uuid.uuid4()}"
        self.state.requests += 1
        try:
            await self._have_faults(request)
            self._person(request)
            self._keep_to_the_rate(request)
            answer = await handler(request)
        except WebexError as error:
            answer = _error(error, tracking)
        except web.HTTPNotFound:
            answer = _error(WebexError(404, "Not Found"), tracking)
        answer.headers["TrackingID"] = tracking
        return answer

    def _person(self, request: web.Request) -> Person:
        """Who asks."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        person = self.state.tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        if person is None:
            raise WebexError(401, "The request requires a valid access token set in the Authorization request header.")
        return person

    async def _have_faults(self, request: web.Request) -> None:
        room = None
        if self.state.faults and request.method == "POST" and request.path.endswith("/messages"):
            room = self._title_of((await _message(request))[0])
        fault = await have_faults(self.state, request, room)
        if fault is not None:
            raise WebexError(fault.status, f"fault asked for: {fault.status}", fault.retry_after)

    def _keep_to_the_rate(self, request: web.Request) -> None:
        """Answer 429 to what writes messages faster than is allowed, where a rate is set."""
        bucket = self.state.bucket
        if bucket is None or request.method not in ("POST", "PUT") or "/messages" not in request.path:
            return
        wait = bucket.wait(self.state.wall())
        if wait > 0:
            self.state.throttled += 1
            raise WebexError(429, "Too many requests", str(max(1, math.ceil(wait))))
        bucket.take()

    def _title_of(self, wanted: _PostMessage) -> str | None:
        room = self.state.rooms.get(wanted.roomId or "")
        return wanted.toPersonEmail if room is None else room.title

    async def me(self, request: web.Request) -> web.Response:
        """Who the token belongs to."""
        person = self._person(request)
        return _json({"id": person.id, "emails": [person.email], "displayName": person.name, "type": person.kind})

    async def list_rooms(self, request: web.Request) -> web.Response:
        """Rooms of the token's owner, a page at a time."""
        wanted = request.query.get("type")
        rooms = [r for r in self.state.rooms.values() if r.kind != "spika" and wanted in (None, r.kind)]
        limit = _number(request, "max", 100, 1000)
        start = _number(request, "cursor", 0, 10**9)
        page = rooms[start : start + limit]
        answer = _json({"items": [room_json(room) for room in page]})
        if start + limit < len(rooms):
            following = request.url.update_query(cursor=str(start + limit))
            answer.headers["Link"] = f'<{following}>; rel="next"'
        return answer

    async def create_room(self, request: web.Request) -> web.Response:
        """Make a group room."""
        wanted = await _body(request, _PostRoom)
        if not wanted.title.strip():
            raise WebexError(400, "title cannot be empty.")
        return _json(room_json(self.state.add_room(wanted.title, owner=self._person(request))))

    async def get_room(self, request: web.Request) -> web.Response:
        """One room."""
        return _json(room_json(self._room(request.match_info["id"])))

    async def delete_room(self, request: web.Request) -> web.Response:
        """Delete a room and what stands in it."""
        room = self._room(request.match_info["id"])
        for message_id in room.messages:
            self.state.where.pop(message_id, None)
        del self.state.rooms[room.id]
        self.state.touch()
        return web.Response(status=204)

    async def list_messages(self, request: web.Request) -> web.Response:
        """Messages of a room, newest first."""
        room = self._room(request.query.get("roomId", ""))
        limit = _number(request, "max", 50, 1000)
        newest = list(reversed(room.messages.values()))[:limit]
        return _json({"items": [message_json(message, room) for message in newest]})

    async def post_message(self, request: web.Request) -> web.Response:
        """Post to a room or a person."""
        wanted, file = await _message(request)
        if (wanted.roomId is None) == (wanted.toPersonEmail is None):
            raise WebexError(400, "Exactly one of roomId, toPersonId and toPersonEmail is required.")
        text = wanted.text or "" if file is not None else _checked_text(wanted.text, wanted.markdown)
        if wanted.roomId is not None:
            room = self._room(wanted.roomId)
        else:
            room = self.state.direct_room(wanted.toPersonEmail or "", self._person(request))
        if wanted.parentId is not None:
            parent = room.messages.get(wanted.parentId)
            if parent is None:
                raise WebexError(404, "The parent message could not be found.")
            if parent.parent is not None:
                raise WebexError(400, "A reply can't be replied to; parentId names the first message of the thread.")
        message = self.state.add_message(room, self._person(request), text, wanted.markdown, wanted.parentId, file)
        return _json(message_json(message, room))

    async def get_message(self, request: web.Request) -> web.Response:
        """One message."""
        message = self._message(request.match_info["id"])
        return _json(message_json(message, self.state.rooms[message.room]))

    async def get_content(self, request: web.Request) -> web.Response:
        """The file of a message."""
        file = self._message(request.match_info["id"]).file
        if file is None:
            raise WebexError(404, "The requested resource could not be found.")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name)}"}
        return web.Response(body=file.content, content_type="application/octet-stream", headers=headers)

    async def put_message(self, request: web.Request) -> web.Response:
        """Edit one's own message, ten times at the most."""
        message = self._message(request.match_info["id"])
        wanted = await _body(request, _PutMessage)
        if message.person != self._person(request):
            raise WebexError(403, "Only the author of a message can edit it.")
        if message.file is not None:
            raise WebexError(400, "A message with files can't be edited.")
        if message.edits >= MAX_EDITS:
            raise WebexError(400, f"A message can be edited {MAX_EDITS} times.")
        message.text, message.markdown = _checked_text(wanted.text, wanted.markdown), wanted.markdown
        message.edits += 1
        message.updated = self.state.wall()
        self.state.touch()
        return _json(message_json(message, self.state.rooms[message.room]))

    async def delete_message(self, request: web.Request) -> web.Response:
        """Delete a message."""
        message = self._message(request.match_info["id"])
        del self.state.rooms[message.room].messages[message.id]
        del self.state.where[message.id]
        self.state.touch()
        return web.Response(status=204)

    async def list_memberships(self, request: web.Request) -> web.Response:
        """Members of a room."""
        room = self._room(request.query.get("roomId", ""))
        items = [{"roomId": room.id, "personEmail": e, "personDisplayName": n} for e, n in room.members.items()]
        return _json({"items": items})

    async def add_member(self, request: web.Request) -> web.Response:
        """Add a person to a room; 409 where they are in it."""
        wanted = await _body(request, _PostMembership)
        room = self._room(wanted.roomId)
        if wanted.personEmail in room.members:
            raise WebexError(409, "User is already a participant of the room.")
        room.members[wanted.personEmail] = wanted.personEmail
        return _json({"roomId": room.id, "personEmail": wanted.personEmail})

    def _room(self, room_id: str) -> Room:
        room = self.state.rooms.get(room_id)
        if room is None or room.kind == "spika":
            raise WebexError(404, "The requested resource could not be found.")
        return room

    def _message(self, message_id: str) -> Message:
        message = self.state.find_message(message_id)
        if message is None:
            raise WebexError(404, "The requested resource could not be found.")
        return message


def _checked_text(text: str | None, markdown: str | None) -> str:
    """The text of a message, taken from its markdown where there is none."""
    if not text and not markdown:
        raise WebexError(400, "One of text, markdown and files is required.")
    for name, value in (("text", text), ("markdown", markdown)):
        if value is not None and len(value.encode()) > WEBEX_MAX_BYTES:
            raise WebexError(400, f"{name} exceeds the maximum length of {WEBEX_MAX_BYTES} bytes.")
    return plain_text(markdown) if markdown is not None else text or ""


async def _message(request: web.Request) -> tuple[_PostMessage, File | None]:
    """A message to post, as JSON or as a form, and the file that comes with it."""
    if request.content_type != "multipart/form-data":
        return await _body(request, _PostMessage), None
    fields: dict[str, str] = {}
    file: File | None = None
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            file = File(value.filename, value.file.read())
        elif isinstance(value, str):
            fields[name] = value
    return msgspec.convert(fields, _PostMessage), file


async def _body(request: web.Request, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WebexError(400, f"The request could not be understood: {error}") from error


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    try:
        return min(most, max(0, int(request.query.get(name, default))))
    except ValueError as error:
        raise WebexError(400, f"{name} is a number.") from error


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _error(error: WebexError, tracking: str) -> web.Response:
    body = {"message": str(error), "errors": [{"description": str(error)}], "trackingId": tracking}
    answer = _json(body, error.status)
    if error.retry_after is not None:
        answer.headers["Retry-After"] = error.retry_after
    return answer
