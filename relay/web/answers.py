"""What the admin API's handlers share: reading bodies, and answers."""

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
    """A query or body that can't be read; its text says what is wrong."""


async def read_body(request: web.Request) -> bytes:
    """A request's body, which is not empty. Raises `BadRequestError`."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            raw = await request.read()
    except TimeoutError as error:
        raise BadRequestError(f"the body did not arrive within {BODY_TIMEOUT:g} s") from error
    except (HttpProcessingError, ClientPayloadError, web.RequestPayloadError) as error:
        raise BadRequestError(f"the body is corrupt or cut: {error}") from error
    if not raw.strip():
        raise BadRequestError("the body is empty; JSON would be right")
    return raw


async def read_json_body(request: web.Request, kind: type[T]) -> T:
    """A request's body as a value. Raises `BadRequestError`."""
    raw = await read_body(request)
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise BadRequestError(say_misfit(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(str(error)) from error


def read_query(request: web.Request, kind: type[T]) -> T:
    """A request's query parameters as a value; lists are separated by commas. Raises `BadRequestError`."""
    values: dict[str, object] = dict(request.query)
    for name in ("ids", "state"):
        if name in values:
            values[name] = [part for part in str(values[name]).split(",") if part]
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequestError(str(error)) from error


def json_answer(value: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def text_answer(document: str) -> web.Response:
    """An answer that is JSON text already."""
    return web.Response(text=document, content_type="application/json")


def problem(status: int, code: str, message: str) -> web.Response:
    """An error as users see it."""
    return json_answer({"error": {"code": code, "message": message}}, status)
