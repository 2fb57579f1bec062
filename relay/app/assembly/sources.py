"""Making listeners' values from the sources of the settings."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, Protocol

import msgspec

from relay.app.assembly.reading import defaults_of, format_name, make_format
from relay.app.assembly.tls import client_context
from relay.core.rate import TokenBucket
from relay.core.redaction import Redactor
from relay.formats import Format
from relay.listeners.apic_client import ApicClient, Query
from relay.listeners.auth import Auth, Basic, Bearer, Header, NoAuth, Signature
from relay.listeners.push import PushSource
from relay.listeners.staying import FeedLostError
from relay.listeners.webhook import WebhookSource
from relay.listeners.websocket import WebsocketFeed
from relay.pipeline.hearing import Patience
from relay.ports import Clock, Log
from relay.settings.accounts import ClientTls
from relay.settings.auth import AuthSettings, SnsAuth
from relay.settings.model import Settings
from relay.settings.secrets import LiveSecret, SecretError, SecretRef, secrets_of
from relay.settings.sources import (
    AlertmanagerApiSettings,
    ApicSettings,
    PostedSettings,
    PushSettings,
    WebsocketSettings,
)


class SecretsInUse(Protocol):
    """The secrets in use; the daemon keeps them current."""

    @property
    def redactor(self) -> Redactor:
        """The redactor that removes all of them from texts."""
        ...

    def __call__(self, ref: SecretRef) -> LiveSecret:
        """Return a secret with its current value. Raises `SecretError`."""
        ...

    def reread(self, refs: Collection[SecretRef]) -> None:
        """Read those of these secrets again that are from files."""
        ...


def make_webhook(name: str, source: PostedSettings, vault: SecretsInUse, clock: Clock, log: Log) -> WebhookSource:
    """Return a webhook with its secrets. Raises `SecretError`."""
    format_ = make_format(name, source)
    given = source.auth.sns if isinstance(source.auth, AuthSettings) else None
    sns = None if given is None else _make_sns(given, clock, log)
    return WebhookSource(
        path=source.path_of(name),
        defaults=defaults_of(name, source),
        format=format_,
        auth=sns or make_auth(source.auth, vault, format_),
        max_body=source.max_body,
        bucket=None if source.rate is None else TokenBucket(source.rate, clock.now()),
        patient=format_name(source) in ("alertmanager", "alertmanager-api"),
        alertmanager=isinstance(source, AlertmanagerApiSettings),
    )


def make_push(name: str, source: PushSettings, vault: SecretsInUse, now: float) -> PushSource:
    """Return a push source with its secrets. Raises `SecretError`."""
    format_ = make_format(name, source)
    return PushSource(
        path=source.path_of(name),
        defaults=defaults_of(name, source),
        format=format_,
        auth=make_auth(source.auth, vault, format_),
        max_body=source.max_body,
        ping=source.ping,
        bucket=None if source.rate is None else TokenBucket(source.rate, now),
    )


def patience_of(settings: Settings) -> dict[str, Patience]:
    """Return how long each source may be silent, by name."""
    return {
        name: Patience(source.silent_after, source.silent_severity)
        for name, source in settings.sources.items()
        if source.silent_after is not None
    }


def _make_sns(settings: SnsAuth, clock: Clock, log: Log) -> Auth:
    from relay.listeners.sns import Sns, fetch  # only these sources need its cryptography, which is slow to load

    return Sns(frozenset(settings.topics), confirm=settings.confirm, fetch=fetch, now=clock.wall, log=log)


def make_auth(settings: AuthSettings | str | None, vault: SecretsInUse, format_: Format) -> Auth:
    """Return the authentication of a source. Raises `SecretError`."""

    def live(refs: tuple[SecretRef, ...]) -> Callable[[], list[str]]:
        secrets = [vault(ref) for ref in refs]
        return lambda: [secret.current() for secret in secrets]

    if not isinstance(settings, AuthSettings):
        return NoAuth()
    if settings.bearer is not None:
        return Bearer(live(settings.bearer))
    if settings.basic is not None:
        return Basic(settings.basic.username, live(settings.basic.password))
    if settings.signature is not None:
        assert format_.scheme is not None  # noqa: S101 - the checks ensure it
        return Signature(live(settings.signature), format_.scheme)
    assert settings.header is not None  # noqa: S101 - the settings hold exactly one
    return Header(settings.header.name, live(settings.header.value))


def make_feed(name: str, source: WebsocketSettings, vault: SecretsInUse) -> WebsocketFeed:
    """Return a feed with its secrets. Raises `SecretError`."""
    send = [_message(item, vault) for item in source.send]
    return WebsocketFeed(
        url=source.url,
        defaults=defaults_of(name, source),
        format=make_format(name, source),
        max_body=source.max_body,
        headers=_make_headers(source.headers, vault),
        send=lambda: tuple(message() for message in send),
        ping=source.ping,
        tls=client_context(source.tls) if source.url.startswith("wss:") else None,
        proxy=source.proxy or True,
    )


def make_renewal(source: WebsocketSettings | ApicSettings, vault: SecretsInUse) -> Callable[[], bool] | None:
    """Return a function that reads a feed's secrets again and returns whether one has changed since its last call.

    Return None if no secret of the feed is from a file. Raises `SecretError`.
    """
    refs = {ref for _, ref in secrets_of(source) if ref.origin == "file"}
    secrets = [vault(ref) for ref in refs]
    used = [secret.current() for secret in secrets]

    def renew() -> bool:
        nonlocal used
        vault.reread(refs)
        before, used = used, [secret.current() for secret in secrets]
        return used != before

    return renew if secrets else None


def _message(item: Any, vault: SecretsInUse) -> Callable[[], str]:
    """Return a function that makes a message with the current values of its secrets. Raises `SecretError`."""
    if isinstance(item, str):
        return lambda: item
    secrets = {ref: vault(ref) for _, ref in secrets_of(item)}

    def resolved(value: Any) -> Any:
        if isinstance(value, SecretRef):
            return secrets[value].current()
        if isinstance(value, dict):
            return {name: resolved(inner) for name, inner in value.items()}
        return [resolved(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    return lambda: msgspec.json.encode(resolved(item)).decode()


def make_controllers(source: ApicSettings, vault: SecretsInUse) -> list[ApicClient]:
    """Return the controllers of a fabric with their secrets. Raises `SecretError`."""
    password = vault(source.password)
    headers = _make_headers(source.headers, vault)
    tls: ssl.SSLContext | Literal[True] = True if source.tls == ClientTls() else client_context(source.tls)
    return [
        ApicClient(
            url=url.rstrip("/"),
            username=source.username,
            password=password,
            max_body=source.max_body,
            ping=source.ping,
            headers=headers,
            tls=tls,
            proxy=source.proxy,
            redactor=vault.redactor,
        )
        for url in source.controllers
    ]


def queries_of(source: ApicSettings) -> list[Query]:
    """Return the queries to which the relay subscribes at a fabric."""
    return [
        Query(kind=one.class_, dn=one.dn, filter=one.filter, target=one.target, target_class=one.target_class)
        for one in source.subscribe
    ]


def _make_headers(settings: Mapping[str, SecretRef], vault: SecretsInUse) -> Callable[[], dict[str, str]]:
    """Return a function that makes the headers with the current values of their secrets. Raises `SecretError`."""
    secrets = {name: vault(ref) for name, ref in settings.items()}

    def headers() -> dict[str, str]:
        try:
            return {name: _header(name, secret.current()) for name, secret in secrets.items()}
        except SecretError as error:
            raise FeedLostError(str(error)) from error

    for name, secret in secrets.items():  # refuse a bad header at the start; the function may meet a later one
        _header(name, secret.current())
    return headers


def _header(name: str, value: str) -> str:
    if not (value.isprintable() and value.isascii()):
        raise SecretError(f"the header {name}: expected one line of printable ASCII, found another character in it")
    return value
