"""The plan for a batch of events, or for alerts and incidents that are due: posts, and changes of incidents.

Pure: it takes the records of the keys concerned, carries them forward, and returns the records to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

import msgspec

from relay.core.alert import Alert, AlertKey, fold, inherit
from relay.core.delivery import Ack, Intent, MessageKind, Subject
from relay.core.event import RANK, Event, is_about_alert
from relay.core.group import Group, group_key
from relay.core.incident import (
    End,
    Incident,
    Policy,
    acknowledge,
    calm,
    come_home,
    end,
    group_of,
    holds_at,
    in_downtime,
    keep,
    may_reopen,
    reopen,
    unacknowledge,
    update,
)
from relay.core.news import Step, is_news, is_taken_up, mark_shown, plainly, reply, steps_for, uneditable
from relay.core.phrases import continued
from relay.core.plan import Known, Plan, Waiting
from relay.core.routing import Destination, Route
from relay.core.rules import Rules, card_for, route_event, template_for
from relay.core.storm import Storms
from relay.core.suppression import Held, Suppression, Suppressor

GRACE = 300.0
"""Seconds from the start of the relay in which no alert expires whose last event came before it."""


class Decision(msgspec.Struct, frozen=True):
    """The rooms that one event goes to. `event` has inherited the values that it lacked."""

    event: Event
    rooms: tuple[Destination, ...]
    open_in: tuple[str, ...]
    """Further rooms, which no route names: the incident is open there, so its changes and its end are shown there."""


def concerns_alert(event: Event) -> bool:
    """Return whether the plan for an event depends on the records of its key."""
    return event.status != "notice" or is_about_alert(event)


def why_not_shown(incident: Incident) -> Suppression:
    """Return why the news of an incident makes no message, and changes none."""
    if incident.shown is not None:
        return "flapping" if incident.quiet else "repeat"
    if incident.held is not None:
        return incident.held.reason
    return "acknowledged" if is_taken_up(incident) else "brief"


def unposted(incident: Incident) -> Suppression:
    """Return why the news of an incident makes no step in its room."""
    if incident.held is not None and incident.firing:
        return incident.held.reason
    return "policy"


def decide(event: Event, rules: Rules, known: Known) -> Decision:
    """Decide the rooms for one event: those of its route, and those in which its key's incident is open."""
    if event.status == "notice":
        return Decision(event, tuple(route_event(event, rules)), ())
    key = (event.source, event.key)
    event = _as_known(inherit(event, known.alerts.get(key)), known)
    routed = route_event(event, rules)
    named = {destination.room for destination in routed}
    open_in = (room for room, incident in known.incidents.get(key, {}).items() if incident.firing)
    return Decision(event, tuple(routed), tuple(room for room in open_in if room not in named and room in rules.rooms))


def _as_known(event: Event, known: Known) -> Event:
    """Return an update with what its alert's newest open incident has and it lacks, so that further rooms read all."""
    open_ones = [one for one in known.incidents.get((event.source, event.key), {}).values() if one.firing]
    return keep(event, max(open_ones, key=lambda one: one.seq).event) if open_ones else event


def plan(
    batch: Sequence[Waiting],
    rules: Rules,
    known: Known,
    suppressor: Suppressor,
    storms: Storms | None = None,
    *,
    now: float = 0.0,
    echoes: Set[int] = frozenset(),
) -> Plan:
    """Plan a batch of at least one event. `known`, `storms` and the suppressor are carried forward.

    Events whose seqs are in `echoes` change nothing.

    Silences and other reasons to hold alerts back are judged at `now`, or at an event's arrival if that is later. The
    look at open alerts when a silence ends does not see alerts that are planned after it.
    """
    planner = _Planner(rules, known, suppressor, storms or Storms(), batch[-1].seq, held_at=now)
    for waiting in batch:
        if waiting.seq in echoes:
            planner.result.suppressed.append((waiting.seq, "echo"))
        else:
            planner.take(waiting)
    planner.result.events = len(batch)
    return planner.result


def plan_due(
    keys: Iterable[AlertKey],
    rules: Rules,
    known: Known,
    suppressor: Suppressor,
    now: float,
    storms: Storms | None = None,
    *,
    started_at: float = 0.0,
    expires: bool = True,
) -> Plan:
    """Plan what is due of some keys by time, or by a change of silences and inhibitions: expiries and reminders.

    If `expires` is false, no alert expires in this pass. An alert whose last event came before `started_at` has `GRACE`
    from there: its source could not reach the relay while it was down.
    """
    planner = _Planner(rules, known, suppressor, storms or Storms(), 0, started_at)
    for key in keys:
        planner.look_at(key, now, expires=expires)
    return planner.result


def move(room: str, message: int, to: int, seq: int, event: Event, subject: Subject) -> Intent:
    """Return the last edit of a message whose place a new one takes."""
    return Intent(
        action="edit",
        room=room,
        message=message,
        subject=subject,
        event_seq=seq,
        rank=RANK[event.severity],
        content=continued(event.title),
        moved_to=to,
    )


class _Planner:
    def __init__(
        self,
        rules: Rules,
        known: Known,
        suppressor: Suppressor,
        storms: Storms,
        up_to: int,
        started_at: float = 0.0,
        held_at: float = 0.0,
    ) -> None:
        self._held_at = held_at
        self._started_at = started_at
        self._rules = rules
        self._known = known
        self._suppressor = suppressor
        self._storms = storms
        self.result = Plan(up_to, storms=storms.changed)
        self._handle = 0
        self._taken = False
        self._why: Suppression = "repeat"

    def take(self, waiting: Waiting) -> None:
        event, seq = waiting.event, waiting.seq
        self._taken, self._why = False, "repeat"
        if is_about_alert(event):
            self._apply_notice(waiting)
        else:
            decision = decide(event, self._rules, self._known)
            if decision.event != event:
                self.result.adopted.append(msgspec.structs.replace(waiting, event=decision.event))
            self._why = "repeat" if decision.rooms or decision.open_in else "unrouted"
            if event.status == "resolved" and self._why == "repeat" and not self._is_open(event):
                self._why = "nothing_open"
            if event.status == "notice":
                self._notice(seq, decision, waiting.at)
            else:
                self._fold(seq, decision, waiting.at)
        if not self._taken:
            self.result.suppressed.append((seq, self._why))

    def _is_open(self, event: Event) -> bool:
        return any(one.firing for one in self._known.incidents.get((event.source, event.key), {}).values())

    def _notice(self, seq: int, decision: Decision, now: float) -> None:
        event = decision.event
        for target in (self._awake(target, now) for target in decision.rooms):
            held = self._held(event, target.route.policy, now)
            if held is None:
                step = Step("post", ring=event.severity == "critical")
                self._post(seq, event, target.room, "notice", target.route, step, now)
            else:
                self._why = held.reason

    def _apply_notice(self, waiting: Waiting) -> None:
        """Have the open incidents of a key follow a notice about it. A notice that changes nothing is a repeat."""
        event, now = waiting.event, waiting.at
        incidents = self._known.incidents.get((event.source, event.key), {}).values()
        open_ones = [one for one in incidents if not one.over]
        self._why = "repeat" if open_ones else "nothing_open"
        for incident in open_ones:
            followed = self._with_notice(incident, event, now)
            if followed is not incident:
                self._announce(msgspec.structs.replace(followed, seq=waiting.seq), now, news=waiting.seq)

    def _with_notice(self, incident: Incident, event: Event, now: float) -> Incident:
        if event.acknowledged_by is not None:
            known, rank = incident.ack, RANK[incident.event.severity]
            ack = Ack(event.acknowledged_by, event.occurred_at, event.body, rank)
            again = known is not None and known == msgspec.structs.replace(ack, at=known.at)
            return incident if again else acknowledge(incident, ack)
        if event.unacknowledged_by is not None:
            policy = self._route_of(incident).policy
            return incident if incident.ack is None else unacknowledge(incident, policy, now)
        downtime = event.downtime is True
        return incident if bool(incident.event.downtime) == downtime else in_downtime(incident, downtime)

    def _fold(self, seq: int, decision: Decision, now: float) -> None:
        event = decision.event
        key = (event.source, event.key)
        alert = fold(event, self._known.alerts.get(key), now)
        if alert is not None:
            if alert.state == "firing" and not (decision.rooms or decision.open_in):
                alert = msgspec.structs.replace(alert, wake_at=self._expires_at(alert))
            self._known.alerts[key] = self.result.alerts[key] = alert
            self._suppressor.note(alert)
        incidents = self._known.incidents.setdefault(key, {})
        if event.status == "resolved":
            for incident in [one for one in incidents.values() if one.firing]:
                when = End(event.occurred_at, event.received_at, _own_time(event, now), now)
                ended = end(incident, "resolved", when, event, seq)
                self._announce(ended, now, news=seq)
            return
        for target in decision.rooms:
            known = incidents.get(target.room)
            if known is not None and known.firing:
                self._update(known, seq, event, now)
            else:
                self._begin(known, seq, event, target, now)
        for room in decision.open_in:
            self._update(incidents[room], seq, event, now)

    def _update(self, incident: Incident, seq: int, event: Event, now: float) -> None:
        updated = update(incident, seq, event)
        if updated is not incident:
            self._announce(updated, now, news=seq)
            return
        alert = self._known.alerts.get((event.source, event.key))
        if alert is not None and self._expires_at(alert) < (incident.wake_at or 0.0):
            self._record(incident)
        if incident.shown is None and not is_news(incident):
            self._why = why_not_shown(incident)

    def _begin(self, last: Incident | None, seq: int, event: Event, target: Destination, now: float) -> None:
        target = self._awake(target, now)
        policy, group = target.route.policy, group_key(event, target)
        if last is not None and may_reopen(last, group, _own_time(event, now), policy):
            self._announce(reopen(last, seq, event, policy, now), now, news=seq)
            return
        if last is not None and last.live and not last.grouped:
            self._announce(last, now)  # its message does not show its end yet
        self._handle -= 1
        opened = Incident(
            id=self._handle,
            source=event.source,
            key=event.key,
            room=target.room,
            lineage=group.lineage,
            labels=group.labels,
            message=0,
            seq=seq,
            event=event,
            started_at=event.occurred_at,
            opened_at=min(now, _own_time(event, now)),
            remind_at=now + policy.repeat_interval,
            changes=(now,),
            ack=self._ack_of(event),
        )
        self._announce(opened, now, news=seq, target=target)

    def _ack_of(self, event: Event) -> Ack | None:
        """Return the acknowledgement that the alert has in another room, if it is open there."""
        others = self._known.incidents.get((event.source, event.key), {}).values()
        return next((one.ack for one in others if one.firing and one.ack is not None), None)

    def _expires_at(self, alert: Alert) -> float:
        at = self._rules.expires_at(alert)
        return max(at, self._started_at + GRACE) if alert.seen_at < self._started_at else at

    def look_at(self, key: AlertKey, now: float, *, expires: bool) -> None:
        """Expire an alert if it is due, and announce the changes of its incidents that are due."""
        alert = self._known.alerts.get(key)
        over = expires and (alert is None or now >= self._expires_at(alert))
        if over and alert is not None and alert.state == "firing":
            ended_at = now - self._suppressor.ahead
            alert = msgspec.structs.replace(alert, state="expired", updated_at=ended_at, wake_at=None)
            self.result.alerts[key] = self._known.alerts[key] = alert
            self._suppressor.note(alert)
        elif alert is not None and alert.wake_at is not None and expires:
            self.result.alerts[key] = msgspec.structs.replace(alert, wake_at=self._expires_at(alert))
        for known in [one for one in self._known.incidents.get(key, {}).values() if one.wake_at is not None]:
            shown = now - self._suppressor.ahead
            incident = end(known, "expired", End(shown, shown, now, now)) if over and known.firing else known
            if (holds := holds_at(incident)) is not None and holds <= now:
                incident = calm(incident)
            if incident.grouped and incident is known and incident.held == self._held_now(incident, now):
                self._record(incident)
            else:
                self._announce(incident, now)

    def _announce(
        self, incident: Incident, now: float, news: int | None = None, target: Destination | None = None
    ) -> None:
        """Record an incident, and have its message show the present state: at once, or when its group is due."""
        if incident.at and incident.at not in self._rules.rooms:
            incident = come_home(incident)
        held = self._held_now(incident, now)
        if held != incident.held:
            incident = msgspec.structs.replace(incident, held=held)
        if incident.grouped:
            if news is not None:
                self._taken = True
                incident = msgspec.structs.replace(incident, news=(*incident.news, news))
            self._touch(incident, now)
            self._record(incident)
            return
        route = target.route if target is not None else self._route_of(incident)
        if is_news(incident):
            incident = self._apply_steps(incident, steps_for(incident, route.policy), route, now)
        elif incident.remind_at <= now:
            incident = self._remind(incident, route.policy, now)
        elif news is not None:
            self._why = why_not_shown(incident)
        self._record(incident)

    def _remind(self, incident: Incident, policy: Policy, now: float) -> Incident:
        """Add a reminder in the thread if the incident still fires and is not acknowledged; set the next one."""
        due = incident.firing and incident.shown is not None and not incident.quiet and incident.held is None
        if due and incident.ack is None and incident.where in self._rules.rooms:
            for step in self._possible([reply("reminder", incident, now)], incident):
                self._add_intent(incident, step)
        return msgspec.structs.replace(incident, remind_at=now + policy.repeat_interval)

    def _apply_steps(self, incident: Incident, steps: Sequence[Step], route: Route, now: float) -> Incident:
        """Add the intents on a message. A room that is gone from the configuration gets them when it is back."""
        if incident.where not in self._rules.rooms:
            return incident
        message, steps = incident.message, self._possible(steps, incident)
        if not steps:
            self._why = unposted(incident)
        for step in steps:
            if step.action == "post":
                self._handle -= 1
                self._post(incident.seq, incident.event, incident.room, "living", route, step, now, replaces=message)
                if message and incident.where not in self._rules.plain:
                    subject = _subject("living", route)
                    moved = move(incident.where, message, self._handle, incident.seq, incident.event, subject)
                    self.result.intents.append(moved)
                message = self._handle
                incident = msgspec.structs.replace(incident, message=message, at="")
            else:
                self._add_intent(incident, step)
        return mark_shown(incident, message, now + route.policy.repeat_interval)

    def _possible(self, steps: Sequence[Step], incident: Incident) -> Sequence[Step]:
        if incident.where in self._rules.plain:
            return plainly(steps, incident)
        if card_for(incident.where, self._route_of(incident), self._rules) is not None:
            return uneditable(steps)
        return steps

    def _add_intent(self, incident: Incident, step: Step) -> None:
        self._taken = True
        self.result.intents.append(
            Intent(
                action=step.action,
                room=incident.where,
                message=incident.message,
                event_seq=incident.seq,
                rank=RANK[incident.event.severity],
                content=step.content,
                says=step.says,
                subject=_subject("living", self._route_of(incident)),
            )
        )

    def _post(
        self,
        seq: int,
        event: Event,
        room: str,
        kind: MessageKind,
        route: Route,
        step: Step,
        now: float,
        replaces: int = 0,
    ) -> None:
        self._taken = True
        rank = RANK[event.severity]
        self.result.intents.append(
            Intent(
                action="post",
                room=room,
                message=self._handle if kind == "living" else 0,
                event_seq=seq,
                rank=rank,
                subject=_subject(kind, route),
                haste=self._storms.haste(room, rank, seq, now),
                template=template_for(room, route, self._rules),
                mention=route.policy.mention if step.ring else (),
                replaces=replaces,
            )
        )

    def _touch(self, incident: Incident, now: float) -> None:
        key = group_of(incident)
        if incident.storm is not None:
            self.result.stirred[incident.storm] = now
        elif key is not None:
            self.result.touched[key.id] = Group(
                id=key.id, room=key.room, lineage=key.lineage, labels=key.labels or {}, wake_at=now
            )

    def _record(self, incident: Incident) -> None:
        """Record an incident as it stands now, and when to look at it again."""
        key = (incident.source, incident.key)
        wakes = [at for at in (holds_at(incident),) if at is not None]
        if incident.firing:
            alert = self._known.alerts.get(key)
            wakes.append(incident.remind_at if alert is None else self._expires_at(alert))
            wakes += [] if incident.grouped or incident.where not in self._rules.rooms else [incident.remind_at]
        incident = msgspec.structs.replace(incident, wake_at=min(wakes, default=None))
        if incident == self._known.incidents.get(key, {}).get(incident.room):
            return
        self.result.incidents[incident.id] = self._known.incidents.setdefault(key, {})[incident.room] = incident

    def _awake(self, target: Destination, now: float) -> Destination:
        """Return a room by the first route to it that is not muted, or by its first route if all are."""
        for route in (target.route, *target.others) if target.others else ():
            if self._suppressor.muted(route.policy.mute, route.policy.active, max(now, self._held_at)) is None:
                return Destination(target.room, route)
        return target

    def _held_now(self, incident: Incident, now: float) -> Held | None:
        return self._held(incident.event, self._route_of(incident).policy, now)

    def _held(self, event: Event, policy: Policy, now: float) -> Held | None:
        return self._suppressor.holds(event, policy.mute, policy.active, max(now, self._held_at))

    def _route_of(self, incident: Incident) -> Route:
        return self._rules.route_of(incident.lineage)


def _subject(kind: MessageKind, route: Route) -> Subject:
    """Return the subject of a message of one alert, or of a notice."""
    return Subject(kind=kind, lineage=route.lineage, route=route.path)


def _own_time(event: Event, now: float) -> float:
    """Return when an event that arrived `now` happened, both by the relay's own clock.

    The source's clock is taken to agree with the machine's: the event happened as long before its arrival as the
    difference of its two times.
    """
    return now - (event.received_at - event.occurred_at)
