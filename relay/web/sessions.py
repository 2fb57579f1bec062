"""Access to the admin address: by the token itself, or by a cookie that was given for it.

A cookie is signed with the token that was shown. So nothing needs to be stored: it survives a restart, and ends
together with that token.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from aiohttp import web

from relay.core.rate import TokenBucket

COOKIE = "relay_session"
LASTS = 12 * 3_600
"""Seconds that a cookie is valid; while the page is open, its requests renew it."""
TRIES = 5.0
"""Wrong tokens a second that one address may try."""
MOST_PEERS = 1_000
"""Addresses whose wrong tokens are counted, at most; beyond that, the one longest without a wrong token is dropped."""


class Sessions:
    """Checks tokens and cookies, and makes cookies."""

    def __init__(self, tokens: Callable[[], Sequence[str]], now: Callable[[], float]) -> None:
        """Use the tokens that `tokens` returns, none if none is needed; `now` returns Unix seconds."""
        self._tokens = tokens
        self._now = now
        self._wrong: dict[str | None, TokenBucket] = {}

    @property
    def needed(self) -> bool:
        """Return whether a token is needed."""
        return bool(self._tokens())

    def admits(self, request: web.Request) -> bool:
        """Return whether a request carries a valid token or cookie. Raises `TooManyError`."""
        tokens = self._tokens()
        if not tokens:
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.log_in(request, given.strip()) is not None
        return self._signed_with(request.cookies.get(COOKIE, "")) is not None

    def log_in(self, request: web.Request, given: str) -> str | None:
        """Return the token that was shown if it is valid, else None and count it. Raises `TooManyError`."""
        bucket = self._wrong.get(request.remote)
        if bucket is not None and bucket.wait(self._now()) > 0:
            raise TooManyError
        token = self._valid_token(given)
        if token is None:
            self._count_wrong(request.remote)
        return token

    def _count_wrong(self, peer: str | None) -> None:
        bucket = self._wrong.pop(peer, None) or TokenBucket(TRIES, self._now())
        bucket.take()
        self._wrong[peer] = bucket
        if len(self._wrong) > MOST_PEERS:
            del self._wrong[next(iter(self._wrong))]

    def give(self, request: web.Request, answer: web.StreamResponse, token: str) -> None:
        """Set a cookie for a valid token on an answer."""
        until = f"{int(self._now()) + LASTS}"
        cookie = f"{until}.{_sign(token, until)}"
        answer.set_cookie(
            COOKIE, cookie, max_age=LASTS, httponly=True, samesite="Strict", path="/", secure=request.secure
        )

    def renew(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Set a new cookie on an answer, if the request's cookie is valid and past half its life."""
        given = request.cookies.get(COOKIE, "")
        if answer.prepared or COOKIE in answer.cookies:
            return
        token = self._signed_with(given)
        if token is not None and int(given.partition(".")[0]) - self._now() < LASTS / 2:
            self.give(request, answer, token)

    def _valid_token(self, given: str) -> str | None:
        raw = given.encode(errors="surrogateescape")
        # all tokens are compared, also after a match: the time must not show which one matched
        good = [token for token in self._tokens() if token and hmac.compare_digest(raw, token.encode())]
        return good[0] if good else None

    def _signed_with(self, cookie: str) -> str | None:
        """Return the token that a cookie was given for, if both are still valid."""
        until, _, signature = cookie.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) < 12 and int(until) > self._now()):
            return None
        raw = signature.encode(errors="surrogateescape")
        good = [token for token in self._tokens() if token and hmac.compare_digest(raw, _sign(token, until).encode())]
        return good[0] if good else None


class TooManyError(Exception):
    """An address tries too many wrong tokens."""


def _sign(token: str, until: str) -> str:
    return hmac.new(token.encode(), f"relay session until {until}".encode(), hashlib.sha256).hexdigest()
