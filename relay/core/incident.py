"""Incidents: an alert's life in one room, and what each change of it asks of the room's message.

Pure: a fold of an incident with an event or with the time, which gives the incident afterwards and the intents.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from relay.core.delivery import Told
from relay.core.event import RANK, Event
from relay.core.words import say_duration

Change = Literal["edit", "reply", "post", "none"]
IncidentState = Literal["firing", "resolved", "expired"]
SIGNS = {"critical": "🔴", "major": "🟠", "minor": "🟡", "warning": "🔵", "info": "⚪"}
ENDS = {"resolved": "✅", "expired": "⌛"}
WITHIN_A_BREATH = 1.0
"""Seconds below which nobody wants to know how long something lasted."""


FLAPS = 5
"""Openings and ends within `FLAP_WINDOW` from which an incident is flapping."""
FLAP_WINDOW = 1_200.0
HOLD = 600.0
"""Seconds without a change after which it is flapping no more."""
MOST_CHANGES = 100


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
    `wake_at` when it wants to be looked at though no event comes, `changes` its last openings and ends. While it is
    `quiet`, as it flaps, they change no message.
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
    changes: tuple[float, ...] = ()
    quiet: bool = False

    @property
    def firing(self) -> bool:
        """True until it ends."""
        return self.state == "firing"


class Step(msgspec.Struct, frozen=True):
    """What a change asks of the incident's message. `content` is a reply's text; without one the event is shown."""

    action: Literal["edit", "reply", "post"]
    content: str | None = None


def told_of(incident: Incident) -> Told:
    """What its message tells of an incident."""
    return Told(incident.event, incident.state, incident.started_at, incident.changes, incident.quiet)


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
    incident: Incident, state: Literal["resolved", "expired"], at: float, now: float, policy: Policy, body: str = ""
) -> tuple[Incident, list[Step]]:
    """The end of an incident at a time, heard of `now`: its message keeps what it said, but for the end's own body."""
    lasted = at - incident.started_at
    said = f"{ENDS[state]} {state}" + (f" after {say_duration(lasted)}" if lasted >= WITHIN_A_BREATH else "")
    if state == "expired":
        said += ": its source has said nothing of it any more"
    known = incident.event
    event = msgspec.structs.replace(
        known, status="resolved", body="" if body == known.body else body, occurred_at=at, received_at=now
    )
    ended = msgspec.structs.replace(incident, event=event, state=state, ended_at=at)
    steps = _steps(policy.on_resolve, said)
    if state == "expired":
        return msgspec.structs.replace(ended, quiet=False, changes=()), steps
    return _changed(ended, now, steps)


def may_reopen(incident: Incident, group: str, now: float, policy: Policy) -> bool:
    """Tell whether an incident that ended lives again, rather than a new one."""
    return (
        incident.group == group
        and incident.state == "resolved"
        and (incident.quiet or now - (incident.ended_at or 0.0) <= policy.reopen_within)
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
    return _changed(lives, now, [Step("edit"), Step("reply", said)])


def _changed(incident: Incident, now: float, steps: list[Step]) -> tuple[Incident, list[Step]]:
    """Note an opening or end: one too many makes it quiet, which is told once; while it is quiet nothing is."""
    changes = (*[at for at in incident.changes if at > now - FLAP_WINDOW][1 - MOST_CHANGES :], now)
    flapping = len(changes) >= FLAPS
    if incident.quiet:
        steps = []
    elif flapping:
        said = f"{flaps(changes)}; quiet until it holds for {say_duration(HOLD)}"
        steps = [Step("edit"), Step("reply", said)]
    return msgspec.structs.replace(incident, changes=changes, quiet=incident.quiet or flapping), steps


def flaps(changes: tuple[float, ...]) -> str:
    """What a flapping incident does, in words."""
    return f"flapping: {len(changes)} changes in {say_duration(changes[-1] - changes[0])}"


def holds_at(incident: Incident) -> float | None:
    """When a quiet incident holds, unless it changes again; None where it is not quiet."""
    return incident.changes[-1] + HOLD if incident.quiet else None


def calm(incident: Incident) -> tuple[Incident, list[Step]]:
    """It has held for long enough: its message and a reply tell how it stands."""
    event, held = incident.event, say_duration(HOLD)
    said = f"{SIGNS[event.severity]} **{event.severity.upper()}** · fires for {held} now, and flaps no more"
    if not incident.firing:
        said = f"{ENDS['resolved']} resolved, and flaps no more for {held}"
    return msgspec.structs.replace(incident, quiet=False, changes=()), [Step("edit"), Step("reply", said)]


def remind(incident: Incident, now: float, policy: Policy) -> tuple[Incident, list[Step]]:
    """A reminder, in the thread, of what still fires."""
    event = incident.event
    lasts = say_duration(now - incident.started_at)
    said = f"{SIGNS[event.severity]} **{event.severity.upper()}** · still firing after {lasts}"
    return msgspec.structs.replace(incident, remind_at=now + policy.repeat_interval), [Step("reply", said)]


def _steps(changes: tuple[Change, ...], content: str | None) -> list[Step]:
    return [Step(change, content if change == "reply" else None) for change in changes if change != "none"]
