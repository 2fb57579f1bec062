"""The operations of the API with their parameters and answers, and the OpenAPI document made of them."""

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
    """One operation of the API, described by its handler's docstring.

    `answer` is the shape of a 200, a tuple if it may be one of several, None if it is not JSON. `query` and `body` are
    the shapes of the request, `others` those of other answers by status; `raw`: the request's body is not JSON.
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
        """Return the route that serves it."""
        return web.route(self.method, self.path, self.handler)


_VARIABLE = re.compile(r"\{(\w+)(?::([^}]+))?\}")
_ABOUT = (
    "The API behind the page and the command line. If `listen.admin_token` is set, everything but health needs it: "
    "`Authorization: Bearer …`. Below `/api/v2` is Alertmanager's own API, as its project documents it. `/feed` is a "
    'websocket of events and outcomes, each message `{"type": …, "id": …}`; `?since=ID` resumes after a message.'
)


def openapi(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document of all operations (OpenAPI 3.1.0)."""
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
    answers["default"] = _answer("An error.", Error, schemas)
    described: dict[str, Any] = {"summary": text, "operationId": one.handler.__name__, "responses": answers}
    parameters = [*_in_path(one.path), *_in_query(one.query)]
    if parameters:
        described["parameters"] = parameters
    if one.raw:
        described["requestBody"] = {"required": True, "content": {"*/*": {}}}
    elif one.body is not None:
        content = {"application/json": {"schema": schemas[repr(one.body)]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _answer(text: str, shape: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if shape is None:
        return {"description": text}
    found = [schemas[repr(one)] for one in _several(shape)]
    schema = found[0] if len(found) == 1 else {"anyOf": found}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _in_path(path: str) -> list[dict[str, Any]]:
    found = []
    for name, choice in _VARIABLE.findall(path):
        schema = {"type": "string", **({"enum": choice.split("|")} if choice else {})}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _in_query(kind: Any) -> list[dict[str, Any]]:
    """Return a filter's fields as parameters; the items of a list are separated by commas."""
    if kind is None:
        return []
    _, components = msgspec.json.schema_components([kind])
    fields = components[kind.__name__]["properties"]
    listed = {"style": "form", "explode": False}
    return [
        {"name": name, "in": "query", "schema": schema, **(listed if "array" in repr(schema) else {})}
        for name, schema in fields.items()
    ]
