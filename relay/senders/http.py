"""One HTTP call to a service: bounded in time and size, no redirects, trouble as a value."""

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
"""Bytes of an answer that are read."""


class Token(Protocol):
    """An account's credential."""

    async def current(self) -> str | Trouble:
        """The token to use now, or why there is none."""
        ...

    async def renew(self, refused: str) -> bool | Trouble:
        """Look for another one than the one that the service refused; False, or why, where there is none."""
        ...

    async def tend(self) -> Credentials:
        """Renew it ahead of its end; how it stands."""
        ...


class Secret(Protocol):
    """A token that somebody else writes."""

    def current(self) -> str:
        """What it is now."""
        ...

    def reread(self) -> None:
        """Read it again, where it can be."""
        ...


class GivenToken:
    """Implements `Token`: a secret as it was given, read again when it is refused."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    async def current(self) -> str | Trouble:
        """The secret."""
        return self._secret.current()

    async def renew(self, refused: str) -> bool | Trouble:
        """Read it again; where none was refused there is nothing to look for."""
        await asyncio.to_thread(self._secret.reread)
        return refused not in ("", self._secret.current())

    async def tend(self) -> Credentials:
        """Somebody else does."""
        return Credentials()


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a service is reached; `tls` is True for the system's authorities.

    Connections are kept for `keepalive` seconds; the token goes into `header` behind `scheme`.
    """

    url: str
    tls: ssl.SSLContext | bool = True
    proxy: str | None = None
    total_timeout: float = TOTAL_TIMEOUT
    keepalive: float = 30.0
    header: str = "Authorization"
    scheme: str = "Bearer "


def environment_proxy(url: str) -> str | None:
    """The proxy that HTTPS_PROXY (HTTP_PROXY) and NO_PROXY name for an address, looked up once: aiohttp would do it
    in a thread for every request."""
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
    """Calls one service, with one credential where it has one."""

    def __init__(self, settings: HttpSettings, token: Token | None, log: Log, redactor: Redactor) -> None:
        """`redactor` takes secrets out of what the service says where it refuses."""
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
        """Close the connections; nothing is called any more."""
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
        """Tell whether there is another token than the one that was refused last."""
        return self._token is not None and await self._token.renew(self._refused) is True

    async def tend(self) -> Credentials:
        """Renew the token ahead of its end; how it stands."""
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
        """Call `path` below the base address; where the token is refused and there is another one, once more.

        A body goes as JSON, or as a `form`; with a file as a form of parts whose fields are the body's texts.
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
        """Call once, with the token there is now."""
        if self._token is None:
            return await self._call(request, {})
        token = await self._token.current()
        if not isinstance(token, str):
            return token
        if not token.isprintable() or not token.isascii():
            self._refused = token
            return Refused(
                "auth", "account", "the token holds a sign that no header can carry; it is one line of plain text"
            )
        headers = {self._settings.header: f"{self._settings.scheme}{token}"}
        answer = await self._call(request, headers)
        self._refused = token if isinstance(answer, Answer) and answer.status == 401 else ""
        return answer

    async def _call(self, wanted: _Request, headers: dict[str, str]) -> Answer | Trouble:
        if self._closed:  # by a reload, in the middle of what takes several calls
            return Failed("network", f"{self._base}: the account's configuration has changed meanwhile")
        try:
            data = _encode(wanted, headers)
        except OSError as error:
            return Refused("refused", "delivery", f"the file can't be read: {error.strerror or error}")
        try:
            async with self._open().request(
                wanted.method,
                self._base + wanted.path,
                data=data,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                return await self._read(response)
        except (aiohttp.ClientError, asyncio.IncompleteReadError, TimeoutError, OSError) as error:
            failed = self._failure(error, unseen=wanted.method != "GET")
            return msgspec.structs.replace(failed, detail=self._redactor.redact(failed.detail))

    def _failure(self, error: Exception, *, unseen: bool) -> Failed:
        """What an error means; `unseen`: where the request may have arrived all the same, nobody would know.

        Never with the address that some of aiohttp's errors carry: a proxy's may hold a password.
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
                said = f"{at} did not answer within {self._settings.total_timeout:g} s"
                return Failed("timeout", said, ambiguous=unseen)
            case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
                return Failed("network", f"{at}: {type(error).__name__}", ambiguous=unseen)
            case _:
                return Failed("network", f"{at}: {type(error).__name__}: {error}", ambiguous=unseen)

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        body = await response.content.read(MAX_ANSWER) if response.content_length != 0 else b""
        while len(body) < MAX_ANSWER and (more := await response.content.read(MAX_ANSWER - len(body))):
            body += more
        tracking = response.headers.get("TrackingID", "")
        if not 200 <= response.status < 300:
            body, tracking = self._redactor.redact_bytes(body), self._redactor.redact(tracking)
            self._log.info("service_refused", status=response.status, tracking_id=tracking, url=self._base)
        following = response.links.get("next") if "Link" in response.headers else None
        return Answer(
            response.status,
            body,
            response.headers.get("Retry-After"),
            tracking,
            str(following["url"]) if following else None,
        )


def _encode(wanted: _Request, headers: dict[str, str]) -> bytes | aiohttp.FormData | None:
    """A body as JSON or as a form; a file is streamed. Raises OSError where it can't be read."""
    if wanted.body is None:
        return None
    if wanted.file is None and not wanted.form:
        headers["Content-Type"] = "application/json"
        return msgspec.json.encode(wanted.body)
    form = aiohttp.FormData({name: value for name, value in wanted.body.items() if isinstance(value, str)})
    if wanted.file is not None:
        form.add_field("files", wanted.file.open(), filename=wanted.file.name, content_type=wanted.file.content_type)
    return form
