"""Accounts and rooms of the settings as senders and lanes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from relay.app.sources import Vault
from relay.app.tls import client_context
from relay.pipeline import lanes
from relay.ports import Log, Sender, Service
from relay.senders import spika, webex
from relay.senders.http import GivenToken, HttpClient, HttpSettings
from relay.senders.spika import SpikaSender
from relay.senders.webex import RoomAddress, WebexSender
from relay.senders.webex_client import WebexClient
from relay.settings.model import Account, ClientTls, Room, Settings, SpikaAccount

AnySender = WebexSender | SpikaSender


def make_sender(
    name: str, account: Account, settings: Settings, vault: Vault, wall: Callable[[], float], log: Log
) -> AnySender:
    """The sender of an account, for the rooms that belong to it. Raises `SecretError`."""
    mine = {room_name: room for room_name, room in settings.rooms.items() if room.account == name}
    tls = True if account.tls == ClientTls() else client_context(account.tls)
    if isinstance(account, SpikaAccount):
        token = GivenToken(vault(account.access_token))
        http = HttpSettings(
            url=account.url, tls=tls, proxy=account.proxy, keepalive=spika.KEEPALIVE, header="accesstoken", scheme=""
        )
        numbers = {room_name: int(room.id or 0) for room_name, room in mine.items()}
        return SpikaSender(HttpClient(http, token, log), numbers, wall)
    token = GivenToken(vault(account.token))
    http = HttpSettings(url=account.url, tls=tls, proxy=account.proxy)
    rooms = {
        room_name: RoomAddress(
            id=room.id, title=room.title, person=room.person, create=room.create, members=room.members
        )
        for room_name, room in mine.items()
    }
    return WebexSender(WebexClient(HttpClient(http, token, log), wall), rooms, log)


def service_of(account: Account) -> Service:
    """What an account's service can do."""
    return spika.SERVICE if isinstance(account, SpikaAccount) else webex.SERVICE


def make_lanes(settings: Settings, senders: Mapping[str, Sender], now: float) -> dict[str, lanes.Lane]:
    """A lane for each destination, by room: names of one space share theirs."""
    accounts = {
        name: lanes.Account(name, sender, settings.accounts[name].pace, now) for name, sender in senders.items()
    }
    by_key: dict[str, lanes.Lane] = {}
    by_room: dict[str, lanes.Lane] = {}
    for name, room in settings.rooms.items():
        key = destination(room)
        if key in by_key:
            by_key[key].rooms.append(name)
        else:
            by_key[key] = lanes.Lane(key, accounts[room.account], [name])
        by_room[name] = by_key[key]
    return by_room


def destination(room: Room) -> str:
    """What tells a destination from another: account and address."""
    return "|".join((room.account, room.id or "", room.title or "", (room.person or "").lower()))
