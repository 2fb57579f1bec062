"""The contract of a format, and the safe reading of bodies that anyone may have written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from relay.core.encoding import whole
from relay.core.event import Draft, Dropped, Unread
from relay.core.markdown import middle

MOST_EVENTS = 10_000
"""Most events in one payload."""
MOST_INDENTED = 4_000
"""Bytes up to which a payload is shown indented. Indentation multiplies the size of deeply nested payloads."""
MAX_DEPTH = 100
"""Most levels of nesting in a payload."""
LONGEST_SHOWN = 40
"""Characters of a value that an error shows."""
_TOO_DEEP = f"nested too deeply; send at most {MAX_DEPTH} levels"


class Request(msgspec.Struct, frozen=True):
    """A payload to read. Header names are lower-case, and a websocket has none. `received_at` is in Unix seconds."""

    payload: Any
    source: str
    headers: Mapping[str, str] = {}
    received_at: float = 0.0

    def header(self, name: str) -> str:
        """Return a header's value, or an empty text."""
        return self.headers.get(name) or self.headers.get(name.lower()) or ""


class Signed(msgspec.Struct, frozen=True):
    """A request as its sender signed it: the bytes of its body as received, its headers, method and target."""

    body: bytes
    headers: Mapping[str, str]
    method: str = "POST"
    target: str = "/"

    def header(self, name: str) -> str:
        """Return a header's value, or an empty text."""
        return self.headers.get(name) or self.headers.get(name.lower()) or ""


Reader = Callable[[Request], Sequence[Draft | Unread | Dropped]]
"""A pure function that reads a payload into drafts. Raises `UnreadableError` if the payload is not in its format.

An item of a batch that can't be read becomes an `Unread` (`relay.formats.batch.read_each`).
"""
Refuses = Callable[[Any], str | None]
"""A pure function that returns the words with which a feed's peer refuses us in a frame, else None. Never raises."""
Select = Callable[[Draft, Any], Draft | Dropped]
"""Returns a draft that is wanted, or its `Dropped`. It also takes the payload, or the item of a list. Never raises."""
Scheme = Callable[[Signed, str, float], bool]
"""Returns whether a request is signed with a secret, at a time in Unix seconds. Takes constant time. Never raises."""


def _never(_payload: Any) -> None:
    return None


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """The way in which one vendor's payloads are read.

    `scheme` checks the vendor's signature, if it signs. `delivery_id` is the header that identifies a delivery; it has
    the same value when the delivery is sent again. `forms` admits forms, and JSON with the faults that templates make.
    `texts` admits a plain text, which `read` gets as an object with a `title`, and perhaps a `body`.
    `hides` names fields of the payload that hold secrets, which are not stored. If `lists` is true, `read` takes a list
    as a whole, else one item at a time. `refuses` recognises frames in which a feed's peer refuses us. `select` begins
    to select the wanted events of one payload, received at a time in Unix seconds.
    """

    read: Reader
    refuses: Refuses = _never
    scheme: Scheme | None = None
    delivery_id: str | None = None
    forms: bool = True
    texts: bool = False
    hides: tuple[str, ...] = ()
    lists: bool = False
    select: Callable[[float], Select] | None = None


class NotJsonError(ValueError):
    """A body that is not JSON."""


class UnreadableError(ValueError):
    """JSON that a format can't read. The text names the field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


def decode_json(body: bytes) -> Any:
    """Read JSON of untrusted origin. Raises `NotJsonError`."""
    if not body.strip():
        raise NotJsonError("expected a JSON object or list, found an empty body")
    try:
        return msgspec.json.decode(body)
    except RecursionError as error:
        raise NotJsonError(_TOO_DEEP) from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_leniently(body)


def _decode_leniently(body: bytes) -> Any:
    """Read JSON that the strict decoder refuses but senders send: a byte-order mark, lone surrogates, huge numbers."""
    try:
        payload = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise NotJsonError(_TOO_DEEP) from error
    except ValueError as error:
        raise NotJsonError(f"not JSON: {error}") from error
    return _whole(payload, MAX_DEPTH)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"expected a JSON value, found {name}")


def _whole(value: Any, depth: int) -> Any:
    """Return a value with all its texts made whole: without lone surrogates, which can't be stored as UTF-8."""
    if depth == 0:
        raise NotJsonError(_TOO_DEEP)
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
    """Read JSON. If `forms` is true, also read a form, XML, and JSON that a template has spoilt. Raises `NotJsonError`.

    Only the field `payload` or `data` of a form is read if it holds JSON. Spoilt JSON has raw line ends, stray
    backslashes or several documents. In a body with one document a line, a line that is not JSON becomes an `Unread`.
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
    """Read a form, XML, spoilt JSON, or one document a line. Raises `error`, that of plain JSON, if it is none of them.

    If `lines` is true the sender announced one document a line, so the body is neither a form nor XML.
    """
    if not lines and _FORM.match(body) is not None:
        return _sole(_fields(body))
    if not lines and body.lstrip()[:1] == b"<":
        return _decode_xml(body)
    if not lines and body.lstrip()[:1] not in (b"{", b"["):
        raise error
    found = _decode_spoilt(body)
    found = _decode_lines(body, announced=lines) if found is None else found
    if found is None:
        raise error
    return found


LINE_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")


def _decode_lines(body: bytes, *, announced: bool) -> list[Any] | None:
    """Read one document a line. Return None if the body is not written so, or if no line can be read.

    If the sender has not `announced` it, each line must start with a brace. An indented document has other lines too.
    """
    lines = [line for line in body.splitlines() if line.strip()]
    if len(lines) < 2 or not (announced or all(line.lstrip()[:1] == b"{" for line in lines)):
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
    """Read XML into JSON's shapes. An element is named by its `key`, or else its tag; one without children is text."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root = fromstring(body)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise NotJsonError(f"expected JSON or XML, found XML that can't be read: {error}") from error
    return {root.tag: _element(root, MAX_DEPTH)}


def _element(element: Any, depth: int) -> Any:
    if depth == 0:
        raise NotJsonError(_TOO_DEEP)
    if len(element) == 0:
        return element.text or ""
    return {inner.get("key") or inner.tag: _element(inner, depth - 1) for inner in element}


def _fields(body: bytes) -> dict[str, str]:
    """Read the fields of a form. A value that was not encoded is read as it is, with the `&` and line ends in it."""
    fields: list[list[str]] = []
    for line in body.decode(errors="replace").replace("\r", "").split("\n"):
        for piece in line.strip().split("&"):
            if "=" in piece or not fields:
                fields.append([piece])
            elif piece:
                fields[-1].append(piece)
    if len(fields) > MOST_FIELDS:
        raise NotJsonError(f"expected a form of at most {MOST_FIELDS} fields, found {len(fields)}")
    return dict(parse_qsl("&".join("%26".join(one) for one in fields), keep_blank_values=True, errors="replace"))


_BOUNDARY = re.compile(r'boundary="?([^";,\s]{1,200})')
_PART_NAME = re.compile(rb'\bname="([^"]{1,200})"')
MOST_HEADERS = 1_000
"""Bytes of a part's headers that are read. Python's own parsers take quadratic time for hostile headers."""


def _parts(body: bytes, kind: str) -> dict[str, str]:
    """Read the fields of a multipart form (RFC 7578). Files are read as text. Raises `NotJsonError`."""
    boundary = _BOUNDARY.search(kind[:MOST_HEADERS])
    if boundary is None:
        raise NotJsonError("expected a Content-Type with a boundary, like multipart/form-data; boundary=x, found none")
    found: dict[str, str] = {}
    for part in body.split(b"--" + boundary[1].encode(), MOST_FIELDS + 1)[1:]:
        headers, blank, content = part.partition(b"\r\n\r\n")
        name = _PART_NAME.search(headers[:MOST_HEADERS])
        if blank and name is not None:
            found[name[1].decode(errors="replace")] = content.removesuffix(b"\r\n").decode(errors="replace")
    if not found:
        raise NotJsonError("expected a form with at least one named field, found none")
    return found


def _sole(fields: dict[str, str]) -> Any:
    """Return the JSON in the form's field `payload` or `data`, else all fields: a vendor's form only wraps its JSON."""
    for name in ("payload", "data"):
        if fields.get(name, "").lstrip()[:1] in ("{", "["):
            return decode_body(fields[name].encode())
    return fields


def _decode_spoilt(body: bytes) -> Any:
    """Read JSON that a template has spoilt. Return a list of several documents, or None if it can't be read."""
    text = _STRAY_BACKSLASH.sub(r"\\\\", body.decode(errors="replace"))
    decoder = json.JSONDecoder(strict=False, parse_constant=_refuse_constant)
    found: list[Any] = []
    at = 0
    try:
        while at < len(text) and len(found) <= MOST_EVENTS:  # one more than allowed, so that `read_each` reports it
            value, at = decoder.raw_decode(text, at)
            found.append(_whole(value, MAX_DEPTH))
            while at < len(text) and text[at] in " \t\r\n,":
                at += 1
    except (ValueError, RecursionError):
        return None
    return found[0] if len(found) == 1 else found


def as_text(value: object) -> str:
    """Return a JSON value as the text that a person would write for it. An empty list or object is no text."""
    if isinstance(value, str):
        return value
    if value is None or value == [] or value == {}:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)
    return msgspec.json.encode(value).decode()


def misfit(expected: str, value: object) -> str:
    """Return the words of an error: `expected a list, found the text 'x'`."""
    return f"expected {expected}, found {describe(value)}"


def describe(value: object) -> str:
    """Return a JSON value in a few words: `the text 'x'`, `the number 5`, `true`, `null`, `an object`, `a list`."""
    if isinstance(value, str):
        return f"the text {middle(value, LONGEST_SHOWN)!r}"
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return as_text(value) or "null"
    return f"the number {middle(as_text(value), LONGEST_SHOWN)}"


def _shown(payload: Any) -> str:
    """Return a payload as a person reads it: a text as it is, anything else as JSON, indented unless it is long."""
    if isinstance(payload, str) and payload.strip():
        return payload
    encoded = msgspec.json.encode(payload)
    found = msgspec.json.format(encoded, indent=2) if len(encoded) <= MOST_INDENTED else encoded[:MOST_INDENTED]
    return found.decode(errors="replace")


class Unrecognised(Draft, frozen=True, kw_only=True):
    """The notice of a payload that the source's format does not know."""


def unrecognised_title(source: str) -> str:
    """Return the title of the notice of a payload that a source's format does not know."""
    return f"unrecognised payload from {source}"


def unrecognised(request: Request, why: str = "the source's format does not know this payload") -> Draft:
    """Return the notice of authenticated JSON that the source's format does not know. It is shown, and never lost.

    `why` says what the format looked for; the notice's note and the answer to the sender repeat it.
    """
    return Unrecognised(
        title=unrecognised_title(request.source),
        body=_shown(request.payload)[:2_000],
        notes=(why,),
        unread=(f"the whole payload ({why})",),
    )


def is_useful(drafts: Iterable[Draft]) -> bool:
    """Return whether at least one draft is more than the notice of an unknown payload."""
    return not all(isinstance(draft, Unrecognised) for draft in drafts)
