"""What a format is, and how JSON is read safely."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from relay.core.event import Draft
from relay.core.markdown import whole

MOST_EVENTS = 10_000
"""Events that one payload may hold."""
MAX_DEPTH = 100
"""How deep a payload may be nested."""


class Request(msgspec.Struct, frozen=True):
    """What a format gets: the decoded payload, the headers with lower-case names (none from a websocket), and when it
    came, in Unix seconds."""

    payload: Any
    source: str
    headers: Mapping[str, str] = {}
    received_at: float = 0.0


Format = Callable[[Request], list[Draft]]
"""Makes drafts of a payload; pure. Raises `UnreadableError` where the payload is not the format's."""


class NotJsonError(ValueError):
    """A body that is not JSON."""


class UnreadableError(ValueError):
    """JSON that a format can't read; its text names the field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


def decode_json(body: bytes) -> Any:
    """Read JSON of untrusted origin. Raises `NotJsonError`."""
    if not body.strip():
        raise NotJsonError("the body is empty; a JSON object or list would be right")
    try:
        return msgspec.json.decode(body)
    except RecursionError as error:
        raise NotJsonError("nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_leniently(body)


def _decode_leniently(body: bytes) -> Any:
    """What strict decoders refuse though senders send it: a byte-order mark, lone surrogates, huge numbers."""
    try:
        payload = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise NotJsonError("nested too deeply") from error
    except ValueError as error:
        raise NotJsonError(f"not JSON: {error}") from error
    return _whole(payload, MAX_DEPTH)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _whole(value: Any, depth: int) -> Any:
    if depth == 0:
        raise NotJsonError("nested too deeply")
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list):
        return [_whole(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {whole(name): _whole(item, depth - 1) for name, item in value.items()}
    return value


def as_text(value: object) -> str:
    """A JSON value as the text that a person would write for it."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)
    return msgspec.json.encode(value).decode()


def say_type(value: object) -> str:
    """The JSON name of a value's type."""
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", dict: "an object", list: "a list"}
    return names.get(type(value), "null")


def unrecognised(request: Request) -> Draft:
    """A notice about authenticated JSON that a vendor's format does not know: shown, never lost."""
    shown = msgspec.json.format(msgspec.json.encode(request.payload), indent=2).decode()
    return Draft(
        title=f"unrecognised payload from {request.source}",
        body=shown[:2_000],
        notes=("the source's format does not know this payload",),
    )
