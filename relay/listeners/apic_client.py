"""The client of an APIC: it opens a session and its websocket, subscribes, and keeps both alive.

Source: Cisco APIC REST API Configuration Guide, sections "Authenticating and Maintaining an API Session" and
"Subscribing to Query Results".
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal, Protocol
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from relay.core.redaction import Redactor
from relay.formats.apic import objects_of
from relay.formats.contract import NotJsonError, UnreadableError, decode_json

TIMEOUT = 60.0
"""Seconds that a query may take; long, because a large fabric has many faults."""
OPEN_TIMEOUT = 10.0
MOST_BYTES = 64 * 2**20
"""Bytes that an answer may have, at most."""


class ApicError(Exception):
    """The APIC did not do what it was asked. `refused`: it never will, as the password or the query is wrong."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Query(msgspec.Struct, frozen=True):
    """A query: a class, or an object by its distinguished name; with a filter, or a subtree's classes."""

    kind: str | None = None
    dn: str | None = None
    filter: str | None = None
    target: Literal["self", "children", "subtree"] | None = None
    target_class: str | None = None

    @property
    def path(self) -> str:
        """Return the path and parameters of the query; they identify it, too."""
        where = f"class/{quote(self.kind)}" if self.kind is not None else f"mo/{quote(self.dn or '', safe='/-[]')}"
        wanted = {
            "query-target": self.target,
            "target-subtree-class": self.target_class,
            "query-target-filter": self.filter,
        }
        given = urlencode({name: value for name, value in wanted.items() if value is not None}, safe='(),"')
        return f"/api/{where}.json" + (f"?{given}" if given else "")


class Snapshot(msgspec.Struct, frozen=True):
    """A new subscription: its id, and its present objects as class and attributes."""

    id: str
    objects: list[tuple[str, dict[str, str]]]


class Fabric(Protocol):
    """A session with its websocket. Its calls raise `ApicError`."""

    lasts: float
    """Seconds for which the session's token is valid."""

    async def renew(self) -> None:
        """Extend the session."""
        ...

    async def subscribe(self, query: Query) -> Snapshot:
        """Subscribe, and return the present objects."""
        ...

    async def refresh(self, subscription: str) -> None:
        """Extend a subscription."""
        ...

    def frames(self) -> AsyncIterator[str | bytes]:
        """Yield the websocket's frames until it ends."""
        ...

    async def close(self) -> None:
        """Close the websocket: `frames` ends."""
        ...

    @property
    def ended(self) -> str:
        """Return why the websocket ended; empty while it is open."""
        ...


class Password(Protocol):
    """A password that may change."""

    def current(self) -> str:
        """Return the password that is valid now."""
        ...


class ApicClient(msgspec.Struct, frozen=True, kw_only=True):
    """One controller. `ping` in seconds, `max_body` of a frame in bytes; `headers` returns those that are valid now."""

    url: str
    username: str
    password: Password
    max_body: int
    ping: float = 20.0
    headers: Callable[[], dict[str, str]] = dict
    tls: ssl.SSLContext | Literal[True] = True
    proxy: str | None = None
    redactor: Redactor
    """Learns the session's tokens, and takes secrets out of the controller's refusals."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Fabric]:
        """Log in, and open the websocket. Raises `ApicError`."""
        headers = self.headers()
        async with AsyncExitStack() as undo:
            session = await undo.enter_async_context(
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT, sock_connect=OPEN_TIMEOUT),
                    trust_env=True,
                    headers=headers,
                    # `unsafe`: an APIC is often addressed by its IP, and the default jar sends no cookies to an IP
                    cookie_jar=aiohttp.CookieJar(unsafe=True, quote_cookie=False),
                )
            )
            fabric = HttpFabric(self, session)
            token = await fabric.login()
            try:
                socket = await undo.enter_async_context(
                    connect(
                        f"ws{self.url.removeprefix('http')}/socket{token}",
                        additional_headers=headers,
                        ssl=self.tls if self.url.startswith("https:") else None,
                        proxy=self.proxy or True,
                        open_timeout=OPEN_TIMEOUT,
                        ping_interval=self.ping,
                        ping_timeout=self.ping,
                        close_timeout=2,
                        max_size=self.max_body,
                        logger=None,
                    )
                )
            except InvalidStatus as error:
                raise ApicError(f"the websocket's handshake was answered {error.response.status_code}") from error
            except (OSError, TimeoutError, InvalidHandshake, WebSocketException, ValueError) as error:
                raise ApicError(f"{type(error).__name__}: {self.redactor.redact(str(error))}") from error
            fabric.socket = socket
            yield fabric

    @property
    def place(self) -> str:
        """Return the controller's address without secrets."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class HttpFabric:
    """Implements `Fabric` over HTTP and a websocket."""

    def __init__(self, client: ApicClient, session: aiohttp.ClientSession) -> None:
        self.lasts = 0.0
        self.socket: ClientConnection | None = None
        self.ended = ""
        self._client = client
        self._session = session

    async def login(self) -> str:
        """Log in, and return the token. Raises `ApicError`."""
        wanted = {"name": self._client.username, "pwd": self._client.password.current()}
        status, payload = await self._ask("POST", "/api/aaaLogin.json", {"aaaUser": {"attributes": wanted}})
        if status != 200:
            reason = _error_text(payload)
            refused = status in (401, 403) or (status == 400 and "auth" in reason.lower())
            raise ApicError(f"the login was answered {status}: {reason}", refused=refused)
        return self._use_token(payload)

    async def renew(self) -> None:
        """Extend the session."""
        self._use_token(await self._get("/api/aaaRefresh.json"))

    async def subscribe(self, query: Query) -> Snapshot:
        """Subscribe, and return the present objects."""
        path = query.path
        payload = await self._get(f"{path}{'&' if '?' in path else '?'}subscription=yes")
        subscription = payload.get("subscriptionId")
        if isinstance(subscription, list):
            subscription = subscription[0] if subscription else None
        if not isinstance(subscription, (str, int)) or not str(subscription):
            raise ApicError(f"expected a subscriptionId in the answer to {path}, found none")
        try:
            found = list(objects_of(payload))
        except UnreadableError as error:
            raise ApicError(f"{path} was answered with {error}") from error
        total = str(payload.get("totalCount", len(found)))
        if any(kind == "error" for kind, _ in found) or total != str(len(found)):
            reason = _error_text(payload)
            raise ApicError(f"{path} was answered with {len(found)} of {total[:20]} objects: {reason}")
        return Snapshot(str(subscription), [one for one in found if one[1].get("dn")])

    async def refresh(self, subscription: str) -> None:
        """Extend a subscription."""
        await self._get(f"/api/subscriptionRefresh.json?id={quote(subscription)}")

    async def frames(self) -> AsyncIterator[str | bytes]:
        """Yield the websocket's frames until it ends."""
        assert self.socket is not None  # noqa: S101 - opened before it is handed out
        try:
            async for frame in self.socket:
                yield frame
        except ConnectionClosed as error:
            self.ended = self.ended or str(error)
        self.ended = self.ended or f"closed: {self.socket.close_code} {self.socket.close_reason or ''}".strip()

    async def close(self) -> None:
        """Close the websocket."""
        if self.socket is not None:
            await self.socket.close()

    def _use_token(self, payload: Any) -> str:
        """Use the token of a login's or renewal's answer from now on, and return it."""
        try:
            attributes = payload["imdata"][0]["aaaLogin"]["attributes"]
            token, self.lasts = str(attributes["token"]), float(attributes["refreshTimeoutSeconds"])
        except (LookupError, TypeError, ValueError) as error:
            raise ApicError("expected a token in the login's answer, found none; is this an APIC?") from error
        self._client.redactor.learn(token)
        self._session.cookie_jar.update_cookies({"APIC-cookie": token})
        return token

    async def _get(self, path: str) -> dict[str, Any]:
        status, payload = await self._ask("GET", path, None)
        if status != 200:
            message = f"{path.partition('?')[0]} was answered {status}: {_error_text(payload)}"
            # a refresh is answered 400 when its subscription has lapsed: a new session helps
            raise ApicError(message, refused=status == 400 and "/subscriptionRefresh" not in path)
        if not isinstance(payload, dict):
            raise ApicError(f"expected JSON from {path.partition('?')[0]}, found none; is a proxy in between?")
        return payload

    async def _ask(self, method: str, path: str, body: object) -> tuple[int, Any]:
        client = self._client
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(
                method, client.url + path, data=data, ssl=client.tls, proxy=client.proxy, allow_redirects=False
            ) as answer:
                raw = await _bounded(answer)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise ApicError(f"{type(error).__name__}: {error}") from error
        if answer.status != 200:  # a refusal may quote our request, and so our secrets
            raw = client.redactor.redact_bytes(raw)
        try:
            return answer.status, decode_json(raw)
        except NotJsonError:
            return answer.status, {"imdata": []} if answer.status != 200 else None


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in answer.content.iter_chunked(65_536):
        size += len(chunk)
        if size > MOST_BYTES:
            raise ApicError(f"an answer has over {MOST_BYTES // 2**20} MiB; ask for less with a `filter`")
        chunks.append(chunk)
    return b"".join(chunks)


def _error_text(payload: Any) -> str:
    """Return the text of an error's answer."""
    try:
        attributes = payload["imdata"][0]["error"]["attributes"]
        return f"{attributes['text']}"[:300]
    except (LookupError, TypeError):
        return "no reason given"
