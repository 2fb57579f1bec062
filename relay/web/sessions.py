"""Who may ask at the admin address: the token itself, or a cookie that was given for it.

A cookie is signed with the token that was shown, and so needs no memory: it survives a restart, and ends with that
token.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from aiohttp import web

from relay.core.rate import TokenBucket

COOKIE = "relay_session"
LASTS = 12 * 3_600
"""Seconds that a cookie is good for; what the page asks renews it, as long as it is open."""
TRIES = 5.0
"""Wrong tokens a second that one address may show."""
MOST_PEERS = 1_000
"""Addresses that wrong tokens are counted of."""


class Sessions:
    """Checks tokens and cookies, and makes cookies."""

    def __init__(self, tokens: Callable[[], Sequence[str]], now: Callable[[], float]) -> None:
        """`tokens` gives those that are good now, none where none is needed; `now` Unix seconds."""
        self._tokens = tokens
        self._now = now
        self._wrong: dict[str | None, TokenBucket] = {}

    @property
    def needed(self) -> bool:
        """True where there is a token to be shown."""
        return bool(self._tokens())

    def admits(self, request: web.Request) -> bool:
        """Tell whether a request carries a good token or cookie. Raises `TooManyError`."""
        tokens = self._tokens()
        if not tokens:
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.log_in(request, given.strip()) is not None
        return self._signed_with(request.cookies.get(COOKIE, "")) is not None

    def log_in(self, request: web.Request, given: str) -> str | None:
        """The token that was shown, where it is a good one. Raises `TooManyError`."""
        bucket = self._wrong.get(request.remote)
        if bucket is not None and bucket.wait(self._now()) > 0:
            raise TooManyError
        token = self._good(given)
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
        """Have an answer bring a cookie for a token that is good from now on."""
        until = f"{int(self._now()) + LASTS}"
        cookie = f"{until}.{_sign(token, until)}"
        answer.set_cookie(
            COOKIE, cookie, max_age=LASTS, httponly=True, samesite="Strict", path="/", secure=request.secure
        )

    def renew(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Have an answer to whoever came with a cookie bring another one, where that one is half over."""
        given = request.cookies.get(COOKIE, "")
        if answer.prepared or COOKIE in answer.cookies:
            return
        token = self._signed_with(given)
        if token is not None and int(given.partition(".")[0]) - self._now() < LASTS / 2:
            self.give(request, answer, token)

    def _good(self, given: str) -> str | None:
        raw = given.encode(errors="surrogateescape")
        good = [token for token in self._tokens() if token and hmac.compare_digest(raw, token.encode())]  # to the end
        return good[0] if good else None

    def _signed_with(self, cookie: str) -> str | None:
        """The token that a cookie was given for, where that and the cookie are good still."""
        until, _, signature = cookie.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) < 12 and int(until) > self._now()):
            return None
        raw = signature.encode(errors="surrogateescape")
        good = [token for token in self._tokens() if token and hmac.compare_digest(raw, _sign(token, until).encode())]
        return good[0] if good else None


class TooManyError(Exception):
    """More wrong tokens come from an address than are looked at."""


def _sign(token: str, until: str) -> str:
    return hmac.new(token.encode(), f"relay session until {until}".encode(), hashlib.sha256).hexdigest()
