"""Making senders from the accounts of the settings, and lanes from their rooms."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from relay.app.assembly.sources import SecretsInUse
from relay.app.assembly.tls import client_context
from relay.core.retry import RetryPolicy
from relay.core.rules import Rules, card_for
from relay.pipeline import lanes
from relay.pipeline.book import Fallback
from relay.ports import Clock, Log, Sender, Service
from relay.senders import oauth, spika, webex
from relay.senders.attachments import Attachments
from relay.senders.http import GivenToken, HttpClient, HttpSettings, Token
from relay.senders.oauth import Integration, OAuthToken, TokenFile
from relay.senders.spika import SpikaSender
from relay.senders.webex import RoomAddress, WebexSender
from relay.senders.webex_client import WebexClient
from relay.settings.accounts import Account, ClientTls, OAuthSettings, SpikaAccount, WebexAccount
from relay.settings.load import Loaded
from relay.settings.model import Settings
from relay.settings.rooms import Room
from relay.templates.cards import CardRenderer
from relay.templates.rendering import TemplateRenderer

AnySender = WebexSender | SpikaSender


class MadeAccount:
    """An account's sender, and its tokens if the account has an integration."""

    def __init__(self, sender: AnySender, oauth: OAuthToken | None = None) -> None:
        self.sender = sender
        self.oauth = oauth
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Mark the account as used for a person's request, so that it is not closed meanwhile."""
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                self._unused.set()

    async def unused(self) -> None:
        """Wait until no person's request uses the account."""
        await self._unused.wait()

    async def close(self) -> None:
        """Close all connections of the account."""
        await self.sender.close()
        if self.oauth is not None:
            await self.oauth.close()


def make_account(name: str, loaded: Loaded, vault: SecretsInUse, clock: Clock, log: Log) -> MadeAccount:
    """Return an account with a sender for its rooms. Raises `SecretError`, and OSError for its authority's file."""
    account = loaded.settings.accounts[name]
    http = _http_settings(account)
    if isinstance(account, SpikaAccount):
        http = msgspec.structs.replace(http, keepalive=spika.KEEPALIVE, header="accesstoken", scheme="")
        mine = {room_name: room for room_name, room in loaded.settings.rooms.items() if room.account == name}
        numbers = {room_name: int(room.id or 0) for room_name, room in mine.items()}
        token = GivenToken(vault(account.access_token))
        return MadeAccount(SpikaSender(HttpClient(http, token, log, vault.redactor), numbers, clock.wall))
    granted = None if account.oauth is None else make_oauth(name, account, loaded, vault, clock, log)
    own: Token = GivenToken(vault(account.token)) if account.token is not None else _required(granted)
    rooms = make_addresses(loaded.settings).get(name, {})
    return MadeAccount(
        WebexSender(WebexClient(HttpClient(http, own, log, vault.redactor), clock.wall), rooms, log), granted
    )


def make_addresses(settings: Settings) -> dict[str, dict[str, RoomAddress]]:
    """Return the addresses of the configured rooms, by account and room name."""
    made: dict[str, dict[str, RoomAddress]] = {}
    for name, room in settings.rooms.items():
        made.setdefault(room.account, {})[name] = RoomAddress(
            id=room.id, title=room.title, person=room.person, create=room.create, members=room.members
        )
    return made


def authorize_url(base: str, settings: OAuthSettings, state: str) -> str:
    """Return the address at which a person grants access; the redirect brings back the `state`."""
    return oauth.authorize_url(base, settings.client_id, settings.redirect_uri, settings.scopes, state)


def make_oauth(
    name: str, account: WebexAccount, loaded: Loaded, vault: SecretsInUse, clock: Clock, log: Log
) -> OAuthToken:
    """Return the tokens of an account that has an integration. Raises `SecretError`."""
    settings = account.oauth
    assert settings is not None  # noqa: S101 - asked of accounts that have one
    integration = Integration(
        client_id=settings.client_id,
        client_secret=vault(settings.client_secret),
        redirect_uri=settings.redirect_uri,
    )
    http = HttpClient(
        msgspec.structs.replace(_http_settings(account), total_timeout=oauth.TIMEOUT), None, log, vault.redactor
    )
    file = TokenFile(loaded.storage.parent / "tokens" / f"{name}.json")
    return OAuthToken(name, integration, http, file, clock, log, vault.redactor)


def make_renderer(loaded: Loaded, rules: Rules, failed: Callable[[str, str, str], None]) -> TemplateRenderer:
    """Return the renderer of messages and cards. Raises `TemplateError`.

    `failed` is called with the template, the event id and the error if a template fails.
    """

    def chosen(lineage: str, room: str) -> str | None:
        return card_for(room, rules.route_of(lineage), rules)

    zone = loaded.settings.timezone
    cards = CardRenderer(loaded.cards, chosen, zone, failed) if loaded.cards else None
    return TemplateRenderer(loaded.templates, zone, failed, cards)


def make_files(settings: Settings, log: Log) -> Attachments:
    """Return the access to the files that events name."""
    files = settings.files
    directories = [Path(os.path.abspath(one)) for one in files.directories]  # noqa: PTH100 - keeps symbolic links
    return Attachments(directories, fetch=files.fetch, max_size=files.max_size, log=log)


def _http_settings(account: Account) -> HttpSettings:
    tls = True if account.tls == ClientTls() else client_context(account.tls)
    return HttpSettings(url=account.url, tls=tls, proxy=account.proxy)


def _required(granted: OAuthToken | None) -> OAuthToken:
    assert granted is not None  # noqa: S101 - an account has a token or an integration
    return granted


def service_of(account: Account) -> Service:
    """Return the description of an account's service: its limits and abilities."""
    return spika.SERVICE if isinstance(account, SpikaAccount) else webex.SERVICE


def make_lanes(
    settings: Settings, senders: Mapping[str, Sender], now: float, before: Collection[lanes.Lane] = ()
) -> dict[str, lanes.Lane]:
    """Return a lane for each destination, by room; several names of one space share a lane.

    Accounts and lanes of `before` that still exist stay in use, with their pauses and their delivery in flight. If a
    room moves to another lane, its delivery in flight ends before the new lane sends anything.
    """
    accounts = {lane.account.name: lane.account for lane in before}
    for name, sender in senders.items():
        pace = settings.accounts[name].pace
        account = accounts.setdefault(name, lanes.Account(name, sender, pace, now))
        account.use(sender, pace, now)
        account.lanes = []
    by_key = {key: lane for lane in before for key in lane.keys}
    for lane in by_key.values():
        lane.rooms, lane.after = [], []
    by_room: dict[str, lanes.Lane] = {}
    for name, room in settings.rooms.items():
        account, key = accounts[room.account], destination(room)
        lane = by_key.get(key) or lanes.Lane(key, account, [])
        by_key[key] = by_room[name] = lane
        lane.rooms.append(name)
        if lane not in account.lanes:
            account.lanes.append(lane)
    # One order for each room: a new lane must not overtake what an old one is still sending
    for lane in before:
        if lane.sending is not None and by_room.get(at := lane.sending.room, lane) is not lane:
            by_room[at].after.append((lane, lane.sending))
    return by_room


def retry_policy(settings: Settings) -> RetryPolicy:
    """Return the schedule of retries."""
    return RetryPolicy(settings.retry.first, settings.retry.longest, settings.retry.give_up_after)


def make_fallbacks(settings: Settings) -> dict[str, Fallback]:
    """Return the fallbacks, by room."""
    return {
        name: Fallback(room.fallback, room.fallback_after)
        for name, room in settings.rooms.items()
        if room.fallback is not None
    }


def destination(room: Room) -> str:
    """Return the key of a destination: its account and address."""
    return "|".join((room.account, room.id or "", room.title or "", (room.person or "").lower()))
