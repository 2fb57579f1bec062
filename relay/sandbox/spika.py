"""The sandbox's Spika over HTTP, with the answers of a Spika3 server (2024), whose errors are HTML or JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from relay.sandbox.faults import have_faults
from relay.sandbox.state import Person, Room, WebexState

MAX_BODY = 50 * 2**20


class _Wanted(msgspec.Struct):
    roomId: Any = None  # noqa: N815 - Spika's names
    type: Any = None
    body: Any = None
    localId: Any = None  # noqa: N815


class SandboxSpika:
    """Handlers below `/api/messaging`. The rooms have the numbers 1 to `rooms`."""

    def __init__(self, state: WebexState, rooms: int = 9) -> None:
        self.state = state
        self._numbers: dict[str, int] = {}
        for number in range(1, rooms + 1):
            state.add_room(f"Spika room {number}", "spika", room_id=str(number))

    def application(self) -> web.Application:
        """Return the API as an application."""
        application = web.Application(client_max_size=MAX_BODY)
        application.add_routes([web.get("/test/auth", self.get_auth), web.post("/messages", self.post_message)])
        return application

    def _person(self, request: web.Request) -> Person | web.Response:
        token = request.headers.get("accesstoken", "")
        if not token:
            return _html(401, "No access token")
        return self.state.tokens.get(token) or _html(401, "Invalid access token")

    async def get_auth(self, request: web.Request) -> web.Response:
        """Return the person to whom the token belongs."""
        person = self._person(request)
        if isinstance(person, web.Response):
            return person
        return _json({"status": "success", "data": {"user": {"id": 3, "displayName": person.name, "isBot": True}}})

    async def post_message(self, request: web.Request) -> web.Response:
        """Post a text to a room."""
        self.state.requests += 1
        try:
            wanted = msgspec.json.decode(await request.read(), type=_Wanted)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _html(500, "Server Error SyntaxError: Unexpected token")
        room = self.state.rooms.get(str(wanted.roomId)) if isinstance(wanted.roomId, int) else None
        fault = await have_faults(self.state, request, None if room is None else room.title, "spika")
        if fault is not None:
            answer = _html(fault.status, "Server error" if fault.status == 500 else "the proxy says no")
            if fault.retry_after is not None:
                answer.headers["Retry-After"] = fault.retry_after
            return answer
        person = self._person(request)
        if isinstance(person, web.Response):
            return person
        trouble = _trouble(wanted, room)
        if trouble is not None or room is None:
            return _json({"status": "error", "message": trouble}, 400)
        return self._post(room, person, wanted)

    def _post(self, room: Room, person: Person, wanted: _Wanted) -> web.Response:
        text = wanted.body["text"]
        number = self._numbers[room.id] = self._numbers.get(room.id, 0) + 1
        message = self.state.add_message(room, person, text, None, None, message_id=f"spika-{room.id}-{number}")
        at = int(message.created * 1000)
        made = {
            "id": len(self.state.where),
            "roomId": wanted.roomId,
            "fromUserId": 3,
            "totalUserCount": 3,
            "deliveredCount": 0,
            "seenCount": 0,
            "type": "text",
            "body": {"text": text},
            "createdAt": at,
            "modifiedAt": at,
            "localId": wanted.localId,
            "replyId": None,
            "deleted": False,
        }
        return _json({"status": "success", "data": {"message": made}})


def _trouble(wanted: _Wanted, room: Room | None) -> str | None:
    """Return Spika's error for a message, or None if it is valid."""
    if not isinstance(wanted.roomId, int) or wanted.type is None or wanted.body is None:
        return "Invalid params"
    if wanted.type != "text":
        return "Invalid type"
    if not isinstance(wanted.body, dict) or not wanted.body.get("text"):
        return "Text is missing"
    return "Room user not found" if room is None or room.kind != "spika" else None


def _html(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html")


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
