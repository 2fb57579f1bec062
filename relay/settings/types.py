"""Types of settings that have their own written form: durations, sizes, addresses, secrets."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from pydantic import AfterValidator, BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from relay.core.incident import Change
from relay.core.times import Range, parse_clock, parse_days_of_month, parse_months, parse_weekdays, parse_years
from relay.core.words import parse_duration, parse_rate, parse_size
from relay.settings.problems import expected, near
from relay.settings.secrets import SecretRef

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]\s]*)):(?P<port>\d{1,5})")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def wrong(message: str, *keys: str, one: bool = False) -> PydanticCustomError:
    """Return an error with a message of our own.

    `keys` of the section are at fault; without them, or with `one` of them alone, the rest is right.
    """
    return PydanticCustomError("relay", "{message}", {"message": message, "keys": keys, "one": one})


def require_one(**settings: object) -> None:
    """Raise an error unless exactly one of these settings is given."""
    given = [name for name, value in settings.items() if value]
    if len(given) != 1:
        *names, last = settings
        found = " and ".join(given) or "none"
        raise wrong(f"expected exactly one of {', '.join(names)} and {last}, found {found}", *settings, one=True)


def _parser(parse: Callable[[str], Any], kind: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise wrong(expected(kind, value))
        try:
            return parse(str(value))
        except ValueError as error:
            raise wrong(str(error)) from error

    return convert


def _positive(value: float) -> float:
    if value <= 0:
        raise wrong(f"expected more than 0, found {value:g}")
    return value


Duration = Annotated[
    float,
    BeforeValidator(_parser(parse_duration, "a duration like 30s or 5m")),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(y|w|d|h|m|s|ms))+$", "examples": ["30s", "5m", "1h30m"]}),
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
Size = Annotated[
    int,
    BeforeValidator(_parser(parse_size, "a size like 64KiB")),
    AfterValidator(_positive),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\d+\s*([kKMGT]i?B|B)?$"}]}
    ),
]
Rate = Annotated[
    float,
    BeforeValidator(_parser(parse_rate, "a rate like 100/s")),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?/[smh]$", "examples": ["100/s", "5/s"]}),
]


class Address(msgspec.Struct, frozen=True):
    """The address of a listener. An empty host means every interface."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach the address."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _address(value: Any) -> Any:
    if isinstance(value, Address):
        return value
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found["port"]) > 65535:
        raise wrong(expected("an address like 127.0.0.1:9080 or [::1]:9080", value))
    return Address(found["v6"] or found["host"] or "0.0.0.0", int(found["port"]))  # noqa: S104 - as the user wrote


ListenAddress = Annotated[
    Any,
    BeforeValidator(_address),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["127.0.0.1:9080"]}),
]


_FORMS = "a secret as {env: NAME}, {file: PATH} or {credential: NAME}"
_ORIGINS = ("env", "file", "credential")


def _secret(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, SecretRef):
        return value
    if isinstance(value, str) and value:
        return SecretRef("literal", value)
    if isinstance(value, dict) and len(value) == 1:
        ((origin, place),) = value.items()
        if origin in _ORIGINS and isinstance(place, str) and place:
            base = (info.context or {}).get("base", ".")
            return SecretRef(origin, str(Path(base) / place) if origin == "file" else place)
        hint = f" whose {origin} is no text" if origin in _ORIGINS else near(str(origin), _ORIGINS)
        raise wrong(f"{expected(_FORMS, value, secret=True)}{hint}")
    raise wrong(expected(_FORMS, value, secret=True))


def secrets_within(value: Any, info: ValidationInfo) -> Any:
    """Return a JSON value in which each `{env: NAME}`, `{file: PATH}` and `{credential: NAME}` is a secret."""
    if isinstance(value, list):
        return tuple(secrets_within(item, info) for item in value)
    if not isinstance(value, dict):
        return value
    names = [name for name in ("env", "file", "credential") if isinstance(value.get(name), str)]
    if len(value) == 1 and names:
        return _secret(value, info)
    return {name: secrets_within(item, info) for name, item in value.items()}


_SECRET_SCHEMA = {
    "anyOf": [
        {"type": "object", "properties": {name: {"type": "string"}}, "required": [name], "additionalProperties": False}
        for name in ("env", "file", "credential")
    ]
    + [{"type": "string", "description": "The secret itself; works, and draws a warning."}]
}
Secret = Annotated[SecretRef, BeforeValidator(_secret), PlainSerializer(str), WithJsonSchema(_SECRET_SCHEMA)]


def _secrets(value: Any) -> Any:
    if value == []:
        raise wrong("expected a secret or a list of secrets, found an empty list, which would let nobody in")
    return value if isinstance(value, list) else [value]


Secrets = Annotated[
    tuple[Secret, ...],
    BeforeValidator(_secrets),
    WithJsonSchema({"anyOf": [_SECRET_SCHEMA, {"type": "array", "minItems": 1, "items": _SECRET_SCHEMA}]}),
]


def is_address(value: str) -> bool:
    """Return whether an address has a host, and no port or a possible one."""
    try:
        parts = urlsplit(value)
        (parts.hostname or "").encode("idna")
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _proxy(value: str) -> str:
    if not value.startswith(("http://", "https://")) or not is_address(value):
        raise wrong(
            "expected a proxy's address like http://proxy.example.net:3128"
        )  # the found one may hold a password
    return value


Proxy = Annotated[str, AfterValidator(_proxy)]


def _changes(value: Any) -> Any:
    values = value if isinstance(value, (list, tuple)) else [value]
    if not values or not all(one in get_args(Change) for one in values):
        found = next((one for one in values if one not in get_args(Change)), value)
        raise wrong(expected(f"one of {', '.join(get_args(Change))}, or a list of them", found))
    if "none" in values and len(values) > 1:
        raise wrong("expected none alone, or a list without it")
    if "edit" in values and "post" in values:
        raise wrong("expected edit or post, found both; a new message replaces the old one")
    return tuple(dict.fromkeys(values))


_CHANGE_SCHEMA = {"type": "string", "enum": list(get_args(Change))}
Changes = Annotated[
    Any,
    BeforeValidator(_changes),
    PlainSerializer(list),
    WithJsonSchema({"anyOf": [_CHANGE_SCHEMA, {"type": "array", "minItems": 1, "items": _CHANGE_SCHEMA}]}),
]


def _range(parse: Callable[[str], Range], kind: str) -> Callable[[Any], Any]:
    read = _parser(parse, kind)
    return lambda value: value if isinstance(value, Range) else read(value)


_RANGE_TEXT = PlainSerializer(lambda one: f"{one.begin}:{one.end}")
_RANGE_SCHEMA = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})
Weekdays = Annotated[Any, BeforeValidator(_range(parse_weekdays, "a day of the week")), _RANGE_TEXT, _RANGE_SCHEMA]
DaysOfMonth = Annotated[Any, BeforeValidator(_range(parse_days_of_month, "a day")), _RANGE_TEXT, _RANGE_SCHEMA]
Months = Annotated[Any, BeforeValidator(_range(parse_months, "a month")), _RANGE_TEXT, _RANGE_SCHEMA]
Years = Annotated[Any, BeforeValidator(_range(parse_years, "a year")), _RANGE_TEXT, _RANGE_SCHEMA]


def _clock(value: Any) -> Any:
    _parser(parse_clock, "a time of day like 09:00")(value)
    return value


ClockTime = Annotated[str, BeforeValidator(_clock)]
_EMAIL = re.compile(r"[^\s@<>|()\[\]]{1,100}@[^\s@<>|()\[\]]{1,150}")


def _email(value: str) -> str:
    if _EMAIL.fullmatch(value) is None:
        raise wrong(f"expected an e-mail address like oncall@example.net, found {value[:80]!r}")
    return value


Email = Annotated[str, AfterValidator(_email)]


def _name(value: str, info: ValidationInfo) -> str:
    if _NAME.fullmatch(value) is None and value not in (info.context or {}).get("names", ()):
        raise wrong(f"expected a name of letters, digits, - _ and . only; found {value[:50]!r}")
    return value


Name = Annotated[str, AfterValidator(_name)]


def _zone(value: Any) -> Any:
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(value)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise wrong(expected("a time zone like UTC or Europe/Amsterdam", value)) from error


Zone = Annotated[
    Any,
    BeforeValidator(_zone),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["Europe/Amsterdam"]}),
]


def _whole_number(value: Any) -> Any:
    if isinstance(value, bool):
        raise wrong(expected("a whole number", value))
    return value


def _text_of_number(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


RoomId = Annotated[
    str, BeforeValidator(_text_of_number), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})
]
WholeNumber = Annotated[int, BeforeValidator(_whole_number)]


def _path(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, (str, Path)) or not str(value):
        raise wrong(expected("the path of a file", value))
    return Path((info.context or {}).get("base", ".")) / value


FileName = Annotated[Path, BeforeValidator(_path), WithJsonSchema({"type": "string"})]
