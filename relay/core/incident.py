"""Incidents: an alert's life in one room's group, from firing to its end.

Pure. An incident and its message change apart. An event changes the incident at once. When its group is due, the
difference between the two decides the change of the message.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from relay.core.delivery import Ack, IncidentView
from relay.core.event import Event, Link, Severity
from relay.core.naming import telling
from relay.core.phrases import HOLD
from relay.core.suppression import Held

Change = Literal["edit", "reply", "post", "none"]
IncidentState = Literal["firing", "resolved", "expired"]
FLAPS = 5
"""Openings and ends within `FLAP_WINDOW` from which an incident is flapping."""
FLAP_WINDOW = 1_200.0
MOST_CHANGES = 100
_QUERY = re.compile("[?#]")


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A route's policy for its incidents. Times are in seconds. `repeat_interval` is that of reminders.

    `group_by` are the label names whose values make a group, `...` for all labels; None makes each alert its own group.
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

    `id` and `message` are numbers of rows, negative until the plan is written. `message` is 0 while it has none.
    `event` is its present text, with the values that it inherited; `seq` is the last event that changed it. `news` are
    the seqs of events that no delivery shows yet, as its group waits.

    All times are Unix seconds. Messages show `started_at`, `ended_at` and `ended_before`, the end before it was
    reopened. The other times are by the relay's own clock, which never jumps. `opened_at` and `over_at` are its
    beginning and end. `remind_at` is the next reminder, `wake_at` when to look at it again if no event comes. `changes`
    are its last openings and ends. While it is `quiet`, as it flaps, they change no message.

    `problem` is its body while it fired, if its end has brought another.

    `shown` is the state that its message shows, or None if it has no message; `fresh` means that its text has changed
    since. `at` is the fallback that its message stands in, empty if it stands in its own room.

    `lineage` is the identity of the route whose policy applies. `labels` are those of its group, None if it has a
    message of its own. `storm` is the storm that has taken it up, if one has.
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
    problem: str | None = None

    @property
    def where(self) -> str:
        """Return the room that its message stands in."""
        return self.at or self.room

    @property
    def firing(self) -> bool:
        """Return whether it has not ended yet."""
        return self.state == "firing"

    @property
    def over(self) -> bool:
        """Return whether it has ended and flaps no more. Until then its message counts it as firing."""
        return not self.firing and not self.quiet

    @property
    def grouped(self) -> bool:
        """Return whether it shares a message: that of a group or a storm."""
        return self.labels is not None or self.storm is not None

    @property
    def group_id(self) -> str | None:
        """Return the id of the group or storm whose message it shares, or None if it has one of its own."""
        if self.storm is not None or self.labels is None:
            return self.storm
        return GroupKey(self.room, self.lineage, self.labels).id

    @property
    def live(self) -> bool:
        """Return whether its group must look at it: until its message shows its end."""
        shown = self.shown
        return (
            not self.over
            or self.news != ()
            or (shown is not None and (self.fresh or shown.state == "firing" or shown.quiet))
        )

    @property
    def changed(self) -> bool:
        """Return whether a digest must show it: its text, its events or its state are newer than its message."""
        shown = self.shown
        return (
            self.fresh
            or self.news != ()
            or (shown is not None and (shown.state, shown.quiet) != (self.state, self.quiet))
        )


class GroupKey(msgspec.Struct, frozen=True):
    """The identity of a group: a room, a route's identity, and the group labels (None for an alert by itself).

    Alertmanager's group key has the same parts (`dispatch.go`, `groupKey`).
    """

    room: str
    lineage: str
    labels: dict[str, str] | None

    @property
    def id(self) -> str:
        """Return all of it as one text, which nothing parses."""
        labels = sorted((self.labels or {}).items())
        return f"{self.room}|{self.lineage}\n{msgspec.json.encode(labels).decode()}"


def come_home(incident: Incident) -> Incident:
    """Return an incident whose fallback is gone from the configuration: its own room gets a new message for it."""
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
    """Return whether an event shows no more than the known one: severity, texts, downtime, links and telling labels."""
    return (
        (event.severity, event.title, event.body, event.done, bool(event.downtime))
        == (known.severity, known.title, known.body, known.done, bool(known.downtime))
        and (event.links == known.links or _places(event.links) == _places(known.links))
        and (event.labels == known.labels or telling(event.labels, event.title) == telling(known.labels, known.title))
    )


def _places(links: tuple[Link, ...]) -> list[tuple[str, str]]:
    """Return links without their queries and fragments, in which vendors put the time of each notification."""
    return [(link.text, _QUERY.split(link.url, 1)[0]) for link in links]


def keep(event: Event, known: Event) -> Event:
    """Return an update or an end with the body, links, files and `done` that it lacks, taken from the known event."""
    return msgspec.structs.replace(
        event,
        body=event.body or ("" if "body" in event.cleared else known.body),
        links=event.links or (() if "links" in event.cleared else known.links),
        files=event.files or (() if "files" in event.cleared else known.files),
        done=event.done or known.done,
    )


# Changes by events and time


def update(incident: Incident, seq: int, event: Event) -> Incident:
    """Return an open incident after a further firing event; the same object if the event is a repeat."""
    event = keep(event, incident.event)
    if same(event, incident.event):
        return incident
    return msgspec.structs.replace(incident, seq=seq, event=event, fresh=True)


class End(msgspec.Struct, frozen=True):
    """The times of an incident's end: `at` and `heard_at` as shown, `over_at` and `now` by the relay's own clock."""

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
    """Return an incident after its end. Its message keeps all that the `resolved` event, if there is one, lacks.

    The title is that event's: many vendors put the state into it, and the problem's title is not true any more.
    """
    known = incident.event
    last = known if resolved is None else keep(resolved, known)
    event = msgspec.structs.replace(
        known,
        status="resolved",
        title=last.title,
        body=last.body,
        links=last.links,
        files=last.files,
        done=last.done,
        occurred_at=when.at,
        received_at=when.heard_at,
    )
    ended = msgspec.structs.replace(
        incident,
        event=event,
        state=state,
        ended_at=when.at,
        over_at=when.over_at,
        seq=seq or incident.seq,
        problem=None if event.body == known.body else known.body,
    )
    if state == "expired":
        return msgspec.structs.replace(ended, quiet=False, changes=())
    return _changed(ended, when.now)


def may_reopen(incident: Incident, group: GroupKey, now: float, policy: Policy) -> bool:
    """Return whether to reopen an ended incident rather than open a new one. A flapping one is always reopened."""
    if incident.state != "resolved":
        return False
    return incident.quiet or (group_of(incident) == group and now - incident.over_at <= policy.reopen_within)


def group_of(incident: Incident) -> GroupKey | None:
    """Return the group of an incident, or None if a storm has taken it up."""
    return GroupKey(incident.room, incident.lineage, incident.labels) if incident.storm is None else None


def absorb(incident: Incident, storm: str, message: int, room: str) -> Incident:
    """Return an incident that a storm's digest, which stands in `room`, shows in place of its own message."""
    at = "" if incident.room == room else room
    return msgspec.structs.replace(incident, storm=storm, message=message, at=at)


def reopen(incident: Incident, seq: int, event: Event, policy: Policy, now: float) -> Incident:
    """Return an incident that fires again, in the same message; an acknowledgement lasts only while it flaps.

    The body, links and files that the event lacks are those from before its end. What somebody did then is over.
    """
    ended = incident.event
    known = ended if incident.problem is None else msgspec.structs.replace(ended, body=incident.problem)
    lives = msgspec.structs.replace(
        incident,
        seq=seq,
        event=msgspec.structs.replace(keep(event, known), done=event.done),
        state="firing",
        problem=None,
        ended_at=None,
        ended_before=incident.ended_at,
        remind_at=now + policy.repeat_interval,
        ack=incident.ack if incident.quiet else None,
    )
    return _changed(lives, now)


def acknowledge(incident: Incident, ack: Ack) -> Incident:
    """Return an acknowledged incident: its reminders stop, and a room that has no message of it gets none."""
    return msgspec.structs.replace(incident, ack=ack, fresh=True)


def unacknowledge(incident: Incident, policy: Policy, now: float) -> Incident:
    """Return an incident without its acknowledgement: the owner leaves its message, and reminders begin again."""
    return msgspec.structs.replace(incident, ack=None, fresh=True, remind_at=now + policy.repeat_interval)


def in_downtime(incident: Incident, downtime: bool) -> Incident:
    """Return an incident whose source holds its alerts back for maintenance from now on, or no longer does."""
    return msgspec.structs.replace(incident, event=msgspec.structs.replace(incident.event, downtime=downtime))


def _changed(incident: Incident, now: float) -> Incident:
    """Return an incident with one more opening or end, which makes it quiet if there are `FLAPS` in the window."""
    changes = (*[at for at in incident.changes if at > now - FLAP_WINDOW][1 - MOST_CHANGES :], now)
    return msgspec.structs.replace(incident, changes=changes, quiet=incident.quiet or len(changes) >= FLAPS)


def holds_at(incident: Incident) -> float | None:
    """Return when a quiet incident stops flapping unless it changes again, or None if it is not quiet."""
    return incident.changes[-1] + HOLD if incident.quiet else None


def calm(incident: Incident) -> Incident:
    """Return an incident that flaps no more, as it has held for long enough."""
    return msgspec.structs.replace(incident, quiet=False, changes=())
