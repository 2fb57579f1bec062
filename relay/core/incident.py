"""Incidents: an alert's life in one room's group, from firing to its end.

Pure. What happens to an incident and what its message says of it are two things: an event changes the first at once,
and what the message is to say follows from the difference, when its group is due.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from relay.core.delivery import Ack, IncidentView
from relay.core.event import Event, Severity
from relay.core.phrases import HOLD
from relay.core.suppression import Held

Change = Literal["edit", "reply", "post", "none"]
IncidentState = Literal["firing", "resolved", "expired"]
FLAPS = 5
"""Openings and ends within `FLAP_WINDOW` from which an incident is flapping."""
FLAP_WINDOW = 1_200.0
MOST_CHANGES = 100


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How a route's incidents live. Times in seconds; `repeat_interval` is that of reminders.

    `group_by`: names whose values make a group, `...` for all labels; None where each alert is its own group.
    """

    on_update: tuple[Change, ...] = ("edit",)
    on_resolve: tuple[Change, ...] = ("edit", "reply")
    repeat_interval: float = 4 * 3_600.0
    reopen_within: float = 600.0
    group_by: tuple[str, ...] | None = None
    group_wait: float = 30.0
    group_interval: float = 300.0
    mention: tuple[str, ...] = ()
    mute: tuple[str, ...] = ()
    active: tuple[str, ...] = ()


class Shown(msgspec.Struct, frozen=True):
    """An incident as its message shows it.

    `rang` is the severity that last rang people's phones, or None if the incident did not fire then. An edit rings no
    phone, and a change that is held back is only edited.
    """

    state: IncidentState
    severity: Severity
    quiet: bool = False
    silenced: bool = False
    rang: Severity | None = None


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """An alert's life in one room, from firing to resolved or expired.

    `id` and `message` are numbers of rows, negative where a plan has yet to be written; `message` is 0 while none
    tells of it. `event` is its present text with what it inherited, `seq` that of its last event, `news` those events
    that no delivery has told of yet, as its group waits. `started_at`, `ended_at` and `ended_before` are as they are
    shown; what is due is reckoned by the other times, which are the relay's own clock's and never jump: `opened_at` and
    `over_at` its beginning and end, `remind_at` the next reminder's, `wake_at` when it wants to be looked at though no
    event comes, `changes` its last openings and ends. All times are Unix seconds. While it is
    `quiet`, as it flaps, they change no message. `shown` is what its message says, or None if it has none; `fresh`
    means that its text has changed since; `ended_before` is the end before it was reopened. `at` is the room that its
    message stands in, where that is a fallback of its own.

    `lineage` is the identity of the route by whose policy it lives. `labels` are those of its group, None where it is
    told of alone; `storm` is the storm that has taken it up, if one has.
    """

    id: int
    source: str
    key: str
    room: str
    lineage: str
    message: int
    seq: int
    event: Event
    started_at: float
    remind_at: float
    labels: dict[str, str] | None = None
    storm: str | None = None
    opened_at: float = 0.0
    over_at: float = 0.0
    state: IncidentState = "firing"
    ended_at: float | None = None
    ended_before: float | None = None
    wake_at: float | None = None
    changes: tuple[float, ...] = ()
    quiet: bool = False
    shown: Shown | None = None
    fresh: bool = False
    news: tuple[int, ...] = ()
    held: Held | None = None
    ack: Ack | None = None
    at: str = ""

    @property
    def where(self) -> str:
        """The room that its message stands in."""
        return self.at or self.room

    @property
    def firing(self) -> bool:
        """True until it ends."""
        return self.state == "firing"

    @property
    def over(self) -> bool:
        """True once it has ended and flaps no more. Until then its message counts it as firing."""
        return not self.firing and not self.quiet

    @property
    def grouped(self) -> bool:
        """True where others may be in its group."""
        return self.labels is not None or self.storm is not None

    @property
    def group_id(self) -> str | None:
        """The group or the storm that it is told of with others; None where it is told of alone."""
        if self.storm is not None or self.labels is None:
            return self.storm
        return GroupKey(self.room, self.lineage, self.labels).id

    @property
    def live(self) -> bool:
        """True while its group must look at it: until its message shows its end."""
        shown = self.shown
        return (
            not self.over
            or self.news != ()
            or (shown is not None and (self.fresh or shown.state == "firing" or shown.quiet))
        )

    @property
    def changed(self) -> bool:
        """True where a digest must be told of it: its text, its events or its end are newer than its message."""
        shown = self.shown
        return (
            self.fresh
            or self.news != ()
            or (shown is not None and (shown.state, shown.quiet) != (self.state, self.quiet))
        )


class GroupKey(msgspec.Struct, frozen=True):
    """The identity of a group: a room, a route's identity, and the group labels; None where an alert is told of alone.

    Alertmanager's group key has the same parts (`dispatch.go`, `groupKey`).
    """

    room: str
    lineage: str
    labels: dict[str, str] | None

    @property
    def id(self) -> str:
        """One text for all of it, which nothing takes apart again."""
        labels = sorted((self.labels or {}).items())
        return f"{self.room}|{self.lineage}\n{msgspec.json.encode(labels).decode()}"


def come_home(incident: Incident) -> Incident:
    """The incident where the fallback that its message stands in is gone: its own room is to be told of it anew."""
    return msgspec.structs.replace(incident, at="", message=0, shown=None, fresh=True)


def view_of_incident(incident: Incident) -> IncidentView:
    """Return an incident as its message shows it."""
    return IncidentView(
        incident.event,
        incident.state,
        incident.started_at,
        incident.changes,
        incident.quiet,
        incident.held,
        incident.ack,
    )


def same(event: Event, known: Event) -> bool:
    """Return whether an event says nothing that its incident's message does not say already."""
    return (event.severity, event.title, event.body, event.done, bool(event.downtime)) == (
        known.severity,
        known.title,
        known.body,
        known.done,
        bool(known.downtime),
    )


def keep(event: Event, known: Event) -> Event:
    """Return an update or an end with the body, links, files and last remark of its alert that it says nothing of."""
    return msgspec.structs.replace(
        event,
        body=event.body or ("" if "body" in event.cleared else known.body),
        links=event.links or (() if "links" in event.cleared else known.links),
        files=event.files or (() if "files" in event.cleared else known.files),
        done=event.done or known.done,
    )


# What happens to it


def update(incident: Incident, seq: int, event: Event) -> Incident:
    """A further firing event of an open incident; the incident itself where it is a repeat."""
    event = keep(event, incident.event)
    if same(event, incident.event):
        return incident
    return msgspec.structs.replace(incident, seq=seq, event=event, fresh=True)


class End(msgspec.Struct, frozen=True):
    """When an incident ended: `at` and `heard_at` as they are shown, `over_at` and `now` by the relay's own clock."""

    at: float
    heard_at: float
    over_at: float
    now: float


def end(
    incident: Incident,
    state: Literal["resolved", "expired"],
    when: End,
    resolved: Event | None = None,
    seq: int = 0,
) -> Incident:
    """Return an incident after its end. Its message keeps all that the `resolved` event, if there is one, lacks."""
    known = incident.event
    last = known if resolved is None else keep(resolved, known)
    event = msgspec.structs.replace(
        known,
        status="resolved",
        body=last.body,
        links=last.links,
        files=last.files,
        done=last.done,
        occurred_at=when.at,
        received_at=when.heard_at,
    )
    ended = msgspec.structs.replace(
        incident, event=event, state=state, ended_at=when.at, over_at=when.over_at, seq=seq or incident.seq
    )
    if state == "expired":
        return msgspec.structs.replace(ended, quiet=False, changes=())
    return _changed(ended, when.now)


def may_reopen(incident: Incident, group: GroupKey, now: float, policy: Policy) -> bool:
    """Return whether an ended incident is reopened, rather than a new one opened; a flapping one always is."""
    if incident.state != "resolved":
        return False
    return incident.quiet or (group_of(incident) == group and now - incident.over_at <= policy.reopen_within)


def group_of(incident: Incident) -> GroupKey | None:
    """Return the group of an incident; None where a storm has taken it up."""
    return GroupKey(incident.room, incident.lineage, incident.labels) if incident.storm is None else None


def absorb(incident: Incident, storm: str, message: int, room: str) -> Incident:
    """Have a storm's digest, which stands in a room, tell of an incident in the place of its own message."""
    at = "" if incident.room == room else room
    return msgspec.structs.replace(incident, storm=storm, message=message, at=at)


def reopen(incident: Incident, seq: int, event: Event, policy: Policy, now: float) -> Incident:
    """Return an incident that fires again, in the same message; an acknowledgement lasts only while it flaps."""
    lives = msgspec.structs.replace(
        incident,
        seq=seq,
        event=event,
        state="firing",
        ended_at=None,
        ended_before=incident.ended_at,
        remind_at=now + policy.repeat_interval,
        ack=incident.ack if incident.quiet else None,
    )
    return _changed(lives, now)


def acknowledge(incident: Incident, ack: Ack) -> Incident:
    """Someone has it: reminders stop, and a room that was not told of it yet is not told."""
    return msgspec.structs.replace(incident, ack=ack, fresh=True)


def unacknowledge(incident: Incident, policy: Policy, now: float) -> Incident:
    """Nobody has it any more: the owner goes from its message, and reminders begin again."""
    return msgspec.structs.replace(incident, ack=None, fresh=True, remind_at=now + policy.repeat_interval)


def in_downtime(incident: Incident, downtime: bool) -> Incident:
    """Its source holds its alerts back for maintenance from now on, or does so no more."""
    return msgspec.structs.replace(incident, event=msgspec.structs.replace(incident.event, downtime=downtime))


def _changed(incident: Incident, now: float) -> Incident:
    """Note an opening or end; one too many makes it quiet."""
    changes = (*[at for at in incident.changes if at > now - FLAP_WINDOW][1 - MOST_CHANGES :], now)
    return msgspec.structs.replace(incident, changes=changes, quiet=incident.quiet or len(changes) >= FLAPS)


def holds_at(incident: Incident) -> float | None:
    """When a quiet incident holds, unless it changes again; None where it is not quiet."""
    return incident.changes[-1] + HOLD if incident.quiet else None


def calm(incident: Incident) -> Incident:
    """It has held for long enough: it flaps no more."""
    return msgspec.structs.replace(incident, quiet=False, changes=())
