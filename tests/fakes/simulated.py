"""A relay without a network whose time is the test's own: the real planner, dispatcher, renderer and store, and a room
that fails as it is told."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded history, not the relay's chance
from typing import Any

import msgspec
import yaml

from relay.app.assembly.accounts import make_fallbacks
from relay.app.trial.simulation import NoFiles
from relay.core.delivery import Delivered, Failed, Outcome, Refused, Throttled
from relay.core.event import Draft, SourceDefaults
from relay.core.retry import RetryPolicy
from relay.formats import FORMATS
from relay.logs import make_log
from relay.pipeline.lanes import Account, Lane
from relay.pipeline.loop import Loop
from relay.pipeline.pipeline import InForce, Pipeline, World
from relay.ports import Credentials, Send, Service, StoreUnavailableError
from relay.senders.webex import SERVICE as WEBEX
from relay.settings.load import load
from relay.settings.rules import compile_rules
from relay.storage.sqlite.store import SqliteStore
from relay.templates.rendering import TemplateRenderer
from relay.web.metrics import Metrics
from tests.fakes.running import BUGS

START = 1_800_000_000.0
MOST_EDITS = 10
QUICK = RetryPolicy(1.0, 5.0, 1e9)
SETTINGS: dict[str, Any] = {
    "listen": {"events": "127.0.0.1:0", "admin": "127.0.0.1:0"},
    "accounts": {"webex": {"type": "webex", "url": "http://127.0.0.1:1/v1", "token": "t"}},
    "rooms": {"noc": {"account": "webex", "title": "NOC", "digest_over": 8}},
    "sources": {"lab": {"type": "webhook"}},
    "route": {
        "rooms": ["noc"],
        "repeat_interval": "30d",
        "reopen_within": "5m",
        "routes": [
            {
                "matchers": ['site=~".+"'],
                "group_by": ["site"],
                "group_wait": "10s",
                "group_interval": "30s",
                "routes": [{"matchers": ["site=fra1"], "mention": ["anna@example.net"]}],
            }
        ],
    },
}


class ManualClock:
    """Implements the pipeline's `Clock`: it moves when it is told to; `jump` is how far the wall clock was set."""

    def __init__(self) -> None:
        self.time = START
        self.jump = 0.0

    def now(self) -> float:
        """Unix seconds."""
        return self.time

    def wall(self) -> float:
        """Unix seconds."""
        return self.time + self.jump

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Nobody waits here."""
        raise AssertionError((event, seconds))


class Standing(msgspec.Struct):
    """What stands in the room. `orphan`: the relay does not know of it, as its answer was lost."""

    id: str
    text: str
    parent: str | None
    edits: int = 0
    orphan: bool = False


class Room:
    """Implements the pipeline's `Sender`: a service with one room that is slow, and fails with some `trouble`."""

    def __init__(self, clock: ManualClock, dice: Random, service: Service = WEBEX) -> None:
        self.service = service
        self.messages: dict[str, Standing] = {}
        self.shown: list[str] = []
        """All that it has ever shown, files too."""
        self.trouble = 0.0
        self.down = False
        self.refused = False
        self.closed: set[str] = set()
        """Rooms of the account that fail while the others work."""
        self.spaces: dict[str, str] = {}
        """The spaces of rooms that are not called as these."""
        self.poison: set[str] = set()
        """Words whose messages fail in every room."""
        self.tries: list[tuple[float, str, str, bool]] = []
        """Time, room, text and success of each attempt."""
        self._numbers = itertools.count()
        self._clock = clock
        self._dice = dice

    async def check(self) -> None:
        """All is well."""

    async def renew(self) -> bool:
        """Nothing changes."""
        return False

    async def tend(self) -> Credentials:
        """Nothing ends."""
        return Credentials()

    async def send(self, message: Send) -> Outcome:
        """Take a message, or fail before or behind that."""
        self._clock.time += self._dice.uniform(0.3, 1.0)
        outcome = self._answer(message)
        self.tries.append((self._clock.time, message.room, message.markdown, isinstance(outcome, Delivered)))
        return outcome

    def _answer(self, message: Send) -> Outcome:
        fate = self._dice.random()
        if self.down or message.room in self.closed or any(word in message.markdown for word in self.poison):
            return Failed("network", "no route to host")
        if self.refused:
            return Refused("unknown_room", "room", "404: not a member any more")
        if fate < self.trouble:
            return self._dice.choice((Throttled(2.0), Failed("network", "refused"), Failed("remote", "502")))
        assert self.service.edits or message.action != "edit"
        assert self.service.files or message.file is None
        known = message.message is not None and message.message in self.messages
        if self.service.edits and message.message is not None and not known:
            return Refused("refused", "message", "404")
        standing = self._take(message)
        if fate < self.trouble * 1.3:
            standing.orphan |= message.action == "post"
            return Failed("timeout", "no answer", ambiguous=True)
        return Delivered(standing.id, self.spaces.get(message.room, message.room))

    def _take(self, message: Send) -> Standing:
        self.shown.append(message.markdown)
        if message.file is not None:
            self.shown.append(message.file.open().read().decode())
        if message.action == "edit" and message.message is not None:
            standing = self.messages[message.message]
            standing.edits += 1
            assert standing.edits <= MOST_EDITS
            standing.text = message.markdown
            return standing
        parent = message.message if message.action in ("reply", "file") else None
        standing = Standing(f"m{next(self._numbers)}", message.markdown, parent)
        self.messages[standing.id] = standing
        return standing


class Flaky:
    """A store whose commits fail as often as `trouble` says; all else is the real one's."""

    def __init__(self, store: SqliteStore, dice: Random) -> None:
        self.trouble = 0.0
        self._store = store
        self._dice = dice

    def __getattr__(self, name: str) -> Any:
        if name in ("commit_plan", "exchange") and self._dice.random() < self.trouble:
            raise StoreUnavailableError("the disk is gone for a moment")
        return getattr(self._store, name)


class Simulated:
    """One process of the relay, over a store and a room that outlive it."""

    def __init__(
        self,
        folder: Path,
        clock: ManualClock,
        room: Room,
        dice: Random,
        settings: dict[str, Any],
        backup: Room | None = None,
        policy: RetryPolicy = QUICK,
    ) -> None:
        """`room` serves all Webex rooms of the settings, `backup` the room of that name."""
        file = folder / "relay.yaml"
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        loaded = load(file, FORMATS)
        self.clock, self.room, self._dice = clock, room, dice
        self.store = SqliteStore(folder / "relay.db", None)
        self.flaky: Any = Flaky(self.store, dice)
        self._log = folder / "relay.log"
        self._stream = self._log.open("a", encoding="utf-8")
        log = make_log("info", self._stream)
        webex = Account("webex", room, None, clock.now())
        lanes = {name: Lane(name, webex, [name]) for name in loaded.settings.rooms if name != "backup"}
        if backup is not None:
            lanes["backup"] = Lane("backup", Account("spika", backup, None, clock.now()), ["backup"])
        self.rooms = [room] if backup is None else [room, backup]
        metrics = Metrics(["lab"], dict.fromkeys(lanes, "webex"), 0)
        rules = compile_rules(loaded.settings)
        self.pipeline = Pipeline(
            self.flaky,
            rules,
            World(
                clock=clock,
                log=log,
                telemetry=metrics,
                notify=_tell_nobody,
                spawn=self._spawn,
                new_id=self._new_id,
                chance=dice.random,
                brakes=False,
            ),
        )
        self.pipeline.use(
            InForce(
                rules=rules,
                lanes=lanes,
                fallbacks=make_fallbacks(loaded.settings),
                files=NoFiles(),
                policy=policy,
                renderer=TemplateRenderer({}, loaded.settings.timezone, _never),
            )
        )
        self.planner, self.dispatcher = self.pipeline.planner, self.pipeline.dispatcher
        self.book, self.intake = self.pipeline.book, self.pipeline.intake
        self._sends: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Recover what an earlier process left."""
        await self.pipeline.recover()

    async def stop(self) -> None:
        """Die: what the service has answered since the last commit is forgotten."""
        unsettled = [attempt for attempt, _ in self.dispatcher._unsettled]
        for attempt in (*self.dispatcher._ended, *unsettled):
            if attempt.lease.action == "post" and isinstance(attempt.outcome, Delivered):
                service = self.rooms[-1] if attempt.lease.room == "backup" else self.room
                service.messages[attempt.outcome.remote_id].orphan = True
        await self.store.note_time(self.clock.now(), self.clock.wall())
        await self.store.close()
        self._stream.close()
        said = self._log.read_text(encoding="utf-8")
        assert not [bug for bug in BUGS if f'"event": "{bug}"' in said], said

    async def post(self, drafts: Sequence[Draft]) -> None:
        """Commit events; in every other case the planner takes them before their commit has ended."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._accept(drafts))
            if self._dice.random() < 0.5:
                tasks.create_task(self._come_round(self.planner))

    async def _accept(self, drafts: Sequence[Draft]) -> None:
        await self.intake.accept(SourceDefaults(source="lab", format="relay"), drafts, b"{}")

    @staticmethod
    async def _come_round(loop: Loop) -> None:
        """A loop comes round once, but for what the store refuses."""
        with suppress(StoreUnavailableError):
            await loop.run_once()

    async def turn(self) -> None:
        """Each loop comes round once."""
        for loop in (self.planner, self.dispatcher):
            await self._come_round(loop)
        sends, self._sends = self._sends, []
        for send in sends:
            await send

    async def settle(self, seconds: float) -> None:
        """Let time go on until nothing waits, and for so long behind that."""
        quiet_until = self.clock.time + seconds
        while self.clock.time < quiet_until:
            before = sum(len(room.shown) for room in self.rooms)
            await self.turn()
            if (
                sum(len(room.shown) for room in self.rooms) != before
                or self.book.depths.total
                or self.pipeline.arrivals.waiting
            ):
                quiet_until = max(quiet_until, self.clock.time + seconds)
            self.clock.time += 1.0

    async def incidents(self, *, ended: bool) -> list[dict[str, Any]]:
        """What is on record."""
        return list(json.loads(await self.store.queries.list_incidents(ended=ended)))

    def _new_id(self, now: float) -> str:
        return f"{now:.0f}-{self._dice.getrandbits(64):016x}"

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        send = asyncio.get_running_loop().create_task(work)
        self._sends.append(send)
        return send


def _tell_nobody(*_: object) -> None:
    """There is no operator."""


def _never(template: str, event_id: str, error: str) -> None:
    raise AssertionError((template, event_id, error))
