"""Reads and changes for the API and the command line, as JSON documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from relay.core.alert import AlertKey
from relay.core.delivery import MOST_LINES, Summary
from relay.core.event import Event
from relay.storage.outbox import Dead, SetAside, deaths, oldest_waiting, set_aside, waiting_counts, with_unnamed
from relay.storage.session import Session

MOST_EVENTS = 200
"""Events of an incident's trail, at most."""
Verb = Literal["retry", "drop"]


def list_events(
    session: Session, *, source: str | None = None, after: int = 0, limit: int = 100, refused: bool = False
) -> str:
    """Return events (or refusals) that came after a `seq`, newest first."""
    name = "list_refusals" if refused else "list_events"
    return session.read(f"queries.{name}", {"source": source, "after": after, "limit": limit})


def newest(session: Session) -> tuple[int, float]:
    """Return the last event's number, and the last outcome's time in Unix seconds."""
    found: tuple[int, float] = session.run("queries.newest").fetchone()
    return found


def events_after(session: Session, seq: int, limit: int) -> str:
    """Return events after a number, oldest first."""
    return session.read("queries.events_after", {"seq": seq, "limit": limit})


def outcomes_after(session: Session, at: float, delivery: int, limit: int) -> list[tuple[float, str]]:
    """Return deliveries settled after a time and a number, in that order, each with its time."""
    return session.run("queries.outcomes_after", {"at": at, "id": delivery, "limit": limit}).fetchall()


def show_event(session: Session, event_id: str) -> str:
    """Return one event with its payload, or `null`."""
    return session.read("queries.show_event", (event_id,))


def list_deliveries(
    session: Session,
    *,
    ids: Sequence[int] | None = None,
    event: str | None = None,
    state: Sequence[str] | None = None,
    room: str | None = None,
    reason: str | None = None,
    created_before: float | None = None,
    limit: int = 100,
) -> str:
    """Return deliveries, newest first; `created_before` in Unix seconds."""
    values = {
        "ids": _listed(ids),
        "event": event,
        "state": _listed(state),
        "room": room,
        "reason": reason,
        "created_before": created_before,
        "limit": limit,
    }
    return session.read("queries.list_deliveries", values)


def list_incidents(session: Session, *, ended: bool = False, limit: int = 10_000) -> str:
    """Return open incidents, the worst first, followed by ended ones if asked for."""
    return session.read("queries.list_incidents", {"ended": ended, "limit": limit, "id": None})


class MessageNow(msgspec.Struct, frozen=True):
    """The values from which the living message of an incident is rendered. `labels` are those of its group."""

    id: int
    room: str
    template: str | None
    event: Event
    summary: Summary
    labels: dict[str, str] | None = None


class Trail(msgspec.Struct, frozen=True):
    """An incident as the API shows it, its events, the latest first, and the message that stands in its room."""

    incident: dict[str, Any]
    events: list[dict[str, Any]]
    message: MessageNow | None


def trail(session: Session, number: int) -> Trail | None:
    """Return an incident by its number with its last events and its message; None if there is none."""
    found = msgspec.json.decode(session.read("queries.list_incidents", {"ended": True, "limit": 1, "id": number}))
    if not found:
        return None
    values = {"id": number, "limit": MOST_EVENTS, "named": MOST_LINES}
    row = session.run("queries.message_of_incident", values).fetchone()
    message = None if row is None else msgspec.json.decode(row[0], type=MessageNow)
    if message is not None:
        message = msgspec.structs.replace(message, summary=with_unnamed(session, message.id, message.summary))
    return Trail(found[0], msgspec.json.decode(session.read("queries.events_of_incident", values)), message)


def _listed(values: Sequence[object] | None) -> str | None:
    return None if values is None else msgspec.json.encode(values).decode()


def key_of_incident(session: Session, number: int) -> AlertKey | None:
    """Return the key of an open incident's alert, or None."""
    row: AlertKey | None = session.run("queries.key_of_incident", (number,)).fetchone()
    return row


def counts(session: Session) -> dict[str, dict[str, int]]:
    """Count deliveries by state, events, and alerts with an open incident, in however many rooms."""
    events = msgspec.json.decode(session.read("queries.count_events"))  # first: what is planned now is counted
    return {
        "deliveries": msgspec.json.decode(session.read("queries.count_states")),
        "events": events,
        "alerts": {"open": session.run("queries.count_open").fetchone()[0]},
    }


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The queue at one moment, by room: how many deliveries wait, since when (Unix seconds), and which are dead.

    `aside` holds deliveries that are set aside: they wait while the room goes on without them. `counts` are the
    counts of everything on record, empty unless asked for.
    """

    waiting: dict[str, int]
    oldest: dict[str, float]
    deaths: dict[str, Dead]
    aside: dict[str, SetAside]
    counts: dict[str, dict[str, int]]

    @property
    def dead(self) -> dict[str, int]:
        """The number of dead deliveries by room."""
        return {room: one.count for room, one in self.deaths.items()}


def snapshot(session: Session, rooms: Sequence[str], *, everything: bool) -> Snapshot:
    """Return the queue at one moment; with `everything`, also count all rows on record."""
    with session.moment():
        return Snapshot(
            waiting=waiting_counts(session),
            oldest=oldest_waiting(session, list(rooms)),
            deaths=deaths(session),
            aside=set_aside(session),
            counts=counts(session) if everything else {},
        )


def count_untold_events(session: Session) -> int:
    """Count the events without a delivery that nothing suppressed.

    They wait for the planner, or are set aside. Events that wait in an incident until its group is due don't count.
    """
    return int(session.run("queries.count_untold_events").fetchone()[0])


def change(session: Session, items: list[tuple[Verb, tuple[int, ...], float]]) -> list[list[tuple[int, str]]]:
    """Retry or drop deliveries by id, at a time in Unix seconds; return ids and rooms of those that were changed."""
    changed: list[list[tuple[int, str]]] = []
    for verb, ids, now in items:
        values = {"ids": msgspec.json.encode(ids).decode(), "now": now}
        rows = session.run(f"queries.{verb}_deliveries", values).fetchall()
        changed.append(sorted((row[0], row[1]) for row in rows))
    return changed
