"""The relay's own JSON (config/sources.md, "The relay's own JSON"): one object or a list; only `title` is required.

Other names and words that senders use are understood: the modules `foreign` and `statuses` have them.
"""

from __future__ import annotations

from typing import Any

from relay.core.event import CLEARED, RANK, STATUSES, Cleared, Draft, Link, Status
from relay.core.severity import severity_of
from relay.core.words import parse_time
from relay.formats.contract import Format, Request, UnreadableError, as_text, misfit
from relay.formats.foreign import OWN, OWN_NAMES, Rest, respelt, say_unread, spelt_like
from relay.formats.statuses import status_of

_EMPTY: tuple[Any, ...] = ("", [])
"""Values that remove a part of an alert: it is there, and empty. Null is as good as absent."""
_NUMBERS = ("key", "severity")
"""Names of texts that may be numbers."""
_NO_SEVERITY = ("alert", "alerting")
"""Words of a status that are no severity, though syslog has a severity of that name."""


def read_native(request: Request) -> list[Draft]:
    """Read one event, or none from an empty list. Raises `UnreadableError`, which names the field."""
    return [] if request.payload == [] else [read_one(request.payload, request.source)]


def read_one(item: Any, source: str = "") -> Draft:
    """Read one event. Raises `UnreadableError`, which names the field.

    If the item names nothing but a status, its title names the `source`. Without a `source` the item is refused.
    """
    if not isinstance(item, dict):
        raise UnreadableError("", misfit('an object like {"title": "…"}, or a list of them', item))
    rest = None if item.keys() <= OWN else Rest(item := respelt(item))  # few items have other names
    foreign = rest if rest is not None and rest.has_names else None
    title, severity, body = _text(item, "title").strip(), _text(item, "severity"), _text(item, "body")
    key, word = _text(item, "key") if "key" in item else "", _text(item, "status") if "status" in item else ""
    if foreign:
        word = word or foreign.status()
        severity = severity or foreign.severity()
        key = key or foreign.key()
    status: Status = "notice"
    if word:
        status, severity = _status(word), severity or _severity_in(word)
    title = title or (rest or Rest(item)).title(word if status != "resolved" or not key else "", key or source)
    if not title and not (status == "resolved" and key):
        raise UnreadableError("title", f"expected a text that is not empty, found none{_instead(item)}")
    missed: list[str] = []
    if status == "resolved" and not key:
        missed.append(_ended_without_key(word))
        status, severity = "notice", severity or "info"
    labels = _labels(item["labels"], "labels") if "labels" in item else {}
    links = _links(item["links"], "links") if "links" in item else ()
    at = _time(item["occurred_at"], "occurred_at") if "occurred_at" in item else foreign.time() if foreign else None
    if foreign:
        body = foreign.body(body, title)
        links += foreign.links()
        labels = {**foreign.labels(), **labels}
    unread = say_unread([*missed, *(rest.unread if rest else ())]) if rest or missed else ()
    unknown = severity and severity not in RANK and severity_of(severity.strip().lower()) is None
    return Draft(
        title=title or key,
        status=status,
        severity=severity or None,
        key=key or None,
        body=body,
        labels=labels,
        links=links,
        files=_files(item["files"], "files") if "files" in item else (),
        occurred_at=at,
        cleared=_cleared(item, body) if "" in item.values() or [] in item.values() else (),
        notes=(f"not read: {', '.join(unread)}",) if unread else (),
        unread=(*unread, f"severity ({misfit('a word like major or P2', severity)})") if unknown else unread,
    )


def _cleared(item: dict[str, Any], body: str) -> tuple[Cleared, ...]:
    """Return the parts that the item has and that are empty. A body of another name is one, too."""
    return tuple([name for name in CLEARED if item.get(name) in _EMPTY and not (name == "body" and body)])


def _status(word: str) -> Status:
    """Return the status of a word. Raises `UnreadableError`."""
    found = status_of(word)
    if found is None:
        raise UnreadableError(
            "status", misfit(f"{STATUSES[0]}, {STATUSES[1]} or {STATUSES[2]}, or a word like down or ok", word)
        )
    return found


def _severity_in(status: str) -> str:
    """Return the severity that a word for a status says, as `critical` does; empty if it says none."""
    known = severity_of(status.strip().lower())
    return status if known is not None and status_of(status) == "firing" and status.lower() not in _NO_SEVERITY else ""


def _ended_without_key(word: str) -> str:
    """Return why an end is a notice: no alert can be found for it. Raises `UnreadableError` for the relay's own word.

    Who writes `resolved` writes for the relay, and has forgotten the key. Others say how things are.
    """
    if word.strip().lower() == "resolved":
        raise UnreadableError("key", "a resolved event needs the key that its firing event had")
    return f"status (without a key {word[:40]!r} ends no alert, so the event is a notice)"


def _instead(item: dict[str, Any]) -> str:
    """Return a phrase with the names of an object that has no title, and the name that was likely meant."""
    names = [name for name in item if name not in OWN_NAMES]
    meant = next((name for name in names if spelt_like(name) == "title"), None)
    if meant is not None:
        return f"; {meant[:40]!r} is not known (did you mean title?)"
    return f"; it has {', '.join(name[:40] for name in list(item)[:12])}" if item else "; every event needs a title"


def _text(item: dict[str, Any], name: str, at: str = "", default: str = "") -> str:
    value = item.get(name)
    if value is None:
        return default
    if isinstance(value, str):
        return value
    if name in _NUMBERS and isinstance(value, (int, float)) and not isinstance(value, bool):
        return as_text(value)
    raise UnreadableError(f"{at}{name}", misfit("text", value))


def _labels(value: Any, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableError(where, misfit("an object of names and texts", value))
    labels: dict[str, str] = {}
    for name, label in value.items():
        if isinstance(label, str):
            labels[name] = label
        elif isinstance(label, (dict, list)):
            raise UnreadableError(f"{where}.{name}", misfit("text", label))
        elif label is not None:
            labels[name] = as_text(label)
    return labels


def _links(value: Any, where: str) -> tuple[Link, ...]:
    links = []
    for number, link in enumerate(_list(value, where)):
        place = f"{where}[{number}]"
        if isinstance(link, str):
            link = {"url": link}  # noqa: PLW2901 - an address alone is a link without a name
        if not isinstance(link, dict):
            raise UnreadableError(place, misfit('an object like {"text": "Runbook", "url": "https://…"}', link))
        url = _text(link, "url", f"{place}.")
        if not url:
            raise UnreadableError(f"{place}.url", "expected an address like https://…, found none")
        links.append(Link(_text(link, "text", f"{place}.") or "link", url))
    return tuple(links)


def _files(value: Any, where: str) -> tuple[str, ...]:
    found = _list(value, where)
    for number, file in enumerate(found):
        if not isinstance(file, str):
            raise UnreadableError(f"{where}[{number}]", misfit("the file's address as text", file))
    return tuple(found)


def _list(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnreadableError(where, misfit("a list", value))
    return value


def _time(value: Any, where: str) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise UnreadableError(where, misfit("a time like 2026-03-01T02:10:00Z", value))
    try:
        return parse_time(value)
    except ValueError as error:
        raise UnreadableError(where, str(error)) from error


FORMAT = Format(read=read_native, texts=True)
