"""Reading a request's body, with bounds on size, time and encoding."""

from __future__ import annotations

import asyncio
import zlib

from aiohttp import web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http_exceptions import HttpProcessingError

BODY_TIMEOUT = 10.0
"""Seconds that a body may take to arrive."""
_ENCODINGS = {"": False, "identity": False, "gzip": True, "x-gzip": True, "deflate": True}
_EITHER = zlib.MAX_WBITS | 32
"""Makes zlib detect whether a stream is in gzip's form or its own."""


class RefusedRequestError(Exception):
    """A refused request: status, code and message of the answer, and the reason it is counted under.

    `retry_after` in seconds.
    """

    def __init__(self, status: int, code: str, message: str, reason: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.reason = reason
        self.retry_after = retry_after


async def read_body(request: web.BaseRequest, limit: int, within: float = BODY_TIMEOUT) -> bytes:
    """Return the whole body, decompressed, of at most `limit` bytes. Raises `RefusedRequestError`.

    `within` in seconds. The server must pass bodies on as they came (`auto_decompress` off).
    """
    declared = request.content_length
    if declared is not None and declared > limit:
        raise _too_large(limit)
    encoding = request.headers.get("Content-Encoding", "").lower()
    if encoding not in _ENCODINGS:
        message = f"expected gzip, deflate or no Content-Encoding, found {encoding[:80]!r}"
        raise RefusedRequestError(415, "unsupported_encoding", message, "malformed")
    content = request.content
    if content.is_eof() and content.exception() is None:
        body = content.read_nowait(-1)
    else:
        body = await _read_slowly(request, limit, within)
    if len(body) > limit:
        raise _too_large(limit)
    return _decompress(body, limit) if _ENCODINGS[encoding] else body


async def _read_slowly(request: web.BaseRequest, limit: int, within: float) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(within):
            # only now: a client whose request was refused before need not send the body (RFC 9110, section 10.1.1)
            if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0
            while chunk := await request.content.readany():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
    except TimeoutError as error:
        message = f"the body did not arrive within {within:g} s"
        raise RefusedRequestError(408, "too_slow", message, "too_slow") from error
    except (HttpProcessingError, ClientPayloadError, web.RequestPayloadError) as error:
        raise _corrupt(getattr(error, "message", "") or str(error)) from error
    return b"".join(chunks)


def _decompress(body: bytes, limit: int) -> bytes:
    """Return the content of a whole gzip or zlib stream (RFC 1952, RFC 1950); stop beyond `limit` bytes."""
    stream = zlib.decompressobj(wbits=_EITHER)
    try:
        content = stream.decompress(body, limit + 1)  # one more than allowed shows that it is too large
    except zlib.error as error:
        raise _corrupt(str(error)) from error
    if len(content) > limit:
        raise _too_large(limit)
    if not stream.eof or stream.unused_data:
        raise _corrupt("the compressed stream is cut, or something follows it")
    return content


def _corrupt(why: str) -> RefusedRequestError:
    return RefusedRequestError(400, "malformed", f"the body is corrupt or cut: {why}", "malformed")


def _too_large(limit: int) -> RefusedRequestError:
    message = f"the body is larger than this source's max_body of {limit} bytes"
    return RefusedRequestError(413, "too_large", message, "too_large")
