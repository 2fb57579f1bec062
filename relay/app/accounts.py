"""Accounts and rooms of the settings as senders and lanes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from relay.app.sources import Vault
from relay.app.tls import client_context
from relay.pipeline.lanes import Account, Lane
from relay.ports import Log, Sender
from relay.senders.http import HttpClient, HttpSettings
from relay.senders.webex import RoomAddress, WebexSender
from relay.settings.model import ClientTls, Room, Settings, WebexAccount


def make_sender(
    name: str, account: WebexAccount, settings: Settings, vault: Vault, wall: Callable[[], float], log: Log
) -> WebexSender:
    """The sender of an account, for the rooms that belong to it. Raises `SecretError`."""
    token = vault(account.token)
    http = HttpSettings(
        url=account.url,
        tls=True if account.tls == ClientTls() else client_context(account.tls),
        proxy=account.proxy,
    )
    rooms = {
        room_name: RoomAddress(
            id=room.id, title=room.title, person=room.person, create=room.create, members=room.members
        )
        for room_name, room in settings.rooms.items()
        if room.account == name
    }
    return WebexSender(HttpClient(http, token, log), token, rooms, wall, log)


def make_lanes(settings: Settings, senders: Mapping[str, Sender], now: float) -> dict[str, Lane]:
    """A lane for each destination, by room: names of one space share theirs."""
    accounts = {name: Account(name, sender, settings.accounts[name].pace, now) for name, sender in senders.items()}
    by_key: dict[str, Lane] = {}
    lanes: dict[str, Lane] = {}
    for name, room in settings.rooms.items():
        key = destination(room)
        if key in by_key:
            by_key[key].rooms.append(name)
        else:
            by_key[key] = Lane(key, accounts[room.account], [name])
        lanes[name] = by_key[key]
    return lanes


def destination(room: Room) -> str:
    """What tells a destination from another: account and address."""
    return "|".join((room.account, room.id or "", room.title or "", (room.person or "").lower()))
