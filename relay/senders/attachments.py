"""Attachments: files that events name, from allowed directories or fetched from public addresses.

An event may name any file and any address, so neither is trusted. No path leads out of the directories. No connection
is made to an address that is not on the public internet, whatever a name resolves to or a redirect says.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import mimetypes
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import BinaryIO
from urllib.parse import unquote, urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

from relay.core.markdown import LONGEST_NAME
from relay.ports import File, Log, Missing

FETCH_TIMEOUT = 10.0
"""Seconds that a file may take, with all redirects; short, because its room waits meanwhile."""
MAX_REDIRECTS = 5
TYPES = ("image/", "video/", "audio/", "application/pdf", "application/json", "text/plain", "text/csv")
"""Beginnings of content types that are posted: pictures and documents, but no web pages."""
_INNER = tuple(
    ipaddress.ip_network(network)
    for network in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "fec0::/10")
)
"""Networks that are not public, but count as global in some versions of Python.

They are protocol assignments, and the metadata service of a cloud.
"""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class ForbiddenAddressError(OSError):
    """An address that is not on the public internet."""


def is_public(address: str) -> bool:
    """Return whether an IP address is public; an IPv4 address embedded in an IPv6 one must be public, too."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip in _NAT64:
        return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)))
    if not ip.is_global or ip.is_multicast or ip.is_reserved or any(ip in network for network in _INNER):
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return True
    inner = (ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ()))
    return all(is_public(str(one)) for one in inner if one is not None)


class Attachments:
    """Implements the pipeline's `Files`."""

    def __init__(
        self,
        directories: Sequence[Path],
        *,
        fetch: bool,
        max_size: int,
        log: Log,
        allowed: Callable[[str], bool] = is_public,
        resolver: AbstractResolver | None = None,
        within: float = FETCH_TIMEOUT,
    ) -> None:
        """Begin without connections.

        `fetch`: fetch addresses here, instead of leaving that to the service; `allowed` decides which IPs are dialled;
        `max_size` in bytes.
        """
        self._directories = tuple(directories)
        self._fetch = fetch
        self._max_size = max_size
        self._log = log
        self._allowed = allowed
        self._resolver = resolver
        self._within = within
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def get(self, address: str) -> AsyncIterator[File | str | Missing]:
        """Yield a file (open while the context lasts), its address if the service should fetch it, or `Missing`."""
        if not address.startswith(("http://", "https://")):
            found = await asyncio.to_thread(self._local, address)
            try:
                yield found[0] if isinstance(found, tuple) else found
            finally:
                if isinstance(found, tuple):
                    found[1].close()
        elif self._fetch:
            try:
                kept = TemporaryFile()  # noqa: SIM115 - closed below; this `try` must not catch errors of the caller
            except OSError as error:
                yield Missing(f"no temporary file can be made for it: {error.strerror}")
                return
            with kept:
                yield await self._fetched(address, kept)
        else:
            yield address

    # From a directory

    def _local(self, name: str) -> tuple[File, BinaryIO] | Missing:
        """Open a file of the allowed directories by its path or `file://` URL."""
        scheme, rest, _ = name.partition("://")
        if rest and scheme != "file":
            return Missing(f"expected a path or an address with http, https or file, found {scheme[:20]}")
        path = PurePosixPath(name.removeprefix("file://"))
        for directory in self._directories:
            if path.is_absolute() and path.is_relative_to(directory):
                return self._open(directory, path.relative_to(directory).parts, path.name)
        return Missing("it is in none of the directories of `files`")

    def _open(self, directory: Path, parts: Sequence[str], name: str) -> tuple[File, BinaryIO] | Missing:
        """Open a file below a directory, part by part of its path.

        No part may be a link. A path that is checked first and opened then could be changed to a link in between.
        """
        if not parts or any(part == ".." or "\0" in part for part in parts):
            return Missing("its path leads out of the directory")
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            at = os.open(directory, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
            for part in parts[:-1]:
                at = _open_part(at, part, flags | os.O_DIRECTORY)
            at = _open_part(at, parts[-1], flags | os.O_NONBLOCK)  # to open a FIFO would wait for its writer otherwise
        except UnicodeError:
            return Missing("no file can have such a name")
        except OSError as error:
            if error.errno in _LINKS:
                return Missing("it is not a regular file, or it is behind a link")
            return Missing(str(error.strerror).lower())
        found = os.fstat(at)
        if not stat.S_ISREG(found.st_mode):
            os.close(at)
            return Missing("it is not a regular file")
        stream = os.fdopen(at, "rb")
        if found.st_size > self._max_size:
            stream.close()
            return Missing(f"it has {found.st_size:,} bytes, and {self._max_size:,} are allowed")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return File(name=_safe_name(name), content_type=kind, open=_reopener(stream, self._max_size)), stream

    # From an address

    async def _fetched(self, address: str, kept: BinaryIO) -> File | Missing:
        try:
            async with asyncio.timeout(self._within):
                return await self._follow(address, kept)
        except TimeoutError:
            return Missing(f"it did not arrive within {self._within:g} s")
        except aiohttp.ClientConnectorError as error:
            forbidden = isinstance(error.os_error, ForbiddenAddressError) or "not public" in str(error)
            return Missing("its address is not public" if forbidden else "its server can't be reached")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._log.notice("file_not_fetched", error=type(error).__name__)
            return Missing("its server gave no usable answer")

    async def _follow(self, address: str, kept: BinaryIO) -> File | Missing:
        for _ in range(MAX_REDIRECTS + 1):
            if urlsplit(address).scheme not in ("http", "https"):
                return Missing("it is redirected to another kind of address")
            async with self._open_session().get(address, allow_redirects=False) as answer:
                if answer.status in (301, 302, 303, 307, 308) and "Location" in answer.headers:
                    address = urljoin(address, answer.headers["Location"])
                    continue
                if answer.status != 200:
                    return Missing(f"its server answers {answer.status}")
                return await self._read(address, answer, kept)
        return Missing(f"it is redirected more than {MAX_REDIRECTS} times")

    async def _read(self, address: str, answer: aiohttp.ClientResponse, kept: BinaryIO) -> File | Missing:
        kind = answer.content_type
        if not kind.startswith(TYPES):
            return Missing(f"expected a picture or a document, found {kind[:60]}")
        if (answer.content_length or 0) > self._max_size:
            return Missing(f"it has {answer.content_length:,} bytes, and {self._max_size:,} are allowed")
        size = 0
        async for chunk in answer.content.iter_chunked(65_536):
            size += len(chunk)
            if size > self._max_size:
                return Missing(f"it has more than the {self._max_size:,} bytes that are allowed")
            kept.write(chunk)
        name = _safe_name(PurePosixPath(unquote(urlsplit(address).path)).name) or "file"
        if "." not in name:
            name += mimetypes.guess_extension(kind) or ""
        return File(name=name, content_type=kind, open=_reopener(kept, self._max_size))

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=8, resolver=self._resolver, use_dns_cache=False, socket_factory=self._dial, force_close=True
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"Accept-Encoding": "identity", "User-Agent": "noc-relay"},
                trust_env=False,
                max_line_size=8_190,
            )
        return self._session

    def _dial(self, where: aiohttp.AddrInfoType) -> socket.socket:
        """Return a socket for an IP address about to be dialled. Raises `ForbiddenAddressError`.

        The check is made here, after all name resolution, so that no name can get around it.
        """
        family, kind, protocol, _, address = where
        if not self._allowed(str(address[0])):
            raise ForbiddenAddressError("not public")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)  # noqa: FBT003 - socket's own signature
        return made


_LINKS = (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO)
"""Errors of `open` if a link, or something that is not a regular file, is in the way."""


def _open_part(at: int, part: str, flags: int) -> int:
    """Open the next part of a path, and close the previous one. Raises OSError."""
    try:
        return os.open(part, flags, dir_fd=at)
    finally:
        os.close(at)


def _reopener(stream: BinaryIO, most: int) -> Callable[[], BinaryIO]:
    """Return a function that opens the file at its beginning on each call. It raises OSError if the file grew.

    A retry reads the file once more; `most` is the size in bytes that was allowed.
    """

    def opened() -> BinaryIO:
        if stream.writable():
            stream.flush()
        again = os.fdopen(os.dup(stream.fileno()), "rb")
        again.seek(0)
        if os.fstat(again.fileno()).st_size > most:
            again.close()
            raise OSError(f"it has grown to more than {most:,} bytes")
        return again

    return opened


def _safe_name(name: str) -> str:
    """Return a name fit for a header: without control characters, quotes and slashes; shortened before its suffix."""
    clean = "".join(sign for sign in name if sign.isprintable() and sign not in '"\\/')
    if len(clean) <= LONGEST_NAME:
        return clean
    ending = PurePosixPath(clean).suffix[:10]
    return clean[: LONGEST_NAME - len(ending)] + ending
