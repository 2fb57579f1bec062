"""The keeper of credentials: an account that was refused goes on as soon as it has new ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from relay.pipeline.lanes import Account
from relay.ports import Clock, Log

EVERY = 30.0
"""Seconds between two looks."""


class CredentialKeeper:
    """Reads credentials again, of senders and of sources."""

    def __init__(
        self, accounts: Sequence[Account], reread: Callable[[], None], wake: Callable[[], None], clock: Clock, log: Log
    ) -> None:
        """`reread` reads the sources' secrets again; `wake` has the dispatcher look at its accounts."""
        self._accounts = accounts
        self._reread = reread
        self._wake_dispatcher = wake
        self._clock = clock
        self._log = log
        self._wake = asyncio.Event()

    def nudge(self) -> None:
        """Have `wait` return."""
        self._wake.set()

    async def wait(self) -> None:
        """Wait until the next look is due."""
        self._wake.clear()
        await self._clock.wait(self._wake, EVERY)

    async def run_once(self) -> int:
        """Look once; how many accounts go on for it."""
        await asyncio.to_thread(self._reread)
        renewed = 0
        for account in self._accounts:
            if account.refused is not None and await account.sender.renew():
                account.open_at = 0.0
                renewed += 1
                self._log.info("credentials_renewed", account=account.name)
        if renewed:
            self._wake_dispatcher()
        return renewed
