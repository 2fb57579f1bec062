"""The log: colours on a terminal, JSON lines everywhere else."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TextIO, cast

import structlog
from aiohttp.http_exceptions import HttpProcessingError
from structlog.typing import EventDict, Processor

from relay.ports import Log

_redacts: list[Callable[[str], str]] = []
"""Functions that take secrets out of each line. Global, because structlog's configuration is global as well."""
LEVELS = ("debug", "info", "warning", "error")


def make_log(level: str = "info", stream: TextIO | None = None) -> Log:
    """Configure structlog and the standard `logging`, and return the log. Records of libraries get the same form."""
    out = stream or sys.stderr
    number = logging.getLevelName(level.upper())
    console = out.isatty()
    renderer: Processor = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, _redact_values, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared, structlog.processors.format_exc_info],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _redact_values, renderer],
        )
    )
    handler.addFilter(_is_worth_logging)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
    return cast(Log, structlog.get_logger())


def redact_log(redact: Callable[[str], str]) -> None:
    """Take secrets out of all lines from now on; `redact` replaces an earlier function."""
    _redacts[:] = [redact]


def _redact_values(_: object, __: str, values: EventDict) -> EventDict:
    """Redact all texts of a line, also those in nested values."""
    for redact in _redacts:
        for name, value in values.items():
            if not name.startswith("_"):
                values[name] = _redacted(value, redact)
    return values


def _redacted(value: object, redact: Callable[[str], str]) -> object:
    match value:
        case str():
            return redact(value)
        case dict():
            return {name: _redacted(one, redact) for name, one in value.items()}
        case list() | tuple() | set():
            return [_redacted(one, redact) for one in value]
        case None | bool() | int() | float():
            return value
        case _:
            return redact(repr(value))


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Return False for noise that any scanner can provoke: requests that are not HTTP, connections that are cut."""
    error = record.exc_info[1] if record.exc_info else None
    noise = isinstance(error, (ConnectionError, HttpProcessingError))
    return not (noise and record.name.startswith("aiohttp."))
