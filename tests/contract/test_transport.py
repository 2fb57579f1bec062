"""TLS, private authorities and proxies, with real handshakes on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web

from relay.lifecycle import SystemClock
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from relay.sandbox.webex import SandboxWebex
from tests.fakes.running import TOKEN, Running, running


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def secure_webex(sandbox: Sandbox, authority: trustme.CA) -> AsyncIterator[str]:
    """The sandbox's Webex behind TLS; its address."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    application = web.Application()
    application.add_subapp("/v1/", SandboxWebex(sandbox.state).application())
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


def account(url: str, **changes: object) -> dict[str, object]:
    return {"webex": {"type": "webex", "url": url, "token": TOKEN, **changes}}


@asynccontextmanager
async def tunnel(asked: list[str]) -> AsyncIterator[str]:
    """A proxy that only knows CONNECT; `asked` gets the hosts."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, _ = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
        asked.append(f"{method.decode()} {target.decode()}")
        host, port = target.decode().rsplit(":", 1)
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(copy(reader, far_writer))
            tasks.create_task(copy(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_both_listeners_speak_tls(tmp_path: Path, sandbox: Sandbox, authority: trustme.CA) -> None:
    issued = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", "tls": {"cert": str(cert), "key": str(key)}}
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with running(tmp_path, sandbox, listen=listen) as relay:
        events, admin = relay.events.replace("http:", "https:"), relay.admin.replace("http:", "https:")
        async with relay.session.post(events + "/hooks/lab", json={"title": "x"}, ssl=trusting) as answer:
            assert answer.status == 202
        async with relay.session.get(admin + "/readyz", ssl=trusting) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await relay.session.get(admin + "/readyz")
        with pytest.raises(aiohttp.ClientError):
            await relay.session.get(relay.admin + "/readyz")
        await relay.until(lambda: len(relay.messages()) == 1)


async def test_a_private_authority_is_trusted_where_it_is_named(
    tmp_path: Path, sandbox: Sandbox, secure_webex: str, authority: trustme.CA
) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    async with running(tmp_path, sandbox, accounts=account(secure_webex, tls={"ca": str(file)})) as relay:
        await relay.post({"title": "x"})
        await relay.until(lambda: len(relay.messages()) == 1)


async def test_an_unknown_authority_is_an_error_of_the_network_that_says_so(
    tmp_path: Path, sandbox: Sandbox, secure_webex: str
) -> None:
    async with running(tmp_path, sandbox, accounts=account(secure_webex)) as relay:
        await relay.post({"title": "x"})
        found = await relay.until_shown("/api/v1/deliveries?reason=network")
        assert "certificate" in found[0]["last_error"].lower()
        assert found[0]["state"] in ("waiting", "leased")
    assert relay.messages() == []


async def test_an_account_is_reached_through_its_proxy(
    tmp_path: Path, sandbox: Sandbox, secure_webex: str, authority: trustme.CA
) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    asked: list[str] = []
    async with tunnel(asked) as proxy:
        changes = account(secure_webex, tls={"ca": str(file)}, proxy=proxy)
        async with running(tmp_path, sandbox, accounts=changes) as relay:
            await relay.post({"title": "x"})
            await relay.until(lambda: len(relay.messages()) == 1)
    assert set(asked) == {f"CONNECT {secure_webex.removeprefix('https://').removesuffix('/v1')}"}


async def test_a_date_says_how_long_to_wait(relay: Running) -> None:
    began = SystemClock().wall()
    relay.sandbox.state.faults = [Fault(status=429, retry_after=formatdate(began + 2, usegmt=True), count=1)]
    await relay.post({"title": "x"})
    await relay.until(lambda: len(relay.messages()) == 1)
    assert relay.messages()[0].created >= int(began + 2)
