"""The shapes of the API's answers. Times are RFC 3339 in UTC; ages and waits are in seconds."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from relay.core.delivery import Action, DeliveryState, Reason
from relay.core.event import Severity, Status
from relay.core.findings import Code, Degree, Health
from relay.core.suppression import Suppression


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer with exactly these fields."""


class ErrorDetail(Shape, frozen=True, kw_only=True):
    """`code` for programs, `message` for people."""

    code: str
    message: str


class Error(Shape, frozen=True, kw_only=True):
    """The answer with any status of 400 and above."""

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
    annotations: dict[str, str] = {}
    links: list[EventLink]
    files: list[str]
    occurred_at: str
    received_at: str
    ends_at: float | None
    acknowledged_by: str | None
    unacknowledged_by: str | None = None
    downtime: bool | None = None
    notes: list[str]
    done: str = ""
    cleared: list[str] = []
    suppressed: Suppression | None
    state: Literal["waiting", "planned", "set_aside"]


class Refused(Shape, frozen=True, kw_only=True):
    """A payload or item that could not be read, with the reason."""

    id: int
    source: str
    received_at: str
    reason: str
    detail: str
    payload: str
    state: Literal["refused"]


class Delivery(Shape, frozen=True, kw_only=True):
    """A delivery, which posts or changes a message, and its state; `successor` is the delivery that superseded it.

    `title` and `severity` are those of its event. `set_aside`: it failed, and its room continues without it until
    `due_at`, or until the room accepts another delivery.
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
    """The cause that suppresses an incident: a silence, an alert or a time, by its name."""

    reason: str
    by: str


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledgement: who works on the alert, and a comment."""

    by: str
    comment: str = ""


class Concerned(Shape, frozen=True, kw_only=True):
    """An incident that an event concerns, in one room.

    `told`: a message in the room has shown the incident; `waits`: none has shown this event yet.
    """

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
    """An event with its payload, its incidents and its deliveries; `set_aside`: why it could not be planned."""

    set_aside: str | None
    payload: str
    incidents: list[Concerned]
    deliveries: list[Delivery]


class Incident(Shape, frozen=True, kw_only=True):
    """An alert's life in one room; `message_id` is the message that shows it, None while there is none.

    `name` is its title and, if another incident has the same title, the labels in which the two differ.
    `held_by` is the silence, alert, interval or source that suppresses it.
    `undelivered` is the reason why its delivery is dead, if the room knows nothing of it for that.
    """

    id: int
    source: str
    key: str
    room: str
    message_id: str | None
    state: Literal["firing", "resolved", "expired"]
    severity: Severity
    title: str
    name: str
    labels: dict[str, str]
    group: str | None
    started_at: str
    ended_at: str | None
    acknowledged_by: str | None
    comment: str | None
    held: Suppression | None
    held_by: str | None
    flapping: bool
    undelivered: str | None


class TrailDelivery(Shape, frozen=True, kw_only=True):
    """A delivery that an event of an incident led to."""

    id: int
    action: Action
    room: str
    state: DeliveryState


class TrailEvent(Shape, frozen=True, kw_only=True):
    """An event of an incident. `suppressed`: why it changed no message; `waits`: its group tells of it later."""

    id: str
    received_at: str
    status: Status
    severity: Severity
    title: str
    suppressed: Suppression | None
    state: Literal["waiting", "planned", "set_aside"]
    waits: bool
    deliveries: list[TrailDelivery]


class WholeIncident(Incident, frozen=True, kw_only=True):
    """An incident with its events, latest first (200 at most), and as `markdown` what its message says now.

    There is no markdown while no message of its own, or of its group, stands in the room, or if it can't be edited.
    """

    events: list[TrailEvent]
    markdown: str | None


class Silence(Shape, frozen=True, kw_only=True):
    """Matchers that suppress alerts for a time."""

    id: str
    state: Literal["pending", "active", "expired"]
    matchers: list[str]
    starts_at: str
    ends_at: str
    created_by: str
    comment: str
    updated_at: str


class RoomState(Shape, frozen=True, kw_only=True):
    """The state of a room.

    `state` says in words whether it gets its messages, `health` how bad the worst finding is from which it suffers.
    `error` is set while its service refuses it, `last_error` while it fails, `goes_to` while its fallback takes over.
    `set_aside` counts the deliveries that failed and wait while the room continues. The next of them is tried at
    `set_aside_until`, or once the room accepts another delivery. `set_aside_severity` is the worst of theirs.
    """

    room: str
    waiting: int
    oldest_seconds: float
    set_aside: int
    set_aside_until: str | None
    set_aside_severity: Severity | None
    dead: int
    health: Health
    state: str
    rests_for_seconds: float
    error: str | None
    failing_seconds: float
    last_error: str | None
    goes_to: str | None


class Room(RoomState, frozen=True, kw_only=True):
    """A room's state, its account, and as its `address` its title, person or id."""

    account: str
    address: str


class Feed(Shape, frozen=True, kw_only=True):
    """The state of a feed that the relay connects to; `tries` counts the attempts since it was last connected."""

    source: str
    connected: bool
    last_message_at: str | None
    tries: int
    last_error: str | None


class SourceState(Shape, frozen=True, kw_only=True):
    """The state of a source: `waiting` events to be planned, and what was `refused` and `dropped` since the start."""

    source: str
    waiting: int
    refused: int
    dropped: int
    silent: bool
    last_event_at: str | None


class Source(SourceState, frozen=True, kw_only=True):
    """A source's state, type and format; `path` if producers send to it, `feed` if the relay connects to it."""

    type: str
    format: str
    path: str | None
    feed: Feed | None


class AccountState(Shape, frozen=True, kw_only=True):
    """The state of an account; `refused` is its service's reason. Tokens that expire are those of an integration."""

    account: str
    refused: str | None
    rests_for_seconds: float
    access_token_expires_at: str | None = None
    refresh_token_expires_at: str | None = None
    token_trouble: str | None = None


class EventCounts(Shape, frozen=True, kw_only=True):
    """The numbers of stored events."""

    total: int
    refused: int
    waiting: int
    suppressed: int
    set_aside: int


class AlertCounts(Shape, frozen=True, kw_only=True):
    """The number of alerts with an open incident; an alert in two rooms counts once."""

    open: int


class ConfigState(Shape, frozen=True, kw_only=True):
    """The configuration in force, and the result of the last attempt to load one."""

    file: str
    loaded_at: str
    hash: int
    last_reload_good: bool
    problems: int
    restart_needed: list[str]


class Finding(Shape, frozen=True, kw_only=True):
    """One thing that is wrong, and what to do about it.

    `about` names the account, room or source; it is empty if it is the relay itself. `rooms` are those that suffer.
    The sentence stays the same while the trouble lasts; `detail` may change.
    """

    code: Code
    severity: Degree
    about: str
    rooms: list[str]
    sentence: str
    remedy: str
    detail: str


class RelayStatus(Shape, frozen=True, kw_only=True):
    """One screen's worth of state. `findings` are all that is wrong, worst first; `summary` is the first in a line."""

    version: str
    ready: bool
    why_not_ready: str | None
    health: Health
    summary: str
    findings: list[Finding]
    started_at: str
    uptime_seconds: float
    heartbeat_trouble: str | None
    deliveries: dict[str, int]
    events: EventCounts
    alerts: AlertCounts
    accounts: list[AccountState]
    rooms: list[RoomState]
    sources: list[SourceState]
    feeds: list[Feed]
    config: ConfigState


class ConfigProblem(Shape, frozen=True, kw_only=True):
    """A problem of a configuration and its place; lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str
    message: str
    level: Literal["error", "warning"]


class Reloaded(Shape, frozen=True, kw_only=True):
    """The result of a load; `restart_needed` lists changes that need a restart."""

    at: str
    good: bool
    problems: list[ConfigProblem]
    restart_needed: list[str]


class NotReloaded(Reloaded, frozen=True, kw_only=True):
    """The reasons why a configuration was refused; the previous one stays in force."""

    error: ErrorDetail


class Config(Shape, frozen=True, kw_only=True):
    """The configuration in force: `yaml` as it was written, without secrets; messages use its `timezone`."""

    file: str
    timezone: str
    loaded_at: str
    hash: int
    yaml: str
    last_reload: Reloaded


class RouteNode(Shape, frozen=True, kw_only=True):
    """A node of the routing tree, with inherited values filled in."""

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
    """One node of the routing tree that was tried, and why it did or did not match."""

    path: str
    matched: bool
    why: str


class WouldSend(Shape, frozen=True, kw_only=True):
    """A message that would be sent to a room; that of a `group` after `waits_seconds`."""

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
    suppressed: Suppression | Literal["own", "dropped"] | None
    held: dict[str, Held]
    template_failures: list[str]
    dropped: str | None


class Changed(Shape, frozen=True, kw_only=True):
    """The ids of the deliveries that were changed."""

    changed: list[int]


class SilenceId(Shape, frozen=True, kw_only=True):
    """The silence's id. It is a new one if a change had to end the old silence."""

    id: str


class Expired(Shape, frozen=True, kw_only=True):
    """A silence that was ended; `expired` is False if it had ended already."""

    id: str
    expired: bool


class AlertName(Shape, frozen=True, kw_only=True):
    """The alert that was acknowledged, or whose acknowledgement was withdrawn."""

    source: str
    key: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a message that was posted at once; the other fields depend on it."""

    outcome: Literal["delivered", "throttled", "failed", "refused"]
    remote_id: str | None = None
    detail: str | None = None
    kind: str | None = None
