"""OAuth accounts: tokens that are kept on disk and renewed, by one call at a time however many senders ask.

Source: Webex for Developers, "Integrations", sections "Requesting Permission", "Getting an Access Token" and "Using the
Refresh Token" (RFC 6749, sections 4.1 and 6).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from relay.core.delivery import Failed, Refused, Trouble
from relay.core.redaction import Redactor
from relay.ports import Clock, Credentials, Log
from relay.senders.http import HttpClient, Secret
from relay.senders.outcomes import Answer, classify

MARGIN = 86_400.0
"""Seconds before its end at which an access token is renewed; of a short-lived one, a quarter of its life."""
BREAK = 5.0
"""Seconds after a renewal that failed in which no other is tried."""
TIMEOUT = 8.0
"""Seconds that a renewal may take."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a grant has given. Times in Unix seconds."""

    access_token: str
    issued_at: float
    expires_at: float
    refresh_token: str
    refresh_expires_at: float

    def __repr__(self) -> str:
        return f"Tokens(expires_at={self.expires_at}, refresh_expires_at={self.refresh_expires_at})"

    @property
    def renew_at(self) -> float:
        """When the access token is to be renewed."""
        return self.expires_at - min(MARGIN, (self.expires_at - self.issued_at) / 4)


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float
    refresh_token: str | None = None
    refresh_token_expires_in: float | None = None


_tokens = msgspec.json.Decoder(Tokens)
_granted = msgspec.json.Decoder(_Granted, strict=False)


class TokenFile:
    """The tokens of one account, in a file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Tokens | None:
        """The tokens, None where there are none. Raises OSError, and ValueError where the file is damaged."""
        try:
            return _tokens.decode(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"the tokens in {self.path} can't be read") from error

    def save(self, tokens: Tokens) -> None:
        """Put tokens in the place of others: all of them, or the old ones stay. Raises OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")  # made with mode 0600
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(msgspec.json.encode(tokens))
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Integration(msgspec.Struct, frozen=True, kw_only=True):
    """What the service knows of us: an OAuth client, and where it sends people back to."""

    client_id: str
    client_secret: Secret
    redirect_uri: str


def authorize_url(base: str, client_id: str, redirect_uri: str, scopes: Sequence[str], state: str) -> str:
    """Where a person grants access to an integration; `state` comes back with them."""
    wanted = {"client_id": client_id, "response_type": "code", "redirect_uri": redirect_uri}
    return f"{base}/authorize?{urlencode({**wanted, 'scope': ' '.join(scopes), 'state': state})}"


class OAuthToken:
    """Implements `Token` for an integration. `http` has no token of its own."""

    def __init__(
        self,
        name: str,
        integration: Integration,
        http: HttpClient,
        file: TokenFile,
        clock: Clock,
        log: Log,
        redactor: Redactor,
    ) -> None:
        """`redactor` learns the tokens, so that no service's answer shows them."""
        self._redactor = redactor
        self._name = name
        self._integration = integration
        self._http = http
        self._file = file
        self._clock = clock
        self._log = log
        self._tokens: Tokens | None = None
        self._unsaved = False
        self._damage: str | None = None
        self._refused: tuple[str, str] | None = None
        self._trouble: Trouble | None = None
        self._failed_at = -BREAK  # by the steady clock: a wall clock that is set back would lengthen the pause
        self._alone = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def current(self) -> str | Trouble:
        """The access token; a new one where the one on record is over."""
        if self._tokens is None or self._clock.wall() >= self._tokens.expires_at:
            async with self._alone:
                trouble = await self._ensure("")
            if trouble is not None:
                return trouble
        assert self._tokens is not None  # noqa: S101 - made sure of above
        return self._tokens.access_token

    async def renew(self, refused: str) -> bool | Trouble:
        """Have another access token than the one that was refused."""
        async with self._alone:
            return await self._ensure(refused) or True

    async def tend(self) -> Credentials:
        """Renew the access token ahead of its end; how the tokens stand."""
        async with self._alone:
            await self._load()
            if self._tokens is not None and self._clock.wall() >= self._tokens.renew_at:
                await self._refresh()
            elif self._unsaved and self._tokens is not None:
                await self._keep(self._tokens)
        return self.credentials()

    def credentials(self) -> Credentials:
        """How the tokens stand."""
        if self._tokens is None:
            return Credentials(trouble=self._no_tokens().detail)
        trouble = self._trouble.detail if self._trouble is not None else None
        return Credentials(self._tokens.expires_at, self._tokens.refresh_expires_at, trouble)

    async def login(self, code: str) -> Credentials | Trouble:
        """Take the tokens that a code stands for, which is good for one call."""
        wanted = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._integration.redirect_uri}
        self._redactor.learn(code)
        async with self._alone:
            tokens = await self._ask(wanted, None)
            if not isinstance(tokens, Tokens):
                return tokens
            await self._keep(tokens)
        self._log.info("logged_in", account=self._name)
        return self.credentials()

    async def _load(self) -> None:
        """Take up what a login has put into the file."""
        try:
            found = await asyncio.to_thread(self._file.load)
        except OSError as error:
            self._log.error("tokens_not_read", account=self._name, file=str(self._file.path), error=error.strerror)
            return
        except ValueError as error:
            self._damage = str(error)
            return
        self._damage = None
        self._learn(found or self._tokens)
        if found is not None and not self._unsaved and found != self._tokens:
            self._tokens = found
            self._trouble = self._refused = None

    async def _ensure(self, refused: str) -> Trouble | None:
        """Have an access token that is good, and is not the one that was refused; what is in the way."""
        await self._load()
        if self._tokens is None:
            return self._no_tokens()
        if self._tokens.access_token != refused and self._clock.wall() < self._tokens.expires_at:
            return None
        return await self._refresh()

    async def _refresh(self) -> Trouble | None:
        tokens, secret = self._tokens, self._integration.client_secret.current()
        if tokens is None:
            return self._no_tokens()
        if self._trouble is not None and (
            self._refused == (tokens.refresh_token, secret) or self._clock.now() - self._failed_at < BREAK
        ):
            return self._trouble
        new = await self._ask({"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}, tokens)
        if isinstance(new, Tokens):
            await self._keep(new)
            self._log.info("token_renewed", account=self._name)
            return None
        if isinstance(new, Refused):
            self._refused = (tokens.refresh_token, secret)
            self._log.error("refresh_token_refused", account=self._name, detail=new.detail)
        else:
            self._log.warning("token_not_renewed", account=self._name, detail=new.detail)
        self._trouble, self._failed_at = new, self._clock.now()
        return new

    async def _keep(self, tokens: Tokens) -> None:
        """Write tokens down; where that fails they are used all the same, and it is tried again."""
        self._learn(tokens)
        self._tokens, self._trouble, self._refused = tokens, None, None
        try:
            await asyncio.to_thread(self._file.save, tokens)
            self._unsaved = False
        except OSError as error:
            self._unsaved = True
            self._log.error("tokens_not_saved", account=self._name, file=str(self._file.path), error=error.strerror)

    async def _ask(self, wanted: dict[str, str], before: Tokens | None) -> Tokens | Trouble:
        secret = self._integration.client_secret.current()
        body = {**wanted, "client_id": self._integration.client_id, "client_secret": secret}
        answer = await self._http.call("POST", "/access_token", body, form=True)
        if not isinstance(answer, Answer):
            return answer
        now = self._clock.wall()
        if answer.status != 200:
            return self._explained(classify("token", answer, now), body)
        try:
            granted = _granted.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Failed("remote", "200 without tokens")
        refresh = granted.refresh_token or (before.refresh_token if before is not None else None)
        if refresh is None:
            return Failed("remote", "200 without a refresh token")
        lives = granted.refresh_token_expires_in
        until = before.refresh_expires_at if lives is None and before is not None else now + (lives or 90 * 86_400.0)
        return Tokens(
            access_token=granted.access_token, issued_at=now, expires_at=now + granted.expires_in,
            refresh_token=refresh, refresh_expires_at=until,
        )  # fmt: skip

    def _learn(self, tokens: Tokens | None) -> None:
        if tokens is not None:
            self._redactor.learn(tokens.access_token)
            self._redactor.learn(tokens.refresh_token)

    def _explained(self, trouble: Trouble, body: dict[str, str]) -> Trouble:
        """Say what to do about it."""
        detail = trouble.detail
        if isinstance(trouble, Refused) and body["grant_type"] == "refresh_token":
            detail = f"the refresh token is refused: {detail}; `relay login {self._name}` gets a new one"
        return msgspec.structs.replace(trouble, detail=detail)

    def _no_tokens(self) -> Refused:
        why = self._damage or "there are no tokens yet"
        return Refused("auth", "account", f"{why}: `relay login {self._name}` gets new ones")
