"""`relay reload`: have the running relay load its configuration again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from relay.cli.common import (
    EXIT_CONFIGURATION,
    EXIT_NO,
    ConfigOption,
    Output,
    OutputOption,
    SilentError,
    complain,
    config_path,
    fail,
    print_json,
    print_problems,
)

if TYPE_CHECKING:
    from relay.app.running.notice import Notice
    from relay.settings.load import Loaded
    from relay.settings.problems import Problem

PATIENCE = 60.0
"""Seconds to wait for a relay that was sent a signal."""


def reload(config: ConfigOption = None, output: OutputOption = Output.text) -> None:
    """Have the running relay load its configuration again, all of it or nothing, and print the result.

    The command asks the relay at its admin address. If the relay does not accept this configuration's admin token
    (which may just have changed), the command sends it SIGHUP.

    Example: relay reload -c /etc/relay/relay.yaml
    """
    from relay.app.running.notice import notice_of
    from relay.settings.load import default_storage

    path = config_path(config, EXIT_CONFIGURATION)
    loaded, problems = _loaded(path)
    storage = default_storage() if loaded is None else loaded.storage
    notice = notice_of(storage)
    if loaded is None and (notice is None or notice.config != os.path.abspath(path)):  # noqa: PTH100 - links stay
        print_problems(problems)
        fail(f"the relay of {path} can't be found, so it keeps the configuration that it has")
    used = str(path) if notice is None else notice.config
    result, why = _by_request(loaded)
    if result is None and notice is not None:
        result, why = _by_signal(notice, storage)
    if result is None:
        fail(why)
    if output is Output.json:
        print_json(result)
    else:
        _print(result, used)
    if not result["good"]:
        raise typer.Exit(EXIT_NO)


def _by_request(loaded: Loaded | None) -> tuple[dict[str, Any] | None, str]:
    """Ask the relay at its admin address; return its result, or None and the reason."""
    from relay.cli.access import StrangerError, daemon_of
    from relay.settings.secrets import SecretError

    if loaded is None:
        return None, ""
    try:
        daemon = daemon_of(loaded, strictly=True)
        if daemon is None:
            return None, f"no relay runs on {loaded.file}; start one with `relay run -c {loaded.file}`"
        return daemon.reload(), ""
    except StrangerError:
        message = f"the running relay does not accept the admin token of {loaded.file}"
        return None, f"{message}, and its database can't be seen from here; use `systemctl reload relay`"
    except (SecretError, OSError, SilentError) as error:
        return None, str(error)


def _by_signal(notice: Notice, storage: Path) -> tuple[dict[str, Any] | None, str]:
    """Send the relay SIGHUP; return the result of its next load, or None and the reason."""
    from relay.app.running.notice import notice_of

    name = f"the relay (process {notice.pid})"
    try:
        os.kill(notice.pid, signal.SIGHUP)
    except PermissionError:
        return None, f"{name} belongs to another user; run this command as that user or as root"
    except ProcessLookupError:
        return None, f"{name} has just ended"
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        now = notice_of(storage)
        if now is None or now.pid != notice.pid:
            return None, f"{name} ended before it loaded its configuration"
        if now.loads > notice.loads:
            return now.last_load, ""
        threading.Event().wait(0.05)
    return None, f"{name} was sent SIGHUP, but loaded nothing within {PATIENCE:g} s; see its log"


def _print(result: dict[str, Any], used: str) -> None:
    for one in result["problems"]:
        place = f"{one['file']}:{one['line']}:{one['column']}"
        level = "warning: " if one["level"] == "warning" else ""
        complain(f"{place}: {level}{one['path'] + ': ' if one['path'] else ''}{one['message']}")
    if not result["good"]:
        complain(f"{used} was not reloaded; the previous one stays in force")
        return
    print(f"reloaded at {result['at']} from {used}")
    if result["restart_needed"]:
        print(f"in force only after a restart: {', '.join(result['restart_needed'])}")


def _loaded(path: Path) -> tuple[Loaded | None, Sequence[Problem]]:
    """Return the valid part of the configuration, which is enough to find the relay, and the problems.

    The relay itself decides whether the configuration is good.
    """
    from relay.formats import FORMATS
    from relay.settings.load import Loaded, load
    from relay.settings.problems import ConfigurationError

    try:
        return load(path, FORMATS), ()
    except ConfigurationError as error:
        return (error.rest if isinstance(error.rest, Loaded) else None), error.problems
