"""Deliveries: intents on messages, and the outcomes of attempts to send them."""

from __future__ import annotations

from typing import Literal

import msgspec

from relay.core.event import Event, Severity
from relay.core.suppression import Held

Action = Literal["post", "digest", "edit", "reply", "file"]
Haste = Literal["first", "in turn", "in digest"]
POSTS: tuple[Action, ...] = ("post", "digest")
"""Actions that make a new message. A digest also takes up the other posts that wait for its room."""
MessageKind = Literal["living", "notice", "digest", "note"]
"""A living message shows one alert or a route's group, a digest shows a storm. Both are edited as these change.

A notice shows one event; a note says that a fallback is no longer needed. Neither is ever edited.
"""
MOST_EDITS = 10
"""Edits that Webex allows of one message (Webex for Developers, "Edit a Message")."""
EDITS_OF_CHANGES = MOST_EDITS - 1
"""Edits that may show changes. The last one is kept for the end."""
DeliveryState = Literal["waiting", "leased", "done", "dead", "superseded", "merged", "moved", "dropped"]
Reason = Literal["network", "timeout", "auth", "refused", "unknown_room", "too_large", "remote", "bug"]
Scope = Literal["delivery", "message", "room", "account"]

RESULTS: tuple[DeliveryState, ...] = ("done", "dead", "superseded", "merged", "moved", "dropped")


_AHEAD = 2**40
"""The distance by which a delivery in haste stands before all others in its lane."""
LONGEST_FOR_DIGEST = 3_600.0
"""Seconds after which a post that waits for a digest goes out by itself."""


def position_of(delivery: int, haste: Haste) -> int:
    """Return a delivery's place in its lane: by its number, but before all others if it is in haste."""
    return delivery - _AHEAD if haste == "first" else delivery


def position_in_front(delivery: int) -> int:
    """Return the place of a delivery that goes before all others in its lane, even those in haste."""
    return delivery - 2 * _AHEAD


class Delivered(msgspec.Struct, frozen=True):
    """The service has the message, under this id and in this space (both are the service's own)."""

    remote_id: str
    space: str = ""


class Throttled(msgspec.Struct, frozen=True):
    """The service asks to wait this many seconds. A throttle is never a failure."""

    seconds: float
    detail: str = ""


class Failed(msgspec.Struct, frozen=True):
    """A failure worth a retry, after `retry_after` seconds if the service named a time.

    `ambiguous` means that the message may have arrived.
    """

    kind: Reason
    detail: str
    retry_after: float | None = None
    ambiguous: bool = False


class Refused(msgspec.Struct, frozen=True):
    """A failure not worth a retry as it stands. `scope` says how far the refusal reaches."""

    kind: Reason
    scope: Scope
    detail: str


Trouble = Throttled | Failed | Refused
Outcome = Delivered | Trouble


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The subject of a message: its kind, its route and its group.

    `lineage` is the identity of the route whose policy applies, `route` that route's place in the configuration.
    `group` names the route's group or the storm that it shows, and `labels` those that the group's alerts share. Both
    are None for a single alert and for a notice.
    """

    kind: MessageKind
    lineage: str = ""
    route: str = ""
    group: str | None = None
    labels: dict[str, str] | None = None


ReplyKind = Literal[
    "ended",
    "all ended",
    "flapping",
    "flaps no more",
    "again",
    "silence over",
    "held back",
    "worsened",
    "alarm",
    "reminder",
    "in short",
    "storm ended",
]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply by its meaning, so that it can be said anew when it is sent (`core/replies.py`).

    `alerts` are the sources and keys of the incidents that it is about, none if it is about all of its message.
    `seconds` is how long something lasted, `before` the severity before it worsened. `titled`: it stands alone, in no
    thread, and names its alert.
    """

    kind: ReplyKind
    alerts: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    before: Severity = "info"
    expired: bool = False
    titled: bool = False


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """An action on a message, rendered when it is leased unless `content` is its text.

    `message` is a row's number. A negative one stands for a new message, and the plan's other intents on it have the
    same. 0 is a new message that no other intent refers to. `also` are the seqs of further events that it shows. A post
    `in digest` waits for a digest. A digest takes up the posts that wait for the room `absorbs`. An edit with
    `moved_to` is the last of its message: a new one of the same plan, whose post `replaces` it, goes on in its place.
    `template` and `mention` (e-mail addresses) go with a new message.
    """

    action: Action
    room: str
    message: int
    event_seq: int
    rank: int
    subject: Subject
    content: str | None = None
    says: Reply | None = None
    also: tuple[int, ...] = ()
    haste: Haste = "in turn"
    absorbs: str | None = None
    moved_to: int = 0
    replaces: int = 0
    template: str | None = None
    mention: tuple[str, ...] = ()


class Ack(msgspec.Struct, frozen=True):
    """An acknowledgement of an incident: by whom, when (Unix seconds), their comment, and the incident's rank then."""

    by: str
    at: float
    comment: str = ""
    rank: int = 0


class IncidentView(msgspec.Struct, frozen=True):
    """An incident as its message shows it. Times are Unix seconds.

    While it is `quiet` it flaps, and its message shows that alone: `changes`, its last openings and ends.
    """

    event: Event
    state: Literal["firing", "resolved", "expired"]
    started_at: float
    changes: tuple[float, ...] = ()
    quiet: bool = False
    held: Held | None = None
    ack: Ack | None = None

    @property
    def over(self) -> bool:
        """Return whether it has ended and flaps no more."""
        return self.state != "firing" and not self.quiet

    @property
    def silenced(self) -> bool:
        """Return whether it fires and a silence holds it back."""
        return self.state == "firing" and self.held is not None and self.held.reason == "silenced"


class Summary(msgspec.Struct, frozen=True):
    """The incidents of a message, as they are when a delivery is leased.

    `incidents` are the worst first and those that are over last, `MOST_LINES` at the most. `unnamed` are further ones,
    which are looked at for what all have in common. `firing` and `ended` count all of them: those that flap count as
    firing. The first of them `started_at`, the last that is over `ended_at`. `labels` are those of its group.
    """

    incidents: tuple[IncidentView, ...]
    firing: int
    ended: int
    started_at: float
    labels: dict[str, str] = {}
    digest: Digest | None = None
    unnamed: tuple[IncidentView, ...] = ()
    ended_at: float | None = None

    @property
    def count(self) -> int:
        """Return how many incidents it has, named or not."""
        return self.firing + self.ended

    @property
    def single(self) -> IncidentView | None:
        """Return its incident if it has just one, else None; None for a digest."""
        return self.incidents[0] if self.count == 1 and self.digest is None else None


class Diversion(msgspec.Struct, frozen=True):
    """A diversion: `moved` messages for a room went `to` its fallback, from `began_at` on (Unix seconds)."""

    room: str
    to: str
    began_at: float
    moved: int


class DigestLine(msgspec.Struct, frozen=True, array_like=True):
    """One line of a digest: the rank and state of an incident or a notice, and since when (Unix seconds)."""

    rank: int
    state: Literal["firing", "resolved", "expired", "notice"]
    event: Event
    started_at: float


class Digest(msgspec.Struct, frozen=True):
    """The contents of a storm's digest. Times are Unix seconds.

    `counts` are (rank, source, count); `lines` name the worst. The storm began at `began_at` and its last post came at
    `seen_at`. `over` is true once the storm is over.
    """

    counts: tuple[tuple[int, str, int], ...]
    lines: tuple[DigestLine, ...]
    began_at: float
    seen_at: float
    over: bool


MOST_LINES = 10
"""Incidents that a group's message names."""
MOST_COMPARED = 1_000
"""Incidents of a group that are looked at for what all have in common. In a larger group nothing is called common."""
MOST_DIGEST_LINES = 120
"""Incidents that a digest names at most, as far as there is room."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is recorded as in flight, with the values to render and send it. Times are Unix seconds.

    `attempts` includes this one. `spent` are the seconds that retryable failures have cost so far, without the wait
    since the last one at `failed_at`. `content` is its text if that is fixed. `remote` is the service's id of the
    message, `space` that of its room. `summary` holds the incidents that it shows, if any. `mention` are the people
    whom a new message rings. `file` is the address of a file that an event names; `attached` are the files in its
    thread or on their way there. `origin` is the room that the message was meant for, if it stands in a fallback.
    `elsewhere` is the room of a newer message that goes on in its place. `note` is set if it reports a diversion.
    `lineage` is the identity of the route whose policy applies.
    """

    id: int
    room: str
    action: Action
    rank: int
    message: int
    kind: MessageKind
    lineage: str
    template: str | None
    attempts: int
    spent: float
    created_at: float
    content: str | None
    remote: str | None
    event: Event
    due_at: float = 0.0
    failed_at: float | None = None
    space: str | None = None
    failing_since: float | None = None
    summary: Summary | None = None
    mention: tuple[str, ...] = ()
    file: str | None = None
    attached: tuple[str, ...] = ()
    origin: str | None = None
    elsewhere: str | None = None
    note: Diversion | None = None
    says: Reply | None = None


def files_of(lease: Lease) -> tuple[str, ...]:
    """Return the addresses of files that a message's thread lacks: those of its event, or of its incidents."""
    if lease.content is not None or lease.action in ("file", "digest") or lease.note or lease.elsewhere:
        return ()
    if lease.summary is None:
        return lease.event.files
    if lease.summary.digest is not None:
        return ()
    wanted = dict.fromkeys(file for one in lease.summary.incidents for file in one.event.files)
    return tuple(file for file in wanted if file not in lease.attached)


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a leased delivery after its attempt. `due_at` is in Unix seconds.

    `parts` follow as replies. `files` (their addresses) follow in the thread, unless they are there already.

    `message_is` records a change of the message. `uncounted`: the service surely did not count this edit. `sealed`: it
    takes no more edits. `gone`: it is no longer there, and the next try posts it anew.
    """

    id: int
    message: int
    state: Literal["done", "waiting", "dead"]
    attempts: int
    spent: float
    due_at: float
    aside: bool = False
    reason: Reason | None = None
    detail: str | None = None
    remote_id: str | None = None
    space: str | None = None
    message_is: Literal["uncounted", "sealed", "gone"] | None = None
    parts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    failed_at: float | None = None
    failing_since: float | None = None
    unset_aside: int | None = None
