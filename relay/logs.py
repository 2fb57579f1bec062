"""The log: JSON lines where nobody watches, colours on a terminal."""

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
"""What takes secrets out of each line; the log is one for the process, as structlog's configuration is."""
LEVELS = ("debug", "info", "warning", "error")


def make_log(level: str = "info", stream: TextIO | None = None) -> Log:
    """Configure and give the log; libraries' own records go the same way."""
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
    handler.addFilter(_is_ours_to_say)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
    return cast(Log, structlog.get_logger())


def redact_log(redact: Callable[[str], str]) -> None:
    """Have secrets taken out of all lines from now on."""
    _redacts[:] = [redact]


def _redact_values(_: object, __: str, values: EventDict) -> EventDict:
    """Redact the texts of a line, however deep they are."""
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


def _is_ours_to_say(record: logging.LogRecord) -> bool:
    """False for what any scanner can provoke: requests that are no HTTP, connections that are cut."""
    error = record.exc_info[1] if record.exc_info else None
    noise = isinstance(error, (ConnectionError, HttpProcessingError))
    return not (noise and record.name.startswith("aiohttp."))
