"""OAuth accounts: tokens are kept on disk and renewed, by one call at a time however many senders ask.

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
"""Seconds before its expiry at which an access token is renewed; a quarter of its life if that is less."""
BREAK = 5.0
"""Seconds after a failed renewal in which no other is tried."""
TIMEOUT = 8.0
"""Seconds that a renewal may take."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of a grant. Times in Unix seconds."""

    access_token: str
    issued_at: float
    expires_at: float
    refresh_token: str
    refresh_expires_at: float

    def __repr__(self) -> str:
        return f"Tokens(expires_at={self.expires_at}, refresh_expires_at={self.refresh_expires_at})"

    @property
    def renew_at(self) -> float:
        """Return when the access token should be renewed."""
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
        """Return the tokens, or None if there is no file. Raises OSError, and ValueError if the file is damaged."""
        try:
            return _tokens.decode(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"expected tokens in {self.path}, found something that can't be read") from error

    def save(self, tokens: Tokens) -> None:
        """Replace the file as a whole: after a crash it has the old tokens or the new ones. Raises OSError."""
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
        folder = os.open(self.path.parent, os.O_RDONLY)  # only with its folder synced, the new name is on disk
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Integration(msgspec.Struct, frozen=True, kw_only=True):
    """The relay as an OAuth client of the service; people who grant access are sent back to `redirect_uri`."""

    client_id: str
    client_secret: Secret
    redirect_uri: str


def authorize_url(base: str, client_id: str, redirect_uri: str, scopes: Sequence[str], state: str) -> str:
    """Return the URL at which a person grants access to an integration; `state` comes back with the code."""
    query = {"client_id": client_id, "response_type": "code", "redirect_uri": redirect_uri}
    return f"{base}/authorize?{urlencode({**query, 'scope': ' '.join(scopes), 'state': state})}"


class OAuthToken:
    """Implements `Token` for an integration. Its `http` sends no token."""

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
        """Begin without tokens; `redactor` learns those that come, so that no log or error shows them."""
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
        """Return the access token, renewed if it has expired, or why there is none."""
        if self._tokens is None or self._clock.wall() >= self._tokens.expires_at:
            async with self._alone:
                trouble = await self._ensure("")
            if trouble is not None:
                return trouble
        assert self._tokens is not None  # noqa: S101 - without trouble `_ensure` has loaded or renewed them
        return self._tokens.access_token

    async def renew(self, refused: str) -> bool | Trouble:
        """Get another access token than the refused one; return True, or why there is none."""
        async with self._alone:
            return await self._ensure(refused) or True

    async def tend(self) -> Credentials:
        """Renew the access token if it expires soon, save tokens that are not on disk yet, and return their state."""
        async with self._alone:
            await self._load()
            if self._tokens is not None and self._clock.wall() >= self._tokens.renew_at:
                await self._refresh()
            elif self._unsaved and self._tokens is not None:
                await self._keep(self._tokens)
        return self.credentials()

    def credentials(self) -> Credentials:
        """Return the state of the tokens."""
        if self._tokens is None:
            return Credentials(trouble=self._no_tokens().detail)
        trouble = self._trouble.detail if self._trouble is not None else None
        return Credentials(self._tokens.expires_at, self._tokens.refresh_expires_at, trouble)

    async def login(self, code: str) -> Credentials | Trouble:
        """Exchange a code for tokens, and return their state. A code is valid for one call."""
        grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._integration.redirect_uri}
        self._redactor.learn(code)
        async with self._alone:
            tokens = await self._ask(grant, None)
            if not isinstance(tokens, Tokens):
                return tokens
            await self._keep(tokens)
        self._log.notice("logged_in", account=self._name)
        return self.credentials()

    async def _load(self) -> None:
        """Load the file if a login has replaced it. Tokens that could not be saved yet have precedence."""
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
        """Get a valid access token other than the refused one; return None, or why there is none."""
        await self._load()
        if self._tokens is None:
            return self._no_tokens()
        if self._tokens.access_token != refused and self._clock.wall() < self._tokens.expires_at:
            return None
        return await self._refresh()

    async def _refresh(self) -> Trouble | None:
        """Renew the tokens; return why that failed.

        A refused refresh token is not sent again until it or the client secret changes.
        """
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
            self._log.notice("token_renewed", account=self._name)
            return None
        if isinstance(new, Refused):
            self._refused = (tokens.refresh_token, secret)
            self._log.error("refresh_token_refused", account=self._name, detail=new.detail)
        else:
            self._log.warning("token_not_renewed", account=self._name, detail=new.detail)
        self._trouble, self._failed_at = new, self._clock.now()
        return new

    async def _keep(self, tokens: Tokens) -> None:
        """Use tokens from now on, and save them. If that fails, `tend` tries again."""
        self._learn(tokens)
        self._tokens, self._trouble, self._refused = tokens, None, None
        try:
            await asyncio.to_thread(self._file.save, tokens)
            self._unsaved = False
        except OSError as error:
            self._unsaved = True
            self._log.error("tokens_not_saved", account=self._name, file=str(self._file.path), error=error.strerror)

    async def _ask(self, grant: dict[str, str], before: Tokens | None) -> Tokens | Trouble:
        """Send a grant. An answer may leave out the refresh token and its end: then those from `before` are valid."""
        secret = self._integration.client_secret.current()
        body = {**grant, "client_id": self._integration.client_id, "client_secret": secret}
        answer = await self._http.call("POST", "/access_token", body, form=True)
        if not isinstance(answer, Answer):
            return answer
        now = self._clock.wall()
        if answer.status != 200:
            return self._with_advice(classify("token", answer, now), body)
        try:
            granted = _granted.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Failed("remote", "expected tokens, found 200 without them")
        refresh = granted.refresh_token or (before.refresh_token if before is not None else None)
        if refresh is None:
            return Failed("remote", "expected a refresh token, found 200 without one")
        lives = granted.refresh_token_expires_in
        until = before.refresh_expires_at if lives is None and before is not None else now + (lives or 90 * 86_400.0)
        return Tokens(
            access_token=granted.access_token,
            issued_at=now,
            expires_at=now + granted.expires_in,
            refresh_token=refresh,
            refresh_expires_at=until,
        )

    def _learn(self, tokens: Tokens | None) -> None:
        if tokens is not None:
            self._redactor.learn(tokens.access_token)
            self._redactor.learn(tokens.refresh_token)

    def _with_advice(self, trouble: Trouble, body: dict[str, str]) -> Trouble:
        """Return the trouble with what to do about it in its detail."""
        detail = trouble.detail
        if isinstance(trouble, Refused) and body["grant_type"] == "refresh_token":
            detail = f"the refresh token is refused: {detail}; get a new one with `relay login {self._name}`"
        return msgspec.structs.replace(trouble, detail=detail)

    def _no_tokens(self) -> Refused:
        why = self._damage or "there are no tokens yet"
        return Refused("auth", "account", f"{why}; get new ones with `relay login {self._name}`")
