"""Incidents: an alert's life in one room, and what each change of it asks of the room's message.

Pure: a fold of an incident with an event or with the time, which gives the incident afterwards and the intents.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from relay.core.event import RANK, Event
from relay.core.words import say_duration

Change = Literal["edit", "reply", "post", "none"]
IncidentState = Literal["firing", "resolved", "expired"]
SIGNS = {"critical": "🔴", "major": "🟠", "minor": "🟡", "warning": "🔵", "info": "⚪"}
ENDS = {"resolved": "✅", "expired": "⌛"}
WITHIN_A_BREATH = 1.0
"""Seconds below which nobody wants to know how long something lasted."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How a route's incidents live. Times in seconds; `repeat_interval` is that of reminders."""

    on_update: tuple[Change, ...] = ("edit",)
    on_resolve: tuple[Change, ...] = ("edit", "reply")
    repeat_interval: float = 4 * 3_600.0
    reopen_within: float = 600.0


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """An alert's life in one room, from firing to resolved or expired.

    `id` and `message` are numbers of rows, negative where a plan has yet to be written. `event` is its present text
    with what it inherited, `seq` that of its last event. Times are Unix seconds: `remind_at` is the next reminder's,
    `wake_at` when it wants to be looked at though no event comes.
    """

    id: int
    source: str
    key: str
    room: str
    group: str
    message: int
    seq: int
    event: Event
    started_at: float
    remind_at: float
    state: IncidentState = "firing"
    ended_at: float | None = None
    wake_at: float | None = None

    @property
    def firing(self) -> bool:
        """True until it ends."""
        return self.state == "firing"


class Step(msgspec.Struct, frozen=True):
    """What a change asks of the incident's message. `content` is a reply's text; without one the event is shown."""

    action: Literal["edit", "reply", "post"]
    content: str | None = None


def same(event: Event, known: Event) -> bool:
    """True where an event says nothing that its incident's message does not say already."""
    return (event.severity, event.title, event.body) == (known.severity, known.title, known.body)


def update(incident: Incident, seq: int, event: Event, policy: Policy) -> tuple[Incident, list[Step]]:
    """A further firing event of an open incident: nothing for a repeat, else what `on_update` says."""
    known = incident.event
    if same(event, known):
        return incident, []
    worse = RANK[event.severity] == 0 and RANK[known.severity] > 0
    steps = _steps(policy.on_update, None)
    if worse and any(step.action == "edit" for step in steps):
        said = f"{SIGNS[event.severity]} **CRITICAL** · was {known.severity.upper()}"
        steps.append(Step("reply", said))  # an edit rings no phone
    return msgspec.structs.replace(incident, seq=seq, event=event), steps


def end(
    incident: Incident, state: Literal["resolved", "expired"], at: float, policy: Policy, body: str = ""
) -> tuple[Incident, list[Step]]:
    """The end of an incident: its message keeps what it said, but for the body, which is the end's own."""
    lasted = at - incident.started_at
    said = f"{ENDS[state]} {state}" + (f" after {say_duration(lasted)}" if lasted >= WITHIN_A_BREATH else "")
    if state == "expired":
        said += ": its source has said nothing of it any more"
    known = incident.event
    event = msgspec.structs.replace(
        known, status="resolved", body="" if body == known.body else body, occurred_at=at, received_at=at
    )
    ended = msgspec.structs.replace(incident, event=event, state=state, ended_at=at)
    return ended, _steps(policy.on_resolve, said)


def may_reopen(incident: Incident, group: str, now: float, policy: Policy) -> bool:
    """Tell whether an incident that ended lives again, rather than a new one."""
    return (
        incident.group == group
        and incident.state == "resolved"
        and now - (incident.ended_at or 0.0) <= policy.reopen_within
    )


def reopen(incident: Incident, seq: int, event: Event, policy: Policy, now: float) -> tuple[Incident, list[Step]]:
    """The same message lives again."""
    down = event.occurred_at - (incident.ended_at or event.occurred_at)
    said = f"{SIGNS[event.severity]} **{event.severity.upper()}** again"
    if down >= WITHIN_A_BREATH:
        said += f", {say_duration(down)} after its end"
    lives = msgspec.structs.replace(
        incident, seq=seq, event=event, state="firing", ended_at=None, remind_at=now + policy.repeat_interval
    )
    return lives, [Step("edit"), Step("reply", said)]


def remind(incident: Incident, now: float, policy: Policy) -> tuple[Incident, list[Step]]:
    """A reminder, in the thread, of what still fires."""
    event = incident.event
    lasts = say_duration(now - incident.started_at)
    said = f"{SIGNS[event.severity]} **{event.severity.upper()}** · still firing after {lasts}"
    return msgspec.structs.replace(incident, remind_at=now + policy.repeat_interval), [Step("reply", said)]


def _steps(changes: tuple[Change, ...], content: str | None) -> list[Step]:
    return [Step(change, content if change == "reply" else None) for change in changes if change != "none"]
