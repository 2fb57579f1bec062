"""Alerts as sources post them."""

from __future__ import annotations

from typing import Any

GROUPED = {"rooms": ["noc"], "group_by": ["site"], "group_wait": "300ms", "group_interval": "300ms"}
"""A route whose alerts are told together, by their site."""


def fault(**changes: Any) -> dict[str, Any]:
    """Return an alert that fires."""
    return {"title": "port-down", "status": "firing", "severity": "major", "key": "p1", **changes}


def end(**changes: Any) -> dict[str, Any]:
    """Return the end of that alert."""
    return {"status": "resolved", "key": "p1", **changes}


def at(site: str, **changes: Any) -> dict[str, Any]:
    """Return an alert that fires at a site."""
    return fault(labels={"site": site}, **changes)


def burst(first: int, count: int, every: int = 40) -> list[dict[str, Any]]:
    """Return numbered alerts; one of `every` is critical."""
    return [
        {
            "title": f"fault {n} at node-{n}",
            "status": "firing",
            "key": f"k{n}",
            "severity": "critical" if n % every == 0 else "minor",
        }
        for n in range(first, first + count)
    ]
