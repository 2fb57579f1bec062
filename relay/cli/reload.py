"""`relay reload`: have the running relay load its configuration anew."""

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
    from relay.app.notice import Notice
    from relay.settings.load import Loaded
    from relay.settings.problems import Problem

PATIENCE = 60.0
"""Seconds that a relay that was sent a signal is waited for."""


def reload(config: ConfigOption = None, output: OutputOption = Output.text) -> None:
    """Have the running relay load its configuration anew, all of it or nothing, and tell what came of it.

    It is asked at its admin address; where it does not take this configuration's admin token (as that is what has
    changed), it is sent SIGHUP.

    Example: relay reload -c /etc/relay/relay.yaml
    """
    from relay.app.notice import notice_of
    from relay.settings.load import default_storage

    path = config_path(config)
    loaded, problems = _loaded(path)
    storage = default_storage() if loaded is None else loaded.storage
    notice = notice_of(storage)
    if loaded is None and (notice is None or notice.config != os.path.abspath(path)):  # noqa: PTH100 - links stay
        print_problems(problems)
        fail("where its relay runs can't be told, and so it was not asked; it goes on with the configuration before")
    said, why = _asked(loaded)
    if said is None and notice is not None:
        said, why = _by_signal(notice, storage)
    if said is None:
        fail(why)
    if output is Output.json:
        print_json(said)
    else:
        _print(said)
    if not said["good"]:
        raise typer.Exit(EXIT_NO)


def _asked(loaded: Loaded | None) -> tuple[dict[str, Any] | None, str]:
    """What the relay says at its admin address, or why it can't be asked there."""
    from relay.cli.access import StrangerError, daemon_of
    from relay.settings.secrets import SecretError

    if loaded is None:
        return None, ""
    try:
        daemon = daemon_of(loaded, strictly=True)
        if daemon is None:
            return None, "no relay runs on this configuration; `relay run` starts one"
        return daemon.reload(), ""
    except StrangerError:
        said = "the running relay does not take this configuration's admin token"
        return None, f"{said}, and its database is not seen from here: `systemctl reload relay` reaches it"
    except (SecretError, OSError, SilentError) as error:
        return None, str(error)


def _by_signal(notice: Notice, storage: Path) -> tuple[dict[str, Any] | None, str]:
    """Send the relay a signal; how its next load went, or why that can't be told."""
    from relay.app.notice import notice_of

    name = f"the relay (process {notice.pid})"
    try:
        os.kill(notice.pid, signal.SIGHUP)
    except PermissionError:
        return None, f"{name} is another user's: root may have it reload"
    except ProcessLookupError:
        return None, f"{name} has just ended"
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        now = notice_of(storage)
        if now is None or now.pid != notice.pid:
            return None, f"{name} ended before it had loaded its configuration"
        if now.loads > notice.loads:
            return now.last_load, ""
        threading.Event().wait(0.05)
    return None, f"{name} was sent SIGHUP, and has loaded nothing within {PATIENCE:g} s; its log tells more"


def _print(said: dict[str, Any]) -> None:
    for one in said["problems"]:
        place = f"{one['file']}:{one['line']}:{one['column']}"
        level = "warning: " if one["level"] == "warning" else ""
        complain(f"{place}: {level}{one['path'] + ': ' if one['path'] else ''}{one['message']}")
    if not said["good"]:
        complain("the configuration was not reloaded; the one before goes on")
        return
    print(f"reloaded at {said['at']}")
    if said["restart_needed"]:
        print(f"in force only after a restart: {', '.join(said['restart_needed'])}")


def _loaded(path: Path) -> tuple[Loaded | None, Sequence[Problem]]:
    """The configuration, as far as it takes to find the relay: whether it is good is for the relay to say."""
    from relay.formats import FORMATS
    from relay.settings.load import Loaded, load
    from relay.settings.problems import ConfigurationError

    try:
        return load(path, FORMATS), ()
    except ConfigurationError as error:
        return (error.rest if isinstance(error.rest, Loaded) else None), error.problems
