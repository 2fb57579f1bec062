"""Pydantic's errors as sentences: what was expected, and what was found."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from relay.settings.document import Document
from relay.settings.foreign import hint_of
from relay.settings.model import Settings
from relay.settings.problems import Path, Problem, dotted, expected, near

_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
"""Expected scalars; the message shows the value that was found."""
_EXPECTED_KINDS = {
    "string_too_short": "some text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
"""Expected containers; the message names the kind of what was found, as a text there may be a misplaced secret."""
_MISSING_TYPES: dict[str | int, str] = {
    "sources": "webhook, websocket, apic, push or alertmanager-api",
    "accounts": "webex or spika",
}
_EXAMPLES = {
    "url": "wss://feed.example.net/v1",
    "storage": "sqlite:/var/lib/relay/relay.db",
    "path": "/hooks/grafana",
    "name": "X-Token",
}


def located(error: ErrorDetails, document: Document, values: Mapping[str, Any]) -> tuple[Path, Problem]:
    """Return the path of an error as steps, and the problem with its place and a sentence.

    `values` are those that were validated.
    """
    kind = error["type"]
    path = _path_in(error["loc"], values, missing=kind == "missing")
    if kind == "extra_forbidden":
        name = str(path[-1])
        known = known_keys(error["loc"][:-1])
        hint = hint_of(path)
        message = f"unknown key{near(name, known)}{_listed(known)}" if hint is None else f"unknown key; {hint.text}"
        return path, Problem(document.mark(path, key=True), dotted(path), message)
    where = document.mark(path[:-1], key=True) if kind == "missing" else document.mark(path)
    return path, Problem(where, dotted(path), _sentence(error, path))


def _sentence(error: ErrorDetails, path: Path) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "relay":
        return str(context["message"])
    if kind in ("literal_error", "enum"):
        given, known = str(error.get("input")), [word.strip("' ") for word in _words(str(context.get("expected", "")))]
        return f"{given[:50]!r} is not one of {', '.join(known)}{near(given, known)}"
    if kind == "union_tag_invalid":
        known = [word.strip("' ") for word in str(context["expected_tags"]).split(",")]
        given = str(context["tag"])
        return f"type {given[:50]!r} is not one of {', '.join(known)}{near(given, known)}"
    if kind == "union_tag_not_found":
        return f"type is missing: expected {_MISSING_TYPES.get(path[0], 'a word that names the kind')}"
    if kind == "string_pattern_mismatch":  # the text itself may be an address with a password, and is not quoted
        example = _EXAMPLES.get(str(path[-1]), "")
        return f"expected text like {example}" if example else f"expected text that matches {context['pattern']}"
    return _type_sentence(error)


def _type_sentence(error: ErrorDetails) -> str:
    kind, value = error["type"], error.get("input")
    if kind == "missing":
        return "is missing"
    if kind == "too_short":
        return "expected at least one entry, found none"
    if kind == "greater_than":
        return f"expected more than {error['ctx']['gt']:g}, found {value}"
    if kind == "string_type":
        hint = "; put it in quotes if you mean text" if isinstance(value, (bool, int, float)) else ""
        return expected("text", value) + hint
    if kind in _EXPECTED:
        return expected(_EXPECTED[kind], value)
    if kind in _EXPECTED_KINDS:
        return expected(_EXPECTED_KINDS[kind], value, secret=True)
    return error["msg"]


def _words(choices: str) -> list[str]:
    return choices.replace(" or ", ", ").split(",")


def _listed(known: list[str]) -> str:
    return f"; known are {', '.join(sorted(known))}" if known and len(known) <= 12 else ""


def _path_in(location: tuple[int | str, ...], values: Any, *, missing: bool) -> Path:
    """Return the part of pydantic's location that is in the document, and the last key if that is `missing`.

    Tags of unions, which pydantic puts into its locations, are left out.
    """
    path: list[int | str] = []
    at = values
    for position, step in enumerate(location):
        last = position == len(location) - 1
        if isinstance(at, Mapping) and isinstance(step, str):
            if step in at:
                path.append(step)
                at = at[step]
            elif last and missing:
                path.append(step)
        elif isinstance(at, (list, tuple)) and isinstance(step, int) and step < len(at):
            path.append(step)
            at = at[step]
    return tuple(path)


def known_keys(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the model at a location knows."""
    kind: Any = Settings
    for step in location:
        kind = _step(kind, step)
    model = _model(kind, None)
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def types_at(path: Path) -> list[str]:
    """Return the words that `type` may have at a path."""
    kind: Any = Settings
    for step in path:
        kind = _step(kind, step)
    fields = [one.model_fields.get("type") for one in _options(kind) if issubclass(one, BaseModel)]
    return [word for field in fields if field is not None for word in get_args(field.annotation)]


def _step(kind: Any, step: int | str) -> Any:
    for option in _options(kind):
        if isinstance(option, type) and issubclass(option, BaseModel):
            by_alias = {field.alias or name: field for name, field in option.model_fields.items()}
            if step in by_alias:
                return by_alias[str(step)].annotation
        elif get_origin(option) is dict:
            return get_args(option)[1]
        elif get_origin(option) in (tuple, list) and isinstance(step, int):
            return get_args(option)[0]
    return _model(kind, step) or kind


def _options(kind: Any) -> list[Any]:
    if get_origin(kind) is Annotated:
        return _options(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [one for option in get_args(kind) for one in _options(option)]
    return [kind]


def _model(kind: Any, tag: int | str | None) -> type[BaseModel] | None:
    """Return the model that a union's tag (a `type` word or the name of a class) names among the options of a type."""
    for option in _options(kind):
        if not (isinstance(option, type) and issubclass(option, BaseModel)):
            continue
        field = option.model_fields.get("type")
        words = get_args(field.annotation) if field is not None and get_origin(field.annotation) is Literal else ()
        if tag is None or tag in words or tag == option.__name__:
            return option
    return None
