"""The book of lanes: which room's deliveries go where, how many wait, and which rooms can't be reached."""

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
    """Where a room's messages go once it has failed for `after` seconds."""

    to: str
    after: float


class LaneBook:
    """Kept by the planner, which makes work, and the dispatcher, which does it."""

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
        """Put others in force; what is in flight in the ones before goes on."""
        known = self.known()
        self.lanes, self._fallbacks = dict(lanes), dict(fallbacks)
        stay = set(self.lanes.values())
        self._retired = {lane for lane in known - stay if lane.sending is not None}
        self._idle = {lane.key: lane for lane in self._idle.values() if lane in stay}
        for lane in stay:
            lane.put_off = True  # its rooms may come from other lanes
        self.work.set()

    def known(self) -> Set[Lane]:
        """Return the lanes in force, and those that are not any more but had something in flight."""
        return {*self.lanes.values(), *self._retired}

    def accounts(self) -> list[Account]:
        """Return the accounts of all lanes, each once."""
        return list({lane.account.name: lane.account for lane in self.lanes.values()}.values())

    # Work

    def load(self, depths: dict[str, list[int]]) -> None:
        """Start anew from what the store counted."""
        self.depths.load(depths)
        for room in self.depths.rooms:
            self.offer(room)
        self.work.set()

    def offer(self, room: str) -> None:
        """Have the lane of a room look for work."""
        lane = self.lanes.get(room)
        if lane is not None:
            lane.offered(self._clock.now())
            self._idle[lane.key] = lane

    def rest(self, lane: Lane) -> None:
        """Leave a lane out until it is offered work."""
        self._idle.pop(lane.key, None)

    def choose(self, now: float) -> list[Lane]:
        """Return the lanes that may send now."""
        return choose(self._idle.values(), self.depths, now)

    def next_turn(self, now: float, longest: float) -> float:
        """Return the seconds until a lane may send, `longest` at the most."""
        return next_turn(self._idle.values(), now, longest)

    def share(self, lane: Lane) -> Lane | None:
        """Give a lane's rooms to another that leads to the same space; return that one, None where there is none."""
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
        """Look for work in a plan's rooms: its commit has begun, and leases that are asked for now share it.

        Lanes that compete for their account's pace wait until the plan is counted, so that the worst goes first.
        """
        for room in {intent.room for intent in plan.intents}:
            lane = self.lanes.get(room)
            if lane is not None and not lane.account.contested:
                self.offer(room)
        self.work.set()

    def planned(self, plan: Plan, over: Sequence[Over]) -> None:
        """Count the deliveries of a plan that was committed, and those that wait no more because of it."""
        for _, why in plan.suppressed:
            self._chronicle.suppressed(why)
        for intent in plan.intents:
            self.depths.add(intent.room, intent.rank)
            self.offer(intent.room)
        self.over(over)
        if plan.intents:
            self.work.set()

    def over(self, over: Iterable[Over]) -> None:
        """Count out deliveries that wait no more because others have taken over."""
        for room, rank, state in over:
            self.depths.add(room, rank, -1)
            self._chronicle.taken_over(room, state)

    def rate(self, room: str) -> tuple[int, float]:
        """Return how many deliveries wait for a room, and the seconds that each takes."""
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
        """Return the rooms that are to be diverted now."""
        return {room for room, fallback in self._fallbacks.items() if self.lanes[room].is_down(now, fallback.after)}

    def order(self, room: str, now: float) -> Divert:
        """Return the order for what waits for a room that is diverted."""
        lane, fallback = self.lanes.get(room), self._fallbacks.get(room)
        edits = lane is None or lane.account.sender.service.edits
        if fallback is None:
            return Divert(room=room, to=None, now=now, known=lane is not None, edits=edits)
        stuck = fallback.to not in self._fallbacks and self.lanes[fallback.to].is_down(now, fallback.after)
        return Divert(room=room, to=fallback.to, now=now, known=lane is not None, edits=edits, stuck=stuck)

    def diverted(self, order: Divert, done: Diverted) -> None:
        """Count the deliveries that a diversion has moved."""
        for room, rank in done.added:
            self.depths.add(room, rank)
            self.offer(room)
        self.over(done.over)
        self._chronicle.diverted(order, done)
        if done.added:
            self.work.set()
