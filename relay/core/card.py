"""Adaptive cards: a check that Webex can show a document as a card.

Source: adaptivecards.io, schema of `AdaptiveCard`; Webex for Developers, "Cards", which admits versions up to 1.3.
"""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 20
MAX_ITEMS = 500


def misfit(card: Any) -> str | None:
    """Return why Webex would not show a document as a card, with the place of the fault, or None if it would."""
    if not isinstance(card, dict) or card.get("type") != "AdaptiveCard":
        return 'is no card: expected an object like {"type": "AdaptiveCard", "version": "1.3", "body": […]}'
    version = card.get("version")
    if not isinstance(version, str) or version not in ("1.0", "1.1", "1.2", "1.3"):
        return f"version: expected a version that Webex shows, like '1.3'; found {version!r}"
    if not card.get("body"):
        return "body: expected a list of at least one element, found none"
    budget = [MAX_ITEMS]
    for name in ("body", "actions"):
        if (wrong := _misfit(card.get(name, []), name, MAX_DEPTH, budget)) is not None:
            return wrong
    return None


def _misfit(elements: Any, where: str, depth: int, budget: list[int]) -> str | None:
    if not isinstance(elements, list):
        return f"{where}: expected a list of elements, found {type(elements).__name__}"
    if depth == 0:
        return f"{where}: expected at most {MAX_DEPTH} levels of elements, found more"
    for number, element in enumerate(elements):
        budget[0] -= 1
        if budget[0] < 0:
            return f"{where}: expected at most {MAX_ITEMS} elements in the card, found more"
        if not isinstance(element, dict) or not isinstance(element.get("type"), str):
            return f'{where}[{number}]: expected an element with a "type", like {{"type": "TextBlock"}}; found none'
        for inner in ("items", "columns", "actions"):
            if inner in element and (wrong := _misfit(element[inner], f"{where}[{number}].{inner}", depth - 1, budget)):
                return wrong
    return None
