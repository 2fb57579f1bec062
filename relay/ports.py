"""What the pipeline needs of the world, each port in the words of its caller; and the errors that cross them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, BinaryIO, Protocol

import msgspec

from relay.core.delivery import (
    Action,
    DeliveryState,
    DigestLine,
    Diversion,
    Failed,
    Lease,
    Outcome,
    Reason,
    Refused,
    Settlement,
    Standing,
)
from relay.core.event import Event, Severity, Status
from relay.core.suppression import Suppression


class StoreError(Exception):
    """The store can't do what was asked."""


class StoreUnavailableError(StoreError):
    """The store can't be written for now; `full` where room is what is missing."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class StoreInUseError(StoreError):
    """Another process holds the store."""


class StoreCorruptError(StoreError):
    """The store is damaged, or is none of ours."""


class StoreNewerError(StoreError):
    """The store was written by a newer relay."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One request or frame as it enters the inbox; `digest` is its payload's, and both keys are set or neither.

    `state` is what the source's listener goes on from, by name, None where it is over: committed with the events.
    `refused` are the items of a batch that could not be read. Of a repeated request nothing is kept again.
    `unknown_severities` counts the events whose severity is a word that nobody knows.
    """

    source: str
    received_at: float
    payload: bytes
    events: tuple[Event, ...]
    dedupe_key: str | None = None
    digest: bytes | None = None
    state: tuple[tuple[str, bytes | None], ...] = ()
    refused: tuple[Refusal, ...] = ()
    unknown_severities: int = 0


class Accepted(msgspec.Struct, frozen=True):
    """It is on disk: now, its events in order from place `first_seq`, or since an earlier request of the same key."""

    ids: tuple[str, ...]
    first_seq: int = 0
    duplicate: bool = False


class Conflict(msgspec.Struct, frozen=True):
    """Another payload is on record under the same key."""

    key: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be read, kept so that it can be looked at; `count` items where it stands for several."""

    source: str
    received_at: float
    reason: str
    detail: str
    payload: bytes
    count: int = 1


class Diverted(msgspec.Struct, frozen=True, kw_only=True):
    """What a diversion has moved: what waits no more, and room and rank of what waits in its place."""

    over: Sequence[Over] = ()
    added: Sequence[tuple[str, int]] = ()
    began: bool = False
    ended: bool = False
    moved: int = 0


Over = tuple[str, int, DeliveryState]
"""Room, rank and state of a delivery that waits no more because another has taken over."""


class LaneHead(msgspec.Struct, frozen=True):
    """The next delivery of a lane; leased where `lease` is set, else it is due later. Times in Unix seconds.

    `over` is what waits no more, as this tells it as well.
    """

    lane: str
    due_at: float
    lease: Lease | None
    over: tuple[Over, ...] = ()


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What is true as a configuration comes into force: the time, the latest that anything may be due, the rooms.

    `fresh`: a process has started, and nothing of its own is in flight.
    """

    now: float
    latest: float
    rooms: Sequence[str]
    fresh: bool = True


class Recovered(msgspec.Struct, frozen=True):
    """What a start found: rooms of deliveries that were in flight, and of those that became dead as theirs is gone."""

    in_flight: list[str]
    homeless: list[str]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept: seconds since the end of a delivery, and bytes of the store.

    `pressing`: what is done may go before its time, as the disk is full and that would help.
    """

    done: float = 7 * 86_400.0
    dead: float = 30 * 86_400.0
    size: int = 2 * 2**30
    pressing: bool = False


Limit = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
"""Rows that one answer holds at the most."""


RowId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""The number of a row, as SQLite has them."""


class EventFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events; `after` is a place in the order of arrival (`seq`)."""

    source: str | None = None
    after: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    limit: Limit = 100
    refused: bool = False


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries; `created_before` in Unix seconds."""

    ids: tuple[RowId, ...] | None = None
    event: str | None = None
    state: tuple[DeliveryState, ...] | None = None
    room: str | None = None
    reason: Reason | None = None
    created_before: float | None = None
    limit: Limit = 100


class IncidentFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which incidents: open ones, and where it is asked for those that have `ended`."""

    ended: bool = False
    limit: Limit = 10_000


class Inbox(Protocol):
    """Where events are committed before they are acknowledged. Raises `StoreError`."""

    def accept(self, submission: Submission) -> Awaitable[Accepted | Conflict]:
        """Begin at once to commit a submission's events, or to find that it was committed before."""
        ...

    def refuse(self, refusal: Refusal) -> Awaitable[None]:
        """Begin at once to keep what could not be read."""
        ...

    async def source_state(self, source: str) -> dict[str, bytes]:
        """What was last committed as a source's `state`, by name."""
        ...


class Outbox(Protocol):
    """What the dispatcher reads and writes. Raises `StoreError`."""

    async def exchange(
        self, settlements: Sequence[Settlement], lanes: Mapping[str, str], works: Mapping[str, bool], now: float
    ) -> Sequence[LaneHead]:
        """Settle deliveries and lease the next of each free lane, in one commit.

        `lanes` names each room's lane. `works` names rooms that take messages: their failed deliveries are brought
        forward (see `bring_forward`). Where it is true the room has recovered, and earlier tries in vain do not count.
        """
        ...

    async def recover(self, start: Start) -> Recovered:
        """Put right what an earlier process, another configuration or another clock left."""
        ...

    async def digest_lines(self, message: int, limit: int) -> list[DigestLine]:
        """What a digest tells of, the worst first."""
        ...

    async def depths(self) -> dict[str, list[int]]:
        """Waiting deliveries by room, worst severity first."""
        ...


class Retention(Protocol):
    """What the janitor needs of the store. Raises `StoreError`."""

    async def prune(self, limits: Limits, now: float) -> bool:
        """Delete one slice of what need not be kept; tell whether there is more to look at."""
        ...

    async def make_room(self) -> bool:
        """After a full disk: tell whether there is room again."""
        ...

    async def note_time(self, now: float, wall: float) -> None:
        """Record how far the relay's own clock has come, and the machine's (Unix seconds)."""
        ...


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file that goes with a message; `open` gives its content from the beginning, and may raise OSError."""

    name: str
    content_type: str
    open: Callable[[], BinaryIO]


LARGEST_FILE = 100 * 10**6
"""Bytes of the largest file that Webex takes (Webex for Developers, "Message Attachments")."""


class Missing(msgspec.Struct, frozen=True):
    """A file that can't be had, and why."""

    why: str


class Files(Protocol):
    """Where the files are that events name."""

    def get(self, address: str) -> AbstractAsyncContextManager[File | str | Missing]:
        """A file for as long as the context lasts, its address where the service is to get it, or why there is none."""
        ...


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """One message to send: markdown and its plain text.

    `message` is the service's id of the message that is edited or replied to, `space` that of its room where known;
    `file` goes with a reply, `link` is the address of one that the service gets itself, `card` the content of a card.
    """

    action: Action
    room: str
    markdown: str
    text: str
    message: str | None = None
    space: str | None = None
    delivery: str
    file: File | None = None
    link: str | None = None
    card: Mapping[str, Any] | None = None


class SendNow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person has written, to be posted at once; `link` is a file's address, `parent` the message answered."""

    room: str
    markdown: str = ""
    parent: str | None = None
    link: str | None = None
    card: dict[str, Any] | None = None


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """What a service can do: bytes of its longest message and of a list; whether messages can be edited, and it takes
    files."""

    longest: int
    longest_list: int
    edits: bool
    files: bool


class Credentials(msgspec.Struct, frozen=True):
    """How an account's credentials stand: ends of the access token and of the refresh token, where they have any.

    Times in Unix seconds.
    """

    access_until: float | None = None
    refresh_until: float | None = None
    trouble: str | None = None


class Sender(Protocol):
    """Posts to the rooms of one account."""

    @property
    def service(self) -> Service:
        """What its service can do."""
        ...

    async def check(self) -> Failed | Refused | None:
        """Ask the service whether it takes the account, without posting anything; what is wrong, or None."""
        ...

    async def send(self, message: Send) -> Outcome:
        """Try once. Remote trouble is a value, not an exception."""
        ...

    async def renew(self) -> bool:
        """Tell whether the account has other credentials than those that were refused."""
        ...

    async def tend(self) -> Credentials:
        """Renew credentials ahead of their end; how they stand."""
        ...


class Renderer(Protocol):
    """Makes the text of a message."""

    def listing(self, lines: Sequence[DigestLine]) -> str:
        """The full list of a digest as plain text, a line each."""
        ...

    def render(
        self,
        event: Event,
        template: str | None,
        *,
        room: str,
        told: Standing | None,
        now: float,
        mention: Sequence[str] = (),
        longest: int,
        brief: bool = False,
        remark: str = "",
    ) -> list[str]:
        """The message's markdown and, behind it, its replies' (each of at most the service's limit).

        `told` is what the message tells of, where that is incidents, `now` the time of sending in Unix seconds,
        `mention` whom it rings, `longest` the service's limit in bytes; `brief`: its two first lines; `remark` a
        last line. Never fails.
        """
        ...

    def card(
        self, lineage: str, event: Event, *, room: str, told: Standing | None, now: float
    ) -> Mapping[str, Any] | None:
        """The content of the card that goes with a new message of one alert, where there is one. Never fails."""
        ...

    def note(self, diversion: Diversion, room: str, now: float) -> str:
        """The message by which a room hears that a diversion is over."""
        ...


class Clock(Protocol):
    """Time: `wall` for stamps; `now` is wall time that never jumps while the process lives, for all that is due."""

    def wall(self) -> float:
        """Unix seconds as the machine has them."""
        ...

    def now(self) -> float:
        """Unix seconds at start plus the monotonic time since."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Wait until the event is set or the time is over."""
        ...


class Log(Protocol):
    """A structured log: one line a change of state, keys in place of sentences."""

    def debug(self, event: str, **values: object) -> object:
        """A line for developers."""
        ...

    def info(self, event: str, **values: object) -> object:
        """A line about a change of state."""
        ...

    def warning(self, event: str, **values: object) -> object:
        """A line about something that wants a look."""
        ...

    def error(self, event: str, **values: object) -> object:
        """A line about something that wants someone."""
        ...


class Telemetry(Protocol):
    """What is counted."""

    def received(self, source: str, status: Status, count: int) -> None:
        """Count committed events."""
        ...

    def duplicate(self, source: str, count: int) -> None:
        """Count events of a repeated request."""
        ...

    def refused(self, source: str, reason: str, count: int = 1) -> None:
        """Count requests, frames or items of a batch that were not taken."""
        ...

    def unknown_severity(self, source: str, count: int) -> None:
        """Count committed events whose severity is a word that nobody knows."""
        ...

    def suppressed(self, why: Suppression) -> None:
        """Count an event that changed no message."""
        ...

    def own(self) -> None:
        """Count what one of the relay's own accounts wrote, which is no event."""
        ...

    def accepted_in(self, seconds: float) -> None:
        """Note how long a commit took, in seconds."""
        ...

    def settled(self, room: str, result: DeliveryState) -> None:
        """Count a delivery's end."""
        ...

    def failure(self, room: str, reason: Reason) -> None:
        """Count a failed attempt."""
        ...

    def posted_after(self, seconds: float) -> None:
        """Note how long an event took to its room, in seconds."""
        ...

    def throttled(self, account: str) -> None:
        """Count a request to wait."""
        ...

    def ambiguous(self, account: str) -> None:
        """Count a send that may have arrived unseen."""
        ...


Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
"""Starts a task that the lifecycle owns."""
Hears = Callable[[str], None]
"""Takes note that a source has given a sign of life. Never blocks, never fails."""
Tell = Callable[[str, str, Severity, Status, str], None]
"""Tells the operator: key, title, severity, status, body. Never blocks, never fails."""
