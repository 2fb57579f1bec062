"""The log: colours on a terminal, JSON lines everywhere else; each with its priority if the journal reads it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO, cast

import structlog
from aiohttp.http_exceptions import HttpProcessingError
from structlog.typing import EventDict, Processor

from relay.ports import Log

_redacts: list[Callable[[str], str]] = []
"""Functions that take secrets out of each line. Global, because structlog's configuration is global as well."""
LEVELS = ("debug", "info", "notice", "warning", "error")
"""Levels that a user may choose. `info` has a line for each request and message, `notice` for each change of state."""
_NUMBERS = {"debug": 10, "info": 20, "notice": 25, "warning": 30, "error": 40, "critical": 50}
_PRIORITIES = {"debug": 7, "info": 6, "notice": 5, "warning": 4, "error": 3, "critical": 2}
"""Priorities of the journal (sd-daemon(3))."""


class _Writer(structlog.WriteLogger):
    """Writes lines of all levels."""

    notice = structlog.WriteLogger.msg


def make_log(level: str = "notice", stream: TextIO | None = None) -> Log:
    """Configure structlog and the standard `logging`, and return the log. Records of libraries get the same form."""
    out = stream or sys.stderr
    number = _NUMBERS[level]
    console = out.isatty()
    renderers: list[Processor] = [structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()]
    if is_journal(out):
        renderers.append(_prioritized)
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, _redact_values, *renderers],
        wrapper_class=_bound_logger(number),
        logger_factory=lambda *_: _Writer(out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared, structlog.processors.format_exc_info],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _redact_values, *renderers],
        )
    )
    handler.addFilter(_is_worth_logging)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
    return cast(Log, structlog.get_logger().bind())  # bound once: an unbound logger is made anew at each line


def _bound_logger(number: int) -> type:
    """Return a class of loggers for lines from a level on; structlog has all of them but `notice`."""
    base: Any = structlog.make_filtering_bound_logger(_NUMBERS["warning"] if number == _NUMBERS["notice"] else number)

    def notice(self: Any, event: str, **values: object) -> object:
        return self._proxy_to_logger("notice", event, **values)

    return type("Logger", (base,), {"notice": notice if number <= _NUMBERS["notice"] else base.debug})


def is_journal(stream: TextIO) -> bool:
    """Return whether a stream goes to systemd's journal, so that a line may begin with a priority (systemd.exec(5))."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # not a file
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def with_priority(level: str, text: str) -> str:
    """Return a text whose lines begin with the journal's priority of a level."""
    return "\n".join(f"<{_PRIORITIES[level]}>{line}" for line in text.split("\n"))


def _prioritized(_: object, level: str, line: Any) -> str:
    return with_priority(level, line)


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
