"""Amazon SNS: verification of signatures, and confirmation of subscriptions.

The certificate of a signature is fetched once, and from Amazon's own hosts only.

Source: Amazon SNS Developer Guide, "Verifying the signatures of Amazon SNS messages".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from urllib.parse import SplitResult, parse_qs, urlsplit

import aiohttp
import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from relay.formats.aws_sns import CONFIRMATIONS
from relay.formats.signatures import Envelope, sns_content
from relay.listeners.auth import UnavailableError, Vouched
from relay.ports import Log

_HOST = re.compile(r"sns\.[a-z0-9-]{3,40}\.amazonaws\.com(?:\.cn)?")
TIMEOUT = 5.0
MOST_BYTES = 65_536
MOST_CERTIFICATES = 16
_HASHES = {"1": hashes.SHA1, "2": hashes.SHA256}
_envelope = msgspec.json.Decoder(Envelope)

Fetch = Callable[[str], Awaitable[bytes]]
"""Fetches a document by its URL. Raises OSError."""


_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{1,64}\.pem")
_BEGIN = b"-----BEGIN CERTIFICATE-----"


def is_certificate(url: str) -> bool:
    """Return whether a URL is that of an SNS certificate: no other document on these hosts may vouch for a body."""
    parts = _sns_url(url)
    return parts is not None and _CERTIFICATE.fullmatch(parts.path) is not None and not parts.query


def is_confirmation(url: str, topic: str) -> bool:
    """Return whether a URL confirms a subscription to `topic`, and does nothing else."""
    parts = _sns_url(url)
    if parts is None or parts.path not in ("", "/"):
        return False
    query = parse_qs(parts.query)
    return query.get("Action") == ["ConfirmSubscription"] and query.get("TopicArn") == [topic] and "Token" in query


def _sns_url(url: str) -> SplitResult | None:
    """Return the parts of a URL if it is https on a host of SNS, without an explicit port; else None."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    ours = parts.scheme == "https" and _HOST.fullmatch(parts.netloc) is not None and not parts.fragment
    return parts if ours else None


class Sns(Vouched):
    """Admits messages of `topics` that Amazon has signed. If `confirm`, subscriptions to them are confirmed."""

    def __init__(
        self, topics: frozenset[str], *, confirm: bool, fetch: Fetch, now: Callable[[], float], log: Log
    ) -> None:
        self._topics = topics
        self._confirm = confirm
        self._fetch = fetch
        self._now = now
        self._log = log
        self._keys: dict[str, x509.Certificate] = {}

    async def verifies(self, body: bytes) -> bool:
        """Return whether a body is signed; confirm the subscription if it asks for that. Raises `UnavailableError`."""
        envelope = self._read(body)
        if envelope is None or not await self._signed(envelope):
            return False
        if envelope.Type == CONFIRMATIONS[0] and envelope.SubscribeURL is not None:
            await self._answer(envelope, envelope.SubscribeURL)
        return True

    async def _signed(self, envelope: Envelope) -> bool:
        if envelope.TopicArn not in self._topics or not is_certificate(envelope.SigningCertURL):
            return False
        algorithm = _HASHES.get(envelope.SignatureVersion)
        certificate = await self._certificate(envelope.SigningCertURL)
        key = None if certificate is None else certificate.public_key()
        if algorithm is None or not isinstance(key, RSAPublicKey):
            return False
        try:
            signature = base64.b64decode(envelope.Signature, validate=True)
            key.verify(signature, sns_content(envelope), padding.PKCS1v15(), algorithm())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    async def _answer(self, envelope: Envelope, url: str) -> None:
        """Confirm a subscription if `confirm` is set; else log that it waits to be confirmed."""
        if not self._confirm or not is_confirmation(url, envelope.TopicArn):
            self._log.warning("subscription_not_confirmed", topic=envelope.TopicArn)
            return
        await self._get(url)
        self._log.notice("subscription_confirmed", topic=envelope.TopicArn)

    @staticmethod
    def _read(body: bytes) -> Envelope | None:
        try:
            return _envelope.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    async def _certificate(self, url: str) -> x509.Certificate | None:
        """Return the certificate at a URL, or None if it can't be read or is not valid now."""
        found = self._keys.get(url)
        if found is None:
            try:
                content = (await self._get(url)).strip()
                if not content.startswith(_BEGIN):
                    return None
                found = x509.load_pem_x509_certificate(content)
            except ValueError:
                return None
            if len(self._keys) >= MOST_CERTIFICATES:
                self._keys.clear()
            self._keys[url] = found
        good = found.not_valid_before_utc.timestamp() <= self._now() <= found.not_valid_after_utc.timestamp()
        return found if good else None

    async def _get(self, url: str) -> bytes:
        try:
            return await self._fetch(url)
        except OSError as error:
            raise UnavailableError(f"{urlsplit(url).netloc} could not be asked: {error}") from error


async def fetch(url: str) -> bytes:
    """Fetch a document of at most `MOST_BYTES`. Raises OSError."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT), trust_env=True) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise OSError(f"answered {answer.status}")
            return await answer.content.readexactly(min(answer.content_length or MOST_BYTES, MOST_BYTES))
    except EOFError as error:
        return bytes(getattr(error, "partial", b""))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
