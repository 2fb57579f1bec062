"""Trying a mapping on a payload: the value of each expression, and the event."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import yaml
from pydantic import ValidationError

from relay.app.assembly.reading import mapping_of
from relay.core.event import Draft, SourceDefaults, stamp
from relay.core.words import iso
from relay.formats.mapping import CompiledMapping, MappingSettings
from relay.formats.proposing import Proposal, propose
from relay.settings.load import Loaded
from relay.settings.maps import MapSettings, ready_mapping
from relay.settings.problems import expected, near

_NOW = 0.0
_TABLES = ("labels", "links", "severities", "statuses")
_SHOWN = (
    *("status", "severity", "title", "body", "labels", "links", "files", "acknowledged_by", "unacknowledged_by"),
    *("downtime", "notes"),
)
"""Fields of an event that a mapping can set; the others depend on its arrival."""


class BadMappingError(Exception):
    """A mapping that can't be found or can't be used; the text says why."""


def ready() -> Iterator[tuple[str, str]]:
    """Yield the names of the mappings that ship with the relay, and the product that each is for."""
    for entry in sorted(files("relay.formats.mappings").iterdir(), key=lambda one: one.name):
        if entry.name.endswith(".yaml"):
            first = entry.read_text(encoding="utf-8").split("\n", 1)[0]
            yield entry.name.removesuffix(".yaml"), first.removeprefix("# ").split(":", 1)[0]


def mapping_of_source(loaded: Loaded, name: str) -> MappingSettings:
    """Return the mapping of a configured source. Raises `BadMappingError`."""
    sources = loaded.settings.sources
    if name not in sources:
        message = f"no source is called {name!r} in {loaded.file}{near(name, sources)}"
        raise BadMappingError(f"{message}; known are {', '.join(sources)}")
    found = sources[name].map
    if found is None:
        raise BadMappingError(f"source {name} has no `map`; try its format with `relay explain --source {name}`")
    return mapping_of(found)


def mapping_in(given: str) -> MappingSettings:
    """Return the mapping of a file (alone, or under `map:`), or a shipped one by name. Raises `BadMappingError`."""
    try:
        if not (Path(given).exists() or "/" in given or given.endswith((".yaml", ".yml"))):
            return mapping_of(MapSettings.model_validate(ready_mapping(given)))
        content = yaml.safe_load(Path(given).read_text(encoding="utf-8"))
        inner = content.get("map", content) if isinstance(content, dict) else content
        return mapping_of(MapSettings.model_validate(inner))
    except ValidationError as error:
        raise BadMappingError(f"{given}: {'; '.join(map(_message, error.errors()))}") from error
    except OSError as error:
        raise BadMappingError(f"{given} can't be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f":{error.problem_mark.line + 1}"
        raise BadMappingError(f"{given}{line}: {error.problem or error.context}") from error
    except (UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise BadMappingError(f"{given}: {error}") from error


def _message(error: Any) -> str:
    """Return the message about a key of a mapping."""
    where = ".".join(str(step) for step in error["loc"])
    if error["type"] == "extra_forbidden":
        known = list(MapSettings.model_fields)
        return f"{where}: unknown key{near(where, known)}; known are {', '.join(known)}"
    if error["type"] == "missing":
        return f"{where}: is missing"
    message = expected(_wanted(where), error["input"]) if "type" in error["type"] else error["msg"]
    return f"{where}: {message}" if where else message


def _wanted(where: str) -> str:
    return "a mapping of expressions" if where in ("", *_TABLES) else "an expression as text"


def proposal(payload: Any) -> Proposal:
    """Return a mapping that is likely to read a payload, with remarks. Raises `BadMappingError` if it has no value."""
    found = propose(payload)
    if found is None:
        problem = "an empty payload" if payload in ([], {}) else "a payload in which no field has a value"
        raise BadMappingError(f"expected an object with a value in it, found {problem}")
    return found


def yaml_of(settings: MappingSettings) -> str:
    """Return a mapping as YAML for a configuration."""
    return yaml.safe_dump({"map": _written(settings)}, sort_keys=False, allow_unicode=True, width=110).rstrip()


def _written(settings: MappingSettings) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(settings).items() if value}


class MappingTrial:
    """The result of a mapping for a payload: `items` with their values and events, or why one is `unrecognised`."""

    def __init__(self, settings: MappingSettings, payload: Any) -> None:
        """Raises `BadMappingError`, `UnreadableError`."""
        self.written = _written(settings)
        try:
            mapping = CompiledMapping(settings)
        except ValueError as error:
            raise BadMappingError(str(error)) from error
        self.items: list[dict[str, Any]] = [
            {"values": values, "event": _shown(found) if isinstance(found, Draft) else None}
            | ({"unrecognised": found} if isinstance(found, str) else {})
            for values, found in mapping.trials(payload)
        ]
        self.is_foreign = bool(self.items) and all("unrecognised" in item for item in self.items)
        """True if no item can be read."""


def _shown(draft: Draft) -> dict[str, Any]:
    """Return the event of a draft, without fields that depend on its arrival."""
    event = stamp(draft, SourceDefaults(source="trial", format="map"), "trial", _NOW)
    shown = {name: value for name, value in msgspec.to_builtins(event).items() if name in _SHOWN}
    if draft.key is not None:
        shown["key"] = event.key
    if draft.occurred_at is not None:
        shown["occurred_at"] = iso(event.occurred_at)
    return shown
