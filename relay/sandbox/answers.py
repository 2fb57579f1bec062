"""What the sandbox's Webex handlers share: errors, bodies, pages."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web


class WebexError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


async def read_body(request: web.Request, kind: type[Any]) -> Any:
    """A body as a value."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WebexError(400, f"The request could not be understood: {error}") from error


def number_of(request: web.Request, name: str, default: int, most: int) -> int:
    """A number of the query, at most `most`."""
    try:
        return min(most, max(0, int(request.query.get(name, default))))
    except ValueError as error:
        raise WebexError(400, f"{name} is a number.") from error


def json_answer(value: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def paged(request: web.Request, items: list[Any], limit: int, start: int) -> web.Response:
    """A page of items, with the address of the next one where there is more."""
    answer = json_answer({"items": items[start : start + limit]})
    if start + limit < len(items):
        following = request.url.update_query(cursor=str(start + limit))
        answer.headers["Link"] = f'<{following}>; rel="next"'
    return answer
