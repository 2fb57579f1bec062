"""The keeper of credentials: it renews them in time, and tries a refused account again once it has new ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from relay.pipeline.book import LaneBook
from relay.pipeline.chronicle import Chronicle
from relay.pipeline.lanes import Account
from relay.pipeline.loop import Loop
from relay.ports import Changed, Clock, Credentials, Log, Spawn

EVERY = 30.0
"""Seconds between two looks."""


class CredentialKeeper(Loop):
    """A loop that reads the credentials of senders and sources again, and renews those that end in time."""

    def __init__(
        self,
        book: LaneBook,
        chronicle: Chronicle,
        reread: Callable[[], None],
        clock: Clock,
        log: Log,
        changed: Changed,
        spawn: Spawn,
    ) -> None:
        """`book` knows the accounts in force; `reread` reads the sources' secrets again."""
        self.states: dict[str, Credentials] = {}
        """The state of each account's credentials at the last look."""
        super().__init__(clock)
        self._book = book
        self._chronicle = chronicle
        self._reread = reread
        self._log = log
        self._changed = changed
        self._spawn = spawn
        self._looking: dict[str, asyncio.Task[None]] = {}

    def rest(self) -> float:
        """Return the seconds until the next look."""
        return EVERY

    async def step(self) -> int:
        """Start a look at each account whose last look has ended; return how many."""
        await asyncio.to_thread(self._reread)
        idle = [one for one in self._book.accounts() if one.name not in self._looking or self._looking[one.name].done()]
        for account in idle:
            self._looking[account.name] = self._spawn(self.look_after(account))
        return len(idle)

    async def look_after(self, account: Account) -> None:
        """Renew an account's credentials if needed, and resume a refused account if it has other ones."""
        self.states[account.name] = await account.sender.tend()
        self._changed()
        if account.refused is not None and await account.sender.renew():
            account.open_at = 0.0
            self._log.notice("credentials_renewed", account=account.name)
            if await account.sender.check() is None:
                account.resume()
                self._chronicle.account_resumed(account.name)
            self._book.work.set()
