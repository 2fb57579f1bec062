"""Lanes and accounts while the relay runs: which lanes may send now, and when the next one may."""

from __future__ import annotations

from collections.abc import Iterable

from relay.core.delivery import Lease, Settlement
from relay.core.event import SEVERITIES
from relay.core.judgement import ACCOUNT_PAUSE, FIRST_PAUSE
from relay.core.rate import TokenBucket
from relay.ports import Sender

FIRST_GUESS = 0.1
"""Seconds that a delivery is assumed to take before the first has succeeded."""
WEIGHT = 0.3
"""Weight of the last delivery in the moving average of seconds per delivery."""


class Account:
    """An account of a service, with the pace and pauses that its lanes share. Times on the steady clock."""

    def __init__(self, name: str, sender: Sender, pace: float | None, now: float) -> None:
        self.name = name
        self.sender = sender
        self.lanes: list[Lane] = []
        self.bucket = None if pace is None else TokenBucket(pace, now)
        self.open_at = 0.0
        self.refused: str | None = None
        self.succeeded_at = 0.0
        self._pause = FIRST_PAUSE
        self._throttled: Lane | None = None
        self._throttled_until = 0.0

    def use(self, sender: Sender, pace: float | None, now: float) -> None:
        """Go on with another sender or pace. A refused account is tried again at once with its new sender."""
        if sender is not self.sender:
            self.sender = sender
            if self.refused is not None:
                self.open_at = 0.0
        if pace != (None if self.bucket is None else self.bucket.rate):
            self.bucket = None if pace is None else TokenBucket(pace, now)

    def throttle(self, lane: Lane, until: float, now: float) -> None:
        """Rest a lane that is throttled. If a second lane is in that time, rest the account until the later end."""
        lane.throttled_until = until
        if self._throttled is not None and self._throttled is not lane and now < self._throttled_until:
            self.open_at = max(self.open_at, until, self._throttled_until)
        self._throttled, self._throttled_until = lane, max(until, self._throttled_until)

    def pause(self, why: str, now: float) -> bool:
        """Pause all lanes because the service refuses the account. Return True if the pause is new."""
        was, self.refused = self.refused, why
        self._pause = FIRST_PAUSE if was is None else min(self._pause * 2, ACCOUNT_PAUSE)
        if was is None or self.open_at <= now:
            self.open_at = now + self._pause
        return was is None

    def resume(self) -> None:
        """End the pause: the service accepts the account again."""
        if self.refused is not None:
            self.refused = None
            self.open_at = 0.0

    @property
    def contested(self) -> bool:
        """True if not all lanes may send at once: there is a pace, or the account is refused."""
        return self.bucket is not None or self.refused is not None

    def wait(self, now: float) -> float:
        """Return the seconds until a lane of this account may send."""
        if self.refused is not None and any(lane.sending for lane in self.lanes):
            return ACCOUNT_PAUSE
        rest = max(0.0, self.open_at - now)
        return rest if self.bucket is None else max(rest, self.bucket.wait(now))


class Lane:
    """The deliveries of one destination, one in flight at a time. `pending`: the store may have work for it.

    `keys`: all destinations that lead to this space. `after`: sends that other lanes still have in flight for these
    rooms. This lane waits for them.
    """

    def __init__(self, key: str, account: Account, rooms: list[str]) -> None:
        self.key = key
        self.keys = {key}
        self.account = account
        self.rooms = rooms
        self.after: list[tuple[Lane, Lease]] = []
        self.pending = False
        self.sending: Lease | None = None
        self.rest_until = 0.0
        self.throttled_until = 0.0
        self.failing: bool | None = None
        """True if the last attempt failed; None if none was made since the start."""
        self.put_off = True
        """True if failed deliveries may wait in the store for a retry."""
        self.held_up = True
        """True if a delivery may have failed since the last success. Deliveries set aside don't count."""
        self.failed_since: float | None = None
        self.refused = False
        self.probed_for: int | None = None
        self.served_at = 0.0
        self.space = ""
        self.dozing = False
        self.each = FIRST_GUESS
        self._active_at = 0.0
        account.lanes.append(self)

    @property
    def busy(self) -> bool:
        """True while a send of this lane, or an earlier one for its rooms, is in flight."""
        if self.after:
            self.after = [(lane, lease) for lane, lease in self.after if lane.sending is lease]
        return self.sending is not None or bool(self.after)

    def offered(self, now: float) -> None:
        """Record that there may be work; a lane that dozes until a later delivery is due looks again."""
        if self.dozing or (not self.pending and self.sending is None):
            self._active_at = now
        self.pending = True
        if self.dozing:
            self.dozing = False
            self.rest_until = 0.0

    def doze(self, until: float) -> None:
        """Rest until the lane's next delivery is due."""
        self.dozing = True
        self.rest_until = until

    def got_through(self, now: float, took: float) -> None:
        """Record a success and update the seconds per delivery; `took` is the attempt's time in seconds."""
        self.failed_since, self.refused = None, False
        self.each += ((took if self._down else now - self._active_at) - self.each) * WEIGHT
        self._active_at = now
        self.failing = self.held_up = False

    def seconds_each(self, now: float) -> float:
        """Return the seconds per delivery. Times in which nothing could get through don't count."""
        busy = self.pending or self.sending is not None
        return max(self.each, now - self._active_at) if busy and not self._down else self.each

    def is_down(self, now: float, after: float) -> bool:
        """Return whether the room or its account is refused, or the room has failed for `after` seconds."""
        failing = self.failed_since is not None and now - self.failed_since >= after
        return failing or self.refused or self.account.refused is not None

    @property
    def _down(self) -> bool:
        """True while nothing gets through here; such times say nothing about the rate."""
        return bool(self.failing) or self.account.refused is not None

    def note_wait(self, settlement: Settlement) -> None:
        """Record a failed delivery that waits for a retry."""
        if settlement.state == "waiting" and settlement.failed_at is not None:
            self.put_off = True
            self.held_up |= not settlement.aside

    def hurry(self) -> None:
        """End the lane's rest: the service works again. A throttle goes on."""
        self.rest_until = 0.0

    def rest(self, now: float) -> float:
        """Return the seconds until this lane may send, regardless of its account."""
        return max(0.0, self.rest_until - now, self.throttled_until - now)


class Depths:
    """The number of waiting deliveries by room and severity, kept up to date in memory."""

    def __init__(self) -> None:
        self.rooms: dict[str, list[int]] = {}
        self.total = 0

    def load(self, rooms: dict[str, list[int]]) -> None:
        """Replace the counts by those of the store, as numbers by room and severity."""
        self.rooms = rooms
        self.total = sum(map(sum, rooms.values()))

    def add(self, room: str, rank: int, count: int = 1) -> None:
        """Add deliveries that wait, or with a negative count, remove them."""
        self.rooms.setdefault(room, [0] * len(SEVERITIES))[rank] += count
        self.total += count

    def worst(self, rooms: Iterable[str]) -> int:
        """Return the rank of the worst severity that waits in any of these rooms."""
        ranks = (rank for room in rooms for rank, count in enumerate(self.rooms.get(room, ())) if count > 0)
        return min(ranks, default=len(SEVERITIES))


def choose(lanes: Iterable[Lane], depths: Depths, now: float) -> list[Lane]:
    """Return the lanes that may send now. If they compete, the worst severity goes first, then the longest wait."""
    able = [lane for lane in lanes if not lane.busy and lane.rest(now) <= 0]
    chosen = [lane for lane in able if not lane.account.contested and lane.account.open_at <= now]
    contested = [lane for lane in able if lane.account.contested]
    contested.sort(key=lambda lane: (depths.worst(lane.rooms), lane.served_at))
    probing: set[str] = set()
    for lane in contested:
        account = lane.account
        if account.wait(now) > 0 or account.name in probing:
            continue
        if account.bucket is not None:
            account.bucket.take()
        if account.refused is not None:
            probing.add(account.name)
        chosen.append(lane)
    return chosen


def next_turn(lanes: Iterable[Lane], now: float, longest: float) -> float:
    """Return the seconds until the first of these lanes may send, `longest` at the most."""
    waits = (max(lane.rest(now), lane.account.wait(now)) for lane in lanes if not lane.busy)
    return max(0.0, min(waits, default=longest))
