"""The sandbox as a server on loopback: the services' APIs, the switches for faults, and the page of rooms."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.http import StreamWriter
from aiohttp.typedefs import Handler

from relay.core.words import iso
from relay.sandbox.apic import SandboxApic, StandInFabric
from relay.sandbox.oauth import SandboxOAuth
from relay.sandbox.spika import SandboxSpika
from relay.sandbox.state import Fault, Message, Person, Room, WebexState, Webhook, html_of
from relay.sandbox.webex import SandboxWebex

LONG_POLL = 20.0
SHOWN = 200
"""Most messages of a room that the page shows."""
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
_TYPES = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}


class Sandbox:
    """A Webex, a Spika and an APIC on loopback. `address` is set by `start`.

    The token belongs to a person, and is also the APIC's password. With `-bot` appended, it belongs to a bot.
    """

    def __init__(self, wall: Callable[[], float], token: str | None = None) -> None:
        self.state = WebexState(wall)
        self.token = token or f"sandbox-{secrets.token_hex(8)}"
        owner = self.state.add_token(self.token, "relay@sandbox.example", "Relay", "person")
        self.fabric = StandInFabric(wall, self.token)
        self._apic = SandboxApic(self.fabric)
        self.oauth = SandboxOAuth(self.state, owner, self.token)
        self.state.add_token(f"{self.token}-bot", "relay@webex.bot", "Relay's bot")
        self.state.on_message = self._announce
        self._session: aiohttp.ClientSession | None = None
        self._announcing: set[asyncio.Task[None]] = set()
        self.address = ""
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind to a host, and to any free port if `port` is 0."""
        application = web.Application()
        application.add_subapp("/v1/", SandboxWebex(self.state, self.oauth).application())
        application.add_subapp("/api/messaging/", SandboxSpika(self.state).application())
        application.add_routes(self._apic.routes())
        application.add_routes(
            [
                web.get("/", self._file("page.html")),
                web.get("/page.css", self._file("page.css")),
                web.get("/page.js", self._file("page.js")),
                web.get("/sandbox/rooms", self.get_rooms),
                web.get("/sandbox/faults", self.get_faults),
                web.put("/sandbox/faults", self.put_faults),
                web.put("/sandbox/oauth", self.oauth.put_switches),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        _name_no_version(self._runner)
        await web.TCPSite(self._runner, host, port, backlog=1024).start()
        self.address = f"http://{host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close all connections, and stop posting to webhooks."""
        self.state.touch()  # answers the page's long polls, so that they do not hold up the shutdown
        self._apic.stop()
        for task in self._announcing:
            task.cancel()
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _announce(self, message: Message, room: Room) -> None:
        """Post a new message to each webhook that is set to get it."""
        for webhook in self.state.webhooks.values():
            if webhook.room in (None, room.id) and room.kind != "spika":
                task = asyncio.get_running_loop().create_task(self._post(webhook, message, room))
                self._announcing.add(task)
                task.add_done_callback(self._announcing.discard)

    async def _post(self, webhook: Webhook, message: Message, room: Room) -> None:
        data = {
            "id": message.id,
            "roomId": room.id,
            "roomType": room.kind,
            "personId": message.person.id,
            "personEmail": message.person.email,
            "created": iso(message.created),
        }
        news = {"id": webhook.id, "name": webhook.name, "resource": "messages", "event": "created", "data": data}
        body = msgspec.json.encode(news)
        headers = {"Content-Type": "application/json"}
        if webhook.secret:
            headers["X-Spark-Signature"] = hmac.new(webhook.secret.encode(), body, hashlib.sha1).hexdigest()
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0), trust_env=False)
        try:
            async with self._session.post(webhook.target, data=body, headers=headers):
                pass
        except (aiohttp.ClientError, TimeoutError, OSError):
            return  # nobody listens there; Webex would report no error either

    @staticmethod
    def _file(name: str) -> Handler:
        body = files("relay.sandbox").joinpath(name).read_bytes()

        async def answer(_: web.Request) -> web.Response:
            headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
            return web.Response(body=body, content_type=_TYPES[name], charset="utf-8", headers=headers)

        return answer

    async def get_rooms(self, request: web.Request) -> web.Response:
        """Return all rooms for the page. If `after` is the present version, first wait for a change."""
        if request.query.get("after") == str(self.state.version):
            changed = self.state.changed
            try:
                async with asyncio.timeout(LONG_POLL):
                    await changed.wait()
            except TimeoutError:
                pass
        body = {
            "version": self.state.version,
            "faults": msgspec.to_builtins(self.state.faults),
            "rooms": [
                _room(room, self.state.people)
                for room in self.state.rooms.values()
                if room.messages or room.kind != "spika"
            ],
        }
        return web.Response(body=msgspec.json.encode(body), content_type="application/json")

    async def get_faults(self, _: web.Request) -> web.Response:
        """Return the faults in force."""
        return web.Response(body=msgspec.json.encode(self.state.faults), content_type="application/json")

    async def put_faults(self, request: web.Request) -> web.Response:
        """Replace the faults in force by a list. An empty list ends all faults."""
        try:
            self.state.faults = msgspec.json.decode(await request.read(), type=list[Fault])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return web.Response(status=400, text=f"expected a list of faults: {error}\n")
        self.state.touch()
        return await self.get_faults(request)


class _Writer(StreamWriter):
    """A writer of answers whose `Server` header names no program's version, so that aiohttp's stays private."""

    async def write_headers(self, status_line: str, headers: Any) -> None:
        headers["Server"] = "relay"
        await super().write_headers(status_line, headers)


def _name_no_version(runner: web.AppRunner) -> None:
    """Have a runner's answers written by `_Writer`. aiohttp has no setting for the header."""
    server, loop = runner.server, asyncio.get_running_loop()
    assert server is not None  # noqa: S101 - the runner was set up before
    make = server.request_factory

    def nameless(message: Any, payload: Any, protocol: Any, _: Any, task: Any) -> web.BaseRequest:
        return make(message, payload, protocol, _Writer(protocol, loop), task)

    server.request_factory = nameless


def _room(room: Room, people: Mapping[str, Person]) -> dict[str, object]:
    shown = list(room.messages.values())[-SHOWN:]
    return {
        "id": room.id,
        "title": room.title,
        "type": room.kind,
        "count": len(room.messages),
        "messages": [_shown(message, people) for message in shown],
    }


def _shown(message: Message, people: Mapping[str, Person]) -> dict[str, object]:
    return {
        "id": message.id,
        "parent": message.parent,
        "by": message.person.name,
        "at": iso(message.created),
        "edits": message.edits,
        "html": html_of(message.markdown, people) if message.markdown is not None else None,
        "text": message.text,
        "file": message.link if message.file is None else message.file.name,
        "card": message.card,
    }
