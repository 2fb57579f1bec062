"""The accounts' part of the admin API: `relay rooms`, `relay messages` and `relay login` ask a service through it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from relay.core.delivery import Failed, Refused, Throttled, Trouble
from relay.core.words import say_misfit
from relay.web.answers import BadRequestError, json_answer, problem, read_body
from relay.web.operations import Operation

Ask = Callable[[str, bytes], Awaitable[object | Trouble]]


class AccountApi:
    """Passes requests on to an account's service."""

    def __init__(self, ask: Ask, asked: Any) -> None:
        """Prepare the handlers.

        `ask` returns the service's answer to a request; it raises KeyError for an unknown account, and
        `msgspec.MsgspecError` for a request that can't be read. `asked` is the type of a request.
        """
        self._ask = ask
        self._asked = asked

    def routes(self) -> list[Operation]:
        """Return the API's routes."""
        return [Operation("POST", "/api/v1/accounts/{account}/ask", self.post_ask, Any, body=self._asked)]

    async def post_ask(self, request: web.Request) -> web.Response:
        """Ask an account's service. Its refusal is answered 502, its throttle 429."""
        account = request.match_info["account"]
        try:
            answer = await self._ask(account, await read_body(request))
        except KeyError:
            return problem(404, "not_found", f"no account is configured as {account[:100]!r}")
        except msgspec.ValidationError as error:
            raise BadRequestError(say_misfit(error)) from error
        except msgspec.MsgspecError as error:
            raise BadRequestError(str(error)) from error
        match answer:
            case Throttled(seconds=seconds, detail=detail):
                throttled = problem(429, "throttled", detail)
                throttled.headers["Retry-After"] = str(math.ceil(seconds))
                return throttled
            case Failed(kind=kind, detail=detail) | Refused(kind=kind, detail=detail):
                return problem(502, kind, detail)
            case _:
                return json_answer(answer)
