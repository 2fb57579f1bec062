"""The heartbeat: the relay posts to a dead man's switch at an interval, as long as all is well."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp

from relay import __version__
from relay.pipeline.loop import LONGEST_REST, Loop
from relay.ports import Clock, Log
from relay.senders.http import Secret

TIMEOUT = 5.0


class Heartbeat(Loop):
    """A loop that posts to an address, which is a secret, unless `why_not` returns a reason against it."""

    def __init__(self, why_not: Callable[[], str | None], clock: Clock, log: Log) -> None:
        self._url: Secret | None = None
        self._interval = 0.0
        self._why_not = why_not
        super().__init__(clock)
        self._log = log
        self._session: aiohttp.ClientSession | None = None
        self.trouble: str | None = None
        """Why the last heartbeat was not sent or not accepted; None if it was."""
        self._due_at = 0.0

    def use(self, url: Secret | None, interval: float) -> None:
        """Post to this address from now on, every `interval` seconds; None stops the heartbeat."""
        if url is not self._url or interval != self._interval:
            self._url, self._interval = url, interval
            self._due_at, self.trouble = 0.0, None
            self.nudge()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def rest(self) -> float:
        """Return the seconds until the next one is due."""
        return LONGEST_REST if self._url is None else min(LONGEST_REST, self._due_at - self._clock.now())

    async def step(self) -> int:
        """Post if a heartbeat is due and all is well; return 1 if it was accepted, else 0."""
        now = self._clock.now()
        if self._url is None or now < self._due_at:
            return 0
        self._due_at = now + self._interval
        why = self._why_not()
        if why is not None:
            self._log.warning("heartbeat_held", why=why)
            self.trouble = f"not sent: {why}"
            return 0
        trouble = await self._post(self._url.current())
        if trouble != self.trouble:
            (self._log.notice if trouble is None else self._log.error)("heartbeat", trouble=trouble)
        self.trouble = trouble
        return int(trouble is None)

    async def _post(self, url: str) -> str | None:
        """Post once; return an error without the address, which is a secret, or None."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT), trust_env=True)
        try:
            async with self._session.post(url, json={"relay": __version__}, allow_redirects=False) as answer:
                return None if answer.status < 300 else f"answered {answer.status}"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            place = urlsplit(url).hostname or "the address"
            return f"{place} can't be reached: {_reason(error)}"


def _reason(error: Exception) -> str:
    """Return why the address can't be reached; texts of other errors may have the address."""
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return (isinstance(cause, OSError) and cause.strerror) or type(error).__name__
