"""The daemon put together: one straight way from settings to running parts."""

from __future__ import annotations

import asyncio
import os
import random  # noqa: TID251 - this is the chance port
import ssl
import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from relay.app.accounts import make_account, make_addresses, make_fallbacks, make_files, make_lanes, make_renderer
from relay.app.desk import AccountDesk, post_now
from relay.app.reading import defaults_of
from relay.app.sources import (
    make_controllers,
    make_feed,
    make_push,
    make_webhook,
    patience_of,
    queries_of,
)
from relay.app.status import StatusBoard
from relay.app.tls import server_context
from relay.core.delivery import Outcome
from relay.core.planning import Plan, Waiting
from relay.core.rate import TokenBucket
from relay.core.retry import RetryPolicy
from relay.core.rules import OPERATOR_SOURCE
from relay.lifecycle import Lifecycle, Loop, SystemClock, inherited_sockets
from relay.listeners.apic import ApicListener
from relay.listeners.push import PushListener
from relay.listeners.server import EventsServer
from relay.listeners.staying import Staying
from relay.listeners.webhook import WebhookListener
from relay.listeners.websocket import WebsocketListener
from relay.pipeline.chronicle import Chronicle
from relay.pipeline.credentials import CredentialKeeper
from relay.pipeline.dispatcher import Dispatcher
from relay.pipeline.hearing import Hearing
from relay.pipeline.intake import Intake
from relay.pipeline.janitor import Janitor
from relay.pipeline.operator import OperatorDesk
from relay.pipeline.planner import Planner
from relay.ports import File, Limits, Log, Over, SendNow, Tell
from relay.senders.heartbeat import Heartbeat
from relay.settings.load import Loaded
from relay.settings.model import ApicSettings, PostedSettings, PushSettings, WebsocketSettings
from relay.settings.rules import compile_rules
from relay.settings.secrets import LiveSecret, SecretRef
from relay.settings.types import Address
from relay.storage.sqlite import SqliteStore
from relay.web.accounts import AccountApi
from relay.web.admin import AdminGuard, make_admin
from relay.web.alertmanager import AlertmanagerApi
from relay.web.api import Api
from relay.web.feed import LiveFeed
from relay.web.metrics import Metrics
from relay.web.silences import SilenceApi, SilenceDesk

KEEPALIVE = 75.0
"""Seconds after which an idle connection, or one whose request does not come, is closed."""
_random = random.Random()  # noqa: S311 - no secrets: the system's source would give up the interpreter at each call
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def new_event_id(now: float) -> str:
    """An id that sorts by time: milliseconds and 48 random bits, in hexadecimal."""
    return f"{int(now * 1000):012x}{_random.getrandbits(48):012x}"


def chance() -> float:
    """A number in [0, 1)."""
    return _random.random()


class RelayDaemon:
    """Implements the lifecycle's `Daemon`. Made, it has its store and its secrets, and has bound nothing."""

    def __init__(  # noqa: PLR0915 - one straight list of parts reads better whole
        self, loaded: Loaded, lifecycle: Lifecycle, clock: SystemClock, log: Log
    ) -> None:
        """Raises `StoreError`, `SecretError`, `TemplateError`, and OSError for files of TLS."""
        settings = loaded.settings
        self._settings = settings
        self._log = log
        self._clock = clock
        self._undo = AsyncExitStack()
        self._held: list[LiveSecret] = []
        accounts = {name: room.account for name, room in settings.rooms.items()}
        metrics = Metrics([*settings.sources, OPERATOR_SOURCE], accounts, loaded.digest)
        rules = compile_rules(settings)
        renderer = make_renderer(loaded, rules, self._template_failed)
        self._metrics = metrics
        self._files = make_files(settings, log)
        self._accounts = {name: make_account(name, loaded, self._vault, clock.wall, log) for name in settings.accounts}
        senders = {name: made.sender for name, made in self._accounts.items()}
        hooks = [
            make_webhook(name, source, self._vault, clock, log)
            for name, source in settings.sources.items()
            if isinstance(source, PostedSettings) and not isinstance(source, PushSettings)
        ]
        pushes = [
            make_push(name, source, self._vault, clock.now())
            for name, source in settings.sources.items()
            if isinstance(source, PushSettings)
        ]
        admin_tokens = [self._vault(ref) for ref in settings.listen.admin_token or ()]
        self._tls = self._server_tls()
        self.store = store = SqliteStore(loaded.storage, settings.keep.size)
        intake = Intake(store, clock, new_event_id, metrics, log, self._offer, self._has_room, settings.limits.backlog)
        operator = OperatorDesk(intake, clock, log)
        tell = operator.tell if settings.operator is not None else self._tell_nobody
        self._chronicle = Chronicle(metrics, log, tell)
        self._hearing = hearing = Hearing(patience_of(settings), clock, tell)
        self.dispatcher = Dispatcher(
            store,
            make_lanes(settings, senders, clock.now()),
            renderer,
            self._files,
            RetryPolicy(settings.retry.first, settings.retry.longest, settings.retry.give_up_after),
            clock,
            chance,
            self._chronicle,
            self._spawn,
            make_fallbacks(settings),
        )
        self.planner = Planner(
            store, rules, clock, log, tell, self.dispatcher.expect, self._planned, self.dispatcher.rate,
            self.dispatcher,
        )  # fmt: skip
        self.planner.taken = intake.planned
        limits = Limits(done=settings.keep.done, dead=settings.keep.dead, size=settings.keep.size)
        self._keeper = CredentialKeeper(
            self.dispatcher.accounts(), self._reread, self.dispatcher.nudge, clock, log, tell, self._spawn,
            self._chronicle.account_resumed,
        )  # fmt: skip
        janitor = Janitor(store, limits, clock, log)
        store.on_full = janitor.nudge
        self.loops: dict[str, Loop] = {
            "planner": self.planner,
            "dispatcher": self.dispatcher,
            "janitor": janitor,
            "credentials": self._keeper,
            "operator": operator,
            "hearing": hearing,
        }
        self._webhooks = WebhookListener({hook.path: hook for hook in hooks}, intake, clock, metrics, hearing.heard)
        self._pushes = PushListener({push.path: push for push in pushes}, intake, clock, metrics, hearing.heard)
        self._feeds = {
            name: self._make_listener(name, source, intake, tell)
            for name, source in settings.sources.items()
            if isinstance(source, (WebsocketSettings, ApicSettings))
        }

        def ready() -> str | None:
            return lifecycle.why_not_ready() or store.trouble

        self._ready = ready
        self._heartbeat = None
        if settings.heartbeat is not None:
            url, interval = self._vault(settings.heartbeat.url), settings.heartbeat.interval
            self._heartbeat = Heartbeat(url, interval, lambda: lifecycle.stuck() or ready(), clock, log)
            self.loops["heartbeat"] = self._heartbeat
        self._live = LiveFeed(store, clock)
        board = StatusBoard(
            settings,
            store,
            self.dispatcher,
            self._chronicle,
            {name: feed.staying.state for name, feed in self._feeds.items()},
            intake,
            hearing,
            self._heartbeat,
            self._keeper,
            self.planner.diversions,
            metrics,
            self._ready,
            clock.now,
        )
        api = Api(store, board.status, self.dispatcher.changed, self._send_now, tuple(settings.rooms), clock.now)
        desk = SilenceDesk(self.planner.vigil, lambda: str(uuid.uuid4()), clock.wall)
        silences = SilenceApi(desk, store.list_incidents, store.key_of_incident, intake.acknowledge)
        alertmanager = AlertmanagerApi(desk, store.list_alerts, self.planner.suppressor, rules, clock.now())
        accounts_desk = AccountDesk(self._accounts, make_addresses(settings), self._keeper.nudge)
        hosts = (*_LOOPBACK, settings.listen.admin.host, *settings.listen.admin_hosts)
        guard = AdminGuard((lambda: [t.current() for t in admin_tokens]) if admin_tokens else None, hosts)
        self._admin = make_admin(
            guard,
            [
                *api.routes(),
                *self._live.routes(),
                *silences.routes(),
                *alertmanager.routes(),
                *AccountApi(accounts_desk.ask).routes(),
            ],
            self._ready,
            board.metrics,
        )
        self._sockets = inherited_sockets()
        self._tasks: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]] | None = None

    def _make_listener(
        self, name: str, source: WebsocketSettings | ApicSettings, intake: Intake, tell: Tell
    ) -> WebsocketListener | ApicListener:
        bucket = None if source.rate is None else TokenBucket(source.rate, self._clock.now())
        staying = Staying(name, self._clock, self._log, tell, self._hearing.heard, bucket)
        if isinstance(source, WebsocketSettings):
            return WebsocketListener(make_feed(name, source, self._vault), staying, intake, self._clock)
        controllers, defaults = make_controllers(source, self._vault), defaults_of(name, source)
        return ApicListener(controllers, queries_of(source), defaults, staying, intake, self._clock)

    async def start(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        """Recover what an earlier process left, then bind the listeners. Raises `StoreError`, OSError."""
        self._tasks = spawn
        self._undo.push_async_callback(self._close_senders)
        told = await self.store.firing_keys(OPERATOR_SOURCE)
        self._chronicle.recall(told)
        self._keeper.recall(told)
        self._hearing.recall(told)
        for name, feed in self._feeds.items():
            feed.staying.told_down = f"feed:{name}" in told
        await self.dispatcher.recover()
        self._checking = spawn(self.dispatcher.check_accounts())
        self.planner.waiting = await self.store.count_waiting_events()
        listen = self._settings.listen
        admin = web.AppRunner(self._admin, access_log=None, keepalive_timeout=KEEPALIVE)
        await admin.setup()
        self._undo.push_async_callback(admin.cleanup)
        self.admin_address = await self._bind(admin, listen.admin, "listen.admin")
        server = self._server = EventsServer(
            self._serve, access_log=None, keepalive_timeout=KEEPALIVE, auto_decompress=False
        )
        self._events = web.ServerRunner(server)
        await self._events.setup()
        self._undo.push_async_callback(self._events.cleanup)
        self.events_address = await self._bind(self._events, listen.events, "listen.events")
        self._log.info("listening", events=str(self.events_address), admin=str(self.admin_address))

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer at the events address."""
        push = self._pushes.sources.get(request.path)
        return await (self._webhooks.handle(request) if push is None else self._pushes.handle(push, request))

    async def _bind(self, runner: web.BaseRunner, address: Address, key: str) -> Address:
        taken = self._sockets.get(key.removeprefix("listen."))
        site: web.BaseSite = web.TCPSite(runner, address.host, address.port, ssl_context=self._tls, backlog=1024)
        if taken is not None:
            site = web.SockSite(runner, taken, ssl_context=self._tls, backlog=4096)
        try:
            await site.start()
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise OSError(f"{key}: {address} can't be had: {why}") from error
        bound = runner.addresses[0]
        return Address(address.host, int(bound[1]))

    def feeds(self) -> Sequence[Coroutine[Any, Any, None]]:
        """The feeds' endless runs."""
        return [feed.run() for feed in self._feeds.values()]

    async def stop_listening(self) -> None:
        """Take nothing more: close the events address, have the feeds end."""
        for feed in self._feeds.values():
            feed.stop()
        await self._pushes.stop()
        for site in list(self._events.sites):
            await site.stop()
        await self._server.first_requests()
        await self._events.cleanup()

    async def finish(self) -> None:
        """Give sends in flight their time, and record them. Raises `StoreError`."""
        self._checking.cancel()
        await self._live.stop()
        await self.dispatcher.finish(self._settings.stop_grace)

    async def close(self) -> None:
        """Close everything, the store last."""
        try:
            await self._undo.aclose()
        finally:
            await self.store.close()

    async def _close_senders(self) -> None:
        await self._files.close()
        if self._heartbeat is not None:
            await self._heartbeat.close()
        for made in self._accounts.values():
            await made.close()

    def _server_tls(self) -> ssl.SSLContext | None:
        tls = self._settings.listen.tls
        return None if tls is None else server_context(tls)

    def _vault(self, ref: SecretRef) -> LiveSecret:
        secret = LiveSecret(ref)
        self._held.append(secret)
        return secret

    def _reread(self) -> None:
        for secret in self._held:
            secret.reread()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        assert self._tasks is not None  # noqa: S101 - nothing is sent before the start
        return self._tasks(work)

    def _offer(self, committed: Sequence[Waiting]) -> None:
        self.planner.offer(committed)

    def _planned(self, plan: Plan, over: Sequence[Over]) -> None:
        for _, why in plan.suppressed:
            self._metrics.suppressed(why)
        self.dispatcher.planned(plan, over)

    def _has_room(self) -> bool:
        return self.planner.waiting + self.dispatcher.depths.total < self._settings.limits.queue

    def _template_failed(self, template: str, event_id: str, error: str) -> None:
        self._metrics.template_failed(template)
        self._log.error("template_failed", template=template, event_id=event_id, error=error)

    def _tell_nobody(self, key: str, title: str, severity: str, status: str, body: str) -> None:
        self._log.warning("operator_notice", key=key, title=title, severity=severity, status=status, body=body)

    async def _send_now(self, wanted: SendNow, file: File | None) -> Outcome:
        return await post_now(self._accounts[self._settings.rooms[wanted.room].account], wanted, file)
