"""Reading a request's body: bounded in size, time and type."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http_exceptions import HttpProcessingError

BODY_TIMEOUT = 10.0
"""Seconds that a body may take to arrive."""
_ENCODINGS = {"", "identity", "gzip", "deflate", "br", "zstd"}


class RefusedRequestError(Exception):
    """A request that is not taken: status, code and message of the answer, and the reason that is counted."""

    def __init__(self, status: int, code: str, message: str, reason: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.reason = reason
        self.retry_after = retry_after


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """The whole body, decompressed, of at most `limit` bytes. Raises `RefusedRequestError`."""
    declared = request.content_length
    if declared is not None and declared > limit:
        raise _too_large(limit)
    if request.headers.get("Content-Encoding", "").lower() not in _ENCODINGS:
        raise RefusedRequestError(
            415, "unsupported_encoding", "gzip, deflate or no Content-Encoding would be right", "malformed"
        )
    content = request.content
    if content.is_eof() and content.exception() is None:
        body = content.read_nowait(-1)
    else:
        body = await _read_slowly(request, limit)
    if len(body) > limit:
        raise _too_large(limit)
    return body


async def _read_slowly(request: web.BaseRequest, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0
            while chunk := await request.content.readany():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
    except TimeoutError as error:
        said = f"the body did not arrive within {BODY_TIMEOUT:g} s"
        raise RefusedRequestError(408, "too_slow", said, "too_slow") from error
    except (HttpProcessingError, ClientPayloadError, web.RequestPayloadError) as error:
        said = f"the body is corrupt or cut: {getattr(error, 'message', '') or error}"
        raise RefusedRequestError(400, "malformed", said, "malformed") from error
    return b"".join(chunks)


def _too_large(limit: int) -> RefusedRequestError:
    return RefusedRequestError(
        413, "too_large", f"the body is over this source's max_body of {limit} bytes", "too_large"
    )
