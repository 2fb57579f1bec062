"""Requests to an account's service: through the running relay, which has the credentials, else directly."""

from __future__ import annotations

import asyncio
import mimetypes
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from relay.cli.access import ThrottledError, daemon_of
from relay.cli.common import complain, fail

if TYPE_CHECKING:
    from relay.app.assembly.accounts import MadeAccount
    from relay.ports import File
    from relay.settings.load import Loaded

MOST_WAITS = 20
"""Times that one request waits because the service throttles it."""


class AccountSession:
    """The service of one account, for one command; a context manager, as it has connections to close."""

    def __init__(self, loaded: Loaded, account: str) -> None:
        self.account = account
        self._loaded = loaded
        self._daemon = daemon_of(loaded)
        self._runner = asyncio.Runner()
        self._made: MadeAccount | None = None

    def __enter__(self) -> AccountSession:
        return self

    def __exit__(self, *_: object) -> None:
        if self._made is not None:
            self._runner.run(self._made.close())
        self._runner.close()

    def ask(self, do: str, **wanted: object) -> Any:
        """Return the answer to a request; exit with the service's words if it refuses."""
        answer: Any = None
        for attempt in range(MOST_WAITS):
            try:
                if self._daemon is not None:
                    answer = self._daemon.ask(self.account, {"do": do, **wanted})
                else:
                    answer = self._runner.run(self._ask_alone({"do": do, **wanted}))
                break
            except ThrottledError as error:
                if attempt == MOST_WAITS - 1:
                    fail(f"gave up: the service asked to wait {MOST_WAITS} times; try again later")
                complain(str(error))
                threading.Event().wait(error.seconds)
        return answer

    def pages(self, do: str, **wanted: object) -> Iterator[list[dict[str, Any]]]:
        """Yield the pages of a list."""
        page = ""
        while True:
            answer = self.ask(do, **wanted, page=page)
            yield answer["items"]
            page = answer["following"]
            if not page:
                return

    def post(self, room: str, **wanted: object) -> dict[str, Any]:
        """Post a text, a card or a link to a configured room; return the outcome."""
        body = {"room": room, **{name: value for name, value in wanted.items() if value is not None}}
        if self._daemon is None:
            return self._post_alone(body, None)
        return self._known(room, self._daemon.call("POST", "/api/v1/messages", body))

    def upload(self, room: str, name: str, parent: str | None) -> dict[str, Any]:
        """Post a local file to a configured room; return the outcome."""
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        path = Path(name)
        if self._daemon is None:
            from relay.ports import File

            file = File(name=path.name, content_type=kind, open=lambda: path.open("rb"))
            return self._post_alone({"room": room, "parent": parent}, file)
        query = urlencode({"name": path.name, **({} if parent is None else {"parent": parent})})
        address = f"/api/v1/rooms/{quote(room, safe='')}/files?{query}"
        return self._known(room, self._daemon.call("POST", address, path.read_bytes(), kind))

    def _known(self, room: str, answer: Any) -> dict[str, Any]:
        if answer is None:
            fail(f"the running relay knows no room {room!r}; run `relay reload` to load {self._loaded.file}")
        return dict(answer)

    def _post_alone(self, body: Mapping[str, object], file: File | None) -> dict[str, Any]:
        from relay.app.running.requests import post_now
        from relay.ports import SendNow

        outcome = self._runner.run(post_now(self._account(), msgspec.convert(body, SendNow), file))
        return {"outcome": type(outcome).__name__.lower(), **msgspec.to_builtins(outcome)}

    def _account(self) -> MadeAccount:
        """Return the account, made with its own credentials."""
        from relay.app.assembly.accounts import make_account
        from relay.app.assembly.arrangement import Vault
        from relay.lifecycle import SystemClock
        from relay.logs import make_log
        from relay.settings.secrets import SecretError

        if self._made is None:
            log = make_log("critical")  # this command reports errors itself
            vault = Vault()
            vault.learn_addresses(self._loaded.settings)
            try:
                self._made = make_account(self.account, self._loaded, vault, SystemClock(), log)
            except (SecretError, OSError) as error:
                fail(f"accounts.{self.account}: {error}")
        return self._made

    async def _ask_alone(self, request: dict[str, object]) -> Any:
        from relay.app.assembly.accounts import make_addresses
        from relay.app.running.requests import AccountRequests
        from relay.core.delivery import Failed, Refused, Throttled

        desk = AccountRequests(
            lambda: {self.account: self._account()}, lambda: make_addresses(self._loaded.settings), lambda: None
        )
        answer = await desk.ask(self.account, msgspec.json.encode(request))
        if isinstance(answer, Throttled):
            raise ThrottledError(answer.seconds)
        if isinstance(answer, (Failed, Refused)):
            fail(answer.detail)
        return answer


def account_for(loaded: Loaded, account: str | None, room: str | None = None) -> str:
    """Return the account to use: as given, that of a configured room, or the only Webex account."""
    from relay.settings.problems import near

    accounts, rooms = loaded.settings.accounts, loaded.settings.rooms
    if account is not None and account not in accounts:
        fail(f"no account is called {account!r} in {loaded.file}{near(account, accounts)}", 2)
    if room is not None and room in rooms:
        if account not in (None, rooms[room].account):
            fail(f"room {room!r} of {loaded.file} belongs to account {rooms[room].account!r}", 2)
        return rooms[room].account
    if account is not None:
        return account
    names = [name for name, one in accounts.items() if one.type == "webex"]
    if len(names) != 1:
        not_known = "" if room is None else f"no room is called {room!r} in {loaded.file}{near(room, rooms)}; or "
        choose = f"{not_known}choose an account with --account {'|'.join(names)}"
        fail(choose if names else f"expected a Webex account in {loaded.file}, found none", 2)
    return names[0]
