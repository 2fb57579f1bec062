"""The dispatcher: leases what is due, renders it, has it sent, and records what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from functools import partial
from io import BytesIO
from typing import Any, Literal, assert_never

import msgspec

from relay.core.delivery import Delivered, Failed, Lease, Outcome, Refused, Settlement, Throttled, files_of
from relay.core.diverting import Divert
from relay.core.event import Event
from relay.core.judgement import Circumstances, Verdict, judge, put_back
from relay.core.leasing import remark_of
from relay.core.markdown import escape_markdown, file_name, hard_breaks, numbered, plain_text
from relay.core.phrases import file_is_missing
from relay.core.planning import Plan
from relay.core.retry import RetryPolicy
from relay.pipeline.chronicle import Chronicle
from relay.pipeline.lanes import Account, Depths, Lane, choose, next_turn
from relay.ports import (
    Clock,
    Diverted,
    File,
    Files,
    LaneHead,
    Missing,
    Outbox,
    Over,
    Renderer,
    Send,
    Sender,
    Service,
    Spawn,
    Start,
)

MOST_LISTED = 1_000_000
"""Lines of a digest's full list."""
LONGEST_REST = 3_600.0
"""Seconds that a service may ask a delivery to wait: nothing is due later than that, whatever the clock was."""


class Attempt(msgspec.Struct):
    """A send that has ended. `outcome` is None where a stop cut it."""

    lane: Lane
    lease: Lease
    outcome: Outcome | None
    parts: tuple[str, ...]
    took: float


class Fallback(msgspec.Struct, frozen=True):
    """Where a room's messages go once it has failed for `after` seconds."""

    to: str
    after: float


async def _at_once(_event: Event, _message: str) -> None:
    """Let a message be sent."""


class Dispatcher:
    """Works the lanes: one delivery in flight in each, all lanes at once."""

    def __init__(
        self,
        outbox: Outbox,
        lanes: Mapping[str, Lane],
        renderer: Renderer,
        files: Files,
        policy: RetryPolicy,
        clock: Clock,
        chance: Callable[[], float],
        chronicle: Chronicle,
        spawn: Spawn,
        fallbacks: Mapping[str, Fallback] | None = None,
        redact: Callable[[str], str] = str,
    ) -> None:
        """`lanes` and `fallbacks` by room; `redact` takes secrets out of an error's text."""
        self._redact = redact
        self._fallbacks = dict(fallbacks or {})
        self.lanes = dict(lanes)
        self.turn = asyncio.Lock()
        """Held through each step: who has it may put other lanes in force."""
        self.depths = Depths()
        self._outbox = outbox
        self._renderer = renderer
        self._files = files
        self._policy = policy
        self._clock = clock
        self._chance = chance
        self._chronicle = chronicle
        self._spawn = spawn
        self._wake = asyncio.Event()
        self._idle: dict[str, Lane] = {}
        self._retired: set[Lane] = set()
        self._ended: list[Attempt] = []
        self._unsettled: list[tuple[Attempt, Settlement]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._works: dict[str, bool] = {}
        """Rooms that take messages, for the next commit to bring forward what failed there (see `Outbox.exchange`)."""
        self._strays = False
        self.rehomed: Callable[[], None] = lambda: None
        """Called once the store knows of other rooms: what was left for want of one may be due."""
        self.sending: Callable[[Event, str], Awaitable[None]] = _at_once
        """Awaited before each message is sent, with its plain text."""

    def use(
        self, lanes: Mapping[str, Lane], renderer: Renderer, files: Files, policy: RetryPolicy,
        fallbacks: Mapping[str, Fallback],
    ) -> None:  # fmt: skip
        """Put others in force, within `turn`: what is in flight goes on as it began, and is settled as ever."""
        known = self.known()
        self.lanes, self._fallbacks = dict(lanes), dict(fallbacks)
        self._renderer, self._files, self._policy = renderer, files, policy
        stay = set(self.lanes.values())
        self._retired = {lane for lane in known - stay if lane.sending is not None}
        self._idle = {lane.key: lane for lane in self._idle.values() if lane in stay}
        for lane in stay:
            lane.put_off = True  # its rooms may come from other lanes
        self._strays = True
        self._wake.set()

    def known(self) -> Set[Lane]:
        """The lanes in force, and those that are not any more but still had something in flight."""
        return {*self.lanes.values(), *self._retired}

    def in_flight(self) -> Set[asyncio.Task[None]]:
        """The sends that have begun and not ended."""
        return set(self._tasks)

    async def recover(self) -> None:
        """Put back what an earlier process left in flight, and count what waits. Raises `StoreError`."""
        await self._recover(fresh=True)
        self._strays = False

    async def _recover(self, *, fresh: bool) -> None:
        now = self._clock.now()
        latest = now + max(self._policy.longest, LONGEST_REST)
        found = await self._outbox.recover(Start(now=now, latest=latest, rooms=tuple(self.lanes), fresh=fresh))
        for room in found.in_flight:
            if (lane := self.lanes.get(room)) is not None:
                self._chronicle.ambiguous(lane.account.name)
        for room, count in Counter(found.homeless).items():
            self._chronicle.homeless(room, count)
        await self.resync()

    async def changed(self, verb: Literal["retry", "drop"], rooms: Sequence[str]) -> None:
        """Take note of deliveries that were changed by hand, one room each. Raises `StoreError`."""
        for room in rooms:
            if (lane := self.lanes.get(room)) is not None:
                self._hurry(lane)
                if verb == "drop":
                    lane.failed_since = None
                    self._chronicle.dropped(room)
        await self.resync()

    async def resync(self) -> None:
        """Count what waits anew. Raises `StoreError`."""
        self.depths.load(await self._outbox.depths())
        for room in self.depths.rooms:
            self._offer(room)
        self._wake.set()

    def expect(self, plan: Plan) -> None:
        """Look for work in a plan's rooms: its commit has begun, and leases that are asked for now share it.

        Lanes that compete for their account's pace wait until the plan is counted, so that the worst goes first.
        """
        for room in {intent.room for intent in plan.intents}:
            lane = self.lanes.get(room)
            if lane is not None and not lane.account.contested:
                self._offer(room)
        self._wake.set()

    def rate(self, room: str) -> tuple[int, float]:
        """How many deliveries wait for a room, and the seconds that each takes."""
        lane = self.lanes.get(room)
        if lane is None:
            return 0, 0.0
        counts = self.depths.rooms.get(room)
        waiting = sum(counts) if counts else 0
        return waiting, lane.seconds_each(self._clock.now()) if waiting else lane.each

    def down(self, now: float) -> Set[str]:
        """The rooms that are to be diverted now."""
        return {room for room, fallback in self._fallbacks.items() if self.lanes[room].is_down(now, fallback.after)}

    def order(self, room: str, now: float) -> Divert:
        """What is to be done with what waits for a room that is diverted."""
        lane, fallback = self.lanes.get(room), self._fallbacks.get(room)
        edits = lane is None or lane.account.sender.service.edits
        if fallback is None:
            return Divert(room=room, to=None, now=now, known=lane is not None, edits=edits)
        stuck = fallback.to not in self._fallbacks and self.lanes[fallback.to].is_down(now, fallback.after)
        return Divert(room=room, to=fallback.to, now=now, known=lane is not None, edits=edits, stuck=stuck)

    def fallback_of(self, room: str) -> str | None:
        """The fallback of a room, where it has one."""
        fallback = self._fallbacks.get(room)
        return None if fallback is None else fallback.to

    def diverted(self, order: Divert, done: Diverted) -> None:
        """Take note of what a diversion has moved."""
        for room, rank in done.added:
            self.depths.add(room, rank)
            self._offer(room)
        self._over(done.over)
        self._chronicle.diverted(order, done)
        if done.added:
            self._wake.set()

    def planned(self, plan: Plan, over: Sequence[Over]) -> None:
        """Take note of a plan that was committed, and of what waits no more because of it."""
        for intent in plan.intents:
            self.depths.add(intent.room, intent.rank)
            self._offer(intent.room)
        self._over(over)
        if plan.intents:
            self._wake.set()

    def _over(self, over: Sequence[Over]) -> None:
        for room, rank, state in over:
            self.depths.add(room, rank, -1)
            self._chronicle.taken_over(room, state)

    def _offer(self, room: str) -> None:
        lane = self.lanes.get(room)
        if lane is not None:
            lane.offered(self._clock.now())
            self._idle[lane.key] = lane

    def accounts(self) -> list[Account]:
        """The accounts of all lanes, each once."""
        return list({lane.account.name: lane.account for lane in self.lanes.values()}.values())

    async def check_accounts(self, names: Set[str] | None = None) -> None:
        """Ask each service whether it takes its account (or these): who is on duty hears of it before an alert."""
        for account in [one for one in self.accounts() if names is None or one.name in names]:
            trouble = await account.sender.check()
            if isinstance(trouble, Refused) and trouble.scope == "account":
                if account.pause(trouble.detail, self._clock.now()):
                    self._chronicle.account_paused(account.name, trouble.detail)
            elif trouble is not None:
                self._chronicle.account_in_trouble(account.name, trouble.detail)

    def nudge(self) -> None:
        """Have `wait` return."""
        self._wake.set()

    async def wait(self) -> None:
        """Wait until an attempt has ended, a delivery has come, or a lane's rest is over."""
        rest = next_turn(self._idle.values(), self._clock.now(), 5.0)
        await self._clock.wait(self._wake, min(rest, 5.0))

    @property
    def due_at(self) -> float:
        """When a lane's rest is over and it may send."""
        now = self._clock.now()
        return now + next_turn(self._idle.values(), now, float("inf"))

    async def run_once(self) -> int:
        """Settle what has ended and lease what is due, in one commit; how many sends began. Raises `StoreError`."""
        async with self.turn:
            if self._strays:
                await self._recover(fresh=False)
                self._strays = False
                self.rehomed()
            return await self._step()

    async def _step(self) -> int:
        self._wake.clear()
        now = self._clock.now()
        ended, self._ended = self._ended, []
        self._unsettled.extend((attempt, self._judge(attempt, now)) for attempt in ended)
        settling = self._unsettled
        for attempt, _ in settling:
            attempt.lane.sending = None
        free = [] if self._stopping else choose(self._idle.values(), self.depths, now)
        if not settling and not free:
            return 0
        rooms = {room: lane.key for lane in free for room in lane.rooms}
        works, self._works = self._works, {}
        for lane in free:
            lane.pending = False
        try:
            heads = await self._outbox.exchange([settlement for _, settlement in settling], rooms, works, now)
        except BaseException:
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
                self._over(head.over)
            if head is not None and head.lease is not None:
                begun += 1
                lane.sending, lane.served_at = head.lease, now
                self.depths.add(head.lease.room, head.lease.rank, -1)
                task = self._spawn(self._attempt(lane, head.lease, lane.account.sender))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                continue
            if lane.account.bucket is not None:
                lane.account.bucket.take(-1.0)
            if head is not None:
                lane.doze(head.due_at)
            elif not lane.pending:
                self._idle.pop(lane.key, None)
        return begun

    async def _attempt(self, lane: Lane, lease: Lease, sender: Sender) -> None:
        began = self._clock.now()
        outcome: Outcome | None = None
        parts: tuple[str, ...] = ()
        try:
            if lease.file is not None:
                outcome = await self._attach(sender, lease, lease.file)
            else:
                texts, file = await self._texts(lease, sender.service)
                parts = tuple(texts[1:]) if lease.action in ("post", "file") else ()
                outcome = await self._send(sender, lease, texts[0], file)
        except Exception as error:  # noqa: BLE001 - the border around one delivery: it is recorded as a bug
            self._chronicle.bug(lease, error)
            outcome = Refused("bug", "delivery", self._redact(repr(error)))
        finally:
            self._ended.append(Attempt(lane, lease, outcome, parts, self._clock.now() - began))
            self._wake.set()

    async def _attach(self, sender: Sender, lease: Lease, address: str) -> Outcome:
        """Post a file that an event names, or a note of why it can't be had."""
        async with self._files.get(address) as found:
            if isinstance(found, Missing):
                why = found.why
            else:
                file, link = (found, None) if isinstance(found, File) else (None, found)
                outcome = await self._send(sender, lease, "", file, link)
                if not (isinstance(outcome, Refused) and outcome.scope == "delivery"):
                    return outcome
                why = f"it was refused: {outcome.detail}"
        name = file_name(address)
        self._chronicle.file_missing(lease, name, why)
        return await self._send(sender, lease, file_is_missing(name, why), None)

    async def _texts(self, lease: Lease, service: Service) -> tuple[list[str], File | None]:
        """A delivery's texts, and the file that goes with the first: a digest's full list."""
        texts = [lease.content] if lease.content is not None else self._rendered(lease, service)
        if lease.note is not None:
            return [self._renderer.note(lease.note, lease.room, self._clock.wall())], None
        if lease.action != "file":
            return texts, None
        listed = self._renderer.listing(await self._outbox.digest_lines(lease.message, MOST_LISTED))
        if not service.files:
            return numbered([*texts, hard_breaks(escape_markdown(listed))], service.longest_list), None
        name, content = f"storm-{lease.message}.txt", partial(BytesIO, listed.encode())
        return texts, File(name=name, content_type="text/plain; charset=utf-8", open=content)

    def _rendered(self, lease: Lease, service: Service) -> list[str]:
        return self._renderer.render(
            lease.event, lease.template, room=lease.room, told=lease.told, now=self._clock.wall(),
            mention=lease.mention if lease.action == "post" else (), longest=service.longest,
            brief=lease.action == "reply" and not service.edits, remark=remark_of(lease, shows_files=service.files),
        )  # fmt: skip

    async def _send(
        self, sender: Sender, lease: Lease, markdown: str, file: File | None, link: str | None = None
    ) -> Outcome:
        text = plain_text(markdown)
        await self.sending(lease.event, text)
        message = Send(
            action=lease.action,
            room=lease.room,
            markdown=markdown,
            text=text,
            message=None if lease.action == "post" else lease.remote,
            space=None if lease.action == "post" else lease.space,
            delivery=str(lease.id),
            file=file,
            link=link,
            card=self._card(sender, lease),
        )
        return await sender.send(message)

    def _card(self, sender: Sender, lease: Lease) -> Mapping[str, Any] | None:
        """The card that goes with a new message, where there is one and the service takes it."""
        if lease.action != "post" or lease.note is not None or not sender.service.files:
            return None
        told, now = lease.told, self._clock.wall()
        return self._renderer.card(lease.lineage, lease.event, room=lease.room, told=told, now=now)

    def _judge(self, attempt: Attempt, now: float) -> Settlement:
        """What an attempt means for its delivery; its lane and account take their part of it at once."""
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
            diverts=lease.room in self._fallbacks or lease.origin is not None,
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
                self.lanes.get(lease.room, lane).note_wait(verdict.settlement)
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
        """Since when a room fails: a service that refuses one message answers, and what is dead fails no more."""
        if verdict.settlement.state == "dead" or (isinstance(outcome, Refused) and outcome.scope == "message"):
            lane.failed_since = None
        elif isinstance(outcome, Failed) and lane.failed_since is None:
            lane.failed_since = since

    def _got_through(self, lane: Lane, lease: Lease, outcome: Delivered, now: float, took: float) -> None:
        account = lane.account
        first, account.succeeded_at = not account.succeeded_at, now
        recovered = lane.held_up
        is_back = recovered and bool(lane.failing)
        if lane.put_off or lane.rest_until:
            self._hurry(lane, anew=recovered)
        lane.got_through(now, took)
        account.resume()
        self._chronicle.account_resumed(account.name)
        if is_back or first:  # it was the service, not one room: what gets through again here may elsewhere, too
            for other in account.lanes:
                if (is_back and other.failing) or (first and other.failing is None):
                    self._hurry(other)
        self._chronicle.room_works(lease.room)
        if outcome.space and not lane.space and self.lanes.get(lease.room) is lane:
            lane.space = outcome.space
            self._share(lane)

    def _hurry(self, lane: Lane, *, anew: bool = True) -> None:
        """Try what failed in a lane, as its rooms work. If `anew` is false, failures while they worked still count."""
        lane.hurry()
        if lane.put_off:
            lane.put_off = False
            self._works.update({room: anew or self._works.get(room, False) for room in lane.rooms})

    def _share(self, lane: Lane) -> None:
        """Two names for one space share a lane from the moment this is found out."""
        twin = next((o for o in lane.account.lanes if o is not lane and o.space == lane.space), None)
        if twin is None:
            return
        self._chronicle.one_space([*twin.rooms, *lane.rooms])
        lane.account.lanes.remove(lane)
        self._idle.pop(lane.key, None)
        twin.rooms = [*twin.rooms, *lane.rooms]
        twin.keys |= lane.keys
        self._hurry(twin)
        for room in lane.rooms:
            self.lanes[room] = twin
            twin.pending = False
            self._offer(room)

    def _settled(self, attempt: Attempt, settlement: Settlement) -> None:
        """Count what is on record now, and offer the lane again."""
        lease = attempt.lease
        waiting = len(settlement.parts) + len(settlement.files) + (settlement.state == "waiting")
        if waiting:
            self.depths.add(lease.room, lease.rank, waiting)
            self._offer(lease.room)
            self._strays |= lease.room not in self.lanes
        if settlement.state != "waiting":
            self._chronicle.settled(lease, settlement, self._clock.wall())

    async def finish(self, grace: float) -> None:
        """Lease nothing more; give sends in flight `grace` seconds, cut the rest, record all. Raises `StoreError`."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.run_once()
