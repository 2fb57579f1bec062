"""Plans for groups and storms that are due: the intents on their messages."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from relay.core.delivery import POSTS, Intent, Subject
from relay.core.event import RANK
from relay.core.group import Group, Members, flush, flush_plainly, flushed, reminder_of, revive, schedule
from relay.core.incident import Incident, Policy, come_home
from relay.core.news import Step, alone, is_news, mark_shown
from relay.core.plan import Plan
from relay.core.planning import move, unposted, why_not_shown
from relay.core.replies import worst_first
from relay.core.rules import Rules, template_for
from relay.core.storm import StormMembers, Storms, look
from relay.core.suppression import Suppressor


def plan_groups(
    found: Iterable[Members | StormMembers],
    rules: Rules,
    suppressor: Suppressor,
    now: float,
    storms: Storms | None = None,
) -> Plan:
    """Plan the groups and storms that are due, and set when to look at each again.

    Storms come last, as new posts of groups may join them.
    """
    planner = _GroupPlanner(rules, suppressor, now, storms or Storms())
    for members in sorted(found, key=lambda members: isinstance(members, StormMembers)):
        planner.look_at(members)
    return planner.result


class _GroupPlanner:
    def __init__(self, rules: Rules, suppressor: Suppressor, now: float, storms: Storms) -> None:
        self._rules = rules
        self._suppressor = suppressor
        self._now = now
        self._storms = storms
        self._handle = 0
        self.result = Plan(0, storms=storms.changed)

    def look_at(self, members: Members | StormMembers) -> None:
        """Plan one group or storm; if its room is gone, it waits until the room is configured again."""
        gone = members.group.where not in self._rules.rooms
        if gone and members.group.at:
            self.look_at(_at_home(members))
        elif isinstance(members, StormMembers):
            if gone:
                self.result.storms[members.group.id] = msgspec.structs.replace(members.group, wake_at=None)
            else:
                self._look_at_storm(members)
        elif gone:
            self.result.groups[members.group.id] = msgspec.structs.replace(members.group, wake_at=None)
        else:
            self._look_at_group(members)

    def _look_at_group(self, members: Members) -> None:
        policy = self._rules.policy_of(members.group.lineage)
        incidents = tuple(self._settle(incident, policy) for incident in members.incidents)
        group = schedule(revive(members.group, policy, self._now), incidents, policy, self._now)
        if group.flush_at is not None and group.flush_at <= self._now:
            group = self._flush(msgspec.structs.replace(members, group=group, incidents=incidents), policy)
        elif group.remind_at is not None and group.remind_at <= self._now:
            group = self._remind(group, incidents, policy)
        for before, incident in zip(members.incidents, incidents, strict=True):
            if incident != before:
                self.result.incidents.setdefault(incident.id, incident)
        wakes = [at for at in (group.flush_at, group.remind_at) if at is not None]
        self.result.groups[group.id] = msgspec.structs.replace(group, wake_at=min(wakes, default=None))

    def _look_at_storm(self, members: StormMembers) -> None:
        """Have a digest take up the posts that wait or, once the storm is over, say how its alerts go on."""
        before, changed = self._storms.latest(members.group), members.incidents
        storm, steps = look(
            before,
            members.edits,
            news=bool(changed),
            firing=members.firing,
            few=self._rules.digest_over.get(before.room, 0),
            now=self._now,
            plain=before.where in self._rules.plain,
        )
        seqs = sorted(seq for incident in changed for seq in incident.news)
        goes_on, message = before.ended_at is None, storm.message
        for step in steps:
            if step.action in POSTS:
                self._handle -= 1
                message = self._handle
            *also, seq = seqs or [storm.seq]
            self.result.intents.append(
                Intent(
                    action=step.action,
                    room=storm.where,
                    message=message,
                    event_seq=seq,
                    rank=0,
                    content=step.content,
                    says=step.says,
                    also=tuple(also),
                    subject=Subject(kind="digest", route="storm", group=storm.id),
                    haste="first" if goes_on else "in turn",
                    absorbs=storm.room if goes_on and _takes_up(step) else None,
                )
            )
            seqs = seqs[-1:]
        looked = storm.flushed_at == self._now
        if looked and not steps:
            self.result.suppressed.extend((seq, "repeat") for seq in seqs)
        for incident in changed:
            self.result.incidents[incident.id] = mark_shown(incident, incident.message) if looked else incident
        self.result.storms[storm.id] = msgspec.structs.replace(storm, message=message)

    def _settle(self, incident: Incident, policy: Policy) -> Incident:
        """Return an incident with the reason that holds it back now, and drop news that no message will show.

        An incident that is held back, or over, before its first message is no news: its events are suppressed.
        """
        held = self._suppressor.holds(incident.event, policy.mute, policy.active, self._now)
        incident = msgspec.structs.replace(incident, held=held)
        if is_news(incident) or (incident.shown is not None and not incident.news):
            return incident
        self.result.suppressed.extend((seq, why_not_shown(incident)) for seq in incident.news)
        return msgspec.structs.replace(incident, news=(), fresh=False)

    def _flush(self, members: Members, policy: Policy) -> Group:
        group, steps = members.group, flush(members, policy)
        if group.where in self._rules.plain:
            steps = flush_plainly(members, steps)
        news = [incident for incident in members.incidents if is_news(incident)]
        seqs = sorted({seq for incident in news for seq in incident.news} or {incident.seq for incident in news})
        message = group.message
        for step in steps:
            if step.action == "post":
                self._handle -= 1
                before = group
                group = msgspec.structs.replace(group, at="")
                self._add_intent(group, members.incidents, step, self._handle, seqs, policy)
                if message and before.where not in self._rules.plain:
                    worst = worst_first(members.incidents)[0].event
                    subject = self._subject(group)
                    self.result.intents.append(move(before.where, message, self._handle, seqs[-1], worst, subject))
                message = self._handle
            else:
                self._add_intent(group, members.incidents, step, message, seqs, policy)
            seqs = seqs[-1:]
        if not steps:
            self.result.suppressed.extend((seq, unposted(incident)) for incident in news for seq in incident.news)
        shown = [
            msgspec.structs.replace(
                mark_shown(incident, message) if is_news(incident) else incident, message=message, at=group.at
            )
            for incident in members.incidents
            if incident.shown is not None or is_news(incident)
        ]
        known = {incident.id: incident for incident in members.incidents}
        for incident in shown:
            if incident != known[incident.id]:
                self.result.incidents[incident.id] = incident
        return msgspec.structs.replace(flushed(group, shown, policy, self._now), message=message)

    def _remind(self, group: Group, incidents: tuple[Incident, ...], policy: Policy) -> Group:
        """Add a reminder of incidents that still fire, are not acknowledged and not held back; set the next one."""
        due = [
            one
            for one in incidents
            if one.firing and one.shown is not None and one.ack is None and one.held is None and not one.quiet
        ]
        if due and group.message and group.where in self._rules.rooms:
            step = reminder_of(due, self._now)
            if group.where in self._rules.plain:
                step = alone(step, worst_first(due)[0])
            self._add_intent(group, tuple(due), step, group.message, [max(one.seq for one in due)], policy)
        firing = not all(one.over for one in incidents)
        remind_at = self._now + policy.repeat_interval if firing else None
        return msgspec.structs.replace(group, remind_at=remind_at)

    def _add_intent(
        self, group: Group, incidents: tuple[Incident, ...], step: Step, message: int, seqs: list[int], policy: Policy
    ) -> None:
        firing = [incident for incident in incidents if not incident.over] or incidents
        route = self._rules.route_of(group.lineage)
        rank = RANK[worst_first(firing)[0].event.severity]
        *also, seq = seqs
        self.result.intents.append(
            Intent(
                action=step.action,
                room=group.where,
                message=message,
                event_seq=seq,
                rank=rank,
                content=step.content,
                says=step.says,
                also=tuple(also),
                haste=self._storms.haste(group.room, rank, seq, self._now) if step.action == "post" else "in turn",
                subject=self._subject(group),
                template=template_for(group.room, route, self._rules),
                mention=policy.mention if step.ring else (),
                replaces=group.message if step.action == "post" else 0,
            )
        )

    def _subject(self, group: Group) -> Subject:
        route = self._rules.route_of(group.lineage).path
        return Subject(kind="living", lineage=group.lineage, route=route, group=group.id, labels=group.labels)


def _at_home(members: Members | StormMembers) -> Members | StormMembers:
    """Return a group or storm that the fallback showed, which is gone: its own room is to show it, in a new message."""
    group = msgspec.structs.replace(members.group, at="", message=0, flush_at=None, flushed_at=None)
    incidents = tuple(come_home(incident) for incident in members.incidents)
    if isinstance(members, Members):
        return Members(group, incidents)  # type: ignore[arg-type]  # a group's
    return msgspec.structs.replace(members, group=group, incidents=incidents, edits=0)


def _takes_up(step: Step) -> bool:
    """Return whether a step of a digest takes up the posts that wait for its room."""
    return step.action in (*POSTS, "edit") or step == Step("reply")
