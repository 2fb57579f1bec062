"""The daemon: making all parts from the settings, starting and stopping them."""

from __future__ import annotations

import asyncio
import os
import random  # noqa: TID251 - this is the chance port
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from aiohttp import web

from relay.app.assembly.accounts import make_addresses, make_fallbacks, make_lanes, retry_policy
from relay.app.assembly.arrangement import Arrangement, Arranger, FeedSettings, Listener, Vault
from relay.app.assembly.reading import defaults_of, make_format
from relay.app.assembly.sources import make_controllers, make_feed, make_renewal, patience_of, queries_of
from relay.app.running.configured import ConfiguredDocuments, reload_json
from relay.app.running.doors import Doors
from relay.app.running.factfinding import FactFinder
from relay.app.running.feeds import Feeds
from relay.app.running.notice import Notice
from relay.app.running.reload import Reload, Reloader
from relay.app.running.requests import AccountRequests, Asked, Login, post_now
from relay.app.running.status import StatusBoard
from relay.app.trial.trail import trail_json
from relay.core.delivery import Outcome
from relay.core.event import OPERATOR_SOURCE, Severity, Status
from relay.core.rate import TokenBucket
from relay.lifecycle import Lifecycle, SystemClock
from relay.listeners.apic import ApicListener
from relay.listeners.connections import Connections, WatchedRunner, most_connections
from relay.listeners.push import PushListener
from relay.listeners.server import EventsServer
from relay.listeners.staying import Staying
from relay.listeners.webhook import WebhookListener
from relay.listeners.websocket import WebsocketListener
from relay.logs import redact_log
from relay.pipeline.credentials import CredentialKeeper
from relay.pipeline.hearing import Hearing
from relay.pipeline.janitor import Janitor
from relay.pipeline.loop import Loop
from relay.pipeline.operator import OperatorNotices
from relay.pipeline.pipeline import InForce, Pipeline, World
from relay.pipeline.watch import Watch
from relay.ports import File, Limits, Log, SendNow, Spawn
from relay.senders.heartbeat import Heartbeat
from relay.senders.webex import WebexSender
from relay.settings.load import Loaded
from relay.settings.model import Settings
from relay.settings.rules import compile_rules
from relay.settings.secrets import secrets_of
from relay.settings.sources import WebsocketSettings
from relay.storage.sqlite.store import SqliteStore
from relay.templates.rendering import BUILT_IN
from relay.web.accounts import AccountApi
from relay.web.admin import AdminGuard, Part, make_admin
from relay.web.alertmanager import AlertmanagerApi
from relay.web.api import Api
from relay.web.configuration import ConfigurationApi
from relay.web.feed import LiveFeed
from relay.web.metrics import Metrics
from relay.web.page import Page
from relay.web.sessions import Sessions
from relay.web.silences import SilenceApi, SilenceBook
from relay.web.trail import TrailApi
from relay.web.trends import Trends, TrendsApi

KEEPALIVE = 75.0
"""Seconds after which an idle connection, or one whose request does not arrive, is closed."""
ADMIN_GRACE = 2.0
"""Seconds that requests in progress at the admin address get when the relay stops."""
_random = random.Random()  # noqa: S311 - makes no secrets; the system's source would release the interpreter at each call
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def new_event_id(now: float) -> str:
    """Return an id that sorts by time: milliseconds and 48 random bits, in hexadecimal."""
    return f"{int(now * 1000):012x}{_random.getrandbits(48):012x}"


def chance() -> float:
    """Return a random number in [0, 1)."""
    return _random.random()


class RelayDaemon:
    """Implements the lifecycle's `Daemon`. Once made, it has its store and its secrets, but listens nowhere yet."""

    def __init__(  # noqa: PLR0915 - one straight list of parts reads better whole
        self, loaded: Loaded, doors: Doors, lifecycle: Lifecycle, clock: SystemClock, log: Log
    ) -> None:
        """Raises `StoreError`, `ConfigurationError`, `SecretError`, `TemplateError`, and OSError for files of TLS."""
        settings = loaded.settings
        self._doors = doors
        for _, ref in secrets_of(settings):
            ref.resolve()  # report a missing secret before the store is created
        self._log = log
        self._clock = clock
        self._undo = AsyncExitStack()
        self.metrics = metrics = Metrics((), {}, 0)
        self.store = store = SqliteStore(loaded.storage, settings.keep.size)
        self._hearing = hearing = Hearing({}, clock, self._changed)
        self.pipeline = pipeline = Pipeline(
            store,
            compile_rules(settings),
            World(
                clock=clock,
                log=log,
                telemetry=metrics,
                notify=self._notify,
                changed=self._changed,
                spawn=self._spawn,
                new_id=new_event_id,
                chance=chance,
                redact=self._redact,
            ),
        )
        self._intake = intake = pipeline.intake
        self._arranger = Arranger(clock, log, self._make_feed, self._template_failed)
        self.arrangement = first = self._arranger.arrange(loaded)
        redact_log(first.vault.redactor.redact)
        self._operator = operator = OperatorNotices(intake, clock, log)
        self._keeper = CredentialKeeper(
            pipeline.book, pipeline.chronicle, self._reread, clock, log, self._changed, self._spawn
        )
        self._janitor = Janitor(store, _limits(settings), clock, log)
        store.on_full = self._went_full
        self._heartbeat = Heartbeat(lambda: lifecycle.stuck() or self._ready(), clock, log)
        self._why_not_ready = lifecycle.why_not_ready
        self._stopping = lifecycle.is_stopping
        self._trends = Trends(metrics, clock)
        self.reloader = Reloader(loaded, self._prepare, self._use, clock, log, self._reloaded)
        self._feeds = feeds = Feeds()
        self._finder = FactFinder(
            self.settings,
            store,
            pipeline,
            feeds,
            hearing,
            self._heartbeat,
            self._keeper,
            self._janitor,
            self.reloader,
            lifecycle.stuck,
            clock,
        )
        self._watch = Watch(self._finder.look, self._finder.is_known, self._notify, clock)
        self.loops: dict[str, Loop] = {
            "planner": pipeline.planner,
            "dispatcher": pipeline.dispatcher,
            "janitor": self._janitor,
            "credentials": self._keeper,
            "operator": operator,
            "watch": self._watch,
            "hearing": hearing,
            "heartbeat": self._heartbeat,
            "reload": self.reloader,
            "trends": self._trends,
        }
        self._webhooks = WebhookListener({}, intake, clock, metrics, hearing.heard)
        at_events, at_admin = most_connections()
        self._at_events = Connections("events", at_events, clock, log, metrics.connection_closed)
        self._at_admin = Connections("admin", at_admin, clock, log, metrics.connection_closed)
        self._pushes = PushListener({}, intake, clock, metrics, hearing.heard, at_events // 2)
        self._live = LiveFeed(store.queries, clock, at_admin // 2)
        self._checking: set[asyncio.Task[None]] = set()
        self._errands: set[asyncio.Task[None]] = set()
        self._tasks: Spawn | None = None
        self._loads = 1

    def _make_admin(self) -> web.Application:
        """Return the application of the admin address."""
        store, clock, planner, dispatcher = self.store, self._clock, self.pipeline.planner, self.pipeline.dispatcher
        board = StatusBoard(
            self.settings,
            store.queries,
            self.pipeline,
            self._feeds,
            self._hearing,
            self._heartbeat,
            self._keeper,
            self.metrics,
            self.reloader,
            self._finder,
            self._ready,
            clock.now,
        )
        desk = SilenceBook(planner.vigil, lambda: str(uuid.uuid4()), clock)
        configured = ConfiguredDocuments(
            self.reloader, board, desk, lambda: planner.rules, clock.wall, self._intake.own.has
        )
        accounts = AccountRequests(
            lambda: self.arrangement.accounts, lambda: make_addresses(self.settings()), self._keeper.nudge
        )
        parts: list[Part] = [
            Api(
                store.queries,
                store.change_deliveries,
                board.status,
                dispatcher.changed,
                self._send_now,
                lambda: self.settings().rooms,
                clock.now,
            ),
            self._live,
            SilenceApi(desk, store.queries, self._intake.acknowledge, self._intake.unacknowledge),
            AlertmanagerApi(
                desk,
                store.queries,
                planner.suppressor,
                lambda: planner.rules,
                clock.now(),
                lambda: self.settings().listen.alertmanager_version,
            ),
            AccountApi(accounts.ask, Asked | Login),
            ConfigurationApi(configured),
            TrendsApi(self._trends.points),
            TrailApi(self._trail),
        ]
        sessions = Sessions(self._admin_tokens, clock.now)
        guard = AdminGuard(sessions, lambda: (*_LOOPBACK, self._doors.listen.admin.host, *self._admin_hosts()))
        return make_admin(guard, [*parts, Page(sessions)], self._ready, self._finder.look, board.metrics)

    async def _trail(self, number: int) -> dict[str, Any] | None:
        """Return an incident's trail by its number, or None. Raises `StoreError`."""
        found, made = await self.store.queries.trail(number), self.arrangement
        return None if found is None else trail_json(found, made.renderer, made.rules, self._clock.now())

    def settings(self) -> Settings:
        """Return the settings in force."""
        return self.arrangement.settings

    def _admin_tokens(self) -> list[str]:
        return self.arrangement.tokens()

    def _admin_hosts(self) -> tuple[str, ...]:
        return self.settings().listen.admin_hosts

    def _ready(self) -> str | None:
        return self._why_not_ready() or self.store.trouble

    def _make_feed(self, name: str, source: FeedSettings, vault: Vault) -> Listener:
        bucket = None if source.rate is None else TokenBucket(source.rate, self._clock.now())
        renew = make_renewal(source, vault)
        heard, redactor = self._hearing.heard, vault.redactor
        staying = Staying(name, self._clock, self._log, self._changed, heard, redactor, bucket, renew)
        if isinstance(source, WebsocketSettings):
            return WebsocketListener(make_feed(name, source, vault), staying, self._intake, self._clock)
        controllers, defaults = make_controllers(source, vault), defaults_of(name, source)
        select = make_format(name, source).select
        return ApicListener(controllers, queries_of(source), defaults, staying, self._intake, self._clock, select)

    def _prepare(self, loaded: Loaded) -> Arrangement:
        """Make all parts of another configuration, without using them yet. Raises the same errors as the start."""
        self._doors.refuse_open(loaded)
        made = self._arranger.arrange(loaded, self.arrangement)
        self._doors.renew_certificate(loaded)
        return made

    async def _use(self, made: Arrangement) -> bool:
        """Put another configuration in force as a whole; if the stop has begun, change nothing and return False."""
        async with self.pipeline.planner.turn, self.pipeline.dispatcher.turn:  # neither may see half of the change
            if self._stopping():
                return False
            self._put(made)
        self._run(self._pushes.close_gone(), self._errands)
        return True

    def _put(self, made: Arrangement) -> None:
        """Put an arrangement in force; nothing here can fail."""
        before, self.arrangement = self.arrangement, made
        for account in made.accounts.values():
            if isinstance(account.sender, WebexSender):
                account.sender.met = self._intake.own.add
        settings, now = made.settings, self._clock.now()
        senders = {name: account.sender for name, account in made.accounts.items()}
        self.pipeline.use(
            InForce(
                rules=made.rules,
                lanes=make_lanes(settings, senders, now, self.pipeline.book.all_lanes()),
                fallbacks=make_fallbacks(settings),
                renderer=made.renderer,
                files=made.files,
                policy=retry_policy(settings),
                queue=settings.limits.queue,
                backlog=settings.limits.backlog,
            )
        )
        accounts = {name: room.account for name, room in settings.rooms.items()}
        templates = [BUILT_IN, *settings.templates, *made.loaded.cards]
        self.metrics.use([*settings.sources, OPERATOR_SOURCE], accounts, made.loaded.digest, templates)
        self.metrics.use_feeds(made.feeds)
        self._webhooks.sources, self._pushes.sources = made.webhooks, made.pushes
        self._feeds.use(made.feeds, self._spawn)
        self._hearing.use(patience_of(settings))
        self._janitor.limits = _limits(settings)
        interval = 0.0 if settings.heartbeat is None else settings.heartbeat.interval
        self._heartbeat.use(made.heartbeat, interval)
        self.pipeline.chronicle.keep(settings.rooms, settings.accounts)
        fresh = {name for name, account in made.accounts.items() if before.accounts.get(name) is not account}
        if before is made:
            fresh = set(made.accounts)
        else:
            self._run(self._retire(before, made), self._errands)
        if fresh:
            self._run(self.pipeline.dispatcher.check_accounts(fresh), self._checking)

    def _run(self, errand: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
        """Run an errand that nobody waits for."""
        task = self._spawn(errand)
        among.add(task)
        task.add_done_callback(among.discard)

    async def _retire(self, before: Arrangement, now: Arrangement) -> None:
        """Close the accounts and files that are no longer in use, once no delivery or request uses them."""
        gone = [account for name, account in before.accounts.items() if now.accounts.get(name) is not account]
        try:
            if in_flight := self.pipeline.dispatcher.in_flight():
                await asyncio.wait(in_flight)
            for account in gone:
                await account.unused()
        finally:
            for account in gone:
                await account.close()
            if before.files is not now.files:
                await before.files.close()

    def _reloaded(self, done: Reload) -> None:
        self.metrics.reloaded(done.at if done.good else None)
        self._loads += 1
        self._leave_word()
        self._changed()

    def _leave_word(self) -> None:
        """Leave a notice for the commands on this machine: the relay's address, and the result of the last load."""
        tls = self._doors.listen.tls
        notice = Notice(
            pid=os.getpid(),
            config=os.path.abspath(self.arrangement.loaded.file),  # noqa: PTH100 - keeps symbolic links
            admin=str(self.admin_address),
            certificate=None if tls is None else str(tls.cert),
            loads=self._loads,
            last_load=reload_json(self.reloader.last),
        )
        self.store.leave_word(msgspec.json.encode(notice))

    async def start(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        """Recover the state that an earlier process left, then listen. Raises `StoreError`, OSError."""
        self._tasks = spawn
        self._undo.push_async_callback(self._close_senders)
        self.metrics.reloaded(self.reloader.good_at)
        firing = await self.store.firing_keys(OPERATOR_SOURCE)
        self._put(self.arrangement)
        chronicle, brake = self.pipeline.chronicle, self.pipeline.brake
        for part in (chronicle, self._hearing, self._feeds, brake, self._watch):
            part.recall(firing)
        self.pipeline.chronicle.keep(self.settings().rooms, self.settings().accounts)
        await self.pipeline.recover()
        self.admin = self._make_admin()
        admin = self._admin = WatchedRunner(
            self.admin, self._at_admin, access_log=None, keepalive_timeout=KEEPALIVE, shutdown_timeout=ADMIN_GRACE
        )
        await admin.setup()
        self._undo.push_async_callback(admin.cleanup)
        self.admin_address = await self._doors.open("admin", admin, self._at_admin, self._spawn)
        server = self._server = EventsServer(
            self._serve, self._at_events, access_log=None, keepalive_timeout=KEEPALIVE, auto_decompress=False
        )
        self._events = web.ServerRunner(server)
        await self._events.setup()
        self._undo.push_async_callback(self._events.cleanup)
        self.events_address = await self._doors.open("events", self._events, self._at_events, self._spawn)
        self._leave_word()
        self._log.notice("listening", events=str(self.events_address), admin=str(self.admin_address))

    def _serve(self, request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        """Answer a request at the events address."""
        push = self._pushes.sources.get(request.path)
        return self._webhooks.handle(request) if push is None else self._pushes.handle(push, request)

    async def stop_listening(self) -> None:
        """Accept no more events: close the events address, and let the feeds end."""
        self._feeds.stop()
        await self._pushes.stop()
        for site in list(self._events.sites):
            await site.stop()
        await self._server.answered()
        await self._events.cleanup()

    async def finish(self) -> None:
        """Let messages in flight finish within `stop_grace`, and record them. Raises `StoreError`."""
        for checking in tuple(self._checking):
            checking.cancel()
        await self._live.stop()
        try:
            await self.pipeline.dispatcher.finish(self.settings().stop_grace)
            await self.store.note_time(self._clock.now(), self._clock.wall())
        finally:
            for errand in tuple(self._errands):
                errand.cancel()
            for site in self._admin.sites:  # its TLS handshakes are tasks that the lifecycle waits for
                await site.stop()

    async def close(self) -> None:
        """Close everything; the store last, as the other parts may still write to it."""
        try:
            await self._undo.aclose()
        finally:
            await self.store.close()

    async def _close_senders(self) -> None:
        await self.arrangement.files.close()
        await self._heartbeat.close()
        for made in self.arrangement.accounts.values():
            await made.close()

    def _reread(self) -> None:
        self.arrangement.vault.reread()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        assert self._tasks is not None  # noqa: S101 - nothing is sent before the start
        return self._tasks(work)

    def _template_failed(self, template: str, event_id: str, error: str) -> None:
        self.metrics.template_failed(template)
        loaded = self.arrangement.loaded
        text = loaded.templates.get(template) or loaded.cards.get(template)
        self.pipeline.chronicle.template_failed(template, text, event_id, self._redact(error))

    def _went_full(self) -> None:
        self._janitor.nudge()
        self._changed()

    def _changed(self) -> None:
        """Have the watch look at how well the relay is."""
        self._watch.nudge()

    def _notify(self, key: str, title: str, severity: Severity, status: Status, body: str) -> None:
        """Notify the operator's room, or the log if the configuration has none."""
        title, body = self._redact(title), self._redact(body)
        if self.settings().operator is not None:
            self._operator.notify(key, title, severity, status, body)
        else:
            self._log.warning("operator_notice", key=key, title=title, severity=severity, status=status, body=body)

    def _redact(self, text: str) -> str:
        return self.arrangement.vault.redactor.redact(text)

    async def _send_now(self, wanted: SendNow, file: File | None) -> Outcome:
        account = self.arrangement.accounts[self.settings().rooms[wanted.room].account]
        with account.used():
            return await post_now(account, wanted, file)


def _limits(settings: Settings) -> Limits:
    return Limits(done=settings.keep.done, dead=settings.keep.dead, size=settings.keep.size)
