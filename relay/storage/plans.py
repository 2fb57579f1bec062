"""Reads and writes of the planner."""

from __future__ import annotations

from sqlite3 import Connection

import msgspec

from relay.core.alert import Alert, AlertKey, OpenIncident
from relay.core.planning import Known, Plan, Waiting
from relay.storage.inbox import as_json
from relay.storage.sequence import Sequences
from relay.storage.statements import Row, read_json, statements, write_rows

_SQL = statements("plans")
_waiting = msgspec.json.Decoder(list[Waiting])
_alerts = msgspec.json.Decoder(list[Alert])
_incidents = msgspec.json.Decoder(list[OpenIncident])


def waiting_events(connection: Connection, limit: int) -> list[Waiting]:
    """Events that wait for the planner, in order of arrival."""
    return _waiting.decode(read_json(connection, _SQL["waiting_events"], (limit,)))


def count_waiting_events(connection: Connection) -> int:
    """How many events wait for the planner."""
    return int(connection.execute(_SQL["count_waiting_events"]).fetchone()[0])


def known(connection: Connection, keys: list[AlertKey]) -> Known:
    """Alerts and open incidents of these keys."""
    wanted = (msgspec.json.encode(keys).decode(),)
    alerts = _alerts.decode(read_json(connection, _SQL["known_alerts"], wanted))
    opened: dict[AlertKey, dict[str, OpenIncident]] = {}
    for incident in _incidents.decode(read_json(connection, _SQL["known_incidents"], wanted)):
        opened.setdefault((incident.source, incident.key), {})[incident.room] = incident
    return Known({(alert.source, alert.key): alert for alert in alerts}, opened)


def firing_keys(connection: Connection, source: str) -> list[str]:
    """Keys of a source's alerts that fire."""
    return list(msgspec.json.decode(read_json(connection, _SQL["firing_keys"], (source,)), type=list[str]))


class PlanWriter:
    """Operations of the group commit on messages, deliveries, alerts and incidents."""

    def __init__(self, sequences: Sequences) -> None:
        self._sequences = sequences

    def commit(self, connection: Connection, plans: list[tuple[Plan, float]]) -> list[None]:
        """Write plans, each with its time."""
        for plan, now in plans:
            self._commit(connection, plan, now)
        return [None] * len(plans)

    def _commit(self, connection: Connection, plan: Plan, now: float) -> None:
        messages: list[Row] = []
        deliveries: list[Row] = []
        placed: dict[tuple[int, str], int] = {}
        for posting in plan.postings:
            message, delivery = self._sequences.next("message"), self._sequences.next("delivery")
            placed[posting.event_seq, posting.room] = message
            messages.append((message, posting.room, posting.group, posting.route, posting.template))
            deliveries.append((delivery, message, posting.event_seq, posting.room, posting.rank, now))
        write_rows(connection, _SQL["insert_messages"], messages)
        write_rows(connection, _SQL["insert_deliveries"], deliveries)
        write_rows(
            connection,
            _SQL["upsert_alerts"],
            [(a.source, a.key, a.state, a.severity, a.title, as_json(a.labels), a.started_at, a.updated_at)
             for a in plan.alerts.values()],
        )  # fmt: skip
        for incident, at in plan.closed:
            connection.execute(_SQL["close_incident"], (at, incident.source, incident.key, incident.room))
        write_rows(
            connection,
            _SQL["insert_incidents"],
            [(i.source, i.key, i.room, i.group, placed[new.seq, i.room], i.opened_at, new.ended_at)
             for new in plan.opened for i in (new.incident,)],
        )  # fmt: skip
        for waiting in plan.adopted:
            connection.execute(_SQL["adopt_event"], (as_json(waiting.event), waiting.seq))
        connection.execute(_SQL["advance"], (plan.up_to, plan.up_to))

    @staticmethod
    def set_aside(connection: Connection, items: list[tuple[int, str]]) -> list[None]:
        """Take events out of the planner's way, each with the reason."""
        for seq, why in items:
            connection.execute(_SQL["set_event_aside"], (why, seq))
            connection.execute(_SQL["advance"], (seq, seq))
        return [None] * len(items)
