"""Reads and writes of the planner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from sqlite3 import Connection

import msgspec

from relay.core.alert import Alert, AlertKey
from relay.core.delivery import Intent
from relay.core.incident import Incident
from relay.core.planning import Known, Plan, Waiting
from relay.storage.inbox import as_json
from relay.storage.sequence import Sequences
from relay.storage.statements import Row, read_json, statements, write_rows

_SQL = statements("plans")
_waiting = msgspec.json.Decoder(list[Waiting])
_alerts = msgspec.json.Decoder(list[Alert])
_incidents = msgspec.json.Decoder(list[Incident])
_keys = msgspec.json.Decoder(list[AlertKey])


def waiting_events(connection: Connection, limit: int) -> list[Waiting]:
    """Events that wait for the planner, in order of arrival."""
    return _waiting.decode(read_json(connection, _SQL["waiting_events"], (limit,)))


def count_waiting_events(connection: Connection) -> int:
    """How many events wait for the planner."""
    return int(connection.execute(_SQL["count_waiting_events"]).fetchone()[0])


def known(connection: Connection, keys: list[AlertKey]) -> Known:
    """Alerts of these keys, and the last incident of each in each room."""
    wanted = (msgspec.json.encode(keys).decode(),)
    alerts = _alerts.decode(read_json(connection, _SQL["known_alerts"], wanted))
    incidents: dict[AlertKey, dict[str, Incident]] = {}
    for incident in _incidents.decode(read_json(connection, _SQL["known_incidents"], wanted)):
        incidents.setdefault((incident.source, incident.key), {})[incident.room] = incident
    return Known({(alert.source, alert.key): alert for alert in alerts}, incidents)


def due_keys(connection: Connection, wanted: tuple[float, int]) -> list[AlertKey]:
    """Keys of incidents that want to be looked at by a time, the longest due first; so many at the most."""
    return _keys.decode(read_json(connection, _SQL["due_keys"], wanted))


def next_wake(connection: Connection) -> float | None:
    """When the next incident wants to be looked at, in Unix seconds."""
    at: float | None = connection.execute(_SQL["next_wake"]).fetchone()[0]
    return at


def firing_keys(connection: Connection, source: str) -> list[str]:
    """Keys of a source's alerts that fire, or of which events wait to be planned."""
    return list(msgspec.json.decode(read_json(connection, _SQL["firing_keys"], {"source": source}), type=list[str]))


class PlanWriter:
    """Operations of the group commit on messages, deliveries, alerts and incidents."""

    def __init__(self, sequences: Sequences) -> None:
        self._sequences = sequences

    def commit(self, connection: Connection, plans: list[tuple[Plan, float]]) -> list[list[tuple[str, int]]]:
        """Write plans, each with its time; rooms and ranks of what waits no more because of each."""
        return [self._commit(connection, plan, now) for plan, now in plans]

    def _commit(self, connection: Connection, plan: Plan, now: float) -> list[tuple[str, int]]:
        messages: list[Row] = []
        posts: list[Row] = []
        changes: list[Intent] = []
        placed: dict[int, int] = {}
        for intent in plan.intents:
            if intent.action != "post":
                changes.append(intent)
                continue
            message, delivery = self._sequences.next("message"), self._sequences.next("delivery")
            placed[intent.message] = message
            messages.append((message, intent.room, intent.group, intent.route, intent.template))
            posts.append((delivery, message, intent.event_seq, intent.room, intent.rank, now))
        write_rows(connection, _SQL["insert_messages"], messages)
        write_rows(connection, _SQL["insert_deliveries"], posts)
        over = self._change(connection, changes, placed, now) if changes else []
        write_rows(
            connection,
            _SQL["upsert_alerts"],
            [(a.source, a.key, as_json(a), a.updated_at, a.state) for a in plan.alerts.values()],
        )
        write_rows(connection, _SQL["upsert_incidents"], self._incidents(plan, placed))
        for waiting in plan.adopted:
            connection.execute(_SQL["adopt_event"], (as_json(waiting.event), waiting.seq))
        for seq, why in plan.suppressed:
            connection.execute(_SQL["suppress_event"], (why, seq))
        connection.execute(_SQL["advance"], (plan.up_to, plan.up_to))
        return over

    def _change(
        self, connection: Connection, changes: Sequence[Intent], placed: Mapping[int, int], now: float
    ) -> list[tuple[str, int]]:
        """Write edits and replies: a newer edit takes the place of one that waits, a post that waits that of all."""
        over: list[tuple[str, int]] = []
        for change in changes:
            delivery = self._sequences.next("delivery")
            message = placed.get(change.message, change.message)
            row = (delivery, message, change.event_seq, change.room, change.action, change.rank, change.content, now)
            write_rows(connection, _SQL["insert_changes"], [row])
            values = {"id": delivery, "message": message, "now": now}
            mine = connection.execute(_SQL["supersede_by_post"], values).fetchall()
            over.extend(mine)
            if change.action == "edit" and not mine:
                over.extend(connection.execute(_SQL["supersede_edits"], values).fetchall())
        return over

    def _incidents(self, plan: Plan, placed: Mapping[int, int]) -> list[Row]:
        rows: list[Row] = []
        for incident in plan.incidents.values():
            settled = msgspec.structs.replace(
                incident,
                id=incident.id if incident.id > 0 else self._sequences.next("incident"),
                message=placed.get(incident.message, incident.message),
            )
            rows.append(
                (settled.id, settled.source, settled.key, settled.room, settled.message, settled.seq, as_json(settled),
                 settled.ended_at, settled.wake_at)
            )  # fmt: skip
        return rows

    @staticmethod
    def set_aside(connection: Connection, items: list[tuple[int, str]]) -> list[None]:
        """Take events out of the planner's way, each with the reason."""
        for seq, why in items:
            connection.execute(_SQL["set_event_aside"], (why, seq))
            connection.execute(_SQL["advance"], (seq, seq))
        return [None] * len(items)
