"""Bodies of requests as a source's format takes them: JSON, a form, XML, or a plain text."""

from __future__ import annotations

import re
from typing import Any

from relay.core.encoding import whole
from relay.formats.contract import Format, NotJsonError, decode_body

_DECLARED = ("json", "xml")
"""Endings of content types whose body must be what they say: cut JSON must be sent again, and is no text."""
_TITLES = frozenset({"title", "message", "text", "summary", "subject", "name", "description"})
"""Fields that make a form of the relay's own fields: `title=x&severity=major`. Other texts may have a `=` too."""


_LIST = re.compile(rb"\[\s*(?:[\[{\"\]\d-]|(?:true|false|null)\b|$)")
"""The beginning of a list, also of one that was cut. `[FIRING] disk full` is a text."""


def decode(format_: Format, body: bytes, kind: str = "") -> Any:
    """Return a body for a format to read; `kind` is its content type. Raises `NotJsonError`.

    A person's words are an event of the relay's own JSON. A vendor's format gets them as a text that it does not know.
    """
    if not format_.forms or body[:1] == b"{":
        return decode_body(body, kind, forms=format_.forms)
    try:
        found = decode_body(body, kind, forms=format_.forms)
    except NotJsonError:
        if not _may_be_text(body, kind):
            raise
        return _titled(body) if format_.texts else whole(body.decode("utf-8-sig", errors="replace"))
    if not format_.texts:
        return found
    if not isinstance(found, (dict, list)) and not _is_declared(kind):
        return _titled(found.encode() if isinstance(found, str) else body)
    is_json = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
    return _titled(body) if isinstance(found, dict) and not is_json and not _is_form(found, kind) else found


def _is_form(found: dict[str, Any], kind: str) -> bool:
    return kind.startswith("multipart/") or not _TITLES.isdisjoint(found)


def _may_be_text(body: bytes, kind: str) -> bool:
    """Return whether a body that is not JSON is a person's words, by its content type and its first character."""
    start = body.lstrip()
    is_json = start[:1] == b"{" or _LIST.match(start) is not None or (start[:1] == b'"' and start.count(b'"') == 1)
    return bool(start) and not is_json and b"\0" not in body and not _is_declared(kind)


def _is_declared(kind: str) -> bool:
    return kind.partition(";")[0].strip().lower().endswith(_DECLARED)


def _titled(body: bytes) -> dict[str, str]:
    """Return a text as an event of the relay's own JSON: its first line is the title, the rest the body."""
    title, _, rest = whole(body.decode("utf-8-sig", errors="replace")).strip().partition("\n")
    return {"title": title.strip(), "body": rest.strip()} if rest.strip() else {"title": title.strip()}
