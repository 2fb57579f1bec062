"""The keeper of credentials: it renews them in time, and tries a refused account again once it has new ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from relay.core.words import say_duration
from relay.pipeline.book import LaneBook
from relay.pipeline.chronicle import Chronicle
from relay.pipeline.lanes import Account
from relay.pipeline.loop import Loop
from relay.ports import Clock, Credentials, Log, NotifyOperator, Spawn

EVERY = 30.0
"""Seconds between two looks."""
ENDING = 7 * 86_400.0
"""Seconds before a refresh token's end at which the operator is notified."""


class CredentialKeeper(Loop):
    """A loop that reads the credentials of senders and sources again, and renews those that end in time."""

    def __init__(
        self,
        book: LaneBook,
        chronicle: Chronicle,
        reread: Callable[[], None],
        clock: Clock,
        log: Log,
        notify: NotifyOperator,
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
        self._notify = notify
        self._spawn = spawn
        self._warned: set[str] = set()
        self._looking: dict[str, asyncio.Task[None]] = {}

    def rest(self) -> float:
        """Return the seconds until the next look."""
        return EVERY

    def recall(self, keys: Iterable[str]) -> None:
        """Restore the accounts that an earlier process warned about, by the keys of its open notices."""
        self._warned |= {key.removeprefix("credentials:") for key in keys if key.startswith("credentials:")}

    async def step(self) -> int:
        """Start a look at each account whose last look has ended; return how many."""
        await asyncio.to_thread(self._reread)
        idle = [one for one in self._book.accounts() if one.name not in self._looking or self._looking[one.name].done()]
        for account in idle:
            self._looking[account.name] = self._spawn(self.look_after(account))
        return len(idle)

    async def look_after(self, account: Account) -> None:
        """Renew an account's credentials if needed, and resume a refused account if it has other ones."""
        state = self.states[account.name] = await account.sender.tend()
        self._warn_of_end(account.name, state)
        if account.refused is not None and await account.sender.renew():
            account.open_at = 0.0
            self._log.info("credentials_renewed", account=account.name)
            if await account.sender.check() is None:
                account.resume()
                self._chronicle.account_resumed(account.name)
            self._book.work.set()

    def _warn_of_end(self, name: str, state: Credentials) -> None:
        """Warn the operator of a refresh token that is about to end, while there is time."""
        ending = state.refresh_until is not None and state.refresh_until - self._clock.wall() < ENDING
        if ending and name not in self._warned:
            self._warned.add(name)
            left = max(0.0, (state.refresh_until or 0.0) - self._clock.wall())
            body = f"It ends in {say_duration(left)}, and then nothing is sent: `relay login {name}` gets a new one."
            self._notify(
                f"credentials:{name}", f"relay: the refresh token of account {name} ends soon", "major", "firing", body
            )
        elif not ending and state.refresh_until is not None and name in self._warned:
            self._warned.remove(name)
            self._notify(
                f"credentials:{name}", f"relay: account {name} has a new refresh token", "info", "resolved", ""
            )
