"""The state of the sandbox's Webex: people, rooms, messages, and the faults in force."""

from __future__ import annotations

import asyncio
import base64
import re
import uuid
from collections.abc import Callable, Mapping
from html import escape
from typing import Any, Literal

import msgspec
from markdown_it import MarkdownIt

from relay.core.rate import TokenBucket
from relay.core.words import iso

MARKDOWN = MarkdownIt("commonmark", {"html": False})
CARD = "application/vnd.microsoft.card.adaptive"
MOST_MESSAGES = 20_000
"""Most messages that one room keeps."""
MAX_EDITS = 10
_MENTION = re.compile(
    r"<@(?P<kind>personEmail|personId|all|here)(?::(?P<value>[^|>\n]{1,500})(?:\|(?P<name>[^>\n]{0,500}))?)?>",
    re.IGNORECASE,
)
_MENTIONED = re.compile(r'data-object-id="([^"]+)"')
_PLACE = re.compile("\ue000(\\d{1,6})\ue001")


def make_id(kind: str) -> str:
    """Return a new id in Webex's form: base64 of `ciscospark://us/KIND/UUID`."""
    return base64.urlsafe_b64encode(f"ciscospark://us/{kind}/{uuid.uuid4()}".encode()).decode().rstrip("=")


class Person(msgspec.Struct, frozen=True):
    """A person or bot, to whom tokens belong."""

    id: str
    email: str
    name: str
    kind: str = "bot"


class File(msgspec.Struct, frozen=True):
    """A file that came with a message."""

    name: str
    content: bytes


class Message(msgspec.Struct):
    """A message in its present state. `edits` counts its changes."""

    id: str
    room: str
    person: Person
    text: str
    markdown: str | None
    parent: str | None
    created: float
    updated: float | None = None
    edits: int = 0
    file: File | None = None
    link: str | None = None
    card: dict[str, Any] | None = None


class Webhook(msgspec.Struct, frozen=True):
    """An address to which the sandbox posts events: of one `room` or of all, signed with `secret` if it is set."""

    id: str
    name: str
    target: str
    resource: str
    event: str
    created: float
    room: str | None = None
    secret: str | None = None


class Room(msgspec.Struct):
    """A space with its messages, oldest first."""

    id: str
    title: str
    kind: str
    created: float
    members: dict[str, str]
    messages: dict[str, Message]


class Fault(msgspec.Struct, kw_only=True):
    """A fault for `count` requests, or until it is replaced if that is 0.

    It affects the room of a title or all rooms, and one service or both. `latency` is in seconds.
    """

    status: int = 0
    retry_after: str | None = None
    latency: float = 0.0
    drop: bool = False
    count: int = 0
    room: str | None = None
    method: str = "POST"
    service: Literal["webex", "spika"] | None = None


class WebexState:
    """One Webex organisation in memory."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self.wall = wall
        self.tokens: dict[str, Person] = {}
        self.ends: dict[str, float] = {}
        """The time at which a token expires, in Unix seconds, for tokens that do."""
        self.actions: dict[str, dict[str, Any]] = {}
        self.scanning = 1.0
        """Seconds for which a new file can't be downloaded, since Webex scans it for malware."""
        self.people: dict[str, Person] = {}
        self.webhooks: dict[str, Webhook] = {}
        self.on_message: Callable[[Message, Room], None] = lambda *_: None
        """A function that is called with each new message."""
        self.rooms: dict[str, Room] = {}
        self.where: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.bucket: TokenBucket | None = None
        self.version = 0
        self.requests = 0
        self.throttled = 0
        self.changed = asyncio.Event()

    def touch(self) -> None:
        """Count a change, and wake all that wait for one."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()  # a new one, so that later waiters wait for the next change

    def limit(self, rate: float) -> None:
        """Allow so many new or edited messages a second, and answer 429 to more."""
        self.bucket = TokenBucket(rate, self.wall())

    def add_token(self, token: str, email: str, name: str, kind: str = "bot") -> Person:
        """Add a token, and the person to whom it belongs."""
        person = self.tokens[token] = self.people[email] = Person(make_id("PEOPLE"), email, name, kind)
        return person

    def whose(self, token: str) -> Person | None:
        """Return the person to whom a token belongs, or None if it is unknown or expired."""
        ends = self.ends.get(token)
        return self.tokens.get(token) if ends is None or self.wall() < ends else None

    def person_of(self, person_id: str) -> Person | None:
        """Return a person by id, or None."""
        return next((one for one in self.people.values() if one.id == person_id), None)

    def person(self, email: str) -> Person:
        """Return the person with an address, made if there is none."""
        known = self.people.get(email)
        if known is None:
            known = self.people[email] = Person(make_id("PEOPLE"), email, email.partition("@")[0], "person")
        return known

    def add_room(
        self, title: str, kind: str = "group", owner: Person | None = None, room_id: str | None = None
    ) -> Room:
        """Make a room with its owner as a member."""
        members = {owner.email: owner.name} if owner is not None else {}
        room = Room(room_id or make_id("ROOM"), title, kind, self.wall(), members, {})
        self.rooms[room.id] = room
        self.touch()
        return room

    def direct_room(self, email: str, sender: Person) -> Room:
        """Return the direct room with a person, made if there is none."""
        found = next((room for room in self.rooms.values() if room.kind == "direct" and email in room.members), None)
        if found is None:
            found = self.add_room(email, "direct", sender)
            found.members[email] = self.person(email).name
        return found

    def add_message(
        self,
        room: Room,
        person: Person,
        text: str,
        markdown: str | None,
        parent: str | None,
        file: File | None = None,
        message_id: str | None = None,
        link: str | None = None,
        card: dict[str, Any] | None = None,
    ) -> Message:
        """Post a message, which may have a file, the address of a file, or a card."""
        made = message_id or make_id("MESSAGE")
        message = Message(made, room.id, person, text, markdown, parent, self.wall(), file=file, link=link, card=card)
        room.messages[message.id] = message
        self.where[message.id] = room.id
        if len(room.messages) > MOST_MESSAGES:
            oldest = next(iter(room.messages))
            del room.messages[oldest], self.where[oldest]
        self.touch()
        self.on_message(message, room)
        return message

    def find_message(self, message_id: str) -> Message | None:
        """Return a message by its id, or None."""
        room = self.rooms.get(self.where.get(message_id, ""))
        return None if room is None else room.messages.get(message_id)

    def fault_for(self, method: str, room: str | None, service: str) -> Fault | None:
        """Return the first fault that matches a request, and count the request. Return None if no fault matches."""
        for fault in self.faults:
            if fault.method not in (method, "*") or (fault.room is not None and fault.room != room):
                continue
            if fault.service not in (None, service):
                continue
            if fault.count > 0:
                fault.count -= 1
                if fault.count == 0:
                    self.faults.remove(fault)
            return fault
        return None


def html_of(markdown: str, people: Mapping[str, Person]) -> str:
    """Return Webex's HTML of markdown, in which mentions are elements of their own.

    Mentions are replaced by signs from Unicode's private area while the markdown is rendered, so that it leaves them
    as they are.
    """
    mentions: list[str] = []

    def note(found: re.Match[str]) -> str:
        mentions.append(_mention(found, people))
        return f"\ue000{len(mentions) - 1}\ue001"

    shown = MARKDOWN.render(_MENTION.sub(note, markdown)).strip()
    return _PLACE.sub(lambda found: mentions[int(found[1])] if int(found[1]) < len(mentions) else "", shown)


def _mention(found: re.Match[str], people: Mapping[str, Person]) -> str:
    kind, value = found["kind"].lower(), found["value"] or ""
    if kind in ("all", "here"):
        return f'<spark-mention data-object-type="groupMention" data-group-type="{kind}">{kind.title()}</spark-mention>'
    wanted = people.get(value) if kind == "personemail" else next((p for p in people.values() if p.id == value), None)
    name = escape(found["name"] or (wanted.name if wanted is not None else value))
    given = f' data-object-id="{wanted.id}"' if wanted is not None else ""
    return f'<spark-mention data-object-type="person"{given}>{name}</spark-mention>'


def message_json(message: Message, room: Room, base: str, people: Mapping[str, Person]) -> dict[str, Any]:
    """Return a message in Webex's JSON. `base` is the API's address, from which its file's address is made."""
    answer: dict[str, Any] = {
        "id": message.id,
        "roomId": room.id,
        "roomType": room.kind,
        "text": message.text,
        "personId": message.person.id,
        "personEmail": message.person.email,
        "created": iso(message.created),
    }
    if message.markdown is not None:
        answer["markdown"] = message.markdown
        answer["html"] = html_of(message.markdown, people)
        mentioned = _MENTIONED.findall(answer["html"])
        if mentioned:
            answer["mentionedPeople"] = mentioned
    if message.file is not None or message.link is not None:
        answer["files"] = [message.link or f"{base}/contents/{message.id}"]
    if message.card is not None:
        answer["attachments"] = [{"contentType": CARD, "content": message.card}]
    if message.parent is not None:
        answer["parentId"] = message.parent
    if message.updated is not None:
        answer["updated"] = iso(message.updated)
    return answer


def last_activity(room: Room) -> float:
    """Return the time of the last message in a room, or of its creation, in Unix seconds."""
    return next((message.created for message in reversed(room.messages.values())), room.created)


def room_json(room: Room) -> dict[str, Any]:
    """Return a room in Webex's JSON."""
    return {
        "id": room.id,
        "title": room.title,
        "type": room.kind,
        "isLocked": False,
        "lastActivity": iso(last_activity(room)),
        "created": iso(room.created),
    }
