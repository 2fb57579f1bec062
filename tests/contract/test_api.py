"""The API as its document describes it: every route is in it, and every answer is of the shape that it gives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from openapi_spec_validator import validate

from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from relay.web.answers import BODY_TIMEOUT, BadRequestError, read_body
from relay.web.sessions import COOKIE, LASTS, Sessions
from tests.fakes.running import Running, running

NOT_DESCRIBED = (
    "/healthz",
    "/-/healthy",
    "/readyz",
    "/-/ready",
    "/metrics",
    "/feed",
    "/api/v1/openapi.json",
    "/api/v1/alerts",  # Alertmanager's API v1, whose clients are told to use v2
    "/api/v1/alerts/groups",
    "/api/v1/receivers",
    "/api/v1/silence/{id}",
    "/",
    "/login",
    "/logout",
    "/page.css",
    "/icon.svg",
)
FIRING = {
    "title": "link down",
    "severity": "major",
    "status": "firing",
    "key": "k1",
    "labels": {"site": "ams"},
    "links": [{"text": "a", "url": "https://a.example.net"}],
    "files": ["https://a.example.net/x.png"],
}


class Described:
    """The API, each answer checked against the document."""

    def __init__(self, relay: Running, document: dict[str, Any]) -> None:
        self._relay = relay
        self.document = document
        self.asked: set[str] = set()

    async def ask(self, method: str, path: str, body: Any = None, of: str | None = None, status: int = 200) -> Any:
        """What is answered at a path, which is one `of` the document's."""
        async with self._relay.session.request(method, self._relay.admin + path, json=body) as answer:
            assert answer.status == status, await answer.text()
            said = await answer.json()
        described = self.document["paths"][of or path.partition("?")[0]][method.lower()]
        self.asked.add(described["operationId"])
        responses = described["responses"]
        schema = responses.get(str(status), responses["default"])["content"]["application/json"]["schema"]
        jsonschema.validate(said, {**schema, "components": self.document["components"]})
        return said


async def test_every_route_is_described_and_the_document_is_openapi(relay: Running) -> None:
    _, document = await relay.get("/api/v1/openapi.json")
    validate(document)
    assert document["openapi"].startswith("3.1")
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    routes = [one for one in relay.daemon.admin.router.routes() if one.method != "HEAD" and one.resource is not None]
    served = {(one.method.lower(), one.resource.canonical) for one in routes if one.resource is not None}
    served = {
        one
        for one in served
        if one[1] not in NOT_DESCRIBED and not one[1].startswith("/api/v2") and not one[1].endswith(".js")
    }
    assert described == served
    for methods in document["paths"].values():
        assert all(operation["summary"].strip() for operation in methods.values())


async def test_every_answer_is_as_it_is_described(tmp_path: Path, sandbox: Sandbox) -> None:
    feed = {"type": "websocket", "url": "ws://127.0.0.1:9/feed"}
    sources = {"lab": {"type": "webhook"}, "feed": feed}
    route = {"rooms": ["noc"], "routes": [{"matchers": ['site="ams"'], "group_by": ["site"], "group_wait": "0s"}]}
    async with running(tmp_path, sandbox, sources=sources, route=route) as relay:
        api = Described(relay, (await relay.get("/api/v1/openapi.json"))[1])
        await what_is_shown(api, relay)
        await what_is_done(api)
        relay.write(route={"rooms": ["nowhere"]})
        await api.ask("POST", "/-/reload", status=422)
        assert api.asked == {one["operationId"] for m in api.document["paths"].values() for one in m.values()}


async def what_is_shown(api: Described, relay: Running) -> None:
    (event_id,) = (await relay.post(FIRING))[1]["ids"]
    await relay.post({"no": "title"})
    await relay.until_state("done", 2)
    relay.sandbox.state.faults = [Fault(status=400, count=1)]
    await relay.post({"title": "dead"})
    await relay.until_state("dead")
    for path in ("status", "deliveries", "events", "trends", "config", "rooms", "sources", "routes"):
        assert await api.ask("GET", f"/api/v1/{path}") is not None
    assert len(await api.ask("GET", "/api/v1/events?refused=true")) == 1
    await api.ask("GET", f"/api/v1/events/{event_id}", None, "/api/v1/events/{id}")
    assert len(await api.ask("POST", "/api/v1/explain", {"source": "lab", "payload": [FIRING, FIRING]})) == 2
    await api.ask("POST", "/api/v1/explain", {"source": "lab", "payload": {"no": "title"}}, status=422)
    await api.ask("POST", "/api/v1/explain", {"source": "none", "payload": {}}, status=404)
    await api.ask("POST", "/api/v1/explain", {"source": "lab"}, status=400)


async def what_is_done(api: Described) -> None:
    (incident,) = await api.ask("GET", "/api/v1/incidents?ended=true&limit=10")
    shown = await api.ask("GET", f"/api/v1/incidents/{incident['id']}", None, "/api/v1/incidents/{id}")
    assert {name: shown[name] for name in incident} == incident
    for unknown in ("4711", "none", "9" * 30):
        await api.ask("GET", f"/api/v1/incidents/{unknown}", None, "/api/v1/incidents/{id}", 404)
    await api.ask("POST", f"/api/v1/incidents/{incident['id']}/ack", {"by": "anna"}, "/api/v1/incidents/{id}/ack")
    await api.ask("POST", f"/api/v1/incidents/{incident['id']}/unack", {"by": "anna"}, "/api/v1/incidents/{id}/unack")
    wish = {"matchers": ["a=b"], "ends_at": "2099-01-01T00:00:00Z", "created_by": "a", "comment": "b"}
    made = await api.ask("POST", "/api/v1/silences", wish)
    assert len(await api.ask("GET", "/api/v1/silences")) == 1
    of = "/api/v1/silences/{id}/expire"
    assert (await api.ask("POST", f"/api/v1/silences/{made['id']}/expire", None, of))["expired"] is True
    await api.ask("POST", "/api/v1/silences/none/expire", None, of, 404)
    (dead,) = await api.ask("GET", "/api/v1/deliveries?state=dead")
    await api.ask("POST", "/api/v1/deliveries/retry", {"ids": [dead["id"]]}, "/api/v1/deliveries/{verb}")
    assert "repeat" in await api.ask("GET", "/api/v1/reasons")
    await api.ask("POST", "/api/v1/messages", {"room": "noc", "markdown": "by hand"})
    await api.ask("POST", "/api/v1/rooms/noc/files?name=a.txt", "content", "/api/v1/rooms/{room}/files")
    await api.ask("POST", "/api/v1/accounts/webex/ask", {"do": "me"}, "/api/v1/accounts/{account}/ask")
    assert (await api.ask("POST", "/-/reload"))["good"] is True


@pytest.mark.parametrize("path", ["/", "/login"])
async def test_a_link_from_elsewhere_leads_to_the_page_and_to_nothing_else(relay: Running, path: str) -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await relay.get(path, headers=followed))[0] == 200
    assert (await relay.get(path, headers={**followed, "Sec-Fetch-Dest": "iframe"}))[0] == 403
    assert (await relay.get(path, headers={**followed, "Origin": "https://evil.example"}))[0] == 403
    assert (await relay.get("/api/v1/status", headers=followed))[0] == 403
    assert (await relay.get("/metrics", headers=followed))[0] == 403


async def test_cookies_end_with_the_token_that_was_shown(tmp_path: Path, sandbox: Sandbox) -> None:
    listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", "admin_token": ["one", "two"]}
    async with running(tmp_path, sandbox, listen=listen) as relay:

        async def log_in(token: str) -> tuple[int, str]:
            address = f"{relay.admin}/login"
            async with relay.session.post(address, data={"token": token}, allow_redirects=False) as answer:
                cookie = answer.cookies.get("relay_session")
                return answer.status, "" if cookie is None else cookie.value

        status, cookie = await log_in("two")
        assert status == 303
        headers = {"Cookie": f"relay_session={cookie}"}
        relay.session.cookie_jar.clear()
        assert (await relay.get("/api/v1/status", headers=headers))[0] == 200
        for odd in ("", "x", "99999999999.x", f"{cookie}0", cookie.replace(cookie[:10], "9999999999"), "é"):
            assert (await relay.get("/api/v1/status", headers={"Cookie": f"relay_session={odd}"}))[0] == 401
        assert (await relay.get("/", allow_redirects=False))[0] == 303
        assert (await relay.get("/page.js"))[0] == 401
        auth = {"Authorization": "Bearer one"}
        for tokens, status in ((["new", "one", "two"], 200), (["two"], 200), (["one", "three"], 401)):
            relay.write(listen={**listen, "admin_token": tokens})
            async with relay.session.post(f"{relay.admin}/-/reload", headers=auth) as answer:
                assert answer.status == 200
            assert (await relay.get("/api/v1/status", headers=headers))[0] == status
            auth = {"Authorization": f"Bearer {tokens[-1]}"}
        assert (await relay.get("/api/v1/status", headers={"Authorization": "Bearer three"}))[0] == 200


async def test_a_cookie_is_renewed_while_the_page_is_open() -> None:
    at = 1_000_000.0
    sessions = Sessions(lambda: ["token"], lambda: at)
    given = web.Response()
    sessions.give(make_mocked_request("GET", "/"), given, "token")
    cookie = given.cookies[COOKIE].value
    for passed, renewed in ((0.0, False), (LASTS / 2 - 1, False), (LASTS / 2 + 1, True), (LASTS + 1, False)):
        at = 1_000_000.0 + passed
        answer, request = web.Response(), make_mocked_request("GET", "/", headers={"Cookie": f"{COOKIE}={cookie}"})
        assert sessions.admits(request) is (passed < LASTS)
        sessions.renew(request, answer)
        assert (COOKIE in answer.cookies) is renewed
        gone = web.Response()
        gone.del_cookie(COOKIE)
        sessions.renew(request, gone)
        assert gone.cookies[COOKIE].value == ""


@pytest.mark.parametrize("path", ["/login", "/api/v1/status"])
async def test_wrong_tokens_are_bounded_and_lock_nobody_else_out(tmp_path: Path, sandbox: Sandbox, path: str) -> None:
    listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", "admin_token": "right"}

    async def show(session: aiohttp.ClientSession, token: str) -> int:
        body = {"token": token} if path == "/login" else None
        headers = {"Authorization": f"Bearer {token}"}
        method = "GET" if body is None else "POST"
        async with session.request(
            method, relay.admin + path, data=body, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status

    elsewhere = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
    async with running(tmp_path, sandbox, listen=listen) as relay, aiohttp.ClientSession(connector=elsewhere) as other:
        assert {await show(relay.session, "right") for _ in range(20)} == {303 if path == "/login" else 200}
        tries = [await show(relay.session, f"wrong {n}") for n in range(20)]
        assert tries[:5] == [401] * 5
        assert 429 in tries
        assert await show(relay.session, "right") == 429
        assert await show(other, "right") == (303 if path == "/login" else 200)


async def test_a_body_that_does_not_arrive_is_not_waited_for() -> None:
    async def take(request: web.Request) -> web.Response:
        with pytest.raises(BadRequestError, match=r"did not arrive within 0\.05 s"):
            await read_body(request, within=0.05)
        return web.Response(status=400)

    async def never() -> AsyncIterator[bytes]:
        yield b"token="
        await asyncio.Event().wait()

    application = web.Application()
    application.add_routes([web.post("/", take)])
    server = TestServer(application)
    client: TestClient[web.Request, web.Application] = TestClient(server)
    async with asyncio.timeout(5), server, client, client.post("/", data=never()) as answer:
        assert answer.status == 400


async def test_a_login_that_does_not_arrive_holds_nobody_up(tmp_path: Path, sandbox: Sandbox) -> None:
    listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", "admin_token": "right"}
    half = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\ntoken="
    async with running(tmp_path, sandbox, listen=listen) as relay:
        address = relay.daemon.admin_address
        _, still = await asyncio.open_connection(address.host, address.port)
        still.write(half)
        assert (await relay.get("/healthz"))[0] == 200
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < BODY_TIMEOUT - 2
    still.close()


@pytest.mark.parametrize("body", [b"", b"token", b"&" * 100 + b"=", b"\xff=\xff", b"token=" + b"x" * 100_000])
@pytest.mark.parametrize("kind", ["multipart/form-data", "application/x-www-form-urlencoded; charset=foo", ""])
async def test_odd_logins_are_refused_in_words(tmp_path: Path, sandbox: Sandbox, body: bytes, kind: str) -> None:
    listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", "admin_token": "right"}
    async with running(tmp_path, sandbox, listen=listen) as relay:
        headers = {"Content-Type": kind}
        async with relay.session.post(f"{relay.admin}/login", data=body, headers=headers) as answer:
            assert answer.status in (400, 401)


async def test_what_is_nested_too_deeply_is_refused_in_words(relay: Running) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    for path, body in (
        ("/api/v1/explain", f'{{"source": "lab", "payload": {deep}}}'),
        ("/api/v1/explain", json.dumps({"source": "lab", "text": deep})),
        ("/api/v1/messages", f'{{"room": "noc", "markdown": "x", "card": {deep}}}'),
        ("/api/v1/accounts/webex/ask", f'{{"do": "me", "x": {deep}}}'),
    ):
        async with relay.session.post(relay.admin + path, data=body) as answer:
            assert answer.status in (400, 422), (path, await answer.text())
            assert "error" in await answer.json()


@pytest.mark.parametrize("name", ["x%00y", "%2e%2e%2fx", "a%0d%0ab", "%22", "", "é" * 300])
async def test_a_file_of_any_name_is_posted(relay: Running, name: str) -> None:
    async with relay.session.post(f"{relay.admin}/api/v1/rooms/noc/files?name={name}", data=b"content") as answer:
        assert answer.status == 200, await answer.text()
        assert (await answer.json())["outcome"] == "delivered"
