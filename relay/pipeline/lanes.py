"""Lanes and accounts while the relay runs: who may send now, and when the next one may."""

from __future__ import annotations

from collections.abc import Iterable

from relay.core.delivery import Lease, Settlement
from relay.core.event import SEVERITIES
from relay.core.judgement import ACCOUNT_PAUSE, FIRST_PAUSE
from relay.core.rate import TokenBucket
from relay.ports import Sender

FIRST_GUESS = 0.1
"""Seconds that a delivery is thought to take before any has got through."""
WEIGHT = 0.3
"""Of the last delivery in the average of what one takes."""


class Account:
    """Credentials of one service, and what its lanes have in common. Times on the steady clock."""

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
        """Go on with another sender or pace; a refused account is tried again at once with what is new."""
        if sender is not self.sender:
            self.sender = sender
            if self.refused is not None:
                self.open_at = 0.0
        if pace != (None if self.bucket is None else self.bucket.rate):
            self.bucket = None if pace is None else TokenBucket(pace, now)

    def throttle(self, lane: Lane, until: float, now: float) -> None:
        """One lane's throttle rests that lane; a second lane's in that time rests the account until the later date."""
        lane.throttled_until = until
        if self._throttled is not None and self._throttled is not lane and now < self._throttled_until:
            self.open_at = max(self.open_at, until, self._throttled_until)
        self._throttled, self._throttled_until = lane, max(until, self._throttled_until)

    def pause(self, why: str, now: float) -> bool:
        """Hold everything, as the service refuses the account; True where it was not held already."""
        was, self.refused = self.refused, why
        self._pause = FIRST_PAUSE if was is None else min(self._pause * 2, ACCOUNT_PAUSE)
        if was is None or self.open_at <= now:
            self.open_at = now + self._pause
        return was is None

    def resume(self) -> None:
        """The service takes the account again."""
        if self.refused is not None:
            self.refused = None
            self.open_at = 0.0

    @property
    def contested(self) -> bool:
        """True where not all lanes may send at once: there is a pace, or a refused account is tried again."""
        return self.bucket is not None or self.refused is not None

    def wait(self, now: float) -> float:
        """Seconds until a lane of this account may send."""
        if self.refused is not None and any(lane.sending for lane in self.lanes):
            return ACCOUNT_PAUSE
        rest = max(0.0, self.open_at - now)
        return rest if self.bucket is None else max(rest, self.bucket.wait(now))


class Lane:
    """The deliveries of one destination: one in flight. `pending`: the store may hold work for it.

    `keys` are the destinations that turned out to be this one; `after` what was in flight for its rooms in other
    lanes as it came to be theirs: that comes first.
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
        """Whether the last attempt failed; None where none was made since the start."""
        self.put_off = True
        """The store may hold failed deliveries that wait for another try."""
        self.held_up = True
        """A delivery may have failed since the last success; one that is set aside does not count."""
        self.failed_since: float | None = None
        self.refused = False
        self.probed_for: int | None = None
        self.served_at = 0.0
        self.space = ""
        self.dozing = False
        self.each = FIRST_GUESS
        self._moved_at = 0.0
        account.lanes.append(self)

    @property
    def busy(self) -> bool:
        """True while a send of this destination, or an earlier one of its rooms, is in flight."""
        if self.after:
            self.after = [(lane, lease) for lane, lease in self.after if lane.sending is lease]
        return self.sending is not None or bool(self.after)

    def offered(self, now: float) -> None:
        """There may be work: whoever dozed until a later delivery is due looks again."""
        if self.dozing or (not self.pending and self.sending is None):
            self._moved_at = now
        self.pending = True
        if self.dozing:
            self.dozing = False
            self.rest_until = 0.0

    def doze(self, until: float) -> None:
        """Nothing is due before a time."""
        self.dozing = True
        self.rest_until = until

    def got_through(self, now: float, took: float) -> None:
        """Note that a delivery has got through, for the rate that the room takes; `took` is the attempt's time."""
        self.failed_since, self.refused = None, False
        self.each += ((took if self._down else now - self._moved_at) - self.each) * WEIGHT
        self._moved_at = now
        self.failing = self.held_up = False

    def seconds_each(self, now: float) -> float:
        """The seconds that a delivery takes here, at the rate that the room has been taking while it took any."""
        busy = self.pending or self.sending is not None
        return max(self.each, now - self._moved_at) if busy and not self._down else self.each

    def is_down(self, now: float, after: float) -> bool:
        """Tell whether the room is refused, or has failed for so many seconds."""
        failing = self.failed_since is not None and now - self.failed_since >= after
        return failing or self.refused or self.account.refused is not None

    @property
    def _down(self) -> bool:
        """True while nothing gets through here: that tells nothing of the rate."""
        return bool(self.failing) or self.account.refused is not None

    def note_wait(self, settlement: Settlement) -> None:
        """Note a failed delivery that waits for another try."""
        if settlement.state == "waiting" and settlement.failed_at is not None:
            self.put_off = True
            self.held_up |= not settlement.aside

    def hurry(self) -> None:
        """End the lane's rest, as the service is there again; a throttle goes on."""
        self.rest_until = 0.0

    def rest(self, now: float) -> float:
        """Seconds until this lane may send, as far as that is up to itself."""
        return max(0.0, self.rest_until - now, self.throttled_until - now)


class Depths:
    """Waiting deliveries by room and severity, counted along."""

    def __init__(self) -> None:
        self.rooms: dict[str, list[int]] = {}
        self.total = 0

    def load(self, rooms: dict[str, list[int]]) -> None:
        """Start anew from what the store counted."""
        self.rooms = rooms
        self.total = sum(map(sum, rooms.values()))

    def add(self, room: str, rank: int, count: int = 1) -> None:
        """Count deliveries that wait, or (negative) wait no more."""
        self.rooms.setdefault(room, [0] * len(SEVERITIES))[rank] += count
        self.total += count

    def worst(self, rooms: Iterable[str]) -> int:
        """The rank of the worst severity that waits in any of these rooms."""
        ranks = (rank for room in rooms for rank, count in enumerate(self.rooms.get(room, ())) if count > 0)
        return min(ranks, default=len(SEVERITIES))


def choose(lanes: Iterable[Lane], depths: Depths, now: float) -> list[Lane]:
    """The lanes that may send now. Where an account paces them, the worst severity first, then who waited longest."""
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
    """Seconds until the first of these lanes may send, `longest` at the most."""
    waits = (max(lane.rest(now), lane.account.wait(now)) for lane in lanes if not lane.busy)
    return max(0.0, min(waits, default=longest))
