"""Deliveries: intents on messages, and what became of an attempt."""

from __future__ import annotations

from typing import Literal

import msgspec

from relay.core.event import Event

Action = Literal["post", "edit", "reply"]
DeliveryState = Literal["waiting", "leased", "done", "dead", "superseded", "merged", "moved", "dropped"]
Reason = Literal["network", "timeout", "auth", "refused", "unknown_room", "too_large", "remote", "bug"]
Scope = Literal["delivery", "message", "room", "account"]

RESULTS: tuple[DeliveryState, ...] = ("done", "dead", "superseded", "merged", "moved", "dropped")


class Delivered(msgspec.Struct, frozen=True):
    """The service has it, under this id, in this space (both the service's own)."""

    remote_id: str
    space: str = ""


class Throttled(msgspec.Struct, frozen=True):
    """The service asks to wait this many seconds; never a failure."""

    seconds: float
    detail: str = ""


class Failed(msgspec.Struct, frozen=True):
    """Worth another try; `retry_after` in seconds where the service named a time. `ambiguous`: it may have arrived."""

    kind: Reason
    detail: str
    retry_after: float | None = None
    ambiguous: bool = False


class Refused(msgspec.Struct, frozen=True):
    """Not worth another try as it stands; `scope` says how far the refusal reaches."""

    kind: Reason
    scope: Scope
    detail: str


Outcome = Delivered | Throttled | Failed | Refused


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with a message, rendered when it is leased unless `content` says what to reply.

    `message` is a row's number; negative, the message is new, and the plan's other intents on it say the same;
    0 is new and nobody's. `group`, `route` and `template` go with a new message.
    """

    action: Action
    room: str
    message: int
    event_seq: int
    rank: int
    content: str | None = None
    group: str = ""
    route: str = ""
    template: str | None = None


class Told(msgspec.Struct, frozen=True):
    """The incident that a message tells of, as it stands when a delivery is leased. Times in Unix seconds.

    While it is `quiet` it flaps, and its message tells of that alone: of its last openings and ends, `changes`.
    """

    event: Event
    state: Literal["firing", "resolved", "expired"]
    started_at: float
    changes: tuple[float, ...] = ()
    quiet: bool = False


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is recorded as in flight, with what is needed to render and send it.

    `attempts` counts this one; `spent` is the time in seconds that retryable failures have cost so far, without the
    wait since the last one, at `failed_at`; `content` is the fixed text of a reply, `remote` the service's id of the
    message, `space` that of its room; `told` is the incident that the message tells of, where it tells of one.
    """

    id: int
    room: str
    action: Action
    rank: int
    message: int
    route: str
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
    told: Told | None = None


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded of a leased delivery after its attempt. `due_at` in Unix seconds; `parts` follow as replies.

    `message_is` says what became of the message: an edit that the service did surely not count, one that takes no more
    edits, or one that is no longer there, so that the next try posts it anew.
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
    failed_at: float | None = None
    failing_since: float | None = None
    unset_aside: int | None = None
