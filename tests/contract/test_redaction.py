"""Services that repeat the secrets that they were sent: nothing that the relay keeps or shows has them."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve

from relay.sandbox.server import Sandbox
from tests.fakes.running import Running, running

SECRET = 'bearer/of+the "relay"-7f3a9c'
WRITTEN = (SECRET, "of+the", "relay%22-7f3a9c", base64.b64encode(SECRET.encode()).decode().rstrip("=")[:-2])


@asynccontextmanager
async def parrot(status: int, path: str = "/{any:.*}") -> AsyncIterator[str]:
    """A service that answers with everything that it was sent; its address."""

    async def answer(request: web.Request) -> web.Response:
        sent = f"bad token '{request.headers.get('Authorization') or request.headers.get('accesstoken')}'"
        sent = f"{sent} {await request.text()}"
        body: dict[str, Any] = {"message": sent, "imdata": [{"error": {"attributes": {"text": sent}}}]}
        return web.json_response(body, status=status, headers={"TrackingID": sent[:40].replace('"', "")})

    application = web.Application()
    application.add_routes([web.route("*", path, answer)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def everything(relay: Running, folder: Path) -> str:
    """All that a relay has kept, and all that it shows."""
    paths = (
        "/api/v1/status",
        "/api/v1/deliveries?limit=1000",
        "/api/v1/events",
        "/api/v1/incidents",
        "/metrics",
        "/api/v1/config",
        "/api/v1/refusals",
        "/",
        "/api/v1/rooms",
        "/api/v1/sources",
    )
    shown = [str((await relay.get(path))[1]) for path in paths]
    kept = _bytes_of_store(folder)
    said = [message.markdown or message.text or "" for message in relay.messages()]
    return "\n".join([*shown, *kept, *said, relay.log.read_text(encoding="utf-8")])


def _bytes_of_store(folder: Path) -> list[str]:
    return [file.read_bytes().decode("latin-1") for file in folder.glob("relay.db*") if file.is_file()]


def shows(text: str) -> list[str]:
    return [form for form in (*WRITTEN, json.dumps(SECRET)[1:-1]) if form in text]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 429, 500, 302])
@pytest.mark.parametrize("kind", ["webex", "spika"])
async def test_a_room_service_that_echoes_the_token(tmp_path: Path, sandbox: Sandbox, kind: str, status: int) -> None:
    async with parrot(status) as url:
        plain = SECRET.replace('"', "")
        token = {"token": plain} if kind == "webex" else {"access_token": plain}
        room = {"account": "bad", "id": "ROOM" if kind == "webex" else "1"}
        accounts = {"bad": {"type": kind, "url": url, **token}}
        async with running(tmp_path, sandbox, accounts=accounts, rooms={"noc": room}) as relay:
            await relay.post({"title": "is told"})
            await relay.until_logged("service_refused")
            if status not in (401, 404, 429):
                await relay.until_shown("/api/v1/deliveries?limit=10", lambda found: found and found[0]["attempts"])
            text = await everything(relay, tmp_path)
    assert plain not in text
    assert "7f3a9c" not in text


@pytest.mark.parametrize("how", ["header", "address"])
async def test_a_feed_that_echoes_its_secret(tmp_path: Path, sandbox: Sandbox, how: str) -> None:
    async def say(connection: ServerConnection) -> None:
        await connection.close(4401, f"bad token {SECRET}")

    async with serve(say, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}/s"
        given = (
            {"url": url, "headers": {"X-Key": SECRET}} if how == "header" else {"url": f"{url}?token={quote(SECRET)}"}
        )
        feed = {"type": "websocket", **given}
        async with running(tmp_path, sandbox, sources={"feed": feed}, operator={"room": "noc"}) as relay:
            await relay.until_logged("feed_closed")
            text = await everything(relay, tmp_path)
    assert "bad token ********" in text
    assert shows(text) == []


async def test_an_apic_that_echoes_the_password(tmp_path: Path, sandbox: Sandbox) -> None:
    async with parrot(400) as url:
        apic = {
            "type": "apic",
            "url": url,
            "username": "relay",
            "password": SECRET,
            "subscribe": [{"class": "faultInst"}],
        }
        async with running(tmp_path, sandbox, sources={"fabric": apic}) as relay:
            await relay.until_logged("feed_down")
            text = await everything(relay, tmp_path)
    assert "bad token" in text
    assert shows(text) == []


async def test_an_authorization_server_that_echoes_the_client_secret_and_the_code(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    async with parrot(400) as url:
        oauth = {"client_id": "sandbox", "client_secret": SECRET, "redirect_uri": "http://127.0.0.1:9082/callback"}
        accounts = {"webex": {"type": "webex", "url": url, "oauth": oauth}}
        async with running(tmp_path, sandbox, accounts=accounts) as relay:
            asked = {"do": "login", "code": "code-of-one-person"}
            async with relay.session.post(f"{relay.admin}/api/v1/accounts/webex/ask", json=asked) as answer:
                told = await answer.text()
            text = told + await everything(relay, tmp_path)
    assert "bad token" in told
    assert shows(text) == []
    assert "code-of-one-person" not in text
