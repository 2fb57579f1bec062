"""What the API's answers look like. Times are RFC 3339 in UTC, ages and rests seconds."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from relay.core.delivery import Action, DeliveryState, Reason
from relay.core.event import Severity, Status
from relay.core.suppression import Suppression


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer, whole: nothing else is in it."""


class ErrorDetail(Shape, frozen=True, kw_only=True):
    """`code` for programs, `message` for people."""

    code: str
    message: str


class Error(Shape, frozen=True, kw_only=True):
    """What an answer of 400 and above says."""

    error: ErrorDetail


class EventLink(Shape, frozen=True, kw_only=True):
    """A link of an event."""

    text: str
    url: str


class Event(Shape, frozen=True, kw_only=True):
    """One normalised event, in the order of `seq`. `suppressed`: why it changed no message."""

    id: str
    seq: int
    source: str
    format: str
    status: Status
    severity: Severity
    title: str
    body: str
    key: str
    labels: dict[str, str]
    links: list[EventLink]
    files: list[str]
    occurred_at: str
    received_at: str
    ends_at: float | None
    acknowledged_by: str | None
    unacknowledged_by: str | None = None
    downtime: bool | None = None
    notes: list[str]
    suppressed: Suppression | None
    state: Literal["waiting", "planned", "set_aside"]


class Refused(Shape, frozen=True, kw_only=True):
    """What could not be read, with the reason."""

    id: int
    source: str
    received_at: str
    reason: str
    detail: str
    payload: str
    state: Literal["refused"]


class Delivery(Shape, frozen=True, kw_only=True):
    """An intent on a message and what became of it; `successor` is the delivery that took over.

    `title` and `severity` are those of its event. `set_aside`: it failed, and its room goes on without it until
    `due_at`, or until the room takes anything.
    """

    id: int
    event_id: str
    room: str
    state: DeliveryState
    reason: Reason | None
    attempts: int
    action: Action
    created_at: str
    due_at: str
    message_id: str | None
    last_error: str | None
    route: str
    successor: int | None
    settled_at: str | None
    part: int
    severity: Severity
    title: str
    set_aside: bool


class Held(Shape, frozen=True, kw_only=True):
    """What holds an incident back: a silence, an alert or a time, by its name."""

    reason: str
    by: str


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """Who has it."""

    by: str
    comment: str = ""


class Concerned(Shape, frozen=True, kw_only=True):
    """An incident that an event concerns; it `waits` while its room is not told of the event yet."""

    id: int
    room: str
    state: Literal["firing", "resolved", "expired"]
    group: str | None
    message_id: str | None
    edits: int | None
    held: Held | None
    ack: Acknowledged | None
    told: bool
    waits: bool
    due_at: str | None


class WholeEvent(Event, frozen=True, kw_only=True):
    """An event with its payload, its incidents and its deliveries; `set_aside`: why no plan could be made of it."""

    set_aside: str | None
    payload: str
    incidents: list[Concerned]
    deliveries: list[Delivery]


class Incident(Shape, frozen=True, kw_only=True):
    """An alert's life in one room; `message_id` is the message that tells of it, None while none does."""

    id: int
    source: str
    key: str
    room: str
    message_id: str | None
    state: Literal["firing", "resolved", "expired"]
    severity: Severity
    title: str
    labels: dict[str, str]
    group: str | None
    started_at: str
    ended_at: str | None
    acknowledged_by: str | None
    comment: str | None
    held: Suppression | None
    flapping: bool


class Silence(Shape, frozen=True, kw_only=True):
    """Matchers that hold alerts back for a time."""

    id: str
    state: Literal["pending", "active", "expired"]
    matchers: list[str]
    starts_at: str
    ends_at: str
    created_by: str
    comment: str
    updated_at: str


class RoomState(Shape, frozen=True, kw_only=True):
    """How a room does: `error` while its service refuses it, `last_error` while it fails, `goes_to` its fallback.

    `set_aside` counts the deliveries that failed and wait while the room goes on: the next is tried at
    `set_aside_until`, or once the room takes anything. `set_aside_severity` is the worst of them.
    """

    room: str
    waiting: int
    oldest_seconds: float
    set_aside: int
    set_aside_until: str | None
    set_aside_severity: Severity | None
    dead: int
    rests_for_seconds: float
    error: str | None
    failing_seconds: float
    last_error: str | None
    goes_to: str | None


class Room(RoomState, frozen=True, kw_only=True):
    """A room: also its account, and its title, person or id."""

    account: str
    address: str


class Feed(Shape, frozen=True, kw_only=True):
    """How a feed does that the relay connects to."""

    source: str
    connected: bool
    last_message_at: str | None
    tries: int
    last_error: str | None


class SourceState(Shape, frozen=True, kw_only=True):
    """How a source does: events that wait to be planned, and what was `refused` since the start."""

    source: str
    waiting: int
    refused: int
    silent: bool
    last_event_at: str | None


class Source(SourceState, frozen=True, kw_only=True):
    """A source: also what it is; `path` where it is posted to, `feed` where the relay connects."""

    type: str
    format: str
    path: str | None
    feed: Feed | None


class AccountState(Shape, frozen=True, kw_only=True):
    """How an account does; `refused` is what its service said, the ends are those of an integration's tokens."""

    account: str
    refused: str | None
    rests_for_seconds: float
    access_token_expires_at: str | None = None
    refresh_token_expires_at: str | None = None
    token_trouble: str | None = None


class EventCounts(Shape, frozen=True, kw_only=True):
    """How many events are on record."""

    total: int
    refused: int
    waiting: int
    suppressed: int
    set_aside: int


class IncidentCounts(Shape, frozen=True, kw_only=True):
    """How many incidents are open, a room each."""

    open: int


class ConfigState(Shape, frozen=True, kw_only=True):
    """Which configuration is in force, and what came of the last attempt to load one."""

    file: str
    loaded_at: str
    hash: int
    last_reload_good: bool
    problems: int
    restart_needed: list[str]


class RelayStatus(Shape, frozen=True, kw_only=True):
    """One screen's worth of state."""

    version: str
    ready: bool
    why_not_ready: str | None
    started_at: str
    uptime_seconds: float
    heartbeat_trouble: str | None
    deliveries: dict[str, int]
    events: EventCounts
    incidents: IncidentCounts
    accounts: list[AccountState]
    rooms: list[RoomState]
    sources: list[SourceState]
    feeds: list[Feed]
    config: ConfigState


class ConfigProblem(Shape, frozen=True, kw_only=True):
    """What is wrong with a configuration, where; lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str
    message: str
    level: Literal["error", "warning"]


class Reloaded(Shape, frozen=True, kw_only=True):
    """How a load went; `restart_needed`: what has changed that only a restart puts in force."""

    at: str
    good: bool
    problems: list[ConfigProblem]
    restart_needed: list[str]


class NotReloaded(Reloaded, frozen=True, kw_only=True):
    """Why the configuration was refused; the one before goes on."""

    error: ErrorDetail


class Config(Shape, frozen=True, kw_only=True):
    """The configuration in force: `yaml` as it was written, without secrets; `timezone` is that of its messages."""

    file: str
    timezone: str
    loaded_at: str
    hash: int
    yaml: str
    last_reload: Reloaded


class RouteNode(Shape, frozen=True, kw_only=True):
    """A node of the routing tree, what is inherited filled in."""

    path: str
    matchers: list[str]
    rooms: list[str]
    continue_: bool = msgspec.field(name="continue")
    template: str | None
    group_by: list[str] | None
    muted_in: list[str]
    active_in: list[str]
    routes: list[RouteNode]


class RouteStep(Shape, frozen=True, kw_only=True):
    """What was tried at one node of the routing tree, and why it did or did not match."""

    path: str
    matched: bool
    why: str


class WouldSend(Shape, frozen=True, kw_only=True):
    """What would be sent to a room; with a `group` after so many seconds."""

    room: str
    action: Action
    route: str
    markdown: str
    replies: list[str]
    group: dict[str, str] | None
    waits_seconds: float


class Explained(Shape, frozen=True, kw_only=True):
    """The trail of one event of a payload."""

    event: dict[str, Any]
    rooms: list[str]
    deliveries: list[WouldSend]
    routes: list[RouteStep]
    suppressed: Suppression | Literal["own"] | None
    held: dict[str, Held]
    template_failures: list[str]


class Changed(Shape, frozen=True, kw_only=True):
    """The ids of the deliveries that were changed."""

    changed: list[int]


class SilenceId(Shape, frozen=True, kw_only=True):
    """The silence's id: another one, where a changed silence could not stay the same."""

    id: str


class Expired(Shape, frozen=True, kw_only=True):
    """`expired` is False where it had ended already."""

    id: str
    expired: bool


class AlertName(Shape, frozen=True, kw_only=True):
    """The alert that was acknowledged, or is not any more."""

    source: str
    key: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a message that was posted at once; the rest goes with the outcome."""

    outcome: Literal["delivered", "throttled", "failed", "refused"]
    remote_id: str | None = None
    detail: str | None = None
    kind: str | None = None
