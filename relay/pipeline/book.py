"""The book of lanes: each room's lane and fallback, how many deliveries wait, and which rooms are down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence, Set

import msgspec

from relay.core.diverting import Divert
from relay.core.plan import Plan
from relay.pipeline.chronicle import Chronicle
from relay.pipeline.lanes import Account, Depths, Lane, choose, next_turn
from relay.ports import Clock, Diverted, Over


class Fallback(msgspec.Struct, frozen=True):
    """The room that gets a room's messages once that has failed for `after` seconds."""

    to: str
    after: float


class LaneBook:
    """The lanes of all rooms, shared by the planner, which makes work, and the dispatcher, which does it."""

    def __init__(self, clock: Clock, chronicle: Chronicle) -> None:
        self.work = asyncio.Event()
        """Set when there is something to send."""
        self.lanes: dict[str, Lane] = {}
        """The lane of each room."""
        self.depths = Depths()
        self._fallbacks: dict[str, Fallback] = {}
        self._idle: dict[str, Lane] = {}
        self._retired: set[Lane] = set()
        self._clock = clock
        self._chronicle = chronicle

    def use(self, lanes: Mapping[str, Lane], fallbacks: Mapping[str, Fallback]) -> None:
        """Put these lanes and fallbacks in force. Sends in flight in the previous lanes go on."""
        before = self.all_lanes()
        self.lanes, self._fallbacks = dict(lanes), dict(fallbacks)
        stay = set(self.lanes.values())
        self._retired = {lane for lane in before - stay if lane.sending is not None}
        self._idle = {lane.key: lane for lane in self._idle.values() if lane in stay}
        for lane in stay:
            lane.put_off = True  # its rooms may come from other lanes
        self.work.set()

    def all_lanes(self) -> Set[Lane]:
        """Return the lanes in force, and the retired ones that had a send in flight."""
        return {*self.lanes.values(), *self._retired}

    def accounts(self) -> list[Account]:
        """Return the accounts of all lanes, each once."""
        return list({lane.account.name: lane.account for lane in self.lanes.values()}.values())

    # Work

    def load(self, depths: dict[str, list[int]]) -> None:
        """Replace the counts by those of the store, as numbers by room and severity."""
        self.depths.load(depths)
        for room in self.depths.rooms:
            self.offer(room)
        self.work.set()

    def offer(self, room: str) -> None:
        """Make the lane of a room look for work."""
        lane = self.lanes.get(room)
        if lane is not None:
            lane.offered(self._clock.now())
            self._idle[lane.key] = lane

    def rest(self, lane: Lane) -> None:
        """Skip a lane until it is offered work."""
        self._idle.pop(lane.key, None)

    def choose(self, now: float) -> list[Lane]:
        """Return the lanes that may send now."""
        return choose(self._idle.values(), self.depths, now)

    def next_turn(self, now: float, longest: float) -> float:
        """Return the seconds until a lane may send, `longest` at the most."""
        return next_turn(self._idle.values(), now, longest)

    def share(self, lane: Lane) -> Lane | None:
        """Move a lane's rooms to another lane with the same space; return that lane, or None if there is none."""
        twin = next((o for o in lane.account.lanes if o is not lane and o.space == lane.space), None)
        if twin is None:
            return None
        self._chronicle.one_space([*twin.rooms, *lane.rooms])
        lane.account.lanes.remove(lane)
        self.rest(lane)
        twin.rooms = [*twin.rooms, *lane.rooms]
        twin.keys |= lane.keys
        for room in lane.rooms:
            self.lanes[room] = twin
            twin.pending = False
            self.offer(room)
        return twin

    # Plans

    def expect(self, plan: Plan) -> None:
        """A plan's commit has begun. Offer its rooms now, so that their leases share the commit.

        Lanes that compete for their account's pace wait until the plan is counted. So the worst severity goes first.
        """
        for room in {intent.room for intent in plan.intents}:
            lane = self.lanes.get(room)
            if lane is not None and not lane.account.contested:
                self.offer(room)
        self.work.set()

    def planned(self, plan: Plan, over: Sequence[Over]) -> None:
        """Count the deliveries of a committed plan, and remove those that it replaced."""
        for _, why in plan.suppressed:
            self._chronicle.suppressed(why)
        for intent in plan.intents:
            self.depths.add(intent.room, intent.rank)
            self.offer(intent.room)
        self.over(over)
        if plan.intents:
            self.work.set()

    def over(self, over: Iterable[Over]) -> None:
        """Take replaced deliveries out of the counts."""
        for room, rank, state in over:
            self.depths.add(room, rank, -1)
            self._chronicle.taken_over(room, state)

    def load_of(self, room: str) -> tuple[int, float]:
        """Return the number of deliveries that wait for a room, and the seconds that each takes."""
        lane = self.lanes.get(room)
        if lane is None:
            return 0, 0.0
        counts = self.depths.rooms.get(room)
        waiting = sum(counts) if counts else 0
        return waiting, lane.seconds_each(self._clock.now()) if waiting else lane.each

    # Fallbacks

    def has_fallback(self, room: str) -> bool:
        """Return whether a room has a fallback."""
        return room in self._fallbacks

    def fallback_of(self, room: str) -> str | None:
        """Return the fallback of a room, if it has one."""
        fallback = self._fallbacks.get(room)
        return None if fallback is None else fallback.to

    def down(self, now: float) -> Set[str]:
        """Return the rooms whose deliveries should go to their fallback now."""
        return {room for room, fallback in self._fallbacks.items() if self.lanes[room].is_down(now, fallback.after)}

    def divert_order(self, room: str, now: float) -> Divert:
        """Return the order to divert a room's waiting deliveries, or to bring them back."""
        lane, fallback = self.lanes.get(room), self._fallbacks.get(room)
        edits = lane is None or lane.account.sender.service.edits
        if fallback is None:
            return Divert(room=room, to=None, now=now, known=lane is not None, edits=edits)
        stuck = fallback.to not in self._fallbacks and self.lanes[fallback.to].is_down(now, fallback.after)
        return Divert(room=room, to=fallback.to, now=now, known=lane is not None, edits=edits, stuck=stuck)

    def diverted(self, order: Divert, done: Diverted) -> None:
        """Update the counts and the log after deliveries moved to a fallback room or back."""
        for room, rank in done.added:
            self.depths.add(room, rank)
            self.offer(room)
        self.over(done.over)
        self._chronicle.diverted(order, done)
        if done.added:
            self.work.set()
