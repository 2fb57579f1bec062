"""Redaction of the relay's own secrets from texts that come from outside."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

MASK = "********"
SHORTEST = 6
"""Characters of a secret at least. A shorter one occurs in too many harmless words."""
MOST = 1_000
"""Secrets that are remembered. The least recently learned is forgotten first."""
_CODE = re.compile("%[0-9A-F]{2}")
_NAMED = re.compile("token|secret|passw|key|auth|sig|credential", re.IGNORECASE)


class Redactor:
    """Knows the secrets that are or were in force."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None

    def learn(self, secret: str) -> None:
        """Mask a secret in texts from now on, even after another one has replaced it."""
        if len(secret) < SHORTEST:
            return
        new = secret not in self._known
        self._known.pop(secret, None)
        self._known[secret] = None
        if new:
            if len(self._known) > MOST:
                del self._known[next(iter(self._known))]
            self._pattern = None

    def redact(self, text: str) -> str:
        """Return a text with a mask in place of each secret, in each of the forms of `forms_of`."""
        if not self._known:
            return text
        if self._pattern is None:
            forms = {form for secret in self._known for form in forms_of(secret)}
            self._pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
        return self._pattern.sub(MASK, text)

    def redact_bytes(self, text: bytes) -> bytes:
        """Return a text in UTF-8 with a mask in place of each secret."""
        return self.redact(text.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def forms_of(secret: str) -> set[str]:
    """Return the forms in which a secret may be written: as it is, in addresses, JSON, HTML, or within base64."""
    coded = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    plain = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    forms = {secret, html.escape(secret), *coded, *(_CODE.sub(lambda found: found[0].lower(), one) for one in coded)}
    forms |= plain | {one.replace("/", "\\/") for one in plain} | set(_within_base64(secret.encode(errors="replace")))
    return {one for one in forms if len(one) >= SHORTEST}


def _within_base64(secret: bytes) -> Iterable[str]:
    """Yield the characters that a secret becomes within base64 of something longer, such as `user:password`."""
    for before in range(3):
        first, last = (before * 8 + 5) // 6, (before + len(secret)) * 8 // 6
        for signs in (b"+/", b"-_"):
            yield b64encode(b"\0" * before + secret, signs)[first:last].decode()


def secrets_in_url(text: str) -> list[str]:
    """Return the secrets within an address: its password, and parameters whose names say so."""
    try:
        parts = urlsplit(text)
        found = [value for name, value in parse_qsl(parts.query) if _NAMED.search(name)]
        return found + ([parts.password, unquote(parts.password)] if parts.password else [])
    except ValueError:
        return []
