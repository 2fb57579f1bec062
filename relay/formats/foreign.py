"""The relay's own JSON in other senders' words: what stands in an object beside the names that the relay gives."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from relay.core.event import Link
from relay.core.markdown import middle
from relay.core.severity import NO_TROUBLE, severity_of
from relay.formats.cards import CARDS, texts_of
from relay.formats.contract import as_text, describe, misfit
from relay.formats.reading import links as addresses
from relay.formats.reading import moment
from relay.formats.statuses import status_of

OWN_NAMES = ("title", "status", "severity", "key", "body", "labels", "links", "files", "occurred_at", "id")
"""Names that the relay's own JSON has. `id` is the producer's own, which an answer repeats."""
OWN = frozenset(OWN_NAMES)
_TITLES = ("summary", "subject", "headline", "alertname", "alert_name", "short_description", "name")
_TEXTS = ("message", "text", "description", "details", "msg", "content")
"""Names of texts, which are the body if something else is the title."""
_STATUSES = ("state", "alert_status", "current_state")
_PRIORITIES = ("priority", "urgency", "importance")
"""Names whose `normal` says nothing of how bad it is."""
_SEVERITIES = ("sev", "level", "criticality", *_PRIORITIES)
_KEYS = ("dedup_key", "fingerprint", "incident_key", "alert_id", "incident_id")
_TIMES = ("timestamp", "time", "date", "datetime", "created_at", "started_at", "starts_at", "event_time", "ts")
_SERVICES = ("service", "check", "check_name", "monitor", "sensor", "job")
_PLACES = ("host", "hostname", "device", "node", "instance", "server", "resource")
_LINKS = ("url", "link", "href", "click")
_SECRET = re.compile(r"(?:.*_)?(?:token|secret|password|passwd|api_?key|authorization|credentials?)")
_KINDS = ("alert", "alerts", "alarm", "event", "notification", "notifications", "notice")
"""Words of `type` that say neither a severity nor a status."""
LONGEST_TITLE = 200
"""Characters up to which a text alone is a title. Of a longer one the first line is."""
LONGEST_LABEL = 200
_EMPTY: tuple[Any, ...] = (None, "", [], {})
MOST_UNREAD = 20
MOST_NAMES = 200
"""Names of an object that are looked at."""


def respelt(item: dict[str, Any]) -> dict[str, Any]:
    """Return an object with the relay's own names as the relay writes them: `Title` and `occurredAt` are meant."""
    meant = {name: own for name in item if name not in OWN and (own := _plain(name)) in OWN and own not in item}
    return {meant.get(name, name): value for name, value in item.items()} if meant else item


class Rest:
    """The names of an object that are not the relay's own. Each is taken once; `unread` collects what is left over."""

    def __init__(self, item: dict[str, Any]) -> None:
        self._item = item
        self._left: dict[str, str] = {}
        self._whole = ""
        self._texts: list[str] = []
        self.unread: list[str] = []
        self._sent_by_apprise = False
        others = [one for one in self._item if one not in OWN and self._item[one] not in _EMPTY]
        for name in others[:MOST_NAMES]:
            plain = _plain(name)
            self._left[plain if plain not in self._left else f"{name} {len(self._left)}"] = name
        if (more := len(others) - MOST_NAMES) > 0:
            self.unread.append(f"{more} names after the first {MOST_NAMES}")
        for name in CARDS:
            if name in self._left and (texts := texts_of(self._has(name))):
                self._texts += texts
                self.unread.append(f"{self._left.pop(name)} (only the texts are shown)")
        self._sent_by_apprise = {"version", "message", "attachments"} <= self._item.keys()

    @property
    def has_names(self) -> bool:
        """Return whether a name is left that nothing has taken, or a text of which only the first line is the title."""
        return bool(self._left or self._whole or self._texts)

    def _has(self, name: str) -> Any:
        return self._item[self._left[name]] if name in self._left else None

    def _take(self, names: Sequence[str], fits: Any) -> Any:
        """Return the value of the first of these names that fits, and take it."""
        if not self._left:
            return None
        for name in names:
            value = self._has(name)
            if value is not None and fits(value):
                del self._left[name]
                return value
        return None

    def status(self) -> str:
        """Return a word for the status, or an empty text."""
        found: str | None = self._take(_STATUSES, lambda value: isinstance(value, str) and status_of(value) is not None)
        kind = self._has("type")
        if found is None and _is_word(kind) and severity_of(kind.lower()) is None and status_of(kind) is not None:
            found = self._take(("type",), _is_word)
        if found is None:
            self._say_unknown(_STATUSES, "a word like down or ok")
        return found or ""

    def severity(self) -> str:
        """Return a word for the severity, or an empty text. The `type` of Apprise is one."""
        usual = [name for name in _PRIORITIES if _is_usual(self._has(name))]
        names = [name for name in (*_SEVERITIES, "type") if name not in usual]
        found: str | None = self._take(names, _is_severity)
        if found is None and not usual:
            self._say_unknown(_SEVERITIES, "a word like major or P2")
        return found or ""

    def _say_unknown(self, names: Sequence[str], expected: str) -> None:
        """Collect in `unread` the first of these names, since its value is not understood. It stays as a label."""
        name = next((name for name in names if _is_scalar(self._has(name))), None)
        if name is not None:
            self.unread.append(f"{_shown(self._left[name])} ({misfit(expected, self._has(name))})")

    def key(self) -> str:
        """Return what tells alerts apart, or an empty text."""
        return as_text(self._take(_KEYS, _is_scalar))

    def title(self, status: str, other: str) -> str:
        """Return a title: a text of that meaning, else the place, or `other`, with its `status`; else an empty text."""
        text: str | None = self._take((*_TITLES, *_TEXTS), _is_text) or (self._texts.pop(0) if self._texts else None)
        if text is not None:
            first = text.strip().split("\n", 1)[0].strip()
            self._whole = text if len(first) > LONGEST_TITLE else text.strip().removeprefix(first).strip()
            return middle(first, LONGEST_TITLE)
        service, place = (self._first(names) for names in (_SERVICES, _PLACES))
        about = f"{service} on {place}" if service and place else service or place or other
        return f"{about} is {status}" if about and status else service or place

    def _first(self, names: Sequence[str]) -> str:
        return next((as_text(value) for name in names if _is_scalar(value := self._has(name))), "")

    def body(self, body: str, title: str) -> str:
        """Return a body with all further texts, each once."""
        found = dict.fromkeys(text for text in (body, self._whole) if text.strip())
        for name in (*_TEXTS, "summary", "subject"):
            text = self._take((name,), _is_text)
            if text is not None and text.strip() != title:
                found.setdefault(text)
        found |= dict.fromkeys(text for text in self._texts if text != title)
        return "\n".join(found) or body

    def time(self) -> float | None:
        """Return the time at which it happened, or None."""
        return moment(self._take(_TIMES, lambda value: moment(value) is not None))

    def links(self) -> tuple[Link, ...]:
        """Return all values that are addresses, named by their names."""
        found = {name: link for name in self._left if (link := _address(name, self._has(name))) is not None}
        for name in found:
            del self._left[name]
        return tuple(found.values())

    def labels(self) -> dict[str, str]:
        """Return all that can be a label, and collect in `unread` what can't, and what is likely misspelt."""
        found: dict[str, str] = {}
        for plain, name in self._left.items():
            value = self._item[name]
            meant = spelt_like(plain)
            if plain == "version" and self._sent_by_apprise:
                continue  # that of Apprise's own JSON, in each message
            if _SECRET.fullmatch(plain):
                self.unread.append(f"{_shown(name)} (it looks like a secret, so it is not shown)")
                continue
            if (text := _label(value)) is not None:
                found[name] = text
            if meant is not None:
                self.unread.append(f"{_shown(name)} (did you mean {meant}?)")
            elif text is None:
                self.unread.append(f"{_shown(name)} ({describe(value)}; expected a short text or a number)")
        return found


def say_unread(found: Sequence[str]) -> tuple[str, ...]:
    """Return the first parts that were not read, and how many others there are."""
    more = len(found) - MOST_UNREAD
    return (*found[:MOST_UNREAD], f"and {more} more") if more > 0 else tuple(found)


@lru_cache(1_000)
def spelt_like(name: str) -> str | None:
    """Return the relay's own name that a name is likely a slip of, or None."""
    return next(iter(difflib.get_close_matches(_plain(name)[:40], OWN_NAMES[:-1], n=1, cutoff=0.75)), None)


def _plain(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-\s.]+", "_", name).lower()


def _shown(name: str) -> str:
    short = middle(name, 40)
    return short if short.isprintable() else repr(short)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() not in _KINDS


def _is_severity(value: Any) -> bool:
    return _is_word(value) and severity_of(value.lower()) is not None


def _is_usual(value: Any) -> bool:
    """Return whether a priority is that of all that is not urgent."""
    return isinstance(value, str) and value.strip().lower() in NO_TROUBLE | {"default", "regular", "standard"}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and as_text(value).strip() != ""


def _address(name: str, value: Any) -> Link | None:
    if not isinstance(value, str):
        return None
    spoken = "link" if name in _LINKS else name.removesuffix("_url").replace("_", " ").capitalize()
    return next(iter(addresses((middle(spoken, 40), value))), None)


def _label(value: Any) -> str | None:
    """Return a value as the text of a label, a list of such values too, or None if it is long or nested."""
    if isinstance(value, list) and not any(isinstance(one, (dict, list)) for one in value):
        value = ", ".join(as_text(one) for one in value)
    if isinstance(value, (dict, list)):
        return None
    text = as_text(value)
    return text if len(text) <= LONGEST_LABEL and "\n" not in text else None
