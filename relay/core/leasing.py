"""The decision about what a lane sends next, made when its first delivery is leased. Pure.

A delivery records the action wanted when it was planned. Since then its message may have been posted, edited as often
as the service allows, or replaced. So a post becomes an edit if the message already stands. An edit becomes a post if
it does not, and an edit beyond the service's limit becomes a reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from relay.core.delivery import (
    EDITS_OF_CHANGES,
    MOST_EDITS,
    Action,
    Digest,
    DigestLine,
    Diversion,
    Lease,
    MessageKind,
    Summary,
    files_of,
)
from relay.core.incident import Incident
from relay.core.markdown import file_name
from relay.core.phrases import LATE_AFTER, ROOM_IS_BACK, continued_in, file_is_not_shown, goes_on_in, late, meant_for
from relay.core.replies import message_of, say
from relay.core.storm import Storm

Wants = Literal["nothing", "digest", "note", "attached", "reply"]
"""Values to load before a delivery can be rendered; few deliveries need any."""


class Head(msgspec.Struct, frozen=True):
    """The first delivery that waits for one room of a lane, with its message.

    `due_at` is in Unix seconds. `position` and `part` are its place in the lane. `edits` counts the message's edits;
    `labels` are those of the group that it shows. `newer` is the kind of the message that took its place, or None.
    """

    lane: str
    due_at: float
    position: int
    part: int
    lease: Lease
    edits: int
    labels: dict[str, str] | None = None
    newer: MessageKind | None = None


class Later(msgspec.Struct, frozen=True):
    """Nothing is due before a time, in Unix seconds."""

    due_at: float


class Drop(msgspec.Struct, frozen=True):
    """An order to drop the delivery: it is the last edit of a message that was never posted."""


class Ready(msgspec.Struct, frozen=True):
    """A delivery to send now. `recorded_as` is the action that its row keeps: a digest's post stays a digest there."""

    lease: Lease
    recorded_as: Action
    wants: Wants = "nothing"

    @property
    def supersedes(self) -> bool:
        """Return whether it shows the present state, so that waiting deliveries that would show it are superseded."""
        return self.lease.summary is not None and self.lease.action not in ("reply", "file")


def first_of_lanes(heads: Iterable[Head]) -> dict[str, Head]:
    """Return the first delivery of each lane, whichever of its rooms it is for."""
    first: dict[str, Head] = {}
    for head in heads:
        known = first.get(head.lane)
        if known is None or (head.position, head.part) < (known.position, known.part):
            first[head.lane] = head
    return first


def next_step(head: Head, now: float) -> Later | Drop | Ready:
    """Decide whether a lane's first delivery waits, is dropped or is sent. `now` is in Unix seconds."""
    if head.due_at > now:
        return Later(head.due_at)
    lease = _as_left_behind(head)
    last_word = lease.content is not None or lease.elsewhere is not None
    if lease.action == "edit" and last_word and lease.remote is None:
        return Drop()
    possible = _possible(lease, head)
    recorded_as: Action = "digest" if lease.action == "digest" and possible.action == "post" else possible.action
    return Ready(possible, recorded_as, _wants(possible))


def _as_left_behind(head: Head) -> Lease:
    """Return the lease for a message that another replaced: it shows the present state, or names the other one."""
    lease = head.lease
    if lease.action != "edit" or lease.elsewhere is None or lease.content is not None:
        return lease
    if lease.summary is not None and head.newer != "digest":
        return lease
    room = None if lease.elsewhere == lease.room else lease.elsewhere
    return msgspec.structs.replace(lease, content=continued_in(room), summary=None)


def _possible(lease: Lease, head: Head) -> Lease:
    """Return the lease with the action that its message allows now.

    A file, or a part of a long text, stays what it is: if its message is gone it stands alone.
    """
    if lease.action == "file" or head.part > 0 or (lease.summary is None and lease.action not in ("edit", "digest")):
        return lease
    if lease.summary is not None and head.labels:
        lease = msgspec.structs.replace(lease, summary=msgspec.structs.replace(lease.summary, labels=head.labels))
    if lease.remote is None:
        return msgspec.structs.replace(lease, action="post", content=None, says=None)
    if lease.action == "reply":
        return lease
    most = EDITS_OF_CHANGES if lease.summary is not None and lease.summary.firing else MOST_EDITS
    return msgspec.structs.replace(lease, action="edit" if head.edits < most else "reply")


def _wants(lease: Lease) -> Wants:
    if lease.says is not None:
        return "reply"
    if lease.kind == "note":
        return "note"
    if lease.kind == "digest":
        return "digest" if lease.content is None else "nothing"
    return "attached" if lease.summary is not None and files_of(lease) else "nothing"


def with_digest(
    lease: Lease, storm: Storm | None, counts: tuple[tuple[int, str, int], ...], lines: tuple[DigestLine, ...]
) -> Lease:
    """Return the lease of a storm's message with the storm's present counts, and its worst incidents by name."""
    summary = lease.summary or Summary((), 0, 0, lease.created_at)
    began_at, seen_at, over = lease.created_at, lease.created_at, False
    if storm is not None:
        began_at, seen_at, over = storm.began_at, storm.seen_at, storm.ended_at is not None
    digest = Digest(counts, lines, began_at, seen_at, over)
    return msgspec.structs.replace(lease, summary=msgspec.structs.replace(summary, digest=digest))


def with_reply(lease: Lease, incidents: Sequence[Incident], now: float) -> Lease | None:
    """Return the lease of a reply with its words as they are true now, or None if nothing of it is.

    `incidents` are those of the reply's alerts that its message shows; `now` is by the relay's own clock.
    """
    if lease.says is None:
        return lease
    text = say(lease.says, incidents, now, message_of(lease.summary or Summary((), 0, 0, now)))
    if text is None:
        return None
    behind = now - lease.created_at
    return msgspec.structs.replace(lease, content=late(text, behind) if behind >= LATE_AFTER else text)


def with_note(lease: Lease, diversion: Diversion | None) -> Lease:
    """Return the lease of a note with its diversion, or with a short text if that was pruned (None)."""
    return msgspec.structs.replace(lease, note=diversion, content=ROOM_IS_BACK if diversion is None else None)


def with_attached(lease: Lease, attached: tuple[str, ...]) -> Lease:
    """Return the lease with the addresses of files that are in its thread or on their way there."""
    return msgspec.structs.replace(lease, attached=attached)


def remark_of(lease: Lease, *, shows_files: bool) -> str:
    """Return the last line of a message: its place, and the files that its service can't show. Plain text."""
    if lease.elsewhere is not None:
        return goes_on_in(None if lease.elsewhere == lease.room else lease.elsewhere)
    said = [] if lease.origin is None else [meant_for(lease.origin)]
    if lease.action == "post" and not shows_files:
        said += [file_is_not_shown(file_name(file)) for file in files_of(lease) if "://" not in file]
    return " · ".join(said)
