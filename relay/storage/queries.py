"""Reads and changes for the API and the command line, as JSON documents."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Literal

import msgspec

from relay.core.alert import AlertKey
from relay.ports import DeliveryFilter, EventFilter, IncidentFilter
from relay.storage.outbox import SetAside, dead_counts, depths, oldest_waiting, set_aside
from relay.storage.statements import read_json, statements

_SQL = statements("queries")
Verb = Literal["retry", "drop"]


def list_events(connection: Connection, wanted: EventFilter) -> str:
    """Return events (or refusals), newest first."""
    name = "list_refusals" if wanted.refused else "list_events"
    values = {"source": wanted.source, "after": wanted.after, "limit": wanted.limit}
    return read_json(connection, _SQL[name], values)


def newest(connection: Connection) -> tuple[int, float]:
    """Return the last event's number, and the last outcome's time in Unix seconds."""
    found: tuple[int, float] = connection.execute(_SQL["newest"]).fetchone()
    return found


def events_after(connection: Connection, wanted: tuple[int, int]) -> str:
    """Return events after a number, oldest first; `wanted` is the number and a limit."""
    return read_json(connection, _SQL["events_after"], {"seq": wanted[0], "limit": wanted[1]})


def outcomes_after(connection: Connection, wanted: tuple[float, int, int]) -> list[tuple[float, str]]:
    """Return deliveries settled after a time and a number, in that order, each with its time, up to a limit."""
    at, number, limit = wanted
    return connection.execute(_SQL["outcomes_after"], {"at": at, "id": number, "limit": limit}).fetchall()


def show_event(connection: Connection, event_id: str) -> str:
    """Return one event with its payload, or `null`."""
    return read_json(connection, _SQL["show_event"], (event_id,))


def list_deliveries(connection: Connection, wanted: DeliveryFilter) -> str:
    """Return deliveries, newest first."""
    values = msgspec.structs.asdict(wanted)
    for name in ("ids", "state"):
        values[name] = None if values[name] is None else msgspec.json.encode(values[name]).decode()
    return read_json(connection, _SQL["list_deliveries"], values)


def list_incidents(connection: Connection, wanted: IncidentFilter) -> str:
    """Return open incidents, the worst first, followed by ended ones if asked for."""
    return read_json(connection, _SQL["list_incidents"], msgspec.structs.asdict(wanted))


def key_of_incident(connection: Connection, number: int) -> AlertKey | None:
    """Return the key of an open incident's alert, or None."""
    row: AlertKey | None = connection.execute(_SQL["key_of_incident"], (number,)).fetchone()
    return row


def counts(connection: Connection) -> dict[str, dict[str, int]]:
    """Count deliveries by state, events, and open incidents."""
    return {
        "deliveries": msgspec.json.decode(read_json(connection, _SQL["count_states"])),
        "events": msgspec.json.decode(read_json(connection, _SQL["count_events"])),
        "incidents": {"open": connection.execute(_SQL["count_open"]).fetchone()[0]},
    }


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The queue at one moment, by room: how many deliveries wait, since when (Unix seconds), and how many are dead.

    `aside` holds deliveries that are set aside: they wait while the room goes on without them. `counts` are the
    counts of everything on record, empty unless asked for.
    """

    waiting: dict[str, int]
    oldest: dict[str, float]
    dead: dict[str, int]
    aside: dict[str, SetAside]
    counts: dict[str, dict[str, int]]


def snapshot(connection: Connection, wanted: tuple[list[str], bool]) -> Snapshot:
    """Return the queue at one moment; `wanted` is the rooms, and whether to count everything on record."""
    rooms, everything = wanted
    connection.execute("BEGIN")  # one read transaction, so that all figures are of the same moment
    try:
        return Snapshot(
            waiting={room: sum(found) for room, found in depths(connection).items()},
            oldest=oldest_waiting(connection, rooms),
            dead=dead_counts(connection),
            aside=set_aside(connection),
            counts=counts(connection) if everything else {},
        )
    finally:
        connection.execute("COMMIT")


def count_untold_events(connection: Connection) -> int:
    """Return how many events have no delivery though nothing suppressed them.

    They wait for the planner, or are set aside. Events that wait in an incident until its group is due don't count.
    """
    return int(connection.execute(_SQL["count_untold_events"]).fetchone()[0])


def change(connection: Connection, items: list[tuple[Verb, tuple[int, ...], float]]) -> list[list[tuple[int, str]]]:
    """Retry or drop deliveries by id, at a time in Unix seconds; return ids and rooms of those that were changed."""
    changed: list[list[tuple[int, str]]] = []
    for verb, ids, now in items:
        values = {"ids": msgspec.json.encode(ids).decode(), "now": now}
        rows = connection.execute(_SQL[f"{verb}_deliveries"], values).fetchall()
        changed.append(sorted((row[0], row[1]) for row in rows))
    return changed
