"""Reading bodies and making answers, for all handlers of the admin API."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
from aiohttp import web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http_exceptions import HttpProcessingError

from relay.core.words import say_misfit

T = TypeVar("T")
MAX_BODY = 1 * 2**20
BODY_TIMEOUT = 10.0
"""Seconds that a body may take to arrive."""


class BadRequestError(ValueError):
    """A query or body that can't be read; the text is its user's."""


async def read_body(request: web.Request, within: float = BODY_TIMEOUT) -> bytes:
    """Return a request's body, not empty, that arrives within so many seconds. Raises `BadRequestError`."""
    try:
        async with asyncio.timeout(within):
            raw = await request.read()
    except TimeoutError as error:
        raise BadRequestError(f"the body did not arrive within {within:g} s") from error
    except (HttpProcessingError, ClientPayloadError, web.RequestPayloadError) as error:
        raise BadRequestError(f"the body is corrupt or cut: {error}") from error
    if not raw.strip():
        raise BadRequestError("expected a body, found none")
    return raw


async def read_json_body(request: web.Request, kind: type[T]) -> T:
    """Return a request's JSON body as a value of `kind`. Raises `BadRequestError`."""
    raw = await read_body(request)
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise BadRequestError(say_misfit(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(str(error)) from error


def read_query(request: web.Request, kind: type[T]) -> T:
    """Return a request's query parameters as a value of `kind`; lists have commas. Raises `BadRequestError`."""
    values: dict[str, object] = dict(request.query)
    for name in ("ids", "state"):
        if name in values:
            values[name] = [part for part in str(values[name]).split(",") if part]
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequestError(str(error)) from error


def json_answer(value: object, status: int = 200) -> web.Response:
    """Return an answer with a value as JSON."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def text_answer(document: str) -> web.Response:
    """Return an answer with a text that is JSON already."""
    return web.Response(text=document, content_type="application/json")


def problem(status: int, code: str, message: str) -> web.Response:
    """Return an error as all answers give it: `{"error": {"code": …, "message": …}}`."""
    return json_answer({"error": {"code": code, "message": message}}, status)
