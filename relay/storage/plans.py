"""The planner's reads and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from relay.core.alert import Alert, AlertKey
from relay.core.delivery import LONGEST_FOR_DIGEST, POSTS, Intent, position_of
from relay.core.event import RANK
from relay.core.group import Group, Members
from relay.core.incident import Incident, absorb
from relay.core.plan import Known, Plan, Waiting
from relay.core.storm import MOST_ALONE, Storm, StormMembers
from relay.core.suppression import Silence
from relay.ports import OutOfStepError, Over
from relay.storage.inbox import as_json
from relay.storage.sequence import Sequences
from relay.storage.session import Row, Session

_waiting = msgspec.json.Decoder(list[Waiting])
_alerts = msgspec.json.Decoder(list[Alert])
_incidents = msgspec.json.Decoder(list[Incident])
_keys = msgspec.json.Decoder(list[AlertKey])
_storms = msgspec.json.Decoder(list[Storm])
_members = msgspec.json.Decoder(list[Members | StormMembers])
_silences = msgspec.json.Decoder(list[Silence])


def waiting_events(session: Session, limit: int, now: float) -> list[Waiting]:
    """Return the first `limit` events that wait for the planner, as read at `now`."""
    return _waiting.decode(session.read("plans.waiting_events", {"limit": limit, "now": now}))


def count_waiting_events(session: Session) -> int:
    """Return how many events wait for the planner."""
    return int(session.run("plans.count_waiting_events").fetchone()[0])


def known(session: Session, keys: list[AlertKey]) -> Known:
    """Return the alerts of these keys, and the last incident of each in each room."""
    wanted = (msgspec.json.encode(keys).decode(),)
    alerts = _alerts.decode(session.read("plans.known_alerts", wanted))
    incidents: dict[AlertKey, dict[str, Incident]] = {}
    for incident in _incidents.decode(session.read("plans.known_incidents", wanted)):
        incidents.setdefault((incident.source, incident.key), {})[incident.room] = incident
    return Known({(alert.source, alert.key): alert for alert in alerts}, incidents)


def due_keys(session: Session, now: float, limit: int) -> list[AlertKey]:
    """Return keys of incidents that are due by a time, the longest due first."""
    return _keys.decode(session.read("plans.due_keys", {"now": now, "limit": limit}))


def due_groups(session: Session, now: float, limit: int) -> list[Members | StormMembers]:
    """Return groups that are due by a time, each with the incidents to look at."""
    return _members.decode(session.read("plans.due_groups", (now, limit)))


def open_keys(session: Session, after: AlertKey, limit: int) -> list[AlertKey]:
    """Return keys of open incidents that come after a key, in order."""
    return _keys.decode(session.read("plans.open_keys", (*after, limit)))


def next_wakes(session: Session) -> tuple[float | None, float | None]:
    """Return when the next incident is due, and when the next group, in Unix seconds; None if none is."""
    incident, group = session.run("plans.next_wakes").fetchone()
    return incident, group


def storms(session: Session) -> list[Storm]:
    """Return the storms that are not over."""
    return _storms.decode(session.read("plans.storms"))


def waiting_posts(session: Session, room: str, limit: int) -> tuple[int, int]:
    """Count the new posts among the first `limit` deliveries of a room. Return also the last event's `seq`."""
    count, seq = session.run("plans.waiting_posts", (room, limit)).fetchone()
    return count, seq


def firing_alerts(session: Session) -> list[Alert]:
    """Return all alerts that fire."""
    return _alerts.decode(session.read("plans.firing_alerts"))


def open_alerts(session: Session) -> list[Alert]:
    """Return all alerts that fire, and those that flap and have ended for now."""
    return _alerts.decode(session.read("plans.open_alerts"))


def keys_in_downtime(session: Session) -> list[AlertKey]:
    """Return the open alerts that their sources hold back in a downtime."""
    return _keys.decode(session.read("plans.keys_in_downtime"))


def silences(session: Session) -> list[Silence]:
    """Return all silences on record."""
    return _silences.decode(session.read("plans.silences"))


def save_silences(session: Session, items: list[Silence]) -> list[None]:
    """Write silences; each replaces the one of the same id."""
    for one in items:
        session.run("plans.save_silence", (one.id, as_json(one), one.ends_at))
    return [None] * len(items)


def firing_keys(session: Session, source: str) -> list[str]:
    """Return the keys of a source's alerts that fire, or that have events waiting to be planned."""
    return list(msgspec.json.decode(session.read("plans.firing_keys", {"source": source}), type=list[str]))


class _Placed(NamedTuple):
    """The row numbers of a new message and of its post."""

    message: int
    delivery: int


def _message(number: int, placed: Mapping[int, _Placed]) -> int:
    return placed[number].message if number < 0 else number


def _group_row(group: Group | Storm, placed: Mapping[int, _Placed]) -> Row:
    settled = msgspec.structs.replace(group, message=_message(group.message, placed))
    kind = "storm" if isinstance(group, Storm) else "route"
    return (settled.id, kind, as_json(settled), settled.ended_at, settled.wake_at)


def _message_row(message: int, intent: Intent) -> Row:
    """Return the row of a message, up to its route."""
    about = intent.subject
    labels = as_json(about.labels) if about.labels else None
    return (message, intent.room, about.kind, about.lineage, about.group, labels, about.route)


def _incident_row(incident: Incident) -> Row:
    return (
        incident.id,
        incident.source,
        incident.key,
        incident.room,
        incident.group_id,
        incident.message,
        incident.seq,
        RANK[incident.event.severity],
        int(incident.live),
        int(incident.over),
        int(incident.changed),
        as_json(incident),
        incident.started_at,
        incident.ended_at,
        incident.wake_at,
    )


def _absorb(session: Session, digest: Intent, home: str, placed: Mapping[int, _Placed], now: float) -> list[Over]:
    """Merge posts that wait for room `home` into a digest, except the first critical ones, which go before it."""
    at = placed[digest.message]
    values: dict[str, object] = {
        "id": at.delivery,
        "message": at.message,
        "now": now,
        "home": home,
        "ahead": position_of(0, "first"),
        "alone": MOST_ALONE if digest.action == "digest" else 0,
    }
    session.run("plans.hasten", values)
    taken = session.run("plans.absorb", values).fetchall()
    if taken:
        values["messages"] = as_json([message for *_, message in taken])
        incidents = _incidents.decode(session.read("plans.incidents_of", values))
        storm = str(digest.subject.group)
        rows = [_incident_row(absorb(incident, storm, at.message, digest.room)) for incident in incidents]
        session.write("plans.upsert_incidents", rows)
        for name in ("absorb_groups", "absorb_messages", "absorb_tales", "forget_messages"):
            session.run(f"plans.{name}", values)
    return [(room, rank, state) for room, rank, state, _ in taken]


class PlanWriter:
    """Operations of the group commit on messages, deliveries, alerts and incidents."""

    def __init__(self, sequences: Sequences) -> None:
        self._sequences = sequences

    def commit(self, session: Session, plans: list[tuple[Plan, float]]) -> list[list[Over] | OutOfStepError]:
        """Write plans, each with its time; return the deliveries that each replaces."""
        return [self._commit(session, plan, now) for plan, now in plans]

    def _commit(self, session: Session, plan: Plan, now: float) -> list[Over] | OutOfStepError:
        """Write one plan. New messages come first: the other rows refer to their numbers.

        A plan of events was made before they were committed. It is refused if one of them is not on record, or another
        one waits among them.
        """
        if plan.events:
            (waiting,) = session.run("plans.count_planned", (plan.up_to,)).fetchone()
            if waiting != plan.events:
                return OutOfStepError(f"a plan of {plan.events} events, where {waiting} wait")
        placed = self._post(session, [intent for intent in plan.intents if intent.action in POSTS], now)
        changes = [intent for intent in plan.intents if intent.action not in POSTS]
        over = self._change(session, changes, placed, now) if changes else []
        session.write(
            "plans.upsert_alerts",
            [(a.source, a.key, as_json(a), a.updated_at, a.state, a.wake_at) for a in plan.alerts.values()],
        )
        session.write("plans.upsert_incidents", self._incidents(plan, placed))
        session.write("plans.upsert_groups", [_group_row(g, placed) for g in plan.groups.values()])
        session.write("plans.upsert_groups", [_group_row(s, placed) for s in plan.storms.values()])
        session.write("plans.touch_groups", [_group_row(g, placed) for g in plan.touched.values()])
        session.write("plans.stir_storms", list(plan.stirred.items()))
        for intent in plan.intents:
            if intent.absorbs is not None:
                over += _absorb(session, intent, intent.absorbs, placed, now)
        for waiting in plan.adopted:
            session.run("plans.adopt_event", (as_json(waiting.event), waiting.seq))
        for seq, why in plan.suppressed:
            session.run("plans.suppress_event", (why, seq))
        session.run("plans.advance", (plan.up_to, plan.up_to))
        return over

    def _post(self, session: Session, posts: Sequence[Intent], now: float) -> dict[int, _Placed]:
        """Write new messages and their posts; return their row numbers, by the number that the plan gave them."""
        messages: list[Row] = []
        rows: list[Row] = []
        merged: list[Row] = []
        placed: dict[int, _Placed] = {}
        for intent in posts:
            message, delivery = self._sequences.next("message"), self._sequences.next("delivery")
            placed[intent.message] = _Placed(message, delivery)
            mention = as_json(intent.mention) if intent.mention else None
            messages.append((*_message_row(message, intent), intent.template, mention))
            waits = intent.haste == "in digest"
            rows.append(
                (
                    delivery,
                    message,
                    intent.event_seq,
                    intent.room,
                    intent.action,
                    intent.rank,
                    position_of(delivery, intent.haste),
                    int(waits),
                    now,
                    now + LONGEST_FOR_DIGEST if waits else now,
                )
            )
            if intent.also:
                merged += self._merged(intent, delivery)
        session.write("plans.insert_messages", messages)
        session.write("plans.insert_deliveries", rows)
        session.write("plans.insert_merged", merged)
        for intent in posts:
            if intent.replaces:
                values = {"message": intent.replaces, "new": placed[intent.message].message}
                session.run("plans.move_tales", values)
        return placed

    def _merged(self, intent: Intent, delivery: int) -> list[Row]:
        return [(self._sequences.next("delivery"), seq, delivery) for seq in intent.also]

    def _change(
        self, session: Session, changes: Sequence[Intent], placed: dict[int, _Placed], now: float
    ) -> list[Over]:
        """Write edits and replies.

        A new edit supersedes a waiting edit, and a new reply one that says the same of the same alerts. A post that
        still waits supersedes the new edit. A message that was pruned meanwhile is inserted again. Its next delivery
        posts it anew.
        """
        over: list[Over] = []
        for change in changes:
            delivery = self._sequences.next("delivery")
            message = _message(change.message, placed)
            says = None if change.says is None else as_json(change.says)
            row = (
                delivery,
                message,
                change.event_seq,
                change.room,
                change.action,
                change.rank,
                position_of(delivery, change.haste),
                change.content,
                says,
                now,
            )
            session.run("plans.ensure_message", _message_row(message, change))
            session.write("plans.insert_changes", [row])
            session.write("plans.insert_merged", self._merged(change, delivery))
            values = {"id": delivery, "message": message, "now": now, "action": change.action}
            if change.moved_to:
                new = placed[change.moved_to]
                over += self._move(session, {**values, "new": new.message, "post": new.delivery})
                continue
            if change.absorbs is not None:
                placed[change.message] = _Placed(message, delivery)
            if change.action == "file":
                continue
            mine = session.run("plans.supersede_by_post", values).fetchall()
            over.extend(mine)
            if mine:
                continue
            if says is not None:
                over.extend(session.run("plans.supersede_replies", {**values, "says": says}).fetchall())
            elif change.action == "edit" or change.content is None:
                over.extend(session.run("plans.supersede_edits", values).fetchall())
        return over

    @staticmethod
    def _move(session: Session, values: Mapping[str, object]) -> list[Over]:
        """Replace a message by a new one. Its incidents move, and its last edit says so.

        If the message was never posted, that edit is superseded, too.
        """
        session.run("plans.move_incidents", values)
        over = session.run("plans.replace_waiting", values).fetchall()
        return [*over, *session.run("plans.supersede_unposted", values).fetchall()]

    def _incidents(self, plan: Plan, placed: Mapping[int, _Placed]) -> list[Row]:
        rows: list[Row] = []
        for incident in plan.incidents.values():
            settled = msgspec.structs.replace(
                incident,
                id=incident.id if incident.id > 0 else self._sequences.next("incident"),
                message=_message(incident.message, placed),
            )
            rows.append(_incident_row(settled))
        return rows

    @staticmethod
    def set_aside(session: Session, items: list[tuple[int, str]]) -> list[None]:
        """Set events aside, each with the reason. The planner then skips them."""
        for seq, why in items:
            session.run("plans.set_event_aside", (why, seq))
            session.run("plans.advance", (seq, seq))
        return [None] * len(items)
