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
from relay.core.words import iso, parse_time
from relay.sandbox.answers import WebexError, json_answer, number_of, paged, read_body
from relay.sandbox.directory import Directory
from relay.sandbox.faults import have_faults
from relay.sandbox.oauth import SandboxOAuth
from relay.sandbox.state import (
    CARD,
    MAX_EDITS,
    File,
    Message,
    Person,
    Room,
    WebexState,
    last_activity,
    make_id,
    message_json,
    room_json,
)

_OPEN = ("/v1/authorize", "/v1/access_token")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Attachment(msgspec.Struct):
    contentType: str  # noqa: N815
    content: dict[str, Any]


class _PostMessage(msgspec.Struct, kw_only=True):
    roomId: str | None = None  # noqa: N815 - Webex's names
    toPersonEmail: str | None = None  # noqa: N815
    toPersonId: str | None = None  # noqa: N815
    files: tuple[str, ...] = ()
    attachments: tuple[_Attachment, ...] = ()
    text: str | None = None
    markdown: str | None = None
    parentId: str | None = None  # noqa: N815


class _PutMessage(msgspec.Struct, kw_only=True):
    roomId: str  # noqa: N815
    text: str | None = None
    markdown: str | None = None


class _PostAction(msgspec.Struct, kw_only=True):
    type: str
    messageId: str  # noqa: N815
    inputs: dict[str, Any] = {}


class _PostRoom(msgspec.Struct):
    title: str


class SandboxWebex:
    """Handlers of the API below `/v1`."""

    def __init__(self, state: WebexState, oauth: SandboxOAuth | None = None) -> None:
        self.state = state
        self._oauth = oauth

    def application(self) -> web.Application:
        """Return the API as an application, for the path `/v1`."""
        application = web.Application(middlewares=[self._answer], client_max_size=100 * 2**20)
        application.add_routes(
            [
                web.get("/rooms", self.list_rooms),
                web.post("/rooms", self.create_room),
                web.get("/rooms/{id}", self.get_room),
                web.delete("/rooms/{id}", self.delete_room),
                web.get("/messages", self.list_messages),
                web.post("/messages", self.post_message),
                web.get("/contents/{id}", self.get_content),
                web.put("/messages/{id}", self.put_message),
                web.delete("/messages/{id}", self.delete_message),
                web.get("/messages/direct", self.list_direct),
                web.get("/messages/{id}", self.get_message),
                web.post("/attachment/actions", self.post_action),
                web.get("/attachment/actions/{id}", self.get_action),
                *Directory(self.state, self._person).routes(),
                *(() if self._oauth is None else self._oauth.routes()),
            ]
        )
        return application

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Apply faults, check the token and the rate, call the handler, and give errors their body."""
        tracking = f"SANDBOX_{uuid.uuid4()}"
        self.state.requests += 1
        try:
            await self._have_faults(request)
            if not request.path.endswith(_OPEN):
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
        """Return the person to whom the request's token belongs. Raises `WebexError`."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        person = self.state.whose(token.strip()) if scheme.lower() == "bearer" else None
        if person is None:
            raise WebexError(401, "The request requires a valid access token set in the Authorization request header.")
        return person

    async def _have_faults(self, request: web.Request) -> None:
        room = None
        if self.state.faults and request.method == "POST" and request.path.endswith("/messages"):
            room = self._title_of((await _message(request))[0])
        fault = await have_faults(self.state, request, room, "webex")
        if fault is not None:
            raise WebexError(fault.status, f"a fault of the sandbox: {fault.status}", fault.retry_after)

    def _keep_to_the_rate(self, request: web.Request) -> None:
        """Raise the error 429 if messages are written faster than the rate that is set."""
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

    async def list_rooms(self, request: web.Request) -> web.Response:
        """List rooms, a page at a time."""
        wanted = request.query.get("type")
        rooms = [r for r in self.state.rooms.values() if r.kind != "spika" and wanted in (None, r.kind)]
        if request.query.get("sortBy") == "lastactivity":
            rooms.sort(key=last_activity, reverse=True)
        limit = number_of(request, "max", 100, 1000)
        start = number_of(request, "cursor", 0, 10**9)
        return paged(request, [room_json(room) for room in rooms], limit, start)

    async def create_room(self, request: web.Request) -> web.Response:
        """Make a group room."""
        wanted = await read_body(request, _PostRoom)
        if not wanted.title.strip():
            raise WebexError(400, "title cannot be empty.")
        return json_answer(room_json(self.state.add_room(wanted.title, owner=self._person(request))))

    async def get_room(self, request: web.Request) -> web.Response:
        """Return one room."""
        return json_answer(room_json(self._room(request.match_info["id"])))

    async def delete_room(self, request: web.Request) -> web.Response:
        """Delete a room and its messages."""
        room = self._room(request.match_info["id"])
        for message_id in room.messages:
            self.state.where.pop(message_id, None)
        del self.state.rooms[room.id]
        self.state.touch()
        return web.Response(status=204)

    async def list_messages(self, request: web.Request) -> web.Response:
        """List messages of a room, newest first. In a group room, a bot sees only messages that mention it."""
        room = self._room(request.query.get("roomId", ""))
        person = self._person(request)
        mentioned = request.query.get("mentionedPeople")
        if person.kind == "bot" and room.kind == "group" and mentioned is None:
            raise WebexError(403, "Bots see messages of group rooms only with mentionedPeople=me.")
        return self._listed(request, room, None if mentioned is None else person)

    async def list_direct(self, request: web.Request) -> web.Response:
        """List messages of the direct room with a person."""
        email = request.query.get("personEmail") or self._email(request.query.get("personId", ""))
        rooms = (room for room in self.state.rooms.values() if room.kind == "direct" and email in room.members)
        room = next(rooms, None)
        if room is None:
            raise WebexError(404, "The requested resource could not be found.")
        return self._listed(request, room, None)

    def _listed(self, request: web.Request, room: Room, mentioned: Person | None) -> web.Response:
        newest = list(reversed(room.messages.values()))
        if before := request.query.get("before"):
            try:
                at = parse_time(before)
            except ValueError as error:
                raise WebexError(400, f"before: {error}") from error
            newest = [message for message in newest if message.created < at]
        if last := request.query.get("beforeMessage"):
            ids = [message.id for message in newest]
            newest = newest[ids.index(last) + 1 :] if last in ids else []
        if parent := request.query.get("parentId"):
            newest = [message for message in newest if message.parent == parent]
        if mentioned is not None:
            newest = [message for message in newest if mentions(message, mentioned)]
        limit = number_of(request, "max", 50, 1000)
        items = [message_json(message, room, _base(request), self.state.people) for message in newest[:limit]]
        answer = json_answer({"items": items})
        if len(newest) > limit:
            following = request.url.update_query(beforeMessage=newest[limit - 1].id)
            answer.headers["Link"] = f'<{following}>; rel="next"'
        return answer

    def _email(self, person_id: str) -> str:
        person = self.state.person_of(person_id)
        if person is None:
            raise WebexError(404, "The requested person could not be found.")
        return person.email

    async def post_message(self, request: web.Request) -> web.Response:
        """Post to a room or a person."""
        wanted, file = await _message(request)
        if sum(to is not None for to in (wanted.roomId, wanted.toPersonEmail, wanted.toPersonId)) != 1:
            raise WebexError(400, "Exactly one of roomId, toPersonId and toPersonEmail is required.")
        link, card = _link_of(wanted), _card_of(wanted)
        alone = file is None and link is None
        text = _checked_text(wanted.text, wanted.markdown) if alone else _plain(wanted.text, wanted.markdown)
        if wanted.roomId is not None:
            room = self._room(wanted.roomId)
        else:
            email = wanted.toPersonEmail or self._email(wanted.toPersonId or "")
            room = self.state.direct_room(email, self._person(request))
        if wanted.parentId is not None:
            parent = room.messages.get(wanted.parentId)
            if parent is None:
                raise WebexError(404, "The parent message could not be found.")
            if parent.parent is not None:
                raise WebexError(400, "A reply can't be replied to; parentId names the first message of the thread.")
        message = self.state.add_message(
            room, self._person(request), text, wanted.markdown, wanted.parentId, file, link=link, card=card
        )
        return json_answer(message_json(message, room, _base(request), self.state.people))

    async def get_message(self, request: web.Request) -> web.Response:
        """Return one message."""
        message = self._message(request.match_info["id"])
        return json_answer(message_json(message, self.state.rooms[message.room], _base(request), self.state.people))

    async def get_content(self, request: web.Request) -> web.Response:
        """Return the file of a message, or answer 423 while it is scanned."""
        message = self._message(request.match_info["id"])
        file = message.file
        if file is None:
            raise WebexError(404, "The requested resource could not be found.")
        left = message.created + self.state.scanning - self.state.wall()
        if left > 0:
            raise WebexError(423, "The file is being scanned for malware.", str(max(1, math.ceil(left))))
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name)}"}
        return web.Response(body=file.content, content_type="application/octet-stream", headers=headers)

    async def put_message(self, request: web.Request) -> web.Response:
        """Edit a message of the token's owner, at most `MAX_EDITS` times."""
        message = self._message(request.match_info["id"])
        wanted = await read_body(request, _PutMessage)
        if message.person != self._person(request):
            raise WebexError(403, "Only the author of a message can edit it.")
        if message.file is not None or message.link is not None:
            raise WebexError(400, "A message with files can't be edited.")
        if message.edits >= MAX_EDITS:
            raise WebexError(400, f"A message can be edited {MAX_EDITS} times.")
        message.text, message.markdown = _checked_text(wanted.text, wanted.markdown), wanted.markdown
        message.edits += 1
        message.updated = self.state.wall()
        self.state.touch()
        return json_answer(message_json(message, self.state.rooms[message.room], _base(request), self.state.people))

    async def delete_message(self, request: web.Request) -> web.Response:
        """Delete a message."""
        message = self._message(request.match_info["id"])
        del self.state.rooms[message.room].messages[message.id]
        del self.state.where[message.id]
        self.state.touch()
        return web.Response(status=204)

    async def post_action(self, request: web.Request) -> web.Response:
        """Press a card's button."""
        wanted = await read_body(request, _PostAction)
        message = self._message(wanted.messageId)
        if message.card is None or wanted.type != "submit":
            raise WebexError(400, "The message has no card, or the type is not submit.")
        made = {
            "id": make_id("ATTACHMENT_ACTION"),
            "type": "submit",
            "messageId": message.id,
            "inputs": wanted.inputs,
            "personId": self._person(request).id,
            "roomId": message.room,
            "created": iso(self.state.wall()),
        }
        self.state.actions[made["id"]] = made
        return json_answer(made)

    async def get_action(self, request: web.Request) -> web.Response:
        """Return the inputs that a card's button sent."""
        found = self.state.actions.get(request.match_info["id"])
        if found is None:
            raise WebexError(404, "The requested resource could not be found.")
        return json_answer(found)

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
    """Return the text of a message, or that of its markdown. Raises `WebexError` if it is absent or too long."""
    if not text and not markdown:
        raise WebexError(400, "One of text, markdown and files is required.")
    for name, value in (("text", text), ("markdown", markdown)):
        if value is not None and len(value.encode()) > WEBEX_MAX_BYTES:
            raise WebexError(400, f"{name} exceeds the maximum length of {WEBEX_MAX_BYTES} bytes.")
    return _plain(text, markdown)


def _plain(text: str | None, markdown: str | None) -> str:
    return plain_text(markdown) if markdown is not None else text or ""


def _link_of(wanted: _PostMessage) -> str | None:
    """Return the address of a message's file, or None. Raises `WebexError`."""
    if len(wanted.files) > 1:
        raise WebexError(400, "Only one file is allowed in a message.")
    if wanted.files and not wanted.files[0].startswith(("http://", "https://")):
        raise WebexError(400, f"files: expected a list with one public address, found {wanted.files[0][:100]!r}.")
    return wanted.files[0] if wanted.files else None


def _card_of(wanted: _PostMessage) -> dict[str, Any] | None:
    """Return the card of a message, or None. Raises `WebexError`."""
    if not wanted.attachments:
        return None
    if len(wanted.attachments) > 1 or wanted.attachments[0].contentType != CARD:
        raise WebexError(400, f"attachments: expected a list with one card of the type {CARD}.")
    if wanted.attachments[0].content.get("type") != "AdaptiveCard":
        raise WebexError(400, "attachments: expected content of the type AdaptiveCard, found another type.")
    return wanted.attachments[0].content


def mentions(message: Message, person: Person) -> bool:
    """Return whether a message mentions a person."""
    text = (message.markdown or "").lower()
    return any(
        f"<@{kind}:{value}".lower() in text for kind, value in (("personid", person.id), ("personemail", person.email))
    )


def _base(request: web.Request) -> str:
    """Return the API's address, with the host that the client used."""
    return f"{request.url.origin()}/v1"


async def _message(request: web.Request) -> tuple[_PostMessage, File | None]:
    """Return the message to post and its file, from JSON or a form. Raises `WebexError`."""
    if request.content_type != "multipart/form-data":
        return await read_body(request, _PostMessage), None
    fields: dict[str, str] = {}
    file: File | None = None
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            file = File(value.filename, value.file.read())
        elif isinstance(value, str):
            fields[name] = value
    fields.pop("files", None)
    try:
        return msgspec.convert(fields, _PostMessage), file
    except msgspec.ValidationError as error:
        raise WebexError(400, f"The request could not be understood: {error}") from error


def _error(error: WebexError, tracking: str) -> web.Response:
    body = {"message": str(error), "errors": [{"description": str(error)}], "trackingId": tracking}
    answer = json_answer(body, error.status)
    if error.retry_after is not None:
        answer.headers["Retry-After"] = error.retry_after
    return answer
