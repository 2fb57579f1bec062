"""What the API does, each with what it takes and answers; and all of it as an OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from aiohttp import web

from relay import __version__
from relay.web.shapes import Error

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Operation(msgspec.Struct, frozen=True):
    """One thing that the API does. The handler's docstring says what.

    `answer` is the shape of a 200, several where it may be one of them (None: no JSON); `query` and `body` are those
    of what is asked, `others` those of other answers by status; `raw` where the body is no JSON.
    """

    method: str
    path: str
    handler: Handler
    answer: Any = None
    query: Any = None
    body: Any = None
    others: dict[int, Any] = {}
    raw: bool = False

    def route(self) -> web.RouteDef:
        """The route that serves it."""
        return web.route(self.method, self.path, self.handler)


_VARIABLE = re.compile(r"\{(\w+)(?::([^}]+))?\}")
_ABOUT = (
    "All that the page and the command line show and do. With `listen.admin_token`, everything but health needs it: "
    "`Authorization: Bearer …`. Below `/api/v2` lies Alertmanager's own API, as its project documents it; `/feed` is a "
    'websocket of events and outcomes, each message `{"type": …, "id": …}`, that goes on behind `?since=ID`.'
)


def openapi(operations: Iterable[Operation]) -> dict[str, Any]:
    """The document (OpenAPI 3.1.0)."""
    listed = list(operations)
    shapes = [Error, *(shape for one in listed for shape in _shapes_of(one))]
    schemas, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    found = {repr(shape): schema for shape, schema in zip(shapes, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for one in listed:
        paths.setdefault(_VARIABLE.sub(r"{\1}", one.path), {})[one.method.lower()] = _described(one, found)
    return {
        "openapi": "3.1.0",
        "info": {"title": "relay", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }


def _shapes_of(one: Operation) -> list[Any]:
    return [shape for shape in (*_several(one.answer), one.body, *one.others.values()) if shape is not None]


def _several(answer: Any) -> tuple[Any, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def _described(one: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    text = " ".join((one.handler.__doc__ or "").split())
    answers: dict[str, Any] = {"200": _answer("Done.", one.answer, schemas)}
    answers |= {str(status): _answer("See the schema.", shape, schemas) for status, shape in one.others.items()}
    answers["default"] = _answer("What is wrong.", Error, schemas)
    described: dict[str, Any] = {"summary": text, "operationId": one.handler.__name__, "responses": answers}
    parameters = [*_in_path(one.path), *_in_query(one.query)]
    if parameters:
        described["parameters"] = parameters
    if one.raw:
        described["requestBody"] = {"required": True, "content": {"*/*": {}}}
    elif one.body is not None:
        described["requestBody"] = {
            "required": True, "content": {"application/json": {"schema": schemas[repr(one.body)]}}
        }  # fmt: skip
    return described


def _answer(text: str, shape: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if shape is None:
        return {"description": text}
    found = [schemas[repr(one)] for one in _several(shape)]
    schema = found[0] if len(found) == 1 else {"anyOf": found}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True,
         "schema": {"type": "string", **({"enum": choice.split("|")} if choice else {})}}
        for name, choice in _VARIABLE.findall(path)
    ]  # fmt: skip


def _in_query(kind: Any) -> list[dict[str, Any]]:
    """A filter's fields as parameters; lists are separated by commas."""
    if kind is None:
        return []
    _, components = msgspec.json.schema_components([kind])
    fields = components[kind.__name__]["properties"]
    listed = {"style": "form", "explode": False}
    return [
        {"name": name, "in": "query", "schema": schema, **(listed if "array" in repr(schema) else {})}
        for name, schema in fields.items()
    ]
