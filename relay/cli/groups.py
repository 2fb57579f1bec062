"""Groups in words, for commands that explain."""

from __future__ import annotations


def group_phrase(name: str | None) -> str:
    """Return a group as a phrase: its labels, or that it is a storm's digest."""
    if name is None:
        return ""
    import msgspec

    place, _, labels = name.partition("\n")
    if place.startswith("storm "):
        return ", in a storm's digest"
    pairs = ", ".join(f"{key}={value}" for key, value in msgspec.json.decode(labels or "[]"))
    return f", in the group {pairs}" if pairs else ", in its route's one group"
