"""The application of the admin address: access, health, readiness, metrics, and the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from relay.core.findings import WELL, Finding
from relay.ports import StoreError
from relay.web.answers import MAX_BODY, BadRequestError, json_answer, problem
from relay.web.operations import Operation, openapi
from relay.web.sessions import Sessions, TooManyError

_ALIVE, _READY = ("/healthz", "/-/healthy"), ("/readyz", "/-/ready")
_OPEN = (*_ALIVE, *_READY)
_WITHOUT_TOKEN = ("/login", "/page.css", "/icon.svg")
"""Paths that need no token, because they show nothing of the relay and change nothing."""
_SAME_SITE = ("same-origin", "none")


_VERBOSE = "verbose"
"""The query of `/readyz` that asks for all that is wrong; it names rooms and accounts, so it needs the token."""


class Part(Protocol):
    """A part of the admin address."""

    def routes(self) -> Sequence[web.RouteDef | Operation]:
        """Return the part's routes."""
        ...


class AdminGuard:
    """Admits requests with the token, if they come from a page of this address or from no page at all."""

    def __init__(self, sessions: Sessions, hosts: Callable[[], Sequence[str]]) -> None:
        """Guard an address; `hosts` returns the names that a request's Host may have, those of loopback among them.

        Other names are refused against DNS rebinding: a foreign page could make its own name resolve to this address.
        """
        self.sessions = sessions
        self._hosts = hosts

    def refusal(self, request: web.Request) -> web.Response | None:
        """Return the answer for a request that is not admitted, else None.

        Health needs no token, unless all that is wrong is asked for.
        """
        if request.path in _OPEN and not (request.path in _READY and _VERBOSE in request.query):
            return None
        if not self._host_is_ours(request):
            return problem(403, "forbidden", "this Host is not served here; add it to `listen.admin_hosts`")
        origin = request.headers.get("Origin")
        foreign = origin is not None and origin.partition("://")[2].lower() != request.host.lower()
        elsewhere = request.headers.get("Sec-Fetch-Site", "none") not in _SAME_SITE and not _is_followed_link(request)
        if foreign or elsewhere:
            return problem(403, "forbidden", "requests from web pages of other sites are refused")
        try:
            if request.path in _WITHOUT_TOKEN or self.sessions.admits(request):
                return None
        except TooManyError:
            return problem(429, "too_many", "too many wrong tokens from this address; wait a moment")
        if request.path == "/":
            return web.Response(status=303, headers={"Location": "/login"})
        answer = problem(401, "unauthorized", "the admin token is missing or wrong")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    def _host_is_ours(self, request: web.Request) -> bool:
        if "@" in request.host:
            return False
        try:
            name = urlsplit(f"//{request.host}").hostname or ""
        except ValueError:
            return False
        return name in {host.lower() for host in self._hosts()}


def _is_followed_link(request: web.Request) -> bool:
    """Return whether a person has followed a link to the page, from any site.

    That is harmless: it changes nothing, and the other site can't see the answer.
    """
    headers = request.headers
    to_page = request.method == "GET" and request.path in ("/", "/login")
    return to_page and (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")) == ("navigate", "document")


def make_admin(
    guard: AdminGuard,
    parts: Sequence[Part],
    ready: Callable[[], str | None],
    look: Callable[[], Awaitable[Sequence[Finding]]],
    metrics: Callable[[], Awaitable[bytes]],
) -> web.Application:
    """Make the admin application.

    `ready` returns why the relay is not ready, or None; `look` all that is wrong, worst first; `metrics` their
    exposition.
    """

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readiness(request: web.Request) -> web.Response:
        why = ready()
        if _VERBOSE in request.query:
            return web.Response(text=_verbose(why, await look()), status=200 if why is None else 503)
        return web.Response(text="ready\n") if why is None else problem(503, "not_ready", why)

    async def expose(_: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=await metrics(), headers=headers)

    application = web.Application(middlewares=[_errors(guard)], client_max_size=MAX_BODY)
    application.add_routes([web.get(path, health) for path in _ALIVE])
    application.add_routes([web.get(path, readiness) for path in _READY])
    application.add_routes([web.get("/metrics", expose)])
    found = [route for part in parts for route in part.routes()]
    operations = [one for one in found if isinstance(one, Operation)]
    document = cache(lambda: openapi(operations))

    async def describe(_: web.Request) -> web.Response:
        return json_answer(document())

    application.add_routes([one.route() if isinstance(one, Operation) else one for one in found])
    application.add_routes([web.get("/api/v1/openapi.json", describe)])
    return application


def _verbose(why: str | None, findings: Sequence[Finding]) -> str:
    """Return whether the relay is ready, and below it each finding with what to do about it, worst first."""
    lines = ["ready" if why is None else f"not ready: {why}"]
    for one in findings:
        lines.append(f"{one.severity} {one.code}: {one.sentence} {one.remedy}")
        lines += [f"  {line}" for line in one.detail.splitlines()]
    return "\n".join([*lines, *([] if findings else [WELL])]) + "\n"


def _errors(guard: AdminGuard) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = guard.refusal(request)
        if refused is not None:
            return refused
        answer = await _answered(handler, request)
        guard.sessions.renew(request, answer)
        return answer

    return middleware


async def _answered(handler: Handler, request: web.Request) -> web.StreamResponse:
    """Return a handler's answer, or the answer for its error."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return problem(error.status, error.reason.lower().replace(" ", "_"), f"{request.method} {request.path[:200]}")
    except BadRequestError as error:
        return problem(400, "malformed", str(error))
    except RecursionError:
        return problem(400, "malformed", "the body is nested too deeply")
    except StoreError as error:
        return problem(503, "store_unavailable", str(error))
