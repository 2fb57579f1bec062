"""The relay's own JSON (config/sources.md, "The relay's own JSON"): one object or a list; only `title` is required."""

from __future__ import annotations

from typing import Any

from relay.core.event import STATUSES, Draft, Link
from relay.core.words import parse_time
from relay.formats.contract import Format, Request, UnreadableError, as_text, misfit


def read_native(request: Request) -> list[Draft]:
    """Read one event, or none from an empty list. Raises `UnreadableError`, which names the field."""
    return [] if request.payload == [] else [read_one(request.payload)]


def read_one(item: Any) -> Draft:
    """Read one event. Raises `UnreadableError`, which names the field."""
    if not isinstance(item, dict):
        raise UnreadableError("", misfit('an object like {"title": "…"}, or a list of them', item))
    title = _text(item, "title").strip()
    status = _text(item, "status", default="notice")
    key = _text(item, "key")
    if status not in STATUSES:
        raise UnreadableError("status", misfit("firing, resolved or notice", status))
    if not title and not (status == "resolved" and key):
        raise UnreadableError("title", "expected a text that is not empty, found none; every event needs a title")
    if status == "resolved" and not key:
        raise UnreadableError("key", "a resolved event needs the key that its firing event had")
    return Draft(
        title=title or key,
        status=status,
        severity=_text(item, "severity") or None,
        key=key or None,
        body=_text(item, "body"),
        labels=_labels(item["labels"], "labels") if "labels" in item else {},
        links=_links(item["links"], "links") if "links" in item else (),
        files=_files(item["files"], "files") if "files" in item else (),
        occurred_at=_time(item["occurred_at"], "occurred_at") if "occurred_at" in item else None,
    )


def _text(item: dict[str, Any], name: str, at: str = "", default: str = "") -> str:
    value = item.get(name)
    if value is None:
        return default
    if isinstance(value, str):
        return value
    if name == "key" and isinstance(value, (int, float)) and not isinstance(value, bool):
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


FORMAT = Format(read=read_native, forms=False)
