"""Trying a mapping on a payload: what each expression gives, and the event that comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import yaml
from pydantic import ValidationError

from relay.app.reading import mapping_of
from relay.core.event import Draft, SourceDefaults, stamp
from relay.core.words import iso
from relay.formats.mapping import CompiledMapping, MappingSettings
from relay.formats.proposing import propose
from relay.settings.load import Loaded
from relay.settings.model import MapSettings, ready_mapping
from relay.settings.problems import near

_NOW = 0.0


class BadMappingError(Exception):
    """A mapping that can't be had or can't be used; its text says why."""


def ready() -> Iterator[tuple[str, str]]:
    """Names of the mappings that come with the relay, and what each is for."""
    for entry in sorted(files("relay.formats.mappings").iterdir(), key=lambda one: one.name):
        if entry.name.endswith(".yaml"):
            first = entry.read_text(encoding="utf-8").split("\n", 1)[0]
            yield entry.name.removesuffix(".yaml"), first.removeprefix("# ").split(":", 1)[0]


def mapping_of_source(loaded: Loaded, name: str) -> MappingSettings:
    """The mapping of a configured source. Raises `BadMappingError`."""
    sources = loaded.settings.sources
    if name not in sources:
        said = f"no source is called {name!r} in {loaded.file}{near(name, sources)}"
        raise BadMappingError(f"{said}; there are {', '.join(sources)}")
    found = sources[name].map
    if found is None:
        raise BadMappingError(
            f"source {name} has no `map`; `relay explain --source {name}` tells what its format reads"
        )
    return mapping_of(found)


def mapping_in(given: str) -> MappingSettings:
    """The mapping of a file (alone, or under `map:`), or a ready one by its name. Raises `BadMappingError`."""
    try:
        if not (Path(given).exists() or "/" in given or given.endswith((".yaml", ".yml"))):
            return mapping_of(MapSettings.model_validate(ready_mapping(given)))
        content = yaml.safe_load(Path(given).read_text(encoding="utf-8"))
        inner = content.get("map", content) if isinstance(content, dict) else content
        return mapping_of(MapSettings.model_validate(inner))
    except ValidationError as error:
        raise BadMappingError(f"{given}: {'; '.join(map(_said, error.errors()))}") from error
    except OSError as error:
        raise BadMappingError(f"{given} can't be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f":{error.problem_mark.line + 1}"
        raise BadMappingError(f"{given}{line}: {error.problem or error.context}") from error
    except (UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise BadMappingError(f"{given}: {error}") from error


def _said(error: Any) -> str:
    """What is wrong with a key of a mapping."""
    where = ".".join(str(step) for step in error["loc"])
    if error["type"] == "extra_forbidden":
        known = list(MapSettings.model_fields)
        return f"{where}: unknown key{near(where, known)}; known are {', '.join(known)}"
    if error["type"] == "missing":
        return f"{where}: is missing"
    said = "a mapping of expressions would be right" if "type" in error["type"] else error["msg"]
    return f"{where}: {said}" if where else said


def proposal(payload: Any) -> MappingSettings:
    """A mapping that is likely to read a payload. Raises `BadMappingError`."""
    found = propose(payload)
    if found is None:
        empty = payload in ([], {})
        what = "this payload is empty" if empty else "nothing in this payload looks like a title"
        raise BadMappingError(f"{what}: an object with a text in it would be right")
    return found


def lacks(settings: MappingSettings) -> Iterator[str]:
    """What a proposal could not find, and what comes of that."""
    if settings.status is None:
        yield "no status was found: each item is a notice, and nothing fires or ends"
    if settings.key is None:
        yield "no key was found: an end can't be matched with its beginning"
    if settings.severity is None:
        yield "no severity was found: the source's own is taken"
    if settings.occurred_at is None:
        yield "no time was found: that of the arrival is taken"
    if settings.severities:
        yield "severities: say what these words mean here; the guess is warning"


def yaml_of(settings: MappingSettings) -> str:
    """A mapping as it is written in a configuration."""
    return yaml.safe_dump({"map": _written(settings)}, sort_keys=False, allow_unicode=True, width=110).rstrip()


def _written(settings: MappingSettings) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(settings).items() if value}


class MappingTrial:
    """What a mapping makes of a payload, an item an event, `refused` where an item has none for a reason.

    Raises `BadMappingError`, `UnreadableError`.
    """

    def __init__(self, settings: MappingSettings, payload: Any) -> None:
        self.written = _written(settings)
        try:
            mapping = CompiledMapping(settings)
        except ValueError as error:
            raise BadMappingError(str(error)) from error
        self.items: list[dict[str, Any]] = [
            {"values": values, "event": _shown(found) if isinstance(found, Draft) else None}
            | ({"refused": found} if isinstance(found, str) else {})
            for values, found in mapping.trials(payload)
        ]
        self.refused = bool(self.items) and all("refused" in item for item in self.items)
        """True where no item can be read."""


def _shown(draft: Draft) -> dict[str, Any]:
    """The event of a draft, without what only its arrival would say."""
    event = stamp(draft, SourceDefaults(source="trial", format="map"), "trial", _NOW)
    told = ("status", "severity", "title", "body", "labels", "links", "files", "acknowledged_by", "unacknowledged_by",
            "downtime", "notes")  # fmt: skip
    shown = {name: value for name, value in msgspec.to_builtins(event).items() if name in told}
    if draft.key is not None:
        shown["key"] = event.key
    if draft.occurred_at is not None:
        shown["occurred_at"] = iso(event.occurred_at)
    return shown
