"""Errors, bodies and pages of the sandbox's Webex."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web


class WebexError(Exception):
    """An error, with the status and text of its answer. `retry_after` is the value of its Retry-After header."""

    def __init__(self, status: int, message: str, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


async def read_body(request: web.Request, kind: type[Any]) -> Any:
    """Return the body of a request as a value of a type. Raises `WebexError`."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WebexError(400, f"The request could not be understood: {error}") from error


def number_of(request: web.Request, name: str, default: int, most: int) -> int:
    """Return a number from the query, from 0 to `most`. Raises `WebexError`."""
    try:
        return min(most, max(0, int(request.query.get(name, default))))
    except ValueError as error:
        raise WebexError(400, f"{name}: expected a number, found {request.query[name][:40]!r}.") from error


def json_answer(value: object, status: int = 200) -> web.Response:
    """Return an answer in JSON."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def paged(request: web.Request, items: list[Any], limit: int, start: int) -> web.Response:
    """Return a page of items. If there are more, its `Link` header holds the address of the next page."""
    answer = json_answer({"items": items[start : start + limit]})
    if start + limit < len(items):
        following = request.url.update_query(cursor=str(start + limit))
        answer.headers["Link"] = f'<{following}>; rel="next"'
    return answer
