"""Posts to rooms of a Spika server, as plain text.

Source: the answers of a Spika3 server (2024): `POST /api/messaging/messages` and `GET /api/messaging/test/auth`. An
access token gives no way to edit, to open threads or to send files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from relay.core.delivery import Delivered, Failed, Outcome, Reason, Refused, Scope, Throttled
from relay.core.markdown import plain_text
from relay.ports import Credentials, Send, Service
from relay.senders.http import HttpClient
from relay.senders.outcomes import DEFAULT_THROTTLE, Answer, describe, read_retry_after

SERVICE = Service(longest=2_000, longest_list=16_000, edits=False, files=False)
"""Spika's clients fold texts longer than 2,000 characters, which is wanted only for a list."""
KEEPALIVE = 4.0
"""Seconds that an idle connection is kept; the server closes it after 5 s."""
NOT_A_MEMBER = "Room user not found"


class _Id(msgspec.Struct):
    id: int


class _Data(msgspec.Struct):
    message: _Id


class _Posted(msgspec.Struct):
    status: str
    data: _Data


_posted = msgspec.json.Decoder(_Posted)


class SpikaSender:
    """Implements the pipeline's `Sender` for one access token; `rooms` by name."""

    def __init__(self, http: HttpClient, rooms: Mapping[str, int], wall: Callable[[], float]) -> None:
        self._http = http
        self._rooms = rooms
        self._wall = wall

    @property
    def service(self) -> Service:
        """Return what Spika can do."""
        return SERVICE

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def renew(self) -> bool:
        """Read the account's token again, and return whether it changed."""
        return await self._http.renew()

    async def tend(self) -> Credentials:
        """Do nothing: the token never expires."""
        return Credentials()

    async def check(self) -> Failed | Refused | None:
        """Ask the server whether it accepts the token; return None if so."""
        answer = await self._http.call("GET", "/api/messaging/test/auth")
        if isinstance(answer, Answer) and answer.status == 200:
            return None
        outcome = outcome_of(answer, self._wall()) if isinstance(answer, Answer) else answer
        return outcome if isinstance(outcome, (Failed, Refused)) else None

    async def send(self, message: Send) -> Outcome:
        """Post once. A lone surrogate in the text would crash the server, so it is replaced."""
        number = self._rooms[message.room]
        text = plain_text(message.markdown).encode("utf-8", "replace").decode()
        body = {"roomId": number, "type": "text", "body": {"text": text}, "localId": message.delivery}
        answer = await self._http.call("POST", "/api/messaging/messages", body)
        if not isinstance(answer, Answer):
            return answer
        return outcome_of(answer, self._wall(), space=str(number))


_REFUSALS: dict[int, tuple[Reason, Scope]] = {
    400: ("refused", "delivery"),
    401: ("auth", "account"),
    403: ("refused", "room"),
    404: ("refused", "account"),
    413: ("too_large", "delivery"),
}
"""By status. Spika has no 404 of its own: it means that the account's address is wrong."""


def outcome_of(answer: Answer, now: float, space: str = "") -> Outcome:
    """Return the outcome of an answer; `now` in Unix seconds, for `Retry-After` as a date."""
    detail = describe(answer)
    if answer.status == 200:
        return _delivered(answer, detail, space)
    if answer.status == 429:
        wait = read_retry_after(answer.retry_after, now)
        return Throttled(DEFAULT_THROTTLE if wait is None else wait, detail)
    if answer.status == 400 and NOT_A_MEMBER in detail:
        return Refused("unknown_room", "room", detail)
    # this text comes from the parser, which will refuse the message again; errors of the database say `error`
    if answer.status == 500 and b"Server Error" in answer.body:
        return Refused("remote", "delivery", detail)
    known = _REFUSALS.get(answer.status)
    if known is not None:
        return Refused(*known, detail)
    return Failed("remote", detail, read_retry_after(answer.retry_after, now))


def _delivered(answer: Answer, detail: str, space: str) -> Outcome:
    try:
        posted = _posted.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Failed("remote", f"expected the id of a message, found none: {detail}", ambiguous=True)
    if posted.status != "success":
        return Failed("remote", detail, ambiguous=True)
    return Delivered(str(posted.data.message.id), space)
