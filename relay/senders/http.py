"""HTTP calls to a service: bounded in time and size, without redirects; errors are returned as values."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec

from relay.core.delivery import Failed, Refused, Trouble
from relay.core.redaction import Redactor
from relay.ports import Credentials, File, Log
from relay.senders.outcomes import Answer

TOTAL_TIMEOUT = 30.0
CONNECT_TIMEOUT = 10.0
MAX_ANSWER = 4 * 2**20
"""Bytes of an answer that are read, at most."""


class Token(Protocol):
    """An account's credential."""

    async def current(self) -> str | Trouble:
        """Return the token to use now, or why there is none."""
        ...

    async def renew(self, refused: str) -> bool | Trouble:
        """Get another token than the `refused` one. Return whether there is one, or why getting it failed."""
        ...

    async def tend(self) -> Credentials:
        """Renew the token if it expires soon, and return its state."""
        ...


class Secret(Protocol):
    """A secret that somebody else writes."""

    def current(self) -> str:
        """Return the secret as it was last read."""
        ...

    def reread(self) -> None:
        """Read the secret again; keep the old one if that fails."""
        ...


class GivenToken:
    """Implements `Token` for a configured secret; it is read again when the service refuses it."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    async def current(self) -> str | Trouble:
        """Return the secret."""
        return self._secret.current()

    async def renew(self, refused: str) -> bool | Trouble:
        """Read the secret again, and return whether it changed; False if none was refused."""
        await asyncio.to_thread(self._secret.reread)
        return refused not in ("", self._secret.current())

    async def tend(self) -> Credentials:
        """Do nothing: this token has no known end."""
        return Credentials()


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a service; `tls` is True for the system's authorities.

    Idle connections are kept for `keepalive` seconds; the token goes into `header`, after `scheme`.
    """

    url: str
    tls: ssl.SSLContext | bool = True
    proxy: str | None = None
    total_timeout: float = TOTAL_TIMEOUT
    keepalive: float = 30.0
    header: str = "Authorization"
    scheme: str = "Bearer "


def environment_proxy(url: str) -> str | None:
    """Return the proxy for a URL, by HTTPS_PROXY (HTTP_PROXY) and NO_PROXY.

    It is looked up once here, because aiohttp would do so in a thread for every request.
    """
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)


class _Request(msgspec.Struct, frozen=True):
    method: str
    path: str
    body: Mapping[str, Any] | None
    file: File | None
    form: bool


class HttpClient:
    """Calls one service, with its token if there is one."""

    def __init__(self, settings: HttpSettings, token: Token | None, log: Log, redactor: Redactor) -> None:
        """Begin without connections; `redactor` takes secrets out of the service's refusals."""
        self._redactor = redactor
        self._settings = settings
        self._base = settings.url.rstrip("/")
        self._token = token
        self._log = log
        self._refused = ""
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._proxy = settings.proxy or environment_proxy(settings.url)

    async def close(self) -> None:
        """Close the connections; later calls fail."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, ssl=self._settings.tls, keepalive_timeout=self._settings.keepalive
                ),
                timeout=aiohttp.ClientTimeout(total=self._settings.total_timeout, connect=CONNECT_TIMEOUT),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
            )
        return self._session

    async def renew(self) -> bool:
        """Return whether there is another token than the one that was refused last."""
        return self._token is not None and await self._token.renew(self._refused) is True

    async def tend(self) -> Credentials:
        """Renew the token if it expires soon, and return its state."""
        return Credentials() if self._token is None else await self._token.tend()

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        file: File | None = None,
        *,
        form: bool = False,
    ) -> Answer | Trouble:
        """Call `path` below the base address. If the token is refused and there is another one, call once more.

        The body is sent as JSON, or as a form if `form`. With a file it is sent as a multipart form, without fields
        that are not text.
        """
        request = _Request(method, path, body, file, form)
        answer = await self._ask(request)
        if self._token is None or not (isinstance(answer, Answer) and answer.status == 401):
            return answer
        renewed = await self._token.renew(self._refused)
        if isinstance(renewed, bool):
            return await self._ask(request) if renewed else answer
        return renewed

    async def _ask(self, request: _Request) -> Answer | Trouble:
        """Call once, with the present token."""
        if self._token is None:
            return await self._call(request, {})
        token = await self._token.current()
        if not isinstance(token, str):
            return token
        if not token.isprintable() or not token.isascii():
            self._refused = token
            return Refused(
                "auth", "account", "expected a token of one line of ASCII, found a character that no header can carry"
            )
        headers = {self._settings.header: f"{self._settings.scheme}{token}"}
        answer = await self._call(request, headers)
        self._refused = token if isinstance(answer, Answer) and answer.status == 401 else ""
        return answer

    async def _call(self, request: _Request, headers: dict[str, str]) -> Answer | Trouble:
        if self._closed:  # by a reload, between two calls of one operation
            return Failed("network", f"{self._base}: the account's configuration has changed meanwhile")
        try:
            data = _encode(request, headers)
        except OSError as error:
            return Refused("refused", "delivery", f"the file can't be read: {error.strerror or error}")
        try:
            async with self._open().request(
                request.method,
                self._base + request.path,
                data=data,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                return await self._read(response)
        except (aiohttp.ClientError, asyncio.IncompleteReadError, TimeoutError, OSError) as error:
            failed = self._failure(error, unseen=request.method != "GET")
            return msgspec.structs.replace(failed, detail=self._redactor.redact(failed.detail))

    def _failure(self, error: Exception, *, unseen: bool) -> Failed:
        """Return the outcome of an error. `unseen`: if the request arrived all the same, the outcome is ambiguous.

        The detail never has the address that some of aiohttp's errors carry: a proxy's may contain a password.
        """
        at = self._base
        match error:
            case aiohttp.ClientProxyConnectionError():
                return Failed("network", f"the proxy of {at} can't be reached: {error.strerror or error.os_error}")
            case aiohttp.ClientHttpProxyError():
                return Failed("network", f"the proxy of {at} answered {error.status} {error.message}".strip())
            case aiohttp.ClientConnectorError():
                return Failed("network", f"{at} can't be reached: {error.strerror or error}")
            case aiohttp.ConnectionTimeoutError() | aiohttp.SocketTimeoutError():
                return Failed("timeout", f"{at}: no connection within {CONNECT_TIMEOUT:g} s")
            case TimeoutError():
                detail = f"{at} did not answer within {self._settings.total_timeout:g} s"
                return Failed("timeout", detail, ambiguous=unseen)
            case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
                return Failed("network", f"{at}: {type(error).__name__}", ambiguous=unseen)
            case _:
                return Failed("network", f"{at}: {type(error).__name__}: {error}", ambiguous=unseen)

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        body = await response.content.read(MAX_ANSWER) if response.content_length != 0 else b""
        # a single `read` may return fewer bytes, even before the end
        while len(body) < MAX_ANSWER and (more := await response.content.read(MAX_ANSWER - len(body))):
            body += more
        tracking = response.headers.get("TrackingID", "")
        if not 200 <= response.status < 300:
            body, tracking = self._redactor.redact_bytes(body), self._redactor.redact(tracking)
            self._log.notice("service_refused", status=response.status, tracking_id=tracking, url=self._base)
        following = response.links.get("next") if "Link" in response.headers else None
        return Answer(
            response.status,
            body,
            response.headers.get("Retry-After"),
            tracking,
            str(following["url"]) if following else None,
        )


def _encode(request: _Request, headers: dict[str, str]) -> bytes | aiohttp.FormData | None:
    """Return the body as JSON or as a form; a file is streamed. Raises OSError if the file can't be read."""
    if request.body is None:
        return None
    if request.file is None and not request.form:
        headers["Content-Type"] = "application/json"
        return msgspec.json.encode(request.body)
    form = aiohttp.FormData({name: value for name, value in request.body.items() if isinstance(value, str)})
    if (file := request.file) is not None:
        form.add_field("files", file.open(), filename=file.name, content_type=file.content_type)
    return form
