"""The API's answer to one incident: its trail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from relay.web import shapes
from relay.web.answers import json_answer, problem
from relay.web.operations import Operation

LONGEST_NUMBER = 18
"""Digits of an incident's number, at most."""


class TrailApi:
    """The handler of one incident."""

    def __init__(self, trail: Callable[[int], Awaitable[Mapping[str, Any] | None]]) -> None:
        """`trail` returns an incident by its number, or None. Raises `StoreError`."""
        self._trail = trail

    def routes(self) -> list[Operation]:
        """Return the route."""
        return [Operation("GET", "/api/v1/incidents/{id}", self.get_incident, shapes.WholeIncident)]

    async def get_incident(self, request: web.Request) -> web.Response:
        """Return one incident, open or over, with its events, what each did, and what its message says now."""
        number = request.match_info["id"]
        known = number.isascii() and number.isdigit() and len(number) <= LONGEST_NUMBER
        found = await self._trail(int(number)) if known else None
        if found is None:
            return problem(404, "not_found", f"no incident has the number {number[:100]!r}")
        return json_answer(found)
