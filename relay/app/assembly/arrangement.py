"""All parts that a configuration decides on, made completely before any of them is put in force."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from urllib.request import getproxies

import msgspec

from relay.app.assembly.accounts import MadeAccount, make_account, make_addresses, make_files, make_renderer
from relay.app.assembly.sources import make_push, make_webhook
from relay.core.redaction import Redactor, secrets_in_url
from relay.core.rules import Rules
from relay.listeners.apic import ApicListener
from relay.listeners.push import PushSource
from relay.listeners.webhook import WebhookSource
from relay.listeners.websocket import WebsocketListener
from relay.ports import Clock, Log
from relay.senders.attachments import Attachments
from relay.settings.load import Loaded
from relay.settings.model import Settings
from relay.settings.rules import compile_rules
from relay.settings.secrets import LiveSecret, SecretRef, secrets_of, texts_of
from relay.settings.sources import ApicSettings, PostedSettings, PushSettings, Source, WebsocketSettings
from relay.templates.rendering import TemplateRenderer

Listener = WebsocketListener | ApicListener
FeedSettings = WebsocketSettings | ApicSettings


class Vault:
    """The secrets in use, each kept once."""

    def __init__(self, before: Vault | None = None) -> None:
        """`before` has the secrets that are already in use; their objects are used again."""
        self.held: dict[SecretRef, LiveSecret] = {}
        self.redactor: Redactor = Redactor() if before is None else before.redactor
        """Knows all current and earlier values of the secrets."""
        self._before = {} if before is None else before.held

    def __call__(self, ref: SecretRef) -> LiveSecret:
        """Return a secret with its current value; one from a file is read again. Raises `SecretError`."""
        if ref not in self.held:
            known = self._before.get(ref)
            if known is None:
                known = LiveSecret(ref)
            else:
                known.renew()
            self.held[ref] = known
            self._learn(known)
        return self.held[ref]

    def reread(self, refs: Collection[SecretRef] | None = None) -> None:
        """Read the secrets from files again: all, or only those of these references."""
        for secret in [secret for ref, secret in tuple(self.held.items()) if refs is None or ref in refs]:
            secret.reread()
            self._learn(secret)

    def learn_addresses(self, settings: object) -> None:
        """Learn the passwords and tokens within addresses of a configuration and of the environment's proxies."""
        for text in (*texts_of(settings), *getproxies().values()):
            for secret in secrets_in_url(text):
                self.redactor.learn(secret)

    def _learn(self, secret: LiveSecret) -> None:
        value = secret.current()
        self.redactor.learn(value)
        for part in secrets_in_url(value):
            self.redactor.learn(part)


class MadeSource(msgspec.Struct, frozen=True, eq=False):
    """A source with the settings and the values of secrets that it was made from."""

    settings: Source
    secrets: tuple[str, ...]
    part: WebhookSource | PushSource | Listener


class Arrangement(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """All parts of a configuration. A part that a reload does not change is the same object as before."""

    loaded: Loaded
    vault: Vault
    rules: Rules
    renderer: TemplateRenderer
    files: Attachments
    accounts: Mapping[str, MadeAccount]
    sources: Mapping[str, MadeSource]
    heartbeat: LiveSecret | None
    admin_tokens: tuple[LiveSecret, ...]

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.loaded.settings

    @property
    def webhooks(self) -> dict[str, WebhookSource]:
        """The webhooks by path."""
        return {one.part.path: one.part for one in self.sources.values() if isinstance(one.part, WebhookSource)}

    @property
    def pushes(self) -> dict[str, PushSource]:
        """The push sources by path."""
        return {one.part.path: one.part for one in self.sources.values() if isinstance(one.part, PushSource)}

    @property
    def feeds(self) -> dict[str, Listener]:
        """The feeds by name."""
        parts = {name: one.part for name, one in self.sources.items()}
        return {name: part for name, part in parts.items() if isinstance(part, (WebsocketListener, ApicListener))}

    def tokens(self) -> list[str]:
        """Return the admin tokens that are valid now; empty if none is needed."""
        return [token.current() for token in self.admin_tokens]


class Arranger:
    """Makes arrangements, with the clock, the log and the callbacks that their parts need."""

    def __init__(
        self,
        clock: Clock,
        log: Log,
        make_feed: Callable[[str, FeedSettings, Vault], Listener],
        template_failed: Callable[[str, str, str], None],
    ) -> None:
        """`template_failed` is called with the template, the event id and the error."""
        self._clock = clock
        self._log = log
        self._make_feed = make_feed
        self._template_failed = template_failed

    def arrange(self, loaded: Loaded, before: Arrangement | None = None) -> Arrangement:
        """Make all parts, except those that `before` has unchanged. Raises `SecretError`, `TemplateError`, OSError."""
        settings, vault = loaded.settings, Vault(None if before is None else before.vault)
        rules = compile_rules(settings)
        vault.learn_addresses(settings)
        return Arrangement(
            loaded=loaded,
            vault=vault,
            rules=rules,
            renderer=make_renderer(loaded, rules, self._template_failed),
            files=self._files(loaded, before),
            accounts={name: self._account(name, loaded, vault, before) for name in settings.accounts},
            sources={name: self._source(name, source, vault, before) for name, source in settings.sources.items()},
            heartbeat=None if settings.heartbeat is None else vault(settings.heartbeat.url),
            admin_tokens=tuple(vault(ref) for ref in settings.listen.admin_token or ()),
        )

    def _files(self, loaded: Loaded, before: Arrangement | None) -> Attachments:
        if before is not None and before.settings.files == loaded.settings.files:
            return before.files
        return make_files(loaded.settings, self._log)

    def _account(self, name: str, loaded: Loaded, vault: Vault, before: Arrangement | None) -> MadeAccount:
        known = None if before is None else before.accounts.get(name)
        if before is not None and known is not None and _made_of(name, before.loaded) == _made_of(name, loaded):
            _values(vault, loaded.settings.accounts[name])
            return known
        return make_account(name, loaded, vault, self._clock, self._log)

    def _source(self, name: str, settings: Source, vault: Vault, before: Arrangement | None) -> MadeSource:
        known = None if before is None else before.sources.get(name)
        # listeners do not use these three, so a change of them must not restart a listener
        own = settings.model_copy(update={"silent_after": None, "silent_severity": "major", "resolve_timeout": 1.0})
        secrets = _values(vault, settings)
        if known is not None and (known.settings, known.secrets) == (own, secrets):
            return known
        return MadeSource(own, secrets, self._part(name, settings, vault))

    def _part(self, name: str, settings: Source, vault: Vault) -> WebhookSource | PushSource | Listener:
        if isinstance(settings, PushSettings):
            return make_push(name, settings, vault, self._clock.now())
        if isinstance(settings, PostedSettings):
            return make_webhook(name, settings, vault, self._clock, self._log)
        return self._make_feed(name, settings, vault)


def _values(vault: Vault, settings: object) -> tuple[str, ...]:
    """Put the secrets of a part into the vault; return their values. Raises `SecretError`."""
    return tuple(vault(ref).current() for _, ref in secrets_of(settings))


def _made_of(name: str, loaded: Loaded) -> tuple[object, ...]:
    """Return the settings that an account's sender is made from; its pace belongs to its lanes."""
    account = loaded.settings.accounts[name].model_copy(update={"pace": None})
    return account, make_addresses(loaded.settings).get(name), loaded.storage
