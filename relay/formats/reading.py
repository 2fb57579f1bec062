"""Helpers to read vendors' JSON: values by path, and times, severities and addresses however they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from relay.core.event import MAX_BODY, Draft, Link
from relay.core.severity import severity_of
from relay.core.words import parse_time
from relay.formats.contract import Request, as_text, unrecognised

_NO_TIME = ("", "0", "never", "null", "none", "n/a")
_EARLIEST = 3e8
"""The earliest epoch seconds of an alert (1979). A smaller number is not a time."""
_OFFSET = re.compile(r"([+-]\d\d)(\d\d)$")
_COMPACT = re.compile(r"(?:19|20)\d{12}")
_ZONE = re.compile(r" ?(?:UTC|GMT|Z|\((?:UTC|GMT)\))$")
_PLACEHOLDER = re.compile(
    r"\$[A-Z][A-Z_]{2,60}|\$?\{(?!\s*\")[^{}]{1,100}\}|\{\{[^{}]{0,100}\}\}|\*\w{1,60}\*|<[A-Z_]{1,60}>|&lt;[A-Z_]{1,60}&gt;"
)
_NOTHING = frozenset({"null", "NULL", "undefined", "<nil>", "<no value>", "[object Object]"})
"""Texts that templates write for a value that is absent. `None` is not among them, as it is a severity too."""
_LONGEST_PLACEHOLDER = 120
_LONGEST_TIME = 64
_LONGEST_URL = 4_000
_TAG = re.compile(r"<(?:br|/p|/div|/li|/tr|/h[1-6])\s{0,5}/?>", re.IGNORECASE)
_MARKUP = re.compile(r"<[a-zA-Z/!][^<>]{0,500}>")
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&nbsp;": " ", "&amp;": "&"}


class Reading:
    """A JSON value that is read by dotted paths. A value that is absent or of another type reads as empty."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def at(self, path: str) -> Any:
        """Return the value at a path like `alert.tags.0`, or None."""
        value = self.value
        for step in path.split("."):
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
                value = value[int(step)]
            else:
                return None
        return value

    def text(self, *paths: str) -> str:
        """Return the first text, number or flag of these paths that is not empty, as text."""
        for path in paths:
            value = self.at(path)
            if isinstance(value, (str, int, float)) and not is_empty(text := as_text(value).strip()):
                return text
        return ""

    def sub(self, path: str) -> Reading:
        """Return the value at a path for further reading."""
        return Reading(self.at(path))

    def each(self, path: str) -> list[Reading]:
        """Return the items of the list at a path, or none if there is no list."""
        value = self.at(path) if path else self.value
        return [Reading(item) for item in value] if isinstance(value, list) else []

    def moment(self, *paths: str) -> float | None:
        """Return the first time of these paths, in Unix seconds."""
        return next((at for path in paths if (at := moment(self.at(path))) is not None), None)

    def has(self, *paths: str) -> bool:
        """Return whether one of these paths leads to a value other than null."""
        return any(self.at(path) is not None for path in paths)

    @property
    def is_object(self) -> bool:
        """Return whether the value is an object."""
        return isinstance(self.value, dict)


def is_placeholder(text: str) -> bool:
    """Return whether a text is nothing but a placeholder that its sender did not fill."""
    return len(text) <= _LONGEST_PLACEHOLDER and _PLACEHOLDER.fullmatch(text) is not None


def is_empty(text: str) -> bool:
    """Return whether a text is empty, a template's word for nothing, or a placeholder that its sender did not fill."""
    return not text or text in _NOTHING or is_placeholder(text)


def severity(word: str, table: Mapping[str, str] | None = None) -> str | None:
    """Return our word for a vendor's severity: by the format's own `table`, else by the table that all formats share.

    An unknown word stays as it is. An empty word gives None.
    """
    low = word.strip().lower()
    if table is not None and low in table:
        return table[low] or None
    return severity_of(low) or low or None


def moment(value: Any) -> float | None:
    """Return the Unix seconds of a time as vendors write it, or None for a word like `never` or an unreadable time.

    Reads epoch seconds, milliseconds, microseconds and nanoseconds, and RFC 3339 with any fraction, `+0000`,
    `+0000 UTC`, a zone after a space, dots in its date, or no signs in it. A time without a zone is UTC.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    text = str(value).strip()
    if len(text) > _LONGEST_TIME:
        return None
    if text.lower() in _NO_TIME or text.startswith("0001-"):
        return None
    if _COMPACT.fullmatch(text):
        text = f"{text[:8]}T{text[8:]}"
    try:
        return _epoch(float(text))
    except ValueError:
        pass
    text = re.sub(r"(?<=[+-]\d{4}) [A-Z]{3,4}$", "", text)  # as Go writes a time: `+0000 UTC`
    text = _OFFSET.sub(r"\1:\2", _ZONE.sub("+00:00", text) if _ZONE.search(text) else text)
    text = re.sub(r"^(\d{4})[./](\d\d)[./](\d\d)", r"\1-\2-\3", text)
    text = re.sub(r"\s+(?=[+-]\d\d:?\d\d$)", "", text)
    try:
        return parse_time(text)
    except ValueError:
        return _worded(text)


def _epoch(number: float) -> float | None:
    size = abs(number)
    for limit, unit in ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9)):
        if size < limit:
            return number / unit if number / unit > _EARLIEST else None
    return None


def _worded(text: str) -> float | None:
    for form in ("%a, %d %b %Y %H:%M:%S%z", "%d %b %Y %H:%M:%S%z", "%b %d, %Y %H:%M:%S"):
        try:
            at = datetime.strptime(text, form)  # noqa: DTZ007 - it is UTC unless it names a zone
        except ValueError:
            continue
        return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
    return None


def links(*named: tuple[str, str]) -> tuple[Link, ...]:
    """Return links for those texts that are addresses, each address once."""
    found: dict[str, str] = {}
    for name, url in named:
        if len(url) <= _LONGEST_URL and _is_address(url):
            found.setdefault(url, name)
    return tuple(Link(name, url) for url, name in found.items())


def _is_address(url: str) -> bool:
    """Return whether a text is an address on the web without an unfilled placeholder."""
    if not url.startswith(("http://", "https://")) or any(sign.isspace() for sign in url):
        return False
    try:
        return bool(urlsplit(url).hostname) and _PLACEHOLDER.search(url) is None
    except ValueError:
        return False


def labels(**named: str) -> dict[str, str]:
    """Return labels for those values that are not empty."""
    return {name: value for name, value in named.items() if value}


def join(separator: str, *texts: str) -> str:
    """Return those texts that are not empty, with a separator between them."""
    return separator.join(text for text in texts if text)


def lines(*texts: str) -> str:
    """Return those texts that are not empty, a line each."""
    return join("\n", *texts)


def spoken(value: Any) -> str:
    """Return a JSON value as a person would say it: `a, b` for a list, `name: value, …` for an object."""
    if isinstance(value, list):
        return join(", ", *[as_text(one) if isinstance(one, (dict, list)) else spoken(one) for one in value[:10]])
    if isinstance(value, dict):
        return join(", ", *[f"{name}: {text}" for name, one in list(value.items())[:10] if (text := as_text(one))])
    return as_text(value)


def change(name: str, before: str, after: str) -> str:
    """Return in words how a field changed: `name: "a" → "b"`. A value that is empty is said to be none."""
    was, now = (f'"{text}"' if text else "none" for text in (before, after))
    return f"{name}: {was} → {now}"


def clause(word: str, text: str) -> str:
    """Return a text after the word that leads it, like `on main`, or nothing if the text is empty."""
    return f"{word} {text}" if text else ""


def key_of(*parts: str, kind: str = "") -> str | None:
    """Return a key of these parts, with its kind before them, or None if all are empty.

    Without any part the key would be the same for all that the vendor ever sends.
    """
    return "/".join([*([kind] if kind else []), *parts]) if any(parts) else None


def without_tags(text: str) -> str:
    """Return HTML as the plain text that a person reads."""
    if "<" not in text and "&" not in text:
        return text
    plain = _MARKUP.sub("", _TAG.sub("\n", text[:MAX_BODY]))
    for entity, sign in _ENTITIES.items():
        plain = plain.replace(entity, sign)
    return re.sub(r"\n{3,}", "\n\n", plain).strip()


def trial(title: str, vendor: str, body: str = "", **more: Any) -> Draft:
    """Return the notice of a vendor's test button."""
    return Draft(title=title or f"test from {vendor}", body=body, severity="info", labels={"test": "true"}, **more)


def unknown(request: Request, vendor: str) -> Draft:
    """Return the notice of a payload that a format does not know, or of a test whose variables nobody filled.

    In a test most texts are placeholders. A payload with only some is another sender's, and is shown.
    """
    values = request.payload.values() if isinstance(request.payload, dict) else ()
    texts = [text for value in values if isinstance(value, str) and (text := value.strip())]
    unfilled = [text for text in texts if is_placeholder(text)]
    if unfilled and 2 * len(unfilled) >= len(texts):
        return trial("", vendor, "its variables are not filled: this is what its test button sends")
    return unrecognised(request)


def taken_up(subject: str, key: str | None, by: str, vendor: str, words: str = "", **more: Any) -> Draft:
    """Return the notice that someone acknowledged a key's alert, and their words."""
    title = join(": ", subject, f"acknowledged by {by or vendor}")
    return Draft(title=title, key=key, body=words, severity="info", acknowledged_by=by or vendor, **more)


def withdrawn(subject: str, key: str | None, by: str, vendor: str, words: str = "", **more: Any) -> Draft:
    """Return the notice that the acknowledgement of a key's alert was withdrawn, and the words of who did it."""
    title = join(": ", subject, f"acknowledgement withdrawn by {by or vendor}")
    return Draft(title=title, key=key, body=words, severity="info", unacknowledged_by=by or vendor, **more)


def downtime(subject: str, key: str | None, words: str = "", *, begins: bool, **more: Any) -> Draft:
    """Return the notice that a downtime of a key's alert began or ended, and the words of who planned it."""
    title = join(": ", subject, f"a downtime {'began' if begins else 'ended'}")
    return Draft(title=title, key=key, body=words, severity="info", downtime=begins, **more)
