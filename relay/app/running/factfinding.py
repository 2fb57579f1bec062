"""Fact finding: what the parts of a running relay know of its troubles, for the one function that judges them."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Literal, Protocol

from relay.app.running.feeds import Feeds
from relay.app.running.reload import Reloader
from relay.core.event import RANK
from relay.core.facts import AccountFacts, Facts, RoomFacts, SourceFacts
from relay.core.findings import Finding
from relay.core.wellness import look
from relay.core.words import say_duration
from relay.pipeline.credentials import CredentialKeeper
from relay.pipeline.hearing import Hearing
from relay.pipeline.janitor import Janitor
from relay.pipeline.lanes import Account
from relay.pipeline.pipeline import Pipeline
from relay.ports import Clock, Credentials
from relay.senders.heartbeat import Heartbeat
from relay.settings.model import Settings
from relay.storage.asking import Queries
from relay.storage.queries import Snapshot

UNKNOWN = "refused before the last start"
"""The reason of a refusal that an earlier process has found, until a delivery gets through or is refused again."""


class Storage(Protocol):
    """The store, as far as its own trouble goes."""

    queries: Queries

    @property
    def full(self) -> bool:
        """True while there is no room for events."""
        ...

    @property
    def trouble(self) -> str | None:
        """The reason why events can't be committed now, or None."""
        ...


def room_facts(queue: Snapshot, room: str, now: float) -> RoomFacts:
    """Return what the store knows of a room; `now` in Unix seconds."""
    aside, dead = queue.aside.get(room), queue.deaths.get(room)
    death = "" if dead is None or dead.title is None else f"{dead.title}\n{dead.reason}: {dead.error or ''}"
    return RoomFacts(
        name=room,
        oldest=max(0.0, now - queue.oldest.get(room, now)),
        aside=sum(aside.counts) if aside else 0,
        aside_critical=aside.counts[RANK["critical"]] if aside else 0,
        dead=dead.count if dead else 0,
        untold=dead.untold if dead else 0,
        death=death,
    )


def gone_facts(queue: Snapshot, rooms: Container[str], now: float) -> tuple[RoomFacts, ...]:
    """Return what the store knows of rooms that are configured no more and have dead deliveries."""
    return tuple(room_facts(queue, room, now) for room in sorted(queue.deaths) if room not in rooms)


class FactFinder:
    """Asks the parts of a running relay."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        store: Storage,
        pipeline: Pipeline,
        feeds: Feeds,
        hearing: Hearing,
        heartbeat: Heartbeat,
        keeper: CredentialKeeper,
        janitor: Janitor,
        reloader: Reloader,
        stuck: Callable[[], str | None],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._store = store
        self._pipeline = pipeline
        self._feeds = feeds
        self._hearing = hearing
        self._heartbeat = heartbeat
        self._keeper = keeper
        self._janitor = janitor
        self._reloader = reloader
        self._stuck = stuck
        self._clock = clock

    async def look(self) -> Sequence[Finding]:
        """Return how well the relay is now, worst first. Raises `StoreError`."""
        queue = await self._store.queries.snapshot(list(self._settings().rooms), everything=False)
        return look(self.facts(queue))

    def is_known(self, key: str) -> bool:
        """Return whether the present state of a finding is known, by its key; after a start it may not be yet."""
        code, _, about = key.partition(":")
        if code.startswith("token_"):
            return about in self._keeper.states or about not in self._settings().accounts
        if code == "room_diverted":
            return self._pipeline.planner.diversions.are_known
        if code == "room_failing" and (lane := self._pipeline.book.lanes.get(about)) is not None:
            return lane.failing is not None or not self._pipeline.book.depths.rooms.get(about)
        return True

    def facts(self, queue: Snapshot) -> Facts:
        """Return what is known, with the queue as it is on record."""
        store, last = self._store, self._reloader.last
        is_full = store.full or self._janitor.is_short
        trouble: Literal["full", "broken"] | None = "full" if is_full else None
        settings = self._settings()
        return Facts(
            now=self._clock.wall(),
            stuck=self._stuck(),
            store=trouble or ("broken" if store.trouble else None),
            store_trouble=store.trouble or ("there is a little room again" if is_full else ""),
            queue_full=not self._pipeline.has_room(),
            heartbeat=self._heartbeat.trouble,
            problems=() if last.good else tuple(str(problem) for problem in last.problems),
            restart=last.restart,
            accounts=tuple(self._account(account) for account in self._pipeline.book.accounts()),
            rooms=tuple(self._room(queue, room) for room in settings.rooms),
            gone=gone_facts(queue, settings.rooms, self._clock.now()),
            sources=tuple(self._source(name) for name in settings.sources),
        )

    def _account(self, account: Account) -> AccountFacts:
        state = self._keeper.states.get(account.name, Credentials())
        recalled = UNKNOWN if account.name in self._pipeline.chronicle.refused else None
        return AccountFacts(
            name=account.name,
            rooms=tuple(name for name, room in self._settings().rooms.items() if room.account == account.name),
            refused=account.refused or recalled,
            refresh_until=state.refresh_until,
            token_trouble=state.trouble,
        )

    def _room(self, queue: Snapshot, room: str) -> RoomFacts:
        now, pipeline = self._clock.now(), self._pipeline
        found = room_facts(queue, room, now)
        since = pipeline.book.lanes[room].failed_since
        diverted = room in pipeline.planner.diversions.rooms
        return RoomFacts(
            name=room,
            refused=pipeline.chronicle.room_errors.get(room),
            goes_to=pipeline.book.fallback_of(room) if diverted else None,
            failing=0.0 if since is None else max(0.0, now - since),
            last_error=None if since is None and not diverted else pipeline.chronicle.last_errors.get(room),
            oldest=found.oldest,
            aside=found.aside,
            aside_critical=found.aside_critical,
            dead=found.dead,
            untold=found.untold,
            death=found.death,
        )

    def _source(self, name: str) -> SourceFacts:
        patience = self._hearing.patience.get(name) if name in self._hearing.silent else None
        staying = feed.staying if (feed := self._feeds.running.get(name)) is not None else None
        down = staying is not None and staying.is_down
        return SourceFacts(
            name=name,
            silent=None if patience is None else say_duration(patience.seconds),
            silence_is="major" if patience is None else patience.severity,
            feed=None if staying is None or not down else "refused" if staying.state.refused else "down",
            feed_error=None if staying is None else staying.state.last_error,
            echoes=name in self._pipeline.brake.braked,
        )
