"""The ports of the pipeline, each in the words of its caller, and the errors that cross them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, BinaryIO, Protocol

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
    Summary,
)
from relay.core.event import Event, Severity, Status
from relay.core.suppression import Suppression


class StoreError(Exception):
    """The store can't do what was asked."""


class StoreUnavailableError(StoreError):
    """The store can't be written for now; `full` if that is for lack of room."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class StoreImpossibleError(StoreUnavailableError):
    """No database can be there: another kind of file is in its place, or SQLite is too old."""


class OutOfStepError(StoreError):
    """A plan that is not of all the events that waited before its last one. Nothing of it is written."""


class StoreInUseError(StoreError):
    """Another process holds the store."""


class StoreCorruptError(StoreError):
    """The store is damaged, or belongs to another program."""


class StoreNewerError(StoreError):
    """The store was written by a newer relay."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One request or frame as it enters the inbox. `digest` is the SHA-256 of its payload, set if `dedupe_key` is.

    `state` holds the points by name from which the source's listener resumes, and is committed with the events.
    A value of None deletes that name. `refused` are the items of a batch that could not be read.
    `unknown_severities` counts the events whose severity is an unknown word. A repeated request stores nothing.
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
    """The events are on disk, in order from `first_seq`; if `duplicate`, since an earlier request of the same key."""

    ids: tuple[str, ...]
    first_seq: int = 0
    duplicate: bool = False


class Conflict(msgspec.Struct, frozen=True):
    """Another payload is on record under the same key."""

    key: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Input that could not be read, kept so that someone can look at it. It stands for `count` items."""

    source: str
    received_at: float
    reason: str
    detail: str
    payload: bytes
    count: int = 1


class Diverted(msgspec.Struct, frozen=True, kw_only=True):
    """The result of moving deliveries to a fallback or back.

    `over` are the deliveries that wait no more, `added` the room and rank of those that wait in their place.
    """

    over: Sequence[Over] = ()
    added: Sequence[tuple[str, int]] = ()
    began: bool = False
    ended: bool = False
    moved: int = 0


Over = tuple[str, int, DeliveryState]
"""Room, rank and new state of a delivery that waits no more because another has replaced it."""


class LaneHead(msgspec.Struct, frozen=True):
    """The next delivery of a lane: leased if `lease` is set, else due later. Times in Unix seconds.

    `over` are deliveries that wait no more, because this one covers them.
    """

    lane: str
    due_at: float
    lease: Lease | None
    over: tuple[Over, ...] = ()


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The circumstances in which a configuration comes into force. Times in Unix seconds.

    No delivery may be due after `latest`. `rooms` are those configured. `fresh`: the process has just started, so
    none of its own sends are in flight.
    """

    now: float
    latest: float
    rooms: Sequence[str]
    fresh: bool = True


class Recovered(msgspec.Struct, frozen=True):
    """The findings of a recovery: rooms of deliveries that were in flight, and of those that died with their room."""

    in_flight: list[str]
    homeless: list[str]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long settled and dead deliveries are kept (seconds since their end), and the store's size in bytes.

    `pressing`: the disk is full and pruning would help, so settled deliveries may go before their time.
    """

    done: float = 7 * 86_400.0
    dead: float = 30 * 86_400.0
    size: int = 2 * 2**30
    pressing: bool = False


class Begun(msgspec.Struct, frozen=True):
    """A commit of a submission that has begun: the number of its first event, and its outcome once it is known."""

    first_seq: int
    outcome: asyncio.Future[Accepted | Conflict]

    def __await__(self) -> Generator[Any, None, Accepted | Conflict]:
        """Wait for the outcome."""
        return self.outcome.__await__()


class Inbox(Protocol):
    """The inbox, in which events are committed before they are acknowledged. Raises `StoreError`."""

    def accept(self, submission: Submission) -> Begun:
        """Begin at once to commit a submission's events, or to find that it was committed before."""
        ...

    def refuse(self, refusal: Refusal) -> Awaitable[None]:
        """Begin at once to record input that could not be read."""
        ...

    async def source_state(self, source: str) -> dict[str, bytes]:
        """Return the `state` of a source that was committed last, by name."""
        ...


class Outbox(Protocol):
    """The deliveries that the dispatcher leases and settles. Raises `StoreError`."""

    async def exchange(
        self, settlements: Sequence[Settlement], lanes: Mapping[str, str], works: Mapping[str, bool], now: float
    ) -> Sequence[LaneHead]:
        """Settle deliveries and lease the next of each free lane, in one commit.

        `lanes` gives each room's lane. `works` names rooms that take messages: their failed deliveries are brought
        forward (see `bring_forward`). A value of true means that the room has recovered: earlier failures don't count.
        """
        ...

    async def recover(self, start: Start) -> Recovered:
        """Adapt the deliveries on record to this process, its configuration and its clock."""
        ...

    async def digest_lines(self, message: int, limit: int) -> list[DigestLine]:
        """Return the lines of a digest, the worst first."""
        ...

    async def depths(self) -> dict[str, list[int]]:
        """Return the number of waiting deliveries by room and severity, the worst first."""
        ...


class Retention(Protocol):
    """The janitor's view of the store. Raises `StoreError`."""

    async def prune(self, limits: Limits, now: float) -> bool:
        """Delete one slice of what need not be kept; return whether there is more to look at."""
        ...

    async def make_room(self) -> bool:
        """Return whether events can be committed, also after a full disk."""
        ...

    async def has_plenty(self) -> bool:
        """Return whether there is so much room that it will not soon be full again."""
        ...

    async def note_time(self, now: float, wall: float) -> None:
        """Record the time of the relay's own clock and of the machine's, in Unix seconds."""
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
    """Access to the files that events name."""

    def get(self, address: str) -> AbstractAsyncContextManager[File | str | Missing]:
        """Return a file for as long as the context lasts, an address for the service to fetch, or why there is none."""
        ...


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """One message to send.

    `message` is the service's id of the message that is edited or replied to, `space` that of its room if known.
    `file` goes with a reply, `link` is the address of a file that the service fetches, `card` the content of a card.
    """

    action: Action
    room: str
    markdown: str
    message: str | None = None
    space: str | None = None
    delivery: str
    file: File | None = None
    link: str | None = None
    card: Mapping[str, Any] | None = None


class SendNow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's message, to be posted at once; `link` is a file's address, `parent` the message it answers."""

    room: str
    markdown: str = ""
    parent: str | None = None
    link: str | None = None
    card: dict[str, Any] | None = None


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """The abilities of a service: its longest message and list in bytes, whether it edits and takes files."""

    longest: int
    longest_list: int
    edits: bool
    files: bool


class Credentials(msgspec.Struct, frozen=True):
    """The state of an account's credentials: when its access and refresh tokens end, in Unix seconds, if they do."""

    access_until: float | None = None
    refresh_until: float | None = None
    trouble: str | None = None


class Sender(Protocol):
    """Posts to the rooms of one account."""

    @property
    def service(self) -> Service:
        """The abilities of its service."""
        ...

    async def check(self) -> Failed | Refused | None:
        """Ask the service whether it accepts the account, without posting; return what is wrong, or None."""
        ...

    async def send(self, message: Send) -> Outcome:
        """Try once, and return the outcome. Remote trouble is a value, not an exception."""
        ...

    async def renew(self) -> bool:
        """Return whether the account has other credentials than those that were refused."""
        ...

    async def tend(self) -> Credentials:
        """Renew credentials before they end; return their state."""
        ...


class Renderer(Protocol):
    """Makes the text of a message."""

    def listing(self, lines: Sequence[DigestLine]) -> str:
        """Return the full list of a digest as plain text, one line each."""
        ...

    def render(
        self,
        event: Event,
        template: str | None,
        *,
        room: str,
        summary: Summary | None,
        now: float,
        behind: float = 0.0,
        mention: Sequence[str] = (),
        longest: int,
        brief: bool = False,
        remark: str = "",
    ) -> list[str]:
        """Return the markdown of a message and of the replies that follow it, each within the service's limit.

        `summary` holds the incidents that the message is about, if any. `now` is the time of sending in Unix seconds,
        `behind` the seconds since the message was due. `mention` names the people to notify, `longest` is the limit in
        bytes. `brief` keeps the first two lines only; `remark` is added as the last line. Never fails.
        """
        ...

    def card(
        self, lineage: str, event: Event, *, room: str, summary: Summary | None, now: float, behind: float = 0.0
    ) -> Mapping[str, Any] | None:
        """Return the content of the card that goes with a new message of one alert, or None. Never fails."""
        ...

    def note(self, diversion: Diversion, room: str, now: float) -> str:
        """Return the note that tells a room about a diversion that is over."""
        ...


class Clock(Protocol):
    """Time: `wall` for stamps; `now` for due times, as it never jumps while the process lives."""

    def wall(self) -> float:
        """Return the machine's time in Unix seconds."""
        ...

    def now(self) -> float:
        """Return the Unix seconds at the start plus the monotonic time since."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Wait until the event is set or the time is over."""
        ...


class Log(Protocol):
    """A structured log: one line for each change of state, keys in place of sentences."""

    def debug(self, event: str, **values: object) -> object:
        """Write a line for developers."""
        ...

    def info(self, event: str, **values: object) -> object:
        """Write a line about one request or message; there may be thousands a minute, so they are off by default."""
        ...

    def notice(self, event: str, **values: object) -> object:
        """Write a line about a change of state."""
        ...

    def warning(self, event: str, **values: object) -> object:
        """Write a line about something that someone should look at in time."""
        ...

    def error(self, event: str, **values: object) -> object:
        """Write a line about something that needs someone now."""
        ...


class Telemetry(Protocol):
    """The counters and timings of the pipeline."""

    def received(self, source: str, status: Status, count: int) -> None:
        """Count committed events."""
        ...

    def duplicate(self, source: str, count: int) -> None:
        """Count events of a repeated request."""
        ...

    def refused(self, source: str, reason: str, count: int = 1) -> None:
        """Count requests, frames or items of a batch that were refused."""
        ...

    def unknown_severity(self, source: str, count: int) -> None:
        """Count committed events whose severity is an unknown word."""
        ...

    def dropped(self, source: str, count: int) -> None:
        """Count events that nobody asked for, and that are not stored."""
        ...

    def suppressed(self, why: Suppression) -> None:
        """Count an event that changed no message."""
        ...

    def own(self) -> None:
        """Count a message that one of the relay's own accounts wrote, and which is therefore no event."""
        ...

    def accepted_in(self, seconds: float) -> None:
        """Record how long a commit took, in seconds."""
        ...

    def settled(self, room: str, result: DeliveryState) -> None:
        """Count a delivery's end."""
        ...

    def failure(self, room: str, reason: Reason) -> None:
        """Count a failed attempt."""
        ...

    def posted_after(self, seconds: float) -> None:
        """Record the seconds from an event's arrival to its first message."""
        ...

    def throttled(self, account: str) -> None:
        """Count a throttle: the service asked the account to wait."""
        ...

    def ambiguous(self, account: str) -> None:
        """Count a send that may have arrived although no answer came."""
        ...


Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
"""Starts a task that the lifecycle owns."""
Hears = Callable[[str], None]
"""Records a sign of life of a source. Never blocks, never fails."""
NotifyOperator = Callable[[str, str, Severity, Status, str], None]
"""Notifies the operator: key, title, severity, status, body. Never blocks, never fails."""
Changed = Callable[[], None]
"""Says that the relay's own state has changed, so that its findings are looked at soon. Never blocks, never fails."""
