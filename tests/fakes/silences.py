"""Silences as people ask for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.running import Running


def within(seconds: float) -> str:
    """Return the time in so many seconds."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()  # noqa: TID251 - a silence of the real time


async def silence(relay: Running, *matchers: str, seconds: float = 3_600.0) -> str:
    """Silence what all matchers match; return the silence's id."""
    wanted = {"matchers": matchers, "ends_at": within(seconds), "created_by": "anna", "comment": "change 4711"}
    async with relay.session.post(relay.admin + "/api/v1/silences", json=wanted) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["id"])


async def change(relay: Running, path: str, **body: Any) -> tuple[int, Any]:
    """Post to the admin address; return the answer's status and body."""
    async with relay.session.post(relay.admin + path, json=body) as answer:
        return answer.status, await answer.json()
