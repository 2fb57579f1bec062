"""Writes of the inbox: submissions and refusals."""

from __future__ import annotations

import msgspec

from relay.core.encoding import whole
from relay.core.event import Event
from relay.ports import Accepted, Conflict, Refusal, Submission
from relay.storage.session import Row, Session

_encode = msgspec.json.Encoder().encode
REFUSED_PAYLOAD = 65_536
"""The most bytes of a refused payload that are kept."""


def as_json(value: object) -> str:
    """Return a value as the JSON text of a column."""
    return _encode(value).decode()


class Entry(msgspec.Struct, frozen=True):
    """A submission as rows. The event loop makes them, which leaves little work to the writer's thread."""

    submission: Submission
    first: int
    ids: tuple[str, ...]
    events: tuple[Row, ...]


def entry_of(submission: Submission, first: int) -> Entry:
    """Make the rows of a submission. Its events are numbered from `first`; the first row keeps the payload."""
    events = submission.events
    last = first + len(events) - 1
    rows = [
        (seq, *_row(event), first, last, submission.payload if seq == first else None)
        for seq, event in enumerate(events, first)
    ]
    return Entry(submission, first, tuple([event.id for event in events]), tuple(rows))


class InboxWriter:
    """Operations of the group commit on events, the keys of their requests, and refusals."""

    @staticmethod
    def accept(session: Session, entries: list[Entry]) -> list[Accepted | Conflict]:
        """Insert the events of requests; for a key that is on record, return the original ids or a conflict."""
        keys: list[Row] = []
        events: list[Row] = []
        results: list[Accepted | Conflict] = []
        refusals: list[Refusal] = []
        fresh: dict[tuple[str, str], tuple[bytes, str]] = {}
        for entry in entries:
            submission = entry.submission
            key = submission.dedupe_key
            if key is not None:
                known = fresh.get((submission.source, key)) or _recorded(session, submission.source, key)
                if known is not None:
                    results.append(_again(submission, key, known))
                    continue
                digest, ids = fresh[submission.source, key] = (submission.digest or b"", as_json(entry.ids))
                keys.append((submission.source, key, digest, ids, submission.received_at))
            if submission.state:
                _keep(session, submission)
            refusals += submission.refused
            if not entry.events:
                results.append(Accepted(()))
                continue
            events.extend(entry.events)
            results.append(Accepted(entry.ids, first_seq=entry.first))
        session.write("inbox.insert_keys", keys)
        session.write("inbox.insert_events", events)
        _refuse(session, refusals)
        return results

    @staticmethod
    def refuse(session: Session, refusals: list[Refusal]) -> list[None]:
        """Record the beginning of each refused payload."""
        _refuse(session, refusals)
        return [None] * len(refusals)


def _refuse(session: Session, refusals: list[Refusal]) -> None:
    rows = [(r.source, r.received_at, r.reason, whole(r.detail), _readable(r.payload)) for r in refusals]
    session.write("inbox.insert_refusals", rows)


def _keep(session: Session, submission: Submission) -> None:
    """Write the state from which the source's listener resumes."""
    last = dict(submission.state)
    kept = [(submission.source, name, value) for name, value in last.items() if value is not None]
    session.write("inbox.set_state", kept)
    gone = [(submission.source, name) for name, value in last.items() if value is None]
    for row in gone:
        session.run("inbox.drop_state", row)


def state_of(session: Session, source: str) -> dict[str, bytes]:
    """Return the state from which a source's listener resumes, by name."""
    return dict(session.run("inbox.state_of", (source,)).fetchall())


def _readable(payload: bytes) -> str:
    """Return the beginning of a payload as text, whatever its bytes are."""
    return payload[:REFUSED_PAYLOAD].decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _recorded(session: Session, source: str, key: str) -> tuple[bytes, str] | None:
    row: tuple[bytes, str] | None = session.run("inbox.find_duplicate", (source, key)).fetchone()
    return row


def _again(submission: Submission, key: str, known: tuple[bytes, str]) -> Accepted | Conflict:
    digest, ids = known
    if digest != submission.digest:
        return Conflict(key)
    return Accepted(msgspec.json.decode(ids, type=tuple[str, ...]), duplicate=True)


def _row(event: Event) -> Row:
    alert = None if event.status == "notice" else event.key
    return (event.id, event.source, alert, event.received_at, as_json(event))
