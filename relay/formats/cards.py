"""The texts of chat messages: attachments and blocks of Slack and Mattermost, cards of Teams, embeds of Discord."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from relay.formats.contract import as_text

CARDS = ("attachments", "embeds", "blocks", "sections")
"""Names of the parts of a chat message."""
_TEXTS = ("pretext", "title", "activityTitle", "activitySubtitle", "text", "description")
_WITHIN = ("content", "body", "elements", "items", "columns", "fields", "facts")
MOST_TEXTS = 100
MAX_DEPTH = 16


def texts_of(parts: Any) -> list[str]:
    """Return the texts in the parts of a chat message, each once, in their order."""
    if isinstance(parts, str):
        return []  # the address of a file, perhaps
    found = islice(_texts(parts, MAX_DEPTH), MOST_TEXTS)
    return list(dict.fromkeys(text for one in found if (text := one.strip())))


def _texts(part: Any, depth: int) -> Iterator[str]:
    if depth == 0:
        return
    if isinstance(part, str):
        yield part
    elif isinstance(part, list):
        for one in part:
            if isinstance(one, dict):
                yield from _texts(one, depth - 1)
    elif isinstance(part, dict):
        yield from _of_object(part, depth)


def _of_object(part: dict[str, Any], depth: int) -> Iterator[str]:
    value = part.get("value")
    if isinstance(value, (str, int, float)):  # a field or a fact
        yield f"{as_text(part.get('title') or part.get('name'))}: {as_text(value)}".removeprefix(": ")
        return
    found = False
    for name in (*_TEXTS, *_WITHIN):
        for text in _texts(part.get(name), depth - 1):
            found = True
            yield text
    if not found and isinstance(part.get("fallback"), str):
        yield part["fallback"]
