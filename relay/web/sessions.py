"""Who may ask at the admin address: the token itself, or a cookie that was given for it.

A cookie is signed with the token, and so needs no memory: it survives a restart, and ends with the token.
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
"""Logins a second that are looked at."""


class Sessions:
    """Checks tokens and cookies, and makes cookies."""

    def __init__(self, tokens: Callable[[], Sequence[str]], now: Callable[[], float]) -> None:
        """`tokens` gives those that are good now, none where none is needed; `now` Unix seconds."""
        self._tokens = tokens
        self._now = now
        self._tries = TokenBucket(TRIES, now())

    @property
    def needed(self) -> bool:
        """True where there is a token to be shown."""
        return bool(self._tokens())

    def admits(self, request: web.Request) -> bool:
        """Tell whether a request carries a good token or cookie."""
        tokens = self._tokens()
        if not tokens:
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_token(given.strip())
        return self._is_cookie(request.cookies.get(COOKIE, ""))

    def log_in(self, token: str) -> bool:
        """Tell whether a token is good. Raises `TooManyError`."""
        if self._tries.wait(self._now()) > 0:
            raise TooManyError
        self._tries.take()
        return self.needed and self._is_token(token)

    def give(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Have an answer bring a cookie that is good from now on."""
        until = f"{int(self._now()) + LASTS}"
        cookie = f"{until}.{_sign(self._tokens()[0], until)}"
        answer.set_cookie(
            COOKIE, cookie, max_age=LASTS, httponly=True, samesite="Strict", path="/", secure=request.secure
        )

    def renew(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Have an answer to whoever came with a cookie bring another one, where that one is half over."""
        given = request.cookies.get(COOKIE, "")
        if answer.prepared or COOKIE in answer.cookies or not (self.needed and self._is_cookie(given)):
            return
        if int(given.partition(".")[0]) - self._now() < LASTS / 2:
            self.give(request, answer)

    def _is_token(self, given: str) -> bool:
        raw = given.encode(errors="surrogateescape")
        good = [bool(token) and hmac.compare_digest(raw, token.encode()) for token in self._tokens()]  # all, to the end
        return any(good)

    def _is_cookie(self, given: str) -> bool:
        until, _, signature = given.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) < 12 and int(until) > self._now()):
            return False
        raw = signature.encode(errors="surrogateescape")
        good = [hmac.compare_digest(raw, _sign(token, until).encode()) for token in self._tokens()]
        return any(good)


class TooManyError(Exception):
    """More logins are tried than are looked at."""


def _sign(token: str, until: str) -> str:
    return hmac.new(token.encode(), f"relay session until {until}".encode(), hashlib.sha256).hexdigest()
