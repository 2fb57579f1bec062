"""Storms: when a room gets more new messages than it can take, they become one digest.

While a storm lasts, new posts wait. Every few seconds the digest takes them up: first as a message of its own, then by
its edits. Criticals still go first and alone, up to a limit. When the room can take new posts one by one again, the
storm is over. A note in the digest's thread says so, with the full list as a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from relay.core.delivery import EDITS_OF_CHANGES, Haste, Reply
from relay.core.incident import Incident
from relay.core.news import Step
from relay.core.phrases import ALL_OF_STORM_ENDED, storm_is_over

TOO_LONG = 5.0
"""Seconds that new posts may take to go out one by one, if more of them wait than the room's `digest_over`."""
WINDOW = 10.0
"""Seconds over which posts are counted. If no more come than the room's `digest_over`, the storm is over."""
MOST_ALONE = 5
"""Critical alerts of a storm that have messages of their own."""
EVERY = 5.0
"""Seconds between the first edits of a digest; from the fourth on they double."""
MOST_EDITS = 6
"""Edits after which a storm that goes on gets another digest. The rest is kept to show how its alerts end."""
LATER = 60.0
"""Seconds after which a digest says how its alerts go on, once the storm is over; doubled each time."""

ALL_ENDED = Step("reply", ALL_OF_STORM_ENDED, says=Reply(kind="storm ended"))


class Pressure(msgspec.Struct, frozen=True):
    """The new posts that wait for a room.

    `seconds_each` is how long one takes to send. The room gets up to `digest_over` of them one by one. `seq` is the
    last event that waits.
    """

    waiting: int
    seconds_each: float
    digest_over: int
    seq: int = 0

    def is_storm(self, more: int) -> bool:
        """Return whether these and `more` new posts are a storm."""
        waiting = self.waiting + more
        return waiting > self.digest_over and waiting * self.seconds_each > TOO_LONG


class Storm(msgspec.Struct, frozen=True, kw_only=True):
    """A storm in a room, and its digest. Times are Unix seconds.

    It began at `began_at`; its last post came at `seen_at`, with the event `seq`. `joined` counts the posts since
    `window_at`, `alone` those that went out by themselves. The digest is due at `flush_at` and was sent last at
    `flushed_at`. The storm was over at `ended_at`. `at` is the fallback that the digest stands in, empty if it stands
    in its own room.
    """

    id: str
    room: str
    message: int = 0
    began_at: float
    seen_at: float
    window_at: float
    joined: int = 0
    alone: int = 0
    seq: int = 0
    flush_at: float | None = None
    flushed_at: float | None = None
    ended_at: float | None = None
    wake_at: float | None = None
    at: str = ""

    @property
    def where(self) -> str:
        """Return the room that its digest stands in."""
        return self.at or self.room


class StormMembers(msgspec.Struct, frozen=True, tag_field="kind", tag="storm"):
    """A storm with the incidents that its digest must show, the digest's edits, and how many incidents still fire."""

    group: Storm
    incidents: tuple[Incident, ...]
    edits: int = 0
    firing: int = 0


def open_storm(room: str, now: float, seq: int = 0) -> Storm:
    """Return a storm that begins with the event `seq`."""
    return Storm(
        id=f"storm {now:.3f} {seq}|{room}",
        room=room,
        began_at=now,
        seen_at=now,
        window_at=now,
        wake_at=now,
        flush_at=now,
        seq=seq,
    )


class Storms:
    """Decides how the new posts of a plan go out: in turn or, in a storm, in its digest or first.

    Made from the storms that are not over, and from the pressure on rooms that many posts wait for. It counts each new
    post; `changed` holds the storms that began or grew by them.
    """

    def __init__(self, found: Iterable[Storm] = (), pressure: Mapping[str, Pressure] | None = None) -> None:
        self._open = {storm.room: storm for storm in found}
        self._pressure = dict(pressure or {})
        self._made: Counter[str] = Counter()
        self.changed: dict[str, Storm] = {}

    def haste(self, room: str, rank: int, seq: int, now: float) -> Haste:
        """Return how one more new post, for the event `seq`, goes out, and count it."""
        storm = self._open.get(room)
        if storm is None:
            self._made[room] += 1
            pressure = self._pressure.get(room)
            if pressure is None or not pressure.is_storm(self._made[room]):
                return "in turn"
            storm = open_storm(room, now, seq)
        alone = rank == 0 and storm.alone < MOST_ALONE
        self._open[room] = self.changed[storm.id] = joined(storm, seq, now, alone=alone)
        return "first" if alone else "in digest"

    def begin(self, now: float) -> bool:
        """Begin a storm in each room for which enough posts wait; return whether one began."""
        for room, pressure in self._pressure.items():
            if pressure.is_storm(0):
                storm = open_storm(room, now, pressure.seq)
                self._open[room] = self.changed[storm.id] = storm
        return bool(self.changed)

    def latest(self, storm: Storm) -> Storm:
        """Return a storm as it stands after the posts of this plan that joined it."""
        return self.changed.get(storm.id, storm)


def joined(storm: Storm, seq: int, now: float, *, alone: bool) -> Storm:
    """Return the storm after one more post, for the event `seq`; `alone` if that has a message of its own."""
    seen_at = max(now, (storm.flushed_at or 0.0) + 0.001)  # the next digest has it, whenever the event came
    return _awake(
        msgspec.structs.replace(storm, seen_at=seen_at, seq=seq, alone=storm.alone + alone, joined=storm.joined + 1)
    )


def look(
    storm: Storm, edits: int, *, news: bool, firing: int, few: int, now: float, plain: bool = False
) -> tuple[Storm, list[Step]]:
    """Return the storm and the steps for its digest.

    `news` means that its alerts have changed; `firing` counts those that still fire. The room can take `few` new posts
    one by one. In a `plain` room each edit is a new message, so there are few of them.
    """
    if storm.ended_at is None:
        storm, steps = _meanwhile(storm, edits, few, now, plain=plain)
    elif plain and firing:
        storm, steps = msgspec.structs.replace(storm, flush_at=None), []
    else:
        storm, steps = _afterwards(storm, edits, news, firing, now)
    if plain:
        steps = [Step("reply") if step == Step("edit") else step for step in steps if step != ALL_ENDED]
    return _awake(storm), steps


def _meanwhile(storm: Storm, edits: int, few: int, now: float, *, plain: bool) -> tuple[Storm, list[Step]]:
    shown = Step("edit" if storm.message else "digest")
    counted = now - storm.window_at >= WINDOW
    if (counted and storm.joined <= few) or edits >= MOST_EDITS:
        over = msgspec.structs.replace(storm, ended_at=now, flush_at=None, flushed_at=now)
        note = storm_is_over(storm.seen_at - storm.began_at, attached=not plain)
        return over, [shown, Step("file", note)]
    if counted:
        storm = msgspec.structs.replace(storm, window_at=now, joined=0)
    fresh = storm.flushed_at is None or storm.seen_at > storm.flushed_at
    if not fresh or now < (storm.flush_at or now):
        return storm, []
    every = LATER if plain else EVERY * 2 ** max(0, edits - 3)
    return msgspec.structs.replace(storm, flushed_at=now, flush_at=now + every), [shown]


def _afterwards(storm: Storm, edits: int, news: bool, firing: int, now: float) -> tuple[Storm, list[Step]]:
    """Return a storm that is over and the steps for its digest: how its alerts go on, at last that all have ended."""
    if not news:
        return msgspec.structs.replace(storm, flush_at=None), []
    due = (storm.flushed_at or now) + LATER * 2 ** max(0, edits - MOST_EDITS)
    if firing and now < due:
        return msgspec.structs.replace(storm, flush_at=due), []
    said = msgspec.structs.replace(storm, flush_at=None, flushed_at=now)
    if firing:
        return said, [Step("edit")] if edits < EDITS_OF_CHANGES else []
    return said, [Step("edit"), ALL_ENDED]


def _awake(storm: Storm) -> Storm:
    """Return the storm with `wake_at` set: when to look at it next."""
    if storm.ended_at is not None:
        return msgspec.structs.replace(storm, wake_at=storm.flush_at)
    counted = storm.window_at + WINDOW
    fresh = storm.flushed_at is None or storm.seen_at > storm.flushed_at
    return msgspec.structs.replace(storm, wake_at=min(counted, storm.flush_at or counted) if fresh else counted)
