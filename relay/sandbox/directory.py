"""The sandbox's people, memberships, webhooks (Webex for Developers, API reference: People, Memberships, Webhooks)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from relay.core.words import iso
from relay.sandbox.answers import WebexError, json_answer, number_of, paged, read_body
from relay.sandbox.state import Person, Room, WebexState, Webhook, make_id

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _PostMembership(msgspec.Struct, kw_only=True):
    roomId: str  # noqa: N815 - Webex's names
    personEmail: str | None = None  # noqa: N815
    personId: str | None = None  # noqa: N815


class _PostWebhook(msgspec.Struct, kw_only=True):
    name: str
    targetUrl: str  # noqa: N815
    resource: str
    event: str
    filter: str | None = None
    secret: str | None = None


class Directory:
    """Handlers of people, memberships and webhooks."""

    def __init__(self, state: WebexState, asking: Callable[[web.Request], Person]) -> None:
        """Make the handlers. `asking` returns the person whose token a request has."""
        self._state = state
        self._asking = asking

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of people, memberships and webhooks."""
        return [
            web.get("/people/me", self.me),
            web.get("/people", self.list_people),
            web.get("/people/{id}", self.get_person),
            web.get("/memberships", self.list_memberships),
            web.post("/memberships", self.add_member),
            web.get("/memberships/{id}", self.get_membership),
            web.delete("/memberships/{id}", self.delete_membership),
            web.get("/webhooks", self.list_webhooks),
            web.post("/webhooks", self.add_webhook),
            web.get("/webhooks/{id}", self.get_webhook),
            web.delete("/webhooks/{id}", self.delete_webhook),
        ]

    async def me(self, request: web.Request) -> web.Response:
        """Return the person to whom the token belongs."""
        return json_answer(_person_json(self._asking(request)))

    async def list_people(self, request: web.Request) -> web.Response:
        """List people by address, id or the beginning of their name. The query must hold one of these."""
        email, name = request.query.get("email"), request.query.get("displayName")
        if not email and not name and not request.query.get("id"):
            raise WebexError(400, "email, displayName or id is required.")
        ids = request.query.get("id", "").split(",")
        found = [
            one
            for one in self._state.people.values()
            if one.email == email or one.id in ids or (name and one.name.lower().startswith(name.lower()))
        ]
        return self._page(request, [_person_json(one) for one in found])

    async def get_person(self, request: web.Request) -> web.Response:
        """Return one person."""
        return json_answer(_person_json(self._by_id(request.match_info["id"])))

    def _by_id(self, person_id: str) -> Person:
        found = next((one for one in self._state.people.values() if one.id == person_id), None)
        if found is None:
            raise WebexError(404, "The requested person could not be found.")
        return found

    async def list_memberships(self, request: web.Request) -> web.Response:
        """List the members of a room, or the memberships of the token's owner."""
        room_id = request.query.get("roomId")
        if room_id is not None:
            rooms, emails = [self._room(room_id)], None
        else:
            rooms, emails = list(self._state.rooms.values()), {self._asking(request).email}
        if email := request.query.get("personEmail"):
            emails = {email}
        items = [
            self._membership_json(room, one)
            for room in rooms
            for one in room.members
            if emails is None or one in emails
        ]
        return self._page(request, items)

    async def add_member(self, request: web.Request) -> web.Response:
        """Add a person to a room. Answer 409 if they are a member."""
        wanted = await read_body(request, _PostMembership)
        room = self._room(wanted.roomId)
        email = wanted.personEmail or (self._by_id(wanted.personId).email if wanted.personId else None)
        if email is None:
            raise WebexError(400, "personId or personEmail is required.")
        if email in room.members:
            raise WebexError(409, "User is already a participant of the room.")
        room.members[email] = self._state.person(email).name
        self._state.touch()
        return json_answer(self._membership_json(room, email))

    async def get_membership(self, request: web.Request) -> web.Response:
        """Return one membership."""
        return json_answer(self._membership_json(*self._membership(request.match_info["id"])))

    async def delete_membership(self, request: web.Request) -> web.Response:
        """Take a person out of a room."""
        room, email = self._membership(request.match_info["id"])
        del room.members[email]
        self._state.touch()
        return web.Response(status=204)

    def _membership(self, membership_id: str) -> tuple[Room, str]:
        for room in self._state.rooms.values():
            for email in room.members:
                if _membership_id(room, email) == membership_id:
                    return room, email
        raise WebexError(404, "The requested membership could not be found.")

    def _membership_json(self, room: Room, email: str) -> dict[str, Any]:
        person = self._state.person(email)
        return {
            "id": _membership_id(room, email),
            "roomId": room.id,
            "roomType": room.kind,
            "personId": person.id,
            "personEmail": email,
            "personDisplayName": person.name,
            "isModerator": False,
            "isMonitor": False,
            "created": iso(room.created),
        }

    async def list_webhooks(self, request: web.Request) -> web.Response:
        """List all webhooks."""
        return self._page(request, [_webhook_json(one) for one in self._state.webhooks.values()])

    async def add_webhook(self, request: web.Request) -> web.Response:
        """Add a webhook, which posts new messages to an address on loopback."""
        wanted = await read_body(request, _PostWebhook)
        if urlsplit(wanted.targetUrl).hostname not in LOOPBACK:
            raise WebexError(400, f"targetUrl: expected an address on loopback, found {wanted.targetUrl[:100]!r}.")
        if (wanted.resource, wanted.event) not in (("messages", "created"), ("all", "all"), ("messages", "all")):
            found = f"{wanted.resource[:40]!r} and {wanted.event[:40]!r}"
            raise WebexError(400, f"resource and event: expected 'messages' and 'created', found {found}.")
        room = (wanted.filter or "").partition("roomId=")[2] or None
        made = Webhook(
            id=make_id("WEBHOOK"),
            name=wanted.name,
            target=wanted.targetUrl,
            resource=wanted.resource,
            event=wanted.event,
            created=self._state.wall(),
            room=room,
            secret=wanted.secret,
        )
        self._state.webhooks[made.id] = made
        return json_answer(_webhook_json(made))

    async def get_webhook(self, request: web.Request) -> web.Response:
        """Return one webhook."""
        return json_answer(_webhook_json(self._webhook(request)))

    async def delete_webhook(self, request: web.Request) -> web.Response:
        """Delete a webhook."""
        del self._state.webhooks[self._webhook(request).id]
        return web.Response(status=204)

    def _webhook(self, request: web.Request) -> Webhook:
        found = self._state.webhooks.get(request.match_info["id"])
        if found is None:
            raise WebexError(404, "The requested webhook could not be found.")
        return found

    def _room(self, room_id: str) -> Room:
        room = self._state.rooms.get(room_id)
        if room is None or room.kind == "spika":
            raise WebexError(404, "The requested resource could not be found.")
        return room

    @staticmethod
    def _page(request: web.Request, items: list[dict[str, Any]]) -> web.Response:
        return paged(request, items, number_of(request, "max", 100, 1000), number_of(request, "cursor", 0, 10**9))


def _person_json(person: Person) -> dict[str, Any]:
    return {"id": person.id, "emails": [person.email], "displayName": person.name, "type": person.kind}


def _membership_id(room: Room, email: str) -> str:
    return base64.urlsafe_b64encode(f"ciscospark://us/MEMBERSHIP/{room.id}:{email}".encode()).decode().rstrip("=")


def _webhook_json(one: Webhook) -> dict[str, Any]:
    """Return a webhook in Webex's JSON, without its secret."""
    answer: dict[str, Any] = {
        "id": one.id,
        "name": one.name,
        "targetUrl": one.target,
        "resource": one.resource,
        "event": one.event,
        "status": "active",
        "created": iso(one.created),
    }
    return {**answer, "filter": f"roomId={one.room}"} if one.room else answer
