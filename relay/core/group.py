"""Groups: the incidents that one message shows together, and when it is due (Alertmanager's aggregation groups).

Pure: from a group, its incidents that may have news, and the time follow the changed group and the steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from relay.core.delivery import EDITS_OF_CHANGES, Reply
from relay.core.incident import GroupKey, Incident, Policy
from relay.core.matching import Matchable, view_of
from relay.core.news import Step, alarms, by_policy, is_news, is_owed, plainly, quietly, steps_for
from relay.core.replies import Message, reply_about, say, worst_first
from relay.core.routing import Destination

ALL = "..."
"""The name in `group_by` that stands for all labels."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Incidents of one route that a room sees in one message. `id` is its `GroupKey`'s.

    Times are Unix seconds. `flush_at` is when the message is due to show the news, `flushed_at` when it did so last in
    this life of the group. `ended_at` is when all incidents were over, `remind_at` when the next reminder is due. `at`
    is the fallback that its message stands in, empty if it stands in its own room.
    """

    id: str
    room: str
    lineage: str
    labels: dict[str, str]
    message: int = 0
    flush_at: float | None = None
    flushed_at: float | None = None
    ended_at: float | None = None
    remind_at: float | None = None
    wake_at: float | None = None
    at: str = ""

    @property
    def where(self) -> str:
        """Return the room that its message stands in."""
        return self.at or self.room


def group_key(event: Matchable, target: Destination) -> GroupKey:
    """Return the group that an event's alert belongs to in a room. Without `group_by` the alert is alone in it."""
    names = target.route.policy.group_by
    if names is None:
        return GroupKey(target.room, target.route.lineage, None)
    if ALL in names:
        labels = {"source": event.source, **event.labels}
    else:
        view = view_of(event)
        labels = {name: view[name] for name in names if name in view}
    return GroupKey(target.room, target.route.lineage, dict(sorted(labels.items())))


class Members(msgspec.Struct, frozen=True, tag_field="kind", tag="route"):
    """A group, its incidents that fire or have news, its message's edits, and the count of incidents shown there."""

    group: Group
    incidents: tuple[Incident, ...]
    edits: int = 0
    shown: int = 0


def schedule(group: Group, members: Sequence[Incident], policy: Policy, now: float) -> Group:
    """Set when the news is due: after `group_wait` the first time, then at every `group_interval`."""
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
    """Begin a group anew, with a new message, if all its incidents have been over for longer than `reopen_within`."""
    if group.ended_at is None or now - group.ended_at <= policy.reopen_within:
        return group
    return msgspec.structs.replace(
        group, message=0, at="", flush_at=None, flushed_at=None, ended_at=None, remind_at=None
    )


def flush(members: Members, policy: Policy) -> list[Step]:
    """Return the steps for the group's message that are due now."""
    group, incidents = members.group, members.incidents
    news = [incident for incident in incidents if is_news(incident)]
    shown = [incident for incident in incidents if incident.shown is not None or is_news(incident)]
    over = all(incident.over for incident in shown)
    ringing = [incident for incident in news if alarms(incident)]
    if not group.message:
        return [] if over else [Step("post", ring=bool(ringing))]
    if all(incident.held is not None for incident in news):
        return quietly(policy)
    if (ringing and policy.mention) or (members.edits >= EDITS_OF_CHANGES and not over and "edit" in policy.on_update):
        return [Step("post", ring=bool(ringing))]
    if len(shown) == 1 and shown[0].shown is not None and members.shown <= 1:
        return steps_for(shown[0], policy)
    if over:
        expired = all(one.state == "expired" for one in news)
        longest = max((one.ended_at or one.started_at) - one.started_at for one in news)
        ended = Reply(kind="all ended", seconds=longest, expired=expired)
        return by_policy(policy.on_resolve, _reply(ended, (), members, shown))
    again = news if group.ended_at is not None else [one for one in news if alarms(one) or is_owed(one)]
    steps = by_policy(policy.on_update, Step("reply"))
    if again and any(step.action == "edit" for step in steps):
        alarm = _reply(reply_about("alarm", again), again, members, shown)
        steps += [alarm] if alarm.content else []  # an edit rings no phone
    return steps


def flush_plainly(members: Members, steps: Sequence[Step]) -> list[Step]:
    """Return the steps for a room without edits: at most one new message, which names the news."""
    shown = [incident for incident in members.incidents if incident.shown is not None or is_news(incident)]
    if len(shown) == 1 and members.shown + (shown[0].shown is None) <= 1:
        return plainly(steps, shown[0])
    if steps and all(step.action != "post" for step in steps):
        news = [one for one in shown if is_news(one) and (one.held is None or not one.firing)]
        return [_reply(reply_about("in short", news), news, members, shown)] if news else []
    return list(steps[:1])


def flushed(group: Group, shown: Sequence[Incident], policy: Policy, now: float) -> Group:
    """Return the group after its message has shown the news."""
    over = all(incident.over for incident in shown)
    return msgspec.structs.replace(
        group,
        flush_at=None,
        flushed_at=now,
        ended_at=now if over else None,
        remind_at=None if over else now + policy.repeat_interval,
    )


def reminder_of(incidents: Sequence[Incident], now: float) -> Step:
    """Return the reply that some incidents still fire; `now` by the relay's own clock."""
    says = reply_about("reminder", incidents)
    message = Message(len(incidents), len(incidents), worst_first(incidents)[0].event.severity)
    return Step("reply", say(says, incidents, now, message), says=says)


def _reply(says: Reply, about: Sequence[Incident], members: Members, shown: Sequence[Incident]) -> Step:
    firing = [one for one in shown if not one.over]
    worst = worst_first(firing or shown)[0].event.severity
    message = Message(len(firing), members.shown, worst, members.group.labels)
    return Step("reply", say(says, about, 0.0, message), says=says)
