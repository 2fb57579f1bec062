"""An event: one normalised thing that happened at a source."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from typing import Any, Literal, get_args

import msgspec

from relay.core.severity import NO_TROUBLE, severity_of
from relay.core.severity import RANK as RANK
from relay.core.severity import SEVERITIES as SEVERITIES
from relay.core.severity import Severity as Severity

Status = Literal["firing", "resolved", "notice"]

STATUSES: tuple[Status, ...] = get_args(Status)

OPERATOR_SOURCE = "relay"
"""The name under which the relay's own trouble becomes events; they go to the operator's room alone."""
MAX_TITLE = 1_000
"""Characters of a title that are kept. The payload keeps all of it."""
UNTITLED = "an event without a title"
"""The title of an event that has neither a title nor a key."""
MAX_BODY = 60_000
"""Characters of a body that are kept. The payload keeps all of it."""
MAX_DONE = 500
"""Characters of `done`: a line about an action on the alert."""
MAX_KEY = 1_000
"""Characters of a key. The end of a longer one becomes a hash, so that different keys stay different."""
MAX_NAME = 200
"""Characters of the name of a person who acknowledges an alert."""
MAX_LABELS = 100
MAX_LABEL_VALUE = 2_000
MAX_ANNOTATION = 10_000
"""Characters of an annotation that are kept; of annotations, as of labels, there are `MAX_LABELS` at most."""
MAX_LINKS = 20
MAX_FILES = 20


Cleared = Literal["body", "links", "files"]
"""A part of an alert that an update removes: it is there, and empty."""
CLEARED: tuple[Cleared, ...] = get_args(Cleared)


class Link(msgspec.Struct, frozen=True):
    """A named address that goes with an event."""

    text: str
    url: str


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An event as a format reads it from a payload; the source's settings and the intake make an `Event` of it.

    `annotations` are the sender's own, as Alertmanager's clients show them. An update keeps the body, links and files
    that it lacks, unless they are among those `cleared`. `done` says in a line what somebody did to the alert.
    `authors`: ids and e-mail addresses of the account that did it, in a service that the relay posts to. `unread` names
    the parts of the payload that were not read, for the answer to its sender.
    """

    title: str
    status: Status = "notice"
    severity: str | None = None
    key: str | None = None
    body: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    links: tuple[Link, ...] = ()
    files: tuple[str, ...] = ()
    occurred_at: float | None = None
    ends_at: float | None = None
    acknowledged_by: str | None = None
    unacknowledged_by: str | None = None
    downtime: bool | None = None
    notes: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    done: str = ""
    cleared: tuple[Cleared, ...] = ()
    unread: tuple[str, ...] = ()


class Unread(msgspec.Struct, frozen=True):
    """An item of a batch from which no event could be made: its index, the error, and the decoded item."""

    index: int
    error: str
    item: Any


class Dropped(msgspec.Struct, frozen=True):
    """An event that nobody asked for, and why; without a draft if none was made. It is counted and not stored."""

    why: str
    draft: Draft | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One normalised event. Times are Unix seconds. `notes` list the values that were derived, cut or absent.

    `ends_at` is when a firing event's alert expires unless a further event comes. A notice with `acknowledged_by`
    acknowledges the alert of its key; one with `unacknowledged_by` withdraws that. `downtime` of a firing event means
    that its source holds its alerts back for maintenance. In a notice it means that a downtime of its key began (True)
    or ended (False).
    """

    id: str
    source: str
    format: str
    status: Status
    severity: Severity
    severity_given: bool
    title: str
    body: str
    key: str
    labels: dict[str, str]
    links: tuple[Link, ...]
    files: tuple[str, ...]
    occurred_at: float
    received_at: float
    ends_at: float | None = None
    acknowledged_by: str | None = None
    unacknowledged_by: str | None = None
    downtime: bool | None = None
    notes: tuple[str, ...] = ()
    done: str = ""
    cleared: tuple[Cleared, ...] = ()
    annotations: dict[str, str] = {}


class SourceDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """Values that a source's settings add to its events."""

    source: str
    format: str
    severity: Severity = "warning"
    labels: dict[str, str] = {}


def stamp(draft: Draft, defaults: SourceDefaults, event_id: str, now: float) -> Event:
    """Make a bounded event from a draft. `now` is in Unix seconds. The draft's labels win over the source's own."""
    word = draft.severity.strip().lower() if draft.severity else ""
    severity: Severity | None = word if word in RANK else severity_of(word) if word else None
    labels = {**defaults.labels, **draft.labels} if defaults.labels else draft.labels
    notes = draft.notes
    if word and word not in RANK:
        labels = {"severity": word[:MAX_LABEL_VALUE], **labels}  # rules may match a sender's own words
        if severity is None:
            notes = (*notes, f"severity {word[:40]!r} is not known; the source's default, {defaults.severity}, is used")
        elif draft.status == "resolved" and word in NO_TROUBLE:
            severity = None
    if _oversized(draft, labels):
        draft, labels, notes = _bounded(draft, labels, notes)
    return Event(
        id=event_id,
        source=defaults.source,
        format=defaults.format,
        status=draft.status,
        severity=severity or defaults.severity,
        severity_given=severity is not None,
        title=draft.title or draft.key or UNTITLED,
        body=draft.body,
        key=draft.key or event_id,
        labels=labels,
        links=draft.links,
        files=draft.files,
        occurred_at=now if draft.occurred_at is None else draft.occurred_at,
        received_at=now,
        ends_at=draft.ends_at,
        acknowledged_by=None if draft.acknowledged_by is None else draft.acknowledged_by[:MAX_NAME],
        unacknowledged_by=None if draft.unacknowledged_by is None else draft.unacknowledged_by[:MAX_NAME],
        downtime=draft.downtime,
        notes=notes,
        done=draft.done,
        cleared=draft.cleared,
        annotations=draft.annotations,
    )


def is_about_alert(event: Event) -> bool:
    """Return whether an event is a notice about its key's alert: an acknowledgement, its withdrawal, or a downtime."""
    if event.key == event.id or event.status != "notice":
        return False  # most notices have no key but their own id
    return event.acknowledged_by is not None or event.unacknowledged_by is not None or event.downtime is not None


def has_unknown_severity(draft: Draft) -> bool:
    """Return whether a draft's severity is a word that is not known."""
    word = draft.severity.strip().lower() if draft.severity else ""
    return word != "" and severity_of(word) is None


def _oversized(draft: Draft, labels: dict[str, str]) -> bool:
    """Return whether a part is too large. Few events are near a bound, so all parts together are looked at first."""
    texts = len(draft.title) + len(draft.body) + len(draft.done) + len(draft.key or "")
    parts = len(labels) + len(draft.annotations) + len(draft.links) + len(draft.files)
    if texts <= MAX_DONE and parts <= MAX_LINKS:
        values = (*labels, *labels.values(), *draft.annotations, *draft.annotations.values())
        if len("".join(values)) <= MAX_LABEL_VALUE:
            return False
    return (
        len(draft.title) > MAX_TITLE
        or len(draft.body) > MAX_BODY
        or len(draft.done) > MAX_DONE
        or len(draft.key or "") > MAX_KEY
        or len(labels) > MAX_LABELS
        or len(draft.links) > MAX_LINKS
        or len(draft.files) > MAX_FILES
        or len(draft.annotations) > MAX_LABELS
        or _longest(labels) > MAX_LABEL_VALUE
        or _longest(labels.values()) > MAX_LABEL_VALUE
        or _longest(draft.annotations) > MAX_LABEL_VALUE
        or _longest(draft.annotations.values()) > MAX_ANNOTATION
    )


def _longest(texts: Collection[str]) -> int:
    return max(map(len, texts)) if texts else 0


def _bounded(
    draft: Draft, labels: dict[str, str], notes: tuple[str, ...]
) -> tuple[Draft, dict[str, str], tuple[str, ...]]:
    """Cut each field that is too long, and add a note. An alert is never refused for its length."""
    cut = msgspec.structs.replace(
        draft,
        title=draft.title[:MAX_TITLE],
        body=draft.body[:MAX_BODY],
        done=draft.done[:MAX_DONE],
        annotations=_cut_annotations(draft.annotations),
        key=draft.key if draft.key is None or len(draft.key) <= MAX_KEY else _short_key(draft.key),
        links=draft.links[:MAX_LINKS],
        files=draft.files[:MAX_FILES],
    )
    kept = {name[:MAX_LABEL_VALUE]: value[:MAX_LABEL_VALUE] for name, value in list(labels.items())[:MAX_LABELS]}
    return cut, kept, (*notes, "cut: the event was too large, so parts were left out; its payload has all of it")


def _cut_annotations(given: dict[str, str]) -> dict[str, str]:
    return {name[:MAX_LABEL_VALUE]: text[:MAX_ANNOTATION] for name, text in list(given.items())[:MAX_LABELS]}


def _short_key(key: str) -> str:
    return key[: MAX_KEY - 65] + "#" + sha256(key.encode()).hexdigest()
