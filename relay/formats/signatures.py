"""Vendors' signature schemes. Each signs the bytes of the body as received, and is compared in constant time.

A scheme never stops at the first match, so that its time tells nothing of the secret. Each names its source, the
vendor's own documentation.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from relay.formats.contract import NotJsonError, Scheme, Signed, decode_json

WINDOW = 300.0
"""Seconds by which a signed time may differ from ours. An older request may be a replay."""
Algorithm = Literal["sha1", "sha256", "sha512"]


def same(given: str, right: str) -> bool:
    """Return whether two texts are equal, in constant time for any text that a request may hold."""
    return hmac.compare_digest(given.encode(errors="surrogateescape"), right.encode())


def digest(secret: str, content: bytes, algorithm: Algorithm = "sha256") -> bytes:
    """Return the HMAC of a content."""
    return hmac.new(secret.encode(), content, getattr(hashlib, algorithm)).digest()


def hexadecimal(header: str, algorithm: Algorithm = "sha256", prefix: str = "") -> Scheme:
    """Return the scheme in which a header holds a prefix and the HMAC of the body in hexadecimal.

    The header may hold several signatures between commas. One of them has to match.
    """

    def verify(signed: Signed, secret: str, _: float) -> bool:
        right = prefix + digest(secret, signed.body, algorithm).hex()
        found = False
        for given in signed.header(header).split(",")[:20]:
            found |= same(given.strip(), right)
        return found

    return verify


def plain(header: str) -> Scheme:
    """Return the scheme in which a header holds the secret itself."""
    return lambda signed, secret, _: same(signed.header(header), secret)


def field(name: str) -> Scheme:
    """Return the scheme in which a field of the body holds the secret itself."""

    def verify(signed: Signed, secret: str, _: float) -> bool:
        try:
            payload = decode_json(signed.body)
        except NotJsonError:
            return False
        given = payload.get(name) if isinstance(payload, dict) else None
        return isinstance(given, str) and same(given, secret)

    return verify


def grafana(signed: Signed, secret: str, now: float) -> bool:
    """Check Grafana's HMAC of the body, or of `time:body` if Grafana is set to send the time in a header.

    That header may have any name, so each header that holds a time is tried (Grafana, "Webhook notifier", section "HMAC
    signature").
    """
    given = signed.header("X-Grafana-Alerting-Signature")
    found = same(given, digest(secret, signed.body).hex())
    times = [value for value in signed.headers.values() if value.isascii() and value.isdigit() and len(value) == 10]
    for time in times[:5]:
        right = digest(secret, time.encode() + b":" + signed.body).hex()
        found |= same(given, right) & (abs(float(time) - now) <= WINDOW)
    return found


def standard_webhooks(signed: Signed, secret: str, now: float) -> bool:
    """Check the HMAC of `id.time.body` in Base64 after `v1,`. The header may hold several signatures between spaces.

    Source: standardwebhooks.com, "Verifying signatures".
    """
    name, time = signed.header("webhook-id"), signed.header("webhook-timestamp")
    if not (time.isascii() and time.isdigit() and len(time) <= 12) or abs(float(time) - now) > WINDOW:
        return False
    content = name.encode(errors="surrogateescape") + b"." + time.encode() + b"." + signed.body
    keys = [secret.encode()]
    with suppress(binascii.Error, ValueError):
        keys += [key for key in (base64.b64decode(secret.removeprefix("whsec_"), validate=True),) if key]
    found = False
    for key in keys:
        right = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        for given in signed.header("webhook-signature").split()[:20]:
            found |= same(given, right)
    return found


def gitlab(signed: Signed, secret: str, now: float) -> bool:
    """Check GitLab's secret token, or the signature by its signing token (GitLab, "Webhooks", "Validate payloads")."""
    return plain("X-Gitlab-Token")(signed, secret, now) | standard_webhooks(signed, secret, now)


_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


def intersight(signed: Signed, secret: str, now: float) -> bool:
    """Check Intersight's HTTP Signature (draft-cavage-http-signatures), over headers that it names.

    The body's digest, the date and the request target must be among them, or the signature could be used again.
    """
    scheme, _, rest = signed.header("Authorization").partition(" ")
    parameters = dict(_PARAMETER.findall(rest[:4_000]))
    names = parameters.get("headers", "").lower().split()
    if scheme.lower() != "signature" or not {"digest", "date", "(request-target)"} <= set(names):
        return False
    wanted = base64.b64encode(hashlib.sha256(signed.body).digest()).decode()
    lines = [
        f"{name}: {signed.method.lower()} {signed.target}"
        if name == "(request-target)"
        else f"{name}: {signed.header(name.title()) or signed.header(name)}"
        for name in names[:20]
    ]
    try:
        at = parsedate_to_datetime(signed.header("Date")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return False
    content = "\n".join(lines).encode(errors="surrogateescape")
    right = base64.b64encode(digest(secret, content)).decode()
    fresh = abs(at - now) <= WINDOW
    return same(signed.header("Digest"), f"SHA-256={wanted}") & same(parameters.get("signature", ""), right) & fresh


class Envelope(msgspec.Struct):
    """The signed fields of an SNS message."""

    Type: str
    MessageId: str
    TopicArn: str
    Timestamp: str
    Message: str
    Signature: str
    SigningCertURL: str
    SignatureVersion: str = "1"
    Subject: str | None = None
    Token: str | None = None
    SubscribeURL: str | None = None


def sns_content(envelope: Envelope) -> bytes:
    """Return the bytes that SNS signs: names and values of fields, a line each.

    Source: Amazon SNS, "Verifying the signatures of messages".
    """
    names = ["Message", "MessageId"]
    if envelope.Type == "Notification":
        names += ["Subject"] if envelope.Subject is not None else []
        names += ["Timestamp", "TopicArn", "Type"]
    else:
        names += ["SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    return "".join(f"{name}\n{getattr(envelope, name) or ''}\n" for name in names).encode()
