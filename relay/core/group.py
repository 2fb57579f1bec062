"""Groups: what one message tells together, and when it is due: Alertmanager's aggregation groups.

Pure: a group, the incidents in it that may have news, and the time give the group afterwards and the steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from relay.core.event import Event
from relay.core.incident import (
    ENDS,
    SIGNS,
    WITHIN_A_BREATH,
    Incident,
    Policy,
    Step,
    alarms,
    by_policy,
    is_news,
    is_owed,
    plainly,
    quietly,
    reminder,
    tell_one,
)
from relay.core.markdown import escape_markdown, hard_breaks, one_line
from relay.core.matching import view_of
from relay.core.routing import Destination
from relay.core.words import say_duration

ALL = "..."
"""Among the names of `group_by`: all labels."""
MOST_NAMES = 5
"""Incidents that a reply names."""
MOST_NEWS = 20
"""Incidents that are named where a message can't be edited, each in a line."""
CHANGES = 9
"""Edits of a message that tell of changes: of the ten that Webex admits the last is kept for the end."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Incidents that a room is told of in one message. `id` is the room, the route's identity and the values of the
    group's labels.

    Times are Unix seconds: `flush_at` is when the room is told what is new, `flushed_at` when it was told last in this
    life of the group, `ended_at` when all was over, `remind_at` the next reminder's. A storm's digest is a group, too:
    it `began_at` and was `seen_at` last; so many posts have `joined` since `window_at`, so many went `alone`, and `seq`
    is the last event's. `at` is the room that its message stands in, where that is a fallback of its own.
    """

    id: str
    room: str
    labels: dict[str, str]
    route: str
    message: int = 0
    flush_at: float | None = None
    flushed_at: float | None = None
    ended_at: float | None = None
    remind_at: float | None = None
    wake_at: float | None = None
    began_at: float = 0.0
    seen_at: float = 0.0
    window_at: float = 0.0
    joined: int = 0
    alone: int = 0
    seq: int = 0
    at: str = ""

    @property
    def where(self) -> str:
        """The room that its message stands in."""
        return self.at or self.room

    @property
    def lineage(self) -> str:
        """The identity of the route by whose policy it lives."""
        return lineage_of(self.id)


def lineage_of(group: str) -> str:
    """Return the identity of the route that is part of a group's name."""
    return group.partition("|")[2].partition("\n")[0]


def group_name(event: Event, target: Destination) -> str:
    """Return what tells a group from others: the room, the route's identity, and the group labels' values.

    Without `group_by` there are none: the alert is a group of its own.
    """
    place = f"{target.room}|{target.route.lineage}"
    names = target.route.policy.group_by
    if names is None:
        return place
    if ALL in names:
        labels: Mapping[str, str] = {"source": event.source, **event.labels}
    else:
        view = view_of(event)
        labels = {name: view[name] for name in names if name in view}
    return f"{place}\n{msgspec.json.encode(sorted(labels.items())).decode()}"


def grouped_labels(group: str) -> dict[str, str]:
    """The labels that a group's name holds."""
    _, _, labels = group.partition("\n")
    found: dict[str, Any] = dict(msgspec.json.decode(labels)) if labels else {}
    return found


class Members(msgspec.Struct, frozen=True):
    """A group, its incidents that fire or have news, the edits of its message, and of how many that tells."""

    group: Group
    incidents: tuple[Incident, ...]
    edits: int = 0
    told: int = 0
    firing: int = 0


def schedule(group: Group, members: Sequence[Incident], policy: Policy, now: float) -> Group:
    """Set when the room is told what is new: after `group_wait` the first time, then at every `group_interval`."""
    news = [incident for incident in members if is_news(incident)]
    if not news:
        return msgspec.structs.replace(group, flush_at=None)
    if group.flush_at is not None:
        return group
    if group.flushed_at is None:
        first = min(incident.opened_at for incident in news)
        return msgspec.structs.replace(group, flush_at=max(now, min(now, first) + policy.group_wait))
    behind = max(1, math.ceil((now - group.flushed_at) / policy.group_interval)) if policy.group_interval else 0
    return msgspec.structs.replace(group, flush_at=max(now, group.flushed_at + behind * policy.group_interval))


def revive(group: Group, policy: Policy, now: float) -> Group:
    """A group whose alerts were over for longer than `reopen_within` begins anew, with a new message."""
    if group.ended_at is None or now - group.ended_at <= policy.reopen_within:
        return group
    return msgspec.structs.replace(
        group, message=0, at="", flush_at=None, flushed_at=None, ended_at=None, remind_at=None
    )


def flush(members: Members, policy: Policy) -> list[Step]:
    """What is asked of the group's message now."""
    group, incidents = members.group, members.incidents
    news = [incident for incident in incidents if is_news(incident)]
    shown = [incident for incident in incidents if incident.said is not None or is_news(incident)]
    over = not any(incident.firing for incident in shown)
    ringing = [incident for incident in news if alarms(incident)]
    if not group.message:
        return [] if over else [Step("post", ring=bool(ringing))]
    if all(incident.held is not None for incident in news):
        return quietly(policy)
    if (ringing and policy.mention) or (members.edits >= CHANGES and not over and "edit" in policy.on_update):
        return [Step("post", ring=bool(ringing))]
    if len(shown) == 1 and shown[0].said is not None and members.told <= 1:
        return tell_one(shown[0], policy)
    if over:
        return by_policy(policy.on_resolve, _over(news, members.told))
    again = news if group.ended_at is not None else [one for one in news if alarms(one) or is_owed(one)]
    steps = by_policy(policy.on_update, None)
    if again and any(step.action == "edit" for step in steps):
        steps.append(Step("reply", _alarm(again)))  # an edit rings no phone
    return steps


def flush_plainly(members: Members, steps: Sequence[Step]) -> list[Step]:
    """The steps where no message can be edited: at most one new message, which names what is new."""
    shown = [incident for incident in members.incidents if incident.said is not None or is_news(incident)]
    if len(shown) == 1 and members.told + (shown[0].said is None) <= 1:
        return plainly(steps, shown[0])
    if steps and all(step.action != "post" for step in steps):
        news = [one for one in shown if is_news(one) and (one.held is None or not one.firing)]
        return [Step("reply", _in_short(members, shown, news))] if news else []
    return list(steps[:1])


def flushed(group: Group, shown: Sequence[Incident], policy: Policy, now: float) -> Group:
    """The group after its room was told."""
    firing = any(incident.firing for incident in shown)
    return msgspec.structs.replace(
        group, flush_at=None, flushed_at=now, ended_at=None if firing else now,
        remind_at=now + policy.repeat_interval if firing else None,
    )  # fmt: skip


def reminder_of(incidents: Sequence[Incident], now: float) -> str:
    """That some still fire, and for how long the first has; the worst is named."""
    if len(incidents) == 1:
        return reminder(incidents[0], now)
    worst = worst_first(incidents)[0].event
    since = say_duration(now - min(incident.opened_at for incident in incidents))
    return f"{SIGNS[worst.severity]} **{len(incidents)} still firing** · the first for {since} · {_names(incidents)}"


def worst_first(incidents: Sequence[Incident]) -> list[Incident]:
    """By severity, the oldest first among equals."""
    return sorted(incidents, key=lambda incident: (list(SIGNS).index(incident.event.severity), incident.started_at))


def _in_short(members: Members, shown: Sequence[Incident], news: Sequence[Incident]) -> str:
    """How many fire, and what is new of the group's alerts, by name."""
    firing = [incident for incident in shown if incident.firing]
    worst = worst_first(firing or news)[0].event.severity
    head = f"{SIGNS[worst]} **{len(firing)} firing** · worst {worst.upper()}" if firing else _over(news, members.told)
    common = [f"{name} {value}" for name, value in members.group.labels.items() if name != "source" and value]
    head = " · ".join([head, *(escape_markdown(one_line(text, 80)) for text in common[:3])])
    signs = [SIGNS[one.event.severity] if one.firing else ENDS[one.state] for one in worst_first(news)]
    titles = [escape_markdown(one_line(one.event.title, 160)) for one in worst_first(news)]
    lines = [f"- {sign} {title}" for sign, title in zip(signs, titles, strict=True)][:MOST_NEWS]
    more = [f"and {len(news) - MOST_NEWS} more"] if len(news) > MOST_NEWS else []
    return hard_breaks("\n".join([head, *lines, *more]))


def _over(ended: Sequence[Incident], count: int) -> str:
    state = "expired" if all(incident.state == "expired" for incident in ended) else "resolved"
    lasted = max((incident.ended_at or incident.started_at) - incident.started_at for incident in ended)
    last = f", the last after {say_duration(lasted)}" if lasted >= WITHIN_A_BREATH else ""
    return f"{ENDS[state]} all {count} {state}{last}"


def _alarm(incidents: Sequence[Incident]) -> str:
    worst = worst_first(incidents)[0].event.severity
    return f"{SIGNS[worst]} **{worst.upper()}** · {_names(incidents)}"


def _names(incidents: Sequence[Incident]) -> str:
    named = [escape_markdown(one_line(incident.event.title, 80)) for incident in worst_first(incidents)[:MOST_NAMES]]
    more = len(incidents) - len(named)
    return " · ".join(named) + (f" · and {more} more" if more > 0 else "")
