"""A client of the Webex messaging API: each call returns its result, or a `Trouble` if it failed.

Source: Webex for Developers, API reference for Messages, Rooms, Memberships, People, Webhooks and Attachment Actions.
The legacy base address (`https://api.ciscospark.com/v1`) gives the same answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from relay.core.delivery import Failed, Trouble
from relay.ports import Credentials, File
from relay.senders.http import HttpClient
from relay.senders.outcomes import Answer, Operation, classify

T = TypeVar("T")
RoomType = Literal["group", "direct"]
CARD = "application/vnd.microsoft.card.adaptive"
MAX_PAGES = 10_000
"""Pages that are followed, at most: a faulty service might link them in a circle."""


class Person(msgspec.Struct, frozen=True, rename="camel"):
    """A person or a bot."""

    id: str
    emails: tuple[str, ...] = ()
    display_name: str = ""
    type: str = ""


class Room(msgspec.Struct, frozen=True, rename="camel"):
    """A room, which Webex calls a space; times as RFC 3339."""

    id: str
    title: str = ""
    type: str = ""
    is_locked: bool = False
    last_activity: str = ""
    creator_id: str = ""
    created: str = ""


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """A message in a room; `files` are URLs."""

    id: str
    room_id: str = ""
    room_type: str = ""
    text: str = ""
    markdown: str = ""
    html: str = ""
    person_id: str = ""
    person_email: str = ""
    parent_id: str | None = None
    files: tuple[str, ...] = ()
    created: str = ""
    updated: str | None = None


class Membership(msgspec.Struct, frozen=True, rename="camel"):
    """The membership of a person in a room."""

    id: str
    room_id: str = ""
    person_id: str = ""
    person_email: str = ""
    person_display_name: str = ""
    is_moderator: bool = False
    created: str = ""


class Webhook(msgspec.Struct, frozen=True, rename="camel"):
    """An address that Webex posts to."""

    id: str
    name: str = ""
    target_url: str = ""
    resource: str = ""
    event: str = ""
    filter: str | None = None
    status: str = ""


class AttachmentAction(msgspec.Struct, frozen=True, rename="camel"):
    """The data that a person sent with a button of a card."""

    id: str
    message_id: str = ""
    person_id: str = ""
    room_id: str = ""
    type: str = ""
    inputs: dict[str, Any] = {}
    created: str = ""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message to post, to exactly one of `room_id`, `person_id`, `person_email`.

    `link` is the public URL of a file, `file` a local one. `card` is the content of an adaptive card, `parent_id` the
    message to reply to.
    """

    room_id: str | None = None
    person_id: str | None = None
    person_email: str | None = None
    text: str | None = None
    markdown: str | None = None
    parent_id: str | None = None
    link: str | None = None
    file: File | None = None
    card: Mapping[str, Any] | None = None

    def fields(self) -> dict[str, Any]:
        """Return the fields under their names in Webex."""
        fields: dict[str, Any] = {
            "roomId": self.room_id,
            "toPersonId": self.person_id,
            "toPersonEmail": self.person_email,
            "text": self.text or None,
            "markdown": self.markdown or None,
            "parentId": self.parent_id,
            "files": None if self.link is None else [self.link],
            "attachments": None if self.card is None else [{"contentType": CARD, "content": self.card}],
        }
        return {name: value for name, value in fields.items() if value is not None}


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `following` is where the next one starts, empty after the last one."""

    items: list[T]
    following: str = ""


class _Items(msgspec.Struct):
    items: list[msgspec.Raw]


_items = msgspec.json.Decoder(_Items)


class WebexClient:
    """Calls the API with one account's token. `wall` returns Unix seconds."""

    def __init__(self, http: HttpClient, wall: Callable[[], float]) -> None:
        self._http = http
        self._wall = wall

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def renew(self) -> bool:
        """Return whether there is another token than the one that was refused."""
        return await self._http.renew()

    async def tend(self) -> Credentials:
        """Renew the token if it expires soon, and return its state."""
        return await self._http.tend()

    async def me(self) -> Person | Trouble:
        """Return the person that the token belongs to."""
        return await self._one("GET", "/people/me", Person)

    def rooms(
        self, *, kind: RoomType | None = None, sort_by: str | None = None, at_once: int = 1000, start: str = ""
    ) -> AsyncIterator[Page[Room] | Trouble]:
        """Yield this account's rooms page by page, from `start`, the `following` of a page. Trouble ends the list."""
        return self._pages("/rooms", {"type": kind, "sortBy": sort_by, "max": at_once}, Room, start)

    async def room(self, room_id: str) -> Room | Trouble:
        """Return one room."""
        return await self._one("GET", f"/rooms/{_quoted(room_id)}", Room)

    async def create_room(self, title: str) -> Room | Trouble:
        """Create a room."""
        return await self._one("POST", "/rooms", Room, {"title": title}, operation="create")

    async def delete_room(self, room_id: str) -> Trouble | None:
        """Delete a room with all its messages."""
        return await self._none("DELETE", f"/rooms/{_quoted(room_id)}")

    async def post(self, message: Outgoing, operation: Operation = "post") -> Message | Trouble:
        """Post a message; a local file is streamed as a form."""
        return await self._one("POST", "/messages", Message, message.fields(), message.file, operation)

    async def edit(self, message_id: str, room_id: str, *, markdown: str) -> Message | Trouble:
        """Replace the text of a message. Webex allows ten edits, and none if the message has a file or a card."""
        body = {"roomId": room_id, "markdown": markdown}
        return await self._one("PUT", f"/messages/{_quoted(message_id)}", Message, body, operation="edit")

    async def message(self, message_id: str) -> Message | Trouble:
        """Return one message."""
        return await self._one("GET", f"/messages/{_quoted(message_id)}", Message)

    def messages(
        self,
        room_id: str,
        *,
        before: str | None = None,
        before_message: str | None = None,
        mentioning_me: bool = False,
        at_once: int = 1000,
        start: str = "",
    ) -> AsyncIterator[Page[Message] | Trouble]:
        """Yield a room's messages, newest first, page by page. In a group room a bot sees only those that mention it.

        `before` is a time as RFC 3339.
        """
        query = {
            "roomId": room_id,
            "before": before,
            "beforeMessage": before_message,
            "max": at_once,
            "mentionedPeople": "me" if mentioning_me else None,
        }
        return self._pages("/messages", query, Message, start)

    def direct_messages(
        self, *, person_id: str | None = None, person_email: str | None = None, start: str = ""
    ) -> AsyncIterator[Page[Message] | Trouble]:
        """Yield the messages of the direct room with a person, newest first, page by page."""
        return self._pages("/messages/direct", {"personId": person_id, "personEmail": person_email}, Message, start)

    async def delete_message(self, message_id: str) -> Trouble | None:
        """Delete a message."""
        return await self._none("DELETE", f"/messages/{_quoted(message_id)}")

    def memberships(
        self, *, room_id: str | None = None, person_email: str | None = None, at_once: int = 1000, start: str = ""
    ) -> AsyncIterator[Page[Membership] | Trouble]:
        """Yield the memberships of a room, or this account's own if there is no `room_id`, page by page."""
        query = {"roomId": room_id, "personEmail": person_email, "max": at_once}
        return self._pages("/memberships", query, Membership, start)

    async def add_member(self, room_id: str, email: str) -> Membership | Trouble:
        """Add a person to a room; returns `Refused` with 409 if they are in it already."""
        body = {"roomId": room_id, "personEmail": email}
        return await self._one("POST", "/memberships", Membership, body, operation="create")

    async def delete_membership(self, membership_id: str) -> Trouble | None:
        """Remove a person from a room."""
        return await self._none("DELETE", f"/memberships/{_quoted(membership_id)}")

    def webhooks(self, *, at_once: int = 100) -> AsyncIterator[Page[Webhook] | Trouble]:
        """Yield this account's webhooks, page by page."""
        return self._pages("/webhooks", {"max": at_once}, Webhook)

    async def create_webhook(
        self, name: str, target: str, resource: str, event: str, *, only: str | None = None, secret: str | None = None
    ) -> Webhook | Trouble:
        """Make Webex post events of a resource to the URL `target`; `only` filters them, `secret` signs the posts."""
        fields = {"name": name, "targetUrl": target, "resource": resource, "event": event, "filter": only}
        body = {key: value for key, value in {**fields, "secret": secret}.items() if value is not None}
        return await self._one("POST", "/webhooks", Webhook, body, operation="create")

    async def delete_webhook(self, webhook_id: str) -> Trouble | None:
        """Delete a webhook."""
        return await self._none("DELETE", f"/webhooks/{_quoted(webhook_id)}")

    async def attachment_action(self, action_id: str) -> AttachmentAction | Trouble:
        """Return the data that a person sent with a button of a card."""
        return await self._one("GET", f"/attachment/actions/{_quoted(action_id)}", AttachmentAction)

    async def _one(
        self,
        method: str,
        path: str,
        kind: type[T],
        body: Mapping[str, Any] | None = None,
        file: File | None = None,
        operation: Operation = "find",
    ) -> T | Trouble:
        answer = await self._http.call(method, path, body, file)
        if not isinstance(answer, Answer):
            return answer
        if answer.status != 200:
            return classify(operation, answer, self._wall())
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            missing = f"expected a {kind.__name__.lower()} with its id, found 200 without it"
            return Failed("remote", missing, ambiguous=method != "GET")

    async def _none(self, method: str, path: str) -> Trouble | None:
        answer = await self._http.call(method, path)
        if not isinstance(answer, Answer):
            return answer
        return None if answer.status in (200, 204) else classify("find", answer, self._wall())

    async def _pages(
        self, path: str, first: Mapping[str, object], kind: type[T], start: str = ""
    ) -> AsyncIterator[Page[T] | Trouble]:
        """Yield the pages of a list, empty ones too. Only the query of a link is followed, never its host or path."""
        query = start or urlencode({name: value for name, value in first.items() if value is not None})
        for _ in range(MAX_PAGES):
            answer = await self._http.call("GET", f"{path}?{query}")
            if not isinstance(answer, Answer):
                yield answer
                return
            if answer.status != 200:
                yield classify("find", answer, self._wall())
                return
            following = "" if answer.next_page is None else urlsplit(answer.next_page).query
            if following == query:
                following = ""
            try:
                items = [msgspec.json.decode(item, type=kind) for item in _items.decode(answer.body).items]
            except (msgspec.DecodeError, UnicodeDecodeError):
                yield Failed("remote", f"expected a list of {path[1:]}, found 200 without it")
                return
            yield Page(items, following)
            if not following:
                return
            query = following


def _quoted(identifier: str) -> str:
    return quote(identifier, safe="")
