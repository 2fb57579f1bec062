"""A client of the Webex messaging API: each call gives a value, or what went wrong as one.

Source: Webex for Developers, API reference for Messages, Rooms, Memberships, People, Webhooks and Attachment Actions.
The legacy base address (`https://api.ciscospark.com/v1`) answers likewise.
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
"""Pages that are followed at the most: a list that never ends is none."""


class Person(msgspec.Struct, frozen=True, rename="camel"):
    """Who somebody is."""

    id: str
    emails: tuple[str, ...] = ()
    display_name: str = ""
    type: str = ""


class Room(msgspec.Struct, frozen=True, rename="camel"):
    """A space; times as RFC 3339."""

    id: str
    title: str = ""
    type: str = ""
    is_locked: bool = False
    last_activity: str = ""
    creator_id: str = ""
    created: str = ""


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """A message as it stands in a room; `files` are addresses."""

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
    """That a person is in a room."""

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
    """What a person has sent by a card's button."""

    id: str
    message_id: str = ""
    person_id: str = ""
    room_id: str = ""
    type: str = ""
    inputs: dict[str, Any] = {}
    created: str = ""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message to post: to exactly one of `room_id`, `person_id`, `person_email`.

    `link` is a file's public address, `file` a local one; `card` the content of an adaptive card; `parent_id` the
    message that it answers.
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
        """The fields as Webex names them."""
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
    """Some of a list's items, and where the next ones begin; empty behind the last page."""

    items: list[T]
    following: str = ""


class _Items(msgspec.Struct):
    items: list[msgspec.Raw]


_items = msgspec.json.Decoder(_Items)


class WebexClient:
    """Calls the API with one account's token. `wall` gives Unix seconds."""

    def __init__(self, http: HttpClient, wall: Callable[[], float]) -> None:
        self._http = http
        self._wall = wall

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def renew(self) -> bool:
        """Tell whether there is another token than the one that was refused."""
        return await self._http.renew()

    async def tend(self) -> Credentials:
        """Renew the token ahead of its end; how it stands."""
        return await self._http.tend()

    async def me(self) -> Person | Trouble:
        """Who the token belongs to."""
        return await self._one("GET", "/people/me", Person)

    def rooms(
        self, *, kind: RoomType | None = None, sort_by: str | None = None, at_once: int = 1000, start: str = ""
    ) -> AsyncIterator[Page[Room] | Trouble]:
        """Rooms of this account, page by page from `start`, a page's `following`; what comes last may be trouble."""
        return self._pages("/rooms", {"type": kind, "sortBy": sort_by, "max": at_once}, Room, start)

    async def room(self, room_id: str) -> Room | Trouble:
        """One room."""
        return await self._one("GET", f"/rooms/{_quoted(room_id)}", Room)

    async def create_room(self, title: str) -> Room | Trouble:
        """Make a room."""
        return await self._one("POST", "/rooms", Room, {"title": title}, operation="create")

    async def delete_room(self, room_id: str) -> Trouble | None:
        """Delete a room with all that is in it."""
        return await self._none("DELETE", f"/rooms/{_quoted(room_id)}")

    async def post(self, message: Outgoing, operation: Operation = "post") -> Message | Trouble:
        """Post a message; with a local file as a form, streamed."""
        return await self._one("POST", "/messages", Message, message.fields(), message.file, operation)

    async def edit(self, message_id: str, room_id: str, *, markdown: str, text: str) -> Message | Trouble:
        """Put another text in a message's place: ten times at the most, and not where it has a file or a card."""
        body = {"roomId": room_id, "markdown": markdown, "text": text}
        return await self._one("PUT", f"/messages/{_quoted(message_id)}", Message, body, operation="edit")

    async def message(self, message_id: str) -> Message | Trouble:
        """One message."""
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
        """A room's messages, newest first, page by page; a bot sees those alone that mention it in a group room.

        `before` is a time as RFC 3339.
        """
        wanted = {
            "roomId": room_id, "before": before, "beforeMessage": before_message, "max": at_once,
            "mentionedPeople": "me" if mentioning_me else None,
        }  # fmt: skip
        return self._pages("/messages", wanted, Message, start)

    def direct_messages(
        self, *, person_id: str | None = None, person_email: str | None = None, start: str = ""
    ) -> AsyncIterator[Page[Message] | Trouble]:
        """The messages of the direct room with a person, newest first, page by page."""
        return self._pages("/messages/direct", {"personId": person_id, "personEmail": person_email}, Message, start)

    async def delete_message(self, message_id: str) -> Trouble | None:
        """Delete a message."""
        return await self._none("DELETE", f"/messages/{_quoted(message_id)}")

    def memberships(
        self, *, room_id: str | None = None, person_email: str | None = None, at_once: int = 1000, start: str = ""
    ) -> AsyncIterator[Page[Membership] | Trouble]:
        """Members of a room (or this account's own memberships), page by page."""
        wanted = {"roomId": room_id, "personEmail": person_email, "max": at_once}
        return self._pages("/memberships", wanted, Membership, start)

    async def add_member(self, room_id: str, email: str) -> Membership | Trouble:
        """Add a person to a room; `Refused` with 409 where they are in it."""
        body = {"roomId": room_id, "personEmail": email}
        return await self._one("POST", "/memberships", Membership, body, operation="create")

    async def delete_membership(self, membership_id: str) -> Trouble | None:
        """Take a person out of a room."""
        return await self._none("DELETE", f"/memberships/{_quoted(membership_id)}")

    def webhooks(self, *, at_once: int = 100) -> AsyncIterator[Page[Webhook] | Trouble]:
        """This account's webhooks, page by page."""
        return self._pages("/webhooks", {"max": at_once}, Webhook)

    async def create_webhook(
        self, name: str, target: str, resource: str, event: str, *, only: str | None = None, secret: str | None = None
    ) -> Webhook | Trouble:
        """Have what happens posted to an address; `only` filters, `secret` signs what is posted."""
        fields = {"name": name, "targetUrl": target, "resource": resource, "event": event, "filter": only}
        body = {key: value for key, value in {**fields, "secret": secret}.items() if value is not None}
        return await self._one("POST", "/webhooks", Webhook, body, operation="create")

    async def delete_webhook(self, webhook_id: str) -> Trouble | None:
        """Post there no more."""
        return await self._none("DELETE", f"/webhooks/{_quoted(webhook_id)}")

    async def attachment_action(self, action_id: str) -> AttachmentAction | Trouble:
        """What a person has sent by a card's button."""
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
            return Failed("remote", f"200 without a {kind.__name__.lower()}'s id", ambiguous=method != "GET")

    async def _none(self, method: str, path: str) -> Trouble | None:
        answer = await self._http.call(method, path)
        if not isinstance(answer, Answer):
            return answer
        return None if answer.status in (200, 204) else classify("find", answer, self._wall())

    async def _pages(
        self, path: str, wanted: Mapping[str, object], kind: type[T], start: str = ""
    ) -> AsyncIterator[Page[T] | Trouble]:
        """Follow the links from page to page, empty pages too; path and host are ours, whatever a link says."""
        query = start or urlencode({name: value for name, value in wanted.items() if value is not None})
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
                yield Failed("remote", f"200 without a list of {path[1:]}")
                return
            yield Page(items, following)
            if not following:
                return
            query = following


def _quoted(identifier: str) -> str:
    return quote(identifier, safe="")
