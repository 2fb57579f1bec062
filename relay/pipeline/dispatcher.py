"""The dispatcher: it leases due deliveries, renders and sends them, and records the outcome."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence, Set
from typing import Literal, assert_never

import msgspec

from relay.core.delivery import Delivered, Failed, Lease, Outcome, Refused, Settlement, Throttled, files_of
from relay.core.judgement import Circumstances, Verdict, judge, put_back
from relay.core.retry import RetryPolicy
from relay.pipeline.book import LaneBook
from relay.pipeline.brake import Brake
from relay.pipeline.chronicle import Chronicle
from relay.pipeline.lanes import Lane
from relay.pipeline.loop import LONGEST_REST, Loop
from relay.pipeline.sending import Sending
from relay.ports import (
    Clock,
    Files,
    LaneHead,
    Outbox,
    Renderer,
    Sender,
    Spawn,
    Start,
)

LONGEST_THROTTLE = 3_600.0
"""The longest throttle, in seconds. At a start no delivery may be due later, whatever the clock was before."""


class Attempt(msgspec.Struct):
    """A send that has ended. `outcome` is None if a stop cut it."""

    lane: Lane
    lease: Lease
    outcome: Outcome | None
    parts: tuple[str, ...]
    took: float


class Dispatcher(Loop):
    """The loop that sends: one delivery in flight in each lane, all lanes at once."""

    def __init__(
        self,
        outbox: Outbox,
        book: LaneBook,
        brake: Brake | None,
        clock: Clock,
        chance: Callable[[], float],
        chronicle: Chronicle,
        spawn: Spawn,
        rehomed: Callable[[], None],
        redact: Callable[[str], str] = str,
    ) -> None:
        """`redact` removes secrets from an error's text.

        The dispatcher calls `rehomed` after the store has learnt the new rooms. Groups of returned rooms may be due.
        """
        super().__init__(clock, book.work)
        self._redact = redact
        self.turn = asyncio.Lock()
        """Locked during each step: take it to put other lanes in force."""
        self._outbox = outbox
        self._book = book
        self._sending = Sending(outbox, brake, clock, chronicle)
        self._chance = chance
        self._chronicle = chronicle
        self._spawn = spawn
        self._rehomed = rehomed
        self._ended: list[Attempt] = []
        self._unsettled: list[tuple[Attempt, Settlement]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._works: dict[str, bool] = {}
        """Rooms that take messages: the next commit brings failed ones forward (`works` of `Outbox.exchange`)."""
        self._recover_again = False
        """The store may hold deliveries of rooms that are gone: the next step adapts it to the rooms in force."""

    def use(self, renderer: Renderer, files: Files, policy: RetryPolicy) -> None:
        """Put these in force; the book's lanes may have changed, too. The caller must hold `turn`."""
        self._policy = policy
        self._sending.use(renderer, files)
        self._recover_again = True
        self.nudge()

    def in_flight(self) -> Set[asyncio.Task[None]]:
        """Return the sends that have begun and not ended."""
        return set(self._tasks)

    async def recover(self) -> None:
        """Put back deliveries that an earlier process left in flight, and count all that wait. Raises `StoreError`."""
        await self._recover(fresh=True)
        self._recover_again = False

    async def _recover(self, *, fresh: bool) -> None:
        now = self._clock.now()
        latest = now + max(self._policy.longest, LONGEST_THROTTLE)
        found = await self._outbox.recover(Start(now=now, latest=latest, rooms=tuple(self._book.lanes), fresh=fresh))
        for room in found.in_flight:
            if (lane := self._book.lanes.get(room)) is not None:
                self._chronicle.ambiguous(lane.account.name)
        for room, count in Counter(found.homeless).items():
            self._chronicle.homeless(room, count)
        await self.resync()

    async def changed(self, verb: Literal["retry", "drop"], rooms: Sequence[str]) -> None:
        """Someone retried or dropped deliveries of these rooms: count anew, and try the rooms now.

        Raises `StoreError`.
        """
        for room in rooms:
            if (lane := self._book.lanes.get(room)) is not None:
                self._hurry(lane)
                if verb == "drop":
                    lane.failed_since = None
                    self._chronicle.dropped(room)
        await self.resync()

    async def resync(self) -> None:
        """Count the waiting deliveries anew. Raises `StoreError`."""
        self._book.load(await self._outbox.depths())

    async def check_accounts(self, names: Set[str] | None = None) -> None:
        """Check all accounts (or these) with their services, so that trouble is known before an alert comes."""
        for account in [one for one in self._book.accounts() if names is None or one.name in names]:
            trouble = await account.sender.check()
            if isinstance(trouble, Refused) and trouble.scope == "account":
                if account.pause(trouble.detail, self._clock.now()):
                    self._chronicle.account_paused(account.name, trouble.detail)
            elif trouble is not None:
                self._chronicle.account_in_trouble(account.name, trouble.detail)
            elif account.refused is None:
                self._chronicle.account_resumed(account.name)

    def rest(self) -> float:
        """Return the seconds until a lane's rest is over."""
        return self._book.next_turn(self._clock.now(), LONGEST_REST)

    @property
    def due_at(self) -> float:
        """When the next lane's rest is over and it may send, in Unix seconds."""
        now = self._clock.now()
        return now + self._book.next_turn(now, float("inf"))

    async def step(self) -> int:
        """Settle sends that have ended and lease due deliveries, in one commit; return how many sends began."""
        async with self.turn:
            if self._recover_again:
                await self._recover(fresh=False)
                self._recover_again = False
                self._rehomed()
            return await self._step()

    async def _step(self) -> int:
        """Judge the sends that have ended, then settle them and lease for free lanes in one exchange with the store."""
        now = self._clock.now()
        ended, self._ended = self._ended, []
        self._unsettled.extend((attempt, self._judge(attempt, now)) for attempt in ended)
        settling = self._unsettled
        for attempt, _ in settling:
            attempt.lane.sending = None
        free = [] if self._stopping else self._book.choose(now)
        if not settling and not free:
            return 0
        rooms = {room: lane.key for lane in free for room in lane.rooms}
        works, self._works = self._works, {}
        for lane in free:
            lane.pending = False
        try:
            heads = await self._outbox.exchange([settlement for _, settlement in settling], rooms, works, now)
        except BaseException:
            # The commit failed: keep the settlements for the next step, and their lanes busy until then.
            self._works = {**works, **self._works}
            for attempt, _ in settling:
                attempt.lane.sending = attempt.lease
            for lane in free:
                lane.pending = True
            raise
        self._unsettled = []
        for attempt, settlement in settling:
            self._settled(attempt, settlement)
        return self._begin(free, heads, now)

    def _begin(self, free: list[Lane], heads: Sequence[LaneHead], now: float) -> int:
        by_key = {head.lane: head for head in heads}
        begun = 0
        for lane in free:
            head = by_key.get(lane.key)
            if head is not None:
                lane.pending = True
                self._book.over(head.over)
            if head is not None and head.lease is not None:
                begun += 1
                lane.sending, lane.served_at = head.lease, now
                self._book.depths.add(head.lease.room, head.lease.rank, -1)
                task = self._spawn(self._attempt(lane, head.lease, lane.account.sender))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                continue
            if lane.account.bucket is not None:
                lane.account.bucket.take(-1.0)
            if head is not None:
                lane.doze(head.due_at)
            elif not lane.pending:
                self._book.rest(lane)
        return begun

    async def _attempt(self, lane: Lane, lease: Lease, sender: Sender) -> None:
        began = self._clock.now()
        outcome: Outcome | None = None
        parts: tuple[str, ...] = ()
        try:
            # Use the sender that the lane had when the delivery was leased. A reload may give the lane another one.
            outcome, parts = await self._sending.send(lease, sender)
        except Exception as error:  # noqa: BLE001 - the border around one delivery: it is recorded as a bug
            self._chronicle.bug(lease, error)
            outcome = Refused("bug", "delivery", self._redact(repr(error)))
        finally:
            self._ended.append(Attempt(lane, lease, outcome, parts, self._clock.now() - began))
            self._woken.set()

    def _judge(self, attempt: Attempt, now: float) -> Settlement:
        """Return how to settle the delivery of an attempt; update its lane and account at once."""
        lane, lease = attempt.lane, attempt.lease
        account = lane.account
        if attempt.outcome is None:
            self._chronicle.ambiguous(account.name)
            return put_back(lease, now, "cut by a stop")
        at = Circumstances(
            now=now,
            took=attempt.took,
            chance=self._chance(),
            account_succeeded_at=account.succeeded_at,
            only_lane=len(account.lanes) == 1,
            diverts=self._book.has_fallback(lease.room) or lease.origin is not None,
            probed_for=None if lane.probed_for == lease.id else lane.probed_for,
        )
        verdict = judge(lease, attempt.outcome, attempt.parts, at, self._policy)
        if isinstance(attempt.outcome, Delivered) and account.sender.service.files and (files := files_of(lease)):
            verdict = msgspec.structs.replace(
                verdict, settlement=msgspec.structs.replace(verdict.settlement, files=files)
            )
        lane.rest_until = verdict.lane_until
        lane.probed_for = lease.id if verdict.probe_next else None
        self._note(attempt, attempt.outcome, verdict, now)
        return verdict.settlement

    def _note(self, attempt: Attempt, outcome: Outcome, verdict: Verdict, now: float) -> None:
        lane, lease = attempt.lane, attempt.lease
        account = lane.account
        match outcome:
            case Delivered():
                self._got_through(lane, lease, outcome, now, attempt.took)
            case Throttled():
                lane.failed_since = None  # the service answers
                account.throttle(lane, now + max(outcome.seconds, self._policy.first), now)
                self._chronicle.throttled(account.name, lease, outcome)
            case Failed() | Refused():
                lane.failing = isinstance(outcome, Failed) and outcome.retry_after is None
                self._note_failure(lane, outcome, verdict, now - attempt.took)
                self._book.lanes.get(lease.room, lane).note_wait(verdict.settlement)
                self._chronicle.failed(account.name, lease, outcome, verdict.settlement)
                if verdict.pause_account is not None and account.pause(verdict.pause_account, now):
                    self._chronicle.account_paused(account.name, verdict.pause_account)
                if verdict.refused_room is not None:
                    lane.refused = True
                    self._chronicle.room_refused(lease, verdict.refused_room)
            case _:
                assert_never(outcome)

    @staticmethod
    def _note_failure(lane: Lane, outcome: Failed | Refused, verdict: Verdict, since: float) -> None:
        """Note when a room begins to fail. Clear that if the service answers, or if the delivery is dead."""
        if verdict.settlement.state == "dead" or (isinstance(outcome, Refused) and outcome.scope == "message"):
            lane.failed_since = None
        elif isinstance(outcome, Failed) and lane.failed_since is None:
            lane.failed_since = since

    def _got_through(self, lane: Lane, lease: Lease, outcome: Delivered, now: float, took: float) -> None:
        """Record a success. It ends pauses, brings failed deliveries forward, and may show that two rooms are one."""
        account = lane.account
        first, account.succeeded_at = not account.succeeded_at, now
        recovered = lane.held_up
        is_back = recovered and bool(lane.failing)
        if lane.put_off or lane.rest_until:
            self._hurry(lane, anew=recovered)
        lane.got_through(now, took)
        account.resume()
        self._chronicle.account_resumed(account.name)
        if is_back or first:  # the service failed, not one room: messages for its other rooms may get through, too
            for other in account.lanes:
                if (is_back and other.failing) or (first and other.failing is None):
                    self._hurry(other)
        self._chronicle.room_works(lease.room)
        if outcome.space and not lane.space and self._book.lanes.get(lease.room) is lane:
            lane.space = outcome.space
            if (twin := self._book.share(lane)) is not None:
                self._hurry(twin)

    def _hurry(self, lane: Lane, *, anew: bool = True) -> None:
        """The lane's rooms work: retry its failed deliveries. `anew` forgets their earlier failures."""
        lane.hurry()
        if lane.put_off:
            lane.put_off = False
            self._works.update({room: anew or self._works.get(room, False) for room in lane.rooms})

    def _settled(self, attempt: Attempt, settlement: Settlement) -> None:
        """Count a settlement that is committed, and offer the lane again."""
        lease = attempt.lease
        waiting = len(settlement.parts) + len(settlement.files) + (settlement.state == "waiting")
        if waiting:
            self._book.depths.add(lease.room, lease.rank, waiting)
            self._book.offer(lease.room)
            self._recover_again |= lease.room not in self._book.lanes
        if settlement.state != "waiting":
            self._chronicle.settled(lease, settlement, self._clock.wall())

    async def finish(self, grace: float) -> None:
        """Stop leasing, give sends in flight `grace` seconds, cut the rest, and record all. Raises `StoreError`."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.run_once()
