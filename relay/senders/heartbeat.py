"""The relay's own sign of life: a POST at an interval while all is well, so that a dead man's switch watches it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp

from relay import __version__
from relay.ports import Clock, Log
from relay.senders.http import Secret

TIMEOUT = 5.0


class Heartbeat:
    """A loop that posts to an address, which is a secret, as long as `why_not` gives no reason against it."""

    def __init__(self, url: Secret, interval: float, why_not: Callable[[], str | None], clock: Clock, log: Log) -> None:
        """`interval` in seconds."""
        self._url = url
        self._interval = interval
        self._why_not = why_not
        self._clock = clock
        self._log = log
        self._wake = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self.trouble: str | None = None
        """Why the last one was not taken."""
        self._due_at = 0.0

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def nudge(self) -> None:
        """Have `wait` return."""
        self._wake.set()

    async def wait(self) -> None:
        """Wait until the next one is due."""
        self._wake.clear()
        await self._clock.wait(self._wake, min(5.0, max(0.0, self._due_at - self._clock.now())))

    async def run_once(self) -> int:
        """Post, where one is due and all is well; 1 where it was taken."""
        now = self._clock.now()
        if now < self._due_at:
            return 0
        self._due_at = now + self._interval
        why = self._why_not()
        if why is not None:
            self._log.warning("heartbeat_held", why=why)
            self.trouble = f"held: {why}"
            return 0
        trouble = await self._post()
        if trouble != self.trouble:
            (self._log.info if trouble is None else self._log.error)("heartbeat", trouble=trouble)
        self.trouble = trouble
        return int(trouble is None)

    async def _post(self) -> str | None:
        """What went wrong, without the address."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT), trust_env=True)
        url = self._url.current()
        try:
            async with self._session.post(url, json={"relay": __version__}, allow_redirects=False) as answer:
                return None if answer.status < 300 else f"answered {answer.status}"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            place = urlsplit(url).hostname or "the address"
            return f"{place} can't be reached: {type(error).__name__}"
