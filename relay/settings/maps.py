"""Mappings of payloads: the key `map` of a source."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import Field

from relay.core.event import Severity
from relay.settings.problems import near
from relay.settings.section import Strict
from relay.settings.types import wrong


def ready_mapping(name: str) -> dict[str, Any]:
    """Return a mapping that ships with the relay, as plain values. Raises a validation error for an unknown name."""
    known = ready_names()
    if name not in known:
        raise wrong(f"no mapping is called {name[:40]!r}{near(name, known)}; known are {', '.join(known)}")
    text = files("relay.formats.mappings").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def ready_names() -> list[str]:
    """Return the names of the mappings that ship with the relay."""
    entries = files("relay.formats.mappings").iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def or_a_name(schema: dict[str, Any]) -> None:
    """Have the schema of a mapping allow the name of one that ships with the relay."""
    schema["anyOf"].append({"type": "string", "enum": ready_names()})


class MapSettings(Strict):
    """JMESPath expressions that read an event from any JSON."""

    title: str = Field(description="The event's title; the only expression that must give a value.")
    each: str | None = Field(None, description="A list within the payload: one event per item.")
    status: str | None = Field(
        None, description="firing, resolved or notice, or a word of `statuses`; if absent, notice."
    )
    severity: str | None = Field(None, description="A word of `severities`, or one of the built-in words: P1, error, …")
    key: str | None = Field(None, description="The alert's key, which matches a resolved event to its firing one.")
    body: str | None = Field(None, description="The event's text.")
    occurred_at: str | None = Field(None, description="A time: RFC 3339, or epoch seconds or milliseconds.")
    labels: dict[str, str] = Field({}, description="An expression for each label.")
    links: dict[str, str] = Field({}, description="For each link's name, an expression that gives its address.")
    files: str | None = Field(None, description="A file's address, or a list of them.")
    acknowledged_by: str | None = Field(None, description="Who has acknowledged the alert with this `key`.")
    unacknowledged_by: str | None = Field(
        None, description="Who has withdrawn the acknowledgement; meant for notices, like the one above."
    )
    downtime: str | None = Field(
        None,
        description="Whether a downtime suppresses the source's alerts: true or 'began', then 'ended'; otherwise null.",
    )
    when: str | None = Field(None, description="An item is an event only if this gives a value; if absent, always.")
    requires: str | None = Field(
        None,
        description="An item is this mapping's only if this gives a value; a payload without one becomes the notice "
        "`unrecognised payload from …`.",
    )
    severities: dict[str, Severity] = Field(
        {},
        description="Severities for the payload's own numbers or words; case does not matter.",
    )
    statuses: dict[str, Literal["firing", "resolved", "notice"]] = Field(
        {}, description="Statuses for the payload's own words."
    )
