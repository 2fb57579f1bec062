"""Webhooks: a request is answered 202 once its events are on disk, and not before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from relay.core.event import SourceDefaults, Unread
from relay.core.rate import TokenBucket
from relay.formats import Format, Request
from relay.formats.batch import Read, RefusedItem, read_payload, refused_items, unread_parts
from relay.formats.bodies import decode
from relay.formats.contract import LINE_TYPES, NotJsonError, Signed, UnreadableError
from relay.listeners.auth import Auth, NoAuth, Signature, UnavailableError, Vouched
from relay.listeners.body import RefusedRequestError, read_body
from relay.pipeline.intake import Intake, QueueFullError
from relay.ports import Accepted, Clock, Conflict, Hears, StoreError, Telemetry

RETRY_STORE = 5.0
"""Seconds after which a sender may try again if the store is in trouble or the queue is full."""
NO_STORE = "the store can't take events now; try again later"
MAX_KEY = 255
"""Characters that an Idempotency-Key may have."""
_SAME_SITE = ("none", "same-origin")
_JSON_TYPES = {"", "application/json", "text/json", "application/octet-stream", "text/plain"}
_FORM_TYPES = {
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/html",
    "application/xml",
    "text/xml",
    *LINE_TYPES,
}
MASK = "********"
"""Stands in the stored payload for each secret field (`Format.hides`)."""
READ_AT = "; Alertmanager's API is read at the admin address (`listen.admin`)"


class WebhookSource(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A configured webhook.

    `max_body` in bytes; `patient`: its sender retries 503 but not 429; `alertmanager`: answer as Alertmanager's API.
    """

    path: str
    defaults: SourceDefaults
    format: Format
    auth: Auth
    max_body: int
    bucket: TokenBucket | None = None
    patient: bool = False
    alertmanager: bool = False


class _Taken(msgspec.Struct, omit_defaults=True):
    accepted: int
    duplicates: int
    ids: tuple[str, ...]
    unread: list[str] = []
    refused: list[RefusedItem] = []
    more_refused: int = 0
    dropped: int = 0


_encode = msgspec.json.Encoder().encode


class WebhookListener:
    """Answers the requests of all webhook sources."""

    def __init__(
        self, sources: Mapping[str, WebhookSource], intake: Intake, clock: Clock, telemetry: Telemetry, hears: Hears
    ) -> None:
        """Listen for `sources`, by path."""
        self._hears = hears
        self.sources = sources
        self._intake = intake
        self._clock = clock
        self._telemetry = telemetry

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request: 202 once its events are committed, else an error that is counted and logged.

        `/healthz` is answered here, too.
        """
        source = self.sources.get(request.path)
        if source is None:
            if request.path == "/healthz" and request.method in ("GET", "HEAD"):
                return web.Response(text="ok\n")
            return error_answer(404, "not_found", _nobody_at(request.path))
        try:
            return await self._take(source, request)
        except RefusedRequestError as refused:
            if refused.status != 422:  # an unreadable body is stored and counted by `_store_unreadable`
                self._telemetry.refused(source.defaults.source, refused.reason)
                self._intake.note_refused(source.defaults.source, refused.reason, str(refused))
            return error_answer(refused.status, refused.code, str(refused), refused.retry_after)

    async def _take(self, source: WebhookSource, request: web.BaseRequest) -> web.Response:
        """Read a request and commit its events. Raises `RefusedRequestError`."""
        self._admit(source, request)
        body = await read_body(request, source.max_body)
        if isinstance(source.auth, Vouched | Signature):
            await self._verify(source.auth, request, body)
        self._hears(source.defaults.source)  # only now: a request without a valid signature is no sign of life
        wanted, kept = self._decode(source, request, body)
        try:
            read = read_payload(source.format, wanted)
        except UnreadableError as error:
            raise await self._store_unreadable(source.defaults.source, str(error), kept) from error
        if source.bucket is not None:  # `_admit` has asked for room; only now is the number of events known
            source.bucket.take(len(read.drafts))
        try:
            outcome = await self._intake.accept(
                source.defaults, read.drafts, kept, _delivery_id(source, request), read.unread
            )
        except QueueFullError as error:
            raise RefusedRequestError(503, "queue_full", f"{error}; try again later", "queue", RETRY_STORE) from error
        except StoreError as error:
            raise RefusedRequestError(503, "store_unavailable", NO_STORE, "store", RETRY_STORE) from error
        except Exception as error:
            raise await self._store_unreadable(
                source.defaults.source, f"a bug in the format: {error!r}", kept
            ) from error
        self._intake.drop(source.defaults.source, read.dropped)
        unread = unread_parts(read)
        if source.format.texts and "?" in request.raw_path:
            unread.append(_query(request))
        return _answer(outcome, read, unread, alertmanager=source.alertmanager)

    def _admit(self, source: WebhookSource, request: web.BaseRequest) -> None:
        """Raise `RefusedRequestError` for all that can be refused before the body is read."""
        if request.method != "POST":
            message = f"expected POST, found {request.method[:20]}{READ_AT * source.alertmanager}"
            raise RefusedRequestError(405, "method_not_allowed", message, "malformed")
        if not source.auth.admits(request.headers):
            raise RefusedRequestError(401, "unauthorized", "the credentials are missing or wrong", "unauthorized")
        if isinstance(source.auth, NoAuth) and request.headers.get("Sec-Fetch-Site", "none") not in _SAME_SITE:
            message = "a source without `auth` accepts no request from a web page of another site"
            raise RefusedRequestError(403, "forbidden", message, "unauthorized")
        if request.headers.get("Content-Type", "") not in _JSON_TYPES:
            _check_type(source, request.content_type)
        key = request.headers.get("Idempotency-Key")
        if key is not None and not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
            message = f"expected an Idempotency-Key of 1 to {MAX_KEY} printable ASCII characters, found another"
            raise RefusedRequestError(400, "malformed", message, "malformed")
        if source.bucket is not None and (wait := source.bucket.wait(self._clock.now())) > 0:
            status = 503 if source.patient else 429
            message = f"over this source's rate of {source.bucket.rate:g} events a second"
            raise RefusedRequestError(status, "rate", message, "rate", wait)

    async def _verify(self, auth: Vouched | Signature, request: web.BaseRequest, body: bytes) -> None:
        """Check the signature over the body, byte for byte as it arrived. Raises `RefusedRequestError`."""
        if isinstance(auth, Vouched):
            await self._ask(auth, body)
            return
        signed = Signed(body, request.headers, request.method, request.path_qs)
        if not auth.verifies(signed, self._clock.wall()):
            message = "the signature is missing or wrong"
            raise RefusedRequestError(401, "unauthorized", message, "unauthorized")

    @staticmethod
    async def _ask(vouched: Vouched, body: bytes) -> None:
        try:
            if await vouched.verifies(body):
                return
        except UnavailableError as error:
            message = f"{error}; try again later"
            raise RefusedRequestError(503, "unavailable", message, "unauthorized", RETRY_STORE) from error
        message = "the signature is missing or wrong, or the topic is none of this source's"
        raise RefusedRequestError(401, "unauthorized", message, "unauthorized")

    def _decode(self, source: WebhookSource, request: web.BaseRequest, body: bytes) -> tuple[Request, bytes]:
        """Decode a body.

        Return the request for the format, and the bytes to store. Both have the secret fields masked.
        """
        kind = request.headers.get("Content-Type", "")
        try:
            payload = decode(source.format, body, kind)
        except NotJsonError as error:
            raise RefusedRequestError(400, "malformed", str(error), "malformed") from error
        if source.format.hides and (hidden := _masked(payload, source.format.hides)) != payload:
            payload, body = hidden, _encode(hidden)
        return Request(payload, source.defaults.source, request.headers, self._clock.wall()), body

    async def _store_unreadable(self, name: str, detail: str, body: bytes) -> RefusedRequestError:
        """Store an unreadable body, so that it can be looked at, and return the error that answers it."""
        try:
            await self._intake.refuse(name, "malformed", detail, body)
        except StoreError as error:
            raise RefusedRequestError(503, "store_unavailable", NO_STORE, "store", RETRY_STORE) from error
        return RefusedRequestError(422, "unreadable", detail, "malformed")


def _check_type(source: WebhookSource, kind: str) -> None:
    """Raise `RefusedRequestError` if a source takes no content of this type, which is without its parameters."""
    forms = _FORM_TYPES if source.format.forms else ()
    is_text = source.format.texts and kind.startswith("text/")
    if kind not in _JSON_TYPES and kind not in forms and not kind.endswith("+json") and not is_text:
        wanted = "application/json or text/plain" if source.format.texts else "application/json"
        message = f"expected the Content-Type {wanted}, found {kind[:80]!r}"
        raise RefusedRequestError(415, "unsupported_media_type", message, "malformed")


def _delivery_id(source: WebhookSource, request: web.BaseRequest) -> str | None:
    """Return the key by which a repeated request is recognised: the Idempotency-Key, else the vendor's header."""
    given = request.headers.get("Idempotency-Key")
    if given is None and source.format.delivery_id is not None:
        given = request.headers.get(source.format.delivery_id, "")[:MAX_KEY]
        return given if given and given.isascii() and given.isprintable() else None
    return given


def _masked(payload: Any, fields: Sequence[str]) -> Any:
    """Return a payload with the values of `fields` masked; of a list, in each item."""
    if isinstance(payload, list):
        return [_masked(item, fields) for item in payload]
    if isinstance(payload, Unread):
        return msgspec.structs.replace(payload, item=MASK)  # nobody knows where in it the secret is
    if not isinstance(payload, dict):
        return payload
    return {field: MASK if field in fields else value for field, value in payload.items()}


def _answer(outcome: Accepted | Conflict, read: Read, unread: list[str], *, alertmanager: bool) -> web.Response:
    if isinstance(outcome, Conflict):
        message = f"another body was accepted earlier under the Idempotency-Key {outcome.key!r}; use a new key"
        return error_answer(409, "conflict", message)
    refused, more = refused_items(read.unread) if read.unread else ([], 0)
    if alertmanager and refused:
        return _json_answer("; ".join(one.error for one in refused) + (f"; and {more} more" if more else ""), 400)
    if refused and not (read.drafts or read.dropped):
        first = refused[0].error
        message = first if len(read.unread) == 1 else f"none of the {len(read.unread)} items can be read; {first}"
        error = {"code": "unreadable", "message": message}
        return _json_answer({"error": error, "refused": refused} | ({"more_refused": more} if more else {}), 422)
    count = len(outcome.ids)
    done, again = (0, count) if outcome.duplicate else (count, 0)
    taken = _Taken(done, again, outcome.ids, unread, refused, more, len(read.dropped))
    return _json_answer(taken, 200 if alertmanager else 202)


def _query(request: web.BaseRequest) -> str:
    """Return the words for a query that nothing reads. It may hold secrets, so only its names are told."""
    names = ", ".join(name[:40] for name in list(request.query)[:5])
    return f"the query ({names}; send these as a form or as JSON)"


def _nobody_at(path: str) -> str:
    """Return the error for a path without a source; a client of Alertmanager's API is told where it is."""
    message = f"no source listens at {path[:200]}"
    if path.endswith("/api/v1/alerts"):
        return f"{message}: Alertmanager's API v1 is gone; post to /api/v2/alerts (in Prometheus, `api_version: v2`)"
    if path.endswith("/api/v2/alerts"):
        return f"{message}; add a source of type alertmanager-api, which listens at /api/v2/alerts"
    return message + READ_AT if "/api/v2/" in path else message


def _json_answer(value: object, status: int) -> web.Response:
    return web.Response(body=_encode(value), status=status, content_type="application/json")


def error_answer(status: int, code: str, message: str, retry_after: float | None = None) -> web.Response:
    """Return an error as all answers give it: `{"error": {"code": …, "message": …}}`. `retry_after` in seconds."""
    answer = _json_answer({"error": {"code": code, "message": message}}, status)
    if retry_after is not None:
        answer.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer, Basic"
    elif status == 405:
        answer.headers["Allow"] = "POST"
    elif status in (408, 413):  # the rest of the body was not read: the connection can't serve another request
        answer.force_close()
    return answer
