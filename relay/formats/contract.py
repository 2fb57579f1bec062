"""What a format is, and how JSON is read safely."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from relay.core.encoding import whole
from relay.core.event import Draft, Unread

MOST_EVENTS = 10_000
"""Events that one payload may hold."""
MOST_INDENTED = 4_000
"""Bytes of a payload that is shown with line ends: what is nested deeply grows by that."""
MAX_DEPTH = 100
"""How deep a payload may be nested."""


class Request(msgspec.Struct, frozen=True):
    """What a format gets: the decoded payload, the headers with lower-case names (none from a websocket), and when it
    came, in Unix seconds."""

    payload: Any
    source: str
    headers: Mapping[str, str] = {}
    received_at: float = 0.0

    def header(self, name: str) -> str:
        """A header's value, empty where there is none."""
        return self.headers.get(name) or self.headers.get(name.lower()) or ""


class Signed(msgspec.Struct, frozen=True):
    """A request as its sender has signed it: the bytes of its body as they came, and what stands around them."""

    body: bytes
    headers: Mapping[str, str]
    method: str = "POST"
    target: str = "/"

    def header(self, name: str) -> str:
        """A header's value, empty where there is none."""
        return self.headers.get(name) or self.headers.get(name.lower()) or ""


Reader = Callable[[Request], Sequence[Draft | Unread]]
"""Makes drafts of a payload; pure. Raises `UnreadableError` where the payload is not the format's. Of a batch within
the payload the items that can't be read are `Unread` (`relay.formats.batch.read_each`)."""
Refuses = Callable[[Any], str | None]
"""Says how the peer of a feed refuses us in a frame, None where it does not; pure, and it never raises."""
Scheme = Callable[[Signed, str, float], bool]
"""Tells whether a request is signed with a secret, at a time in Unix seconds; in constant time, and it never raises."""


def _never(_payload: Any) -> None:
    return None


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """How one vendor's payloads are read.

    `scheme` is how the vendor signs, where it does; `delivery_id` the header that names a delivery, the same when it is
    sent again; `forms`: bodies may be forms, or JSON with the faults that templates make; `hides`: fields of the
    payload that hold secrets, and are not kept; `lists`: `read` takes a list whole, else each of its items by itself;
    `refuses` reads frames of a feed in which its peer refuses us.
    """

    read: Reader
    refuses: Refuses = _never
    scheme: Scheme | None = None
    delivery_id: str | None = None
    forms: bool = True
    hides: tuple[str, ...] = ()
    lists: bool = False


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


_FORM = re.compile(rb"\s*[\w.\[\]-]{1,100}=")
_STRAY_BACKSLASH = re.compile(r'\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})')
MOST_FIELDS = 1_000


def decode_body(body: bytes, kind: str = "", *, forms: bool = True) -> Any:
    """Read JSON or, where `forms` are taken, a form (its JSON field `payload` or `data` alone, where it has one), and
    JSON that a template has spoilt: raw line ends, stray backslashes, several documents. Raises `NotJsonError`.

    Of a document a line those that are no JSON are `Unread` in the list.
    """
    if not forms:
        return decode_json(body)
    if kind.startswith("multipart/form-data"):
        return _sole(_parts(body, kind))
    try:
        return decode_json(body)
    except NotJsonError as error:
        return _decode_otherwise(body, error, lines=kind.startswith(LINE_TYPES))


def _decode_otherwise(body: bytes, error: NotJsonError, *, lines: bool) -> Any:
    """Read a form, XML, spoilt JSON or a document a line. Raises the error of plain JSON where it is none of these."""
    if not lines and _FORM.match(body) is not None:
        return _sole(_fields(body))
    if not lines and body.lstrip()[:1] == b"<":
        return _decode_xml(body)
    if not lines and body.lstrip()[:1] not in (b"{", b"["):
        raise error
    found = _decode_spoilt(body)
    found = _decode_lines(body, told=lines) if found is None else found
    if found is None:
        raise error
    return found


LINE_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")


def _decode_lines(body: bytes, *, told: bool) -> list[Any] | None:
    """Read a document a line; None where it is none, or where no line can be read.

    Without being `told` so, each line must begin as an object does: no line of one document written large does that.
    """
    lines = [line for line in body.splitlines() if line.strip()]
    if len(lines) < 2 or not (told or all(line.lstrip()[:1] == b"{" for line in lines)):
        return None
    found = [_decode_line(number, line) for number, line in enumerate(lines[: MOST_EVENTS + 1])]
    return None if all(isinstance(one, Unread) for one in found) else found


def _decode_line(number: int, line: bytes) -> Any:
    try:
        return decode_json(line)
    except NotJsonError as error:
        spoilt = _decode_spoilt(line)
        return Unread(number, f"[{number}]: {error}", line.decode(errors="replace")) if spoilt is None else spoilt


def _decode_xml(body: bytes) -> Any:
    """XML as JSON would have it: elements by their names, or by their `key`; text where there is nothing below."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root = fromstring(body)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise NotJsonError(f"neither JSON nor XML that can be read: {error}") from error
    return {root.tag: _element(root, MAX_DEPTH)}


def _element(element: Any, depth: int) -> Any:
    if depth == 0:
        raise NotJsonError("nested too deeply")
    if len(element) == 0:
        return element.text or ""
    return {inner.get("key") or inner.tag: _element(inner, depth - 1) for inner in element}


def _fields(body: bytes) -> dict[str, str]:
    """The fields of a form; those that were not encoded are read as they stand, with the `&` that is in them."""
    fields: list[list[str]] = []
    for line in body.decode(errors="replace").replace("\r", "").split("\n"):
        for piece in line.strip().split("&"):
            if "=" in piece or not fields:
                fields.append([piece])
            elif piece:
                fields[-1].append(piece)
    if len(fields) > MOST_FIELDS:
        raise NotJsonError(f"a form of at most {MOST_FIELDS} fields would be right")
    return dict(parse_qsl("&".join("%26".join(one) for one in fields), keep_blank_values=True, errors="replace"))


_BOUNDARY = re.compile(r'boundary="?([^";,\s]{1,200})')
_PART_NAME = re.compile(rb'\bname="([^"]{1,200})"')
MOST_HEADERS = 1_000
"""Bytes of a part's headers that are looked at. (Python's own parsers take quadratic time for hostile ones.)"""


def _parts(body: bytes, kind: str) -> dict[str, str]:
    """The fields of a multipart form (RFC 7578); files are read as text."""
    boundary = _BOUNDARY.search(kind[:MOST_HEADERS])
    if boundary is None:
        raise NotJsonError("a form with a boundary would be right")
    found: dict[str, str] = {}
    for part in body.split(b"--" + boundary[1].encode(), MOST_FIELDS + 1)[1:]:
        headers, blank, content = part.partition(b"\r\n\r\n")
        name = _PART_NAME.search(headers[:MOST_HEADERS])
        if blank and name is not None:
            found[name[1].decode(errors="replace")] = content.removesuffix(b"\r\n").decode(errors="replace")
    if not found:
        raise NotJsonError("no field could be read in the form")
    return found


def _sole(fields: dict[str, str]) -> Any:
    """The JSON in a form's field, where that is what the form is for."""
    for name in ("payload", "data"):
        if fields.get(name, "").lstrip()[:1] in ("{", "["):
            return decode_body(fields[name].encode())
    return fields


def _decode_spoilt(body: bytes) -> Any:
    """What can be read of such JSON, a list where there are several documents; None where nothing can."""
    text = _STRAY_BACKSLASH.sub(r"\\\\", body.decode(errors="replace"))
    decoder = json.JSONDecoder(strict=False, parse_constant=_refuse_constant)
    found: list[Any] = []
    at = 0
    try:
        while at < len(text) and len(found) <= MOST_EVENTS:  # one more shows that there are too many
            value, at = decoder.raw_decode(text, at)
            found.append(_whole(value, MAX_DEPTH))
            while at < len(text) and text[at] in " \t\r\n,":
                at += 1
    except (ValueError, RecursionError):
        return None
    return found[0] if len(found) == 1 else found


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


class Unrecognised(Draft, frozen=True, kw_only=True):
    """The notice of a payload that a vendor's format does not know."""


def unrecognised(request: Request) -> Draft:
    """Make a notice about authenticated JSON that a vendor's format does not know: shown, never lost."""
    encoded = msgspec.json.encode(request.payload)
    shown = (
        msgspec.json.format(encoded, indent=2) if len(encoded) <= MOST_INDENTED else encoded[:MOST_INDENTED]
    ).decode(errors="replace")
    return Unrecognised(
        title=f"unrecognised payload from {request.source}",
        body=shown[:2_000],
        notes=("the source's format does not know this payload",),
    )


def is_useful(drafts: Iterable[Draft]) -> bool:
    """Tell whether drafts hold more than what a format does not know."""
    return not all(isinstance(draft, Unrecognised) for draft in drafts)
