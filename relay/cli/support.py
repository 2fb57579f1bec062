"""`relay support-bundle`: one file for a bug report, without secrets and without the contents of events."""

from __future__ import annotations

import io
import json
import platform
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.common import ConfigOption, Output, OutputOption, complain, fail, print_json
from relay.cli.place import find_config, none_found

if TYPE_CHECKING:
    from relay.cli.access import Daemon, Stored
    from relay.settings.load import Loaded

MOST = 200
"""Most unfinished or dead deliveries, and most refused requests, in a bundle."""
TROUBLE = ("id", "room", "state", "reason", "attempts", "action", "created_at", "due_at", "settled_at", "last_error")


def support_bundle(
    file: Annotated[
        Path | None,
        typer.Argument(help="The new file; default relay-support-TIME.tar.gz here.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Write one file for a bug report: configuration, versions, last errors, queue.

    Secrets are masked, and the contents of events are left out. Look through it before you pass it on.

    Example: relay support-bundle /tmp/relay-support.tar.gz
    """
    from relay.core.words import iso
    from relay.lifecycle import SystemClock

    now = iso(SystemClock().wall())
    path = file or Path(f"relay-support-{now[:19].replace(':', '')}Z.tar.gz")
    if path.exists():
        fail(f"{path} exists already; name another file", 2)
    parts = collect(config, now)
    try:
        write(path, parts)
    except OSError as error:
        fail(f"{path} can't be written: {error.strerror}", 2)
    if output is Output.json:
        print_json({"file": str(path), "parts": list(parts)})
        return
    print(f"{path}: {', '.join(parts)}")
    print("Secrets are masked. Look through the file before you pass it on. Add the log: `journalctl -u relay`.")


def collect(config: Path | None, now: str) -> dict[str, str]:
    """Return the parts of a bundle, by name."""
    from relay.app.running.configured import settings_text

    file = find_config(config)
    loaded, problems = (None, [none_found()]) if file is None else _loaded(file)
    parts = {"versions.txt": _versions(now), "problems.txt": "\n".join(map(str, problems)) + "\n"}
    if loaded is None:
        parts["config.yaml"] = f"# {file or 'The configuration'} can't be read; see problems.txt.\n"
    else:
        parts["config.yaml"] = settings_text(loaded)
    return parts | _state(loaded)


def write(path: Path, parts: Mapping[str, str]) -> None:
    """Write a bundle that only its owner can read. Raises OSError."""
    path.touch(mode=0o600, exist_ok=False)
    with tarfile.open(path, "w:gz") as bundle:
        for name, text in parts.items():
            entry = tarfile.TarInfo(f"relay-support/{name}")
            entry.size = len(text.encode())
            bundle.addfile(entry, io.BytesIO(text.encode()))


def _loaded(file: Path) -> tuple[Loaded | None, Sequence[object]]:
    """Return the valid part of the configuration, and its problems."""
    from relay.app.trial.checks import adapter_problems
    from relay.formats import FORMATS
    from relay.settings.load import Loaded, check_machine, load
    from relay.settings.problems import ConfigurationError

    try:
        loaded = load(file, FORMATS)
    except ConfigurationError as error:
        return (error.rest if isinstance(error.rest, Loaded) else None), list(error.problems)
    return loaded, [*loaded.warnings, *adapter_problems(loaded), *check_machine(loaded)]


def _versions(now: str) -> str:
    import sqlite3
    from importlib.metadata import distributions

    from relay import __version__

    packages = sorted({f"{one.metadata['Name']} {one.version}" for one in distributions()}, key=str.lower)
    lines = [
        f"at {now}",
        f"relay {__version__}",
        f"python {sys.version}",
        f"sqlite {sqlite3.sqlite_version}",
        f"system {platform.platform()}",
        "",
        *packages,
    ]
    return "\n".join(lines) + "\n"


def _reached(loaded: Loaded | None) -> Daemon | Stored:
    """Return the running relay, else the store; without a configuration, the relay on the default database."""
    from relay.app.running.notice import notice_of
    from relay.cli.access import Daemon, access
    from relay.settings.load import default_storage

    if loaded is not None:
        return access(loaded)
    notice = notice_of(default_storage())
    if notice is None:
        fail("no configuration can be read (see problems.txt), so the relay can't be found")
    return Daemon(notice.admin, notice.certificate)


def _state(loaded: Loaded | None) -> dict[str, str]:
    """Return the state from the running relay, else from the store; if neither answers, the reason."""
    from relay.cli.access import Daemon
    from relay.cli.common import SilentError

    try:
        reached = _reached(loaded)
        status = reached.status()
        for one in status["findings"]:
            del one["detail"]  # it may have the title of an alert; its error is in the other files
        found: dict[str, Any] = {"status.json": status}
        troubled = reached.deliveries({"state": ["dead", "waiting", "leased"], "limit": MOST})
        found["deliveries.json"] = [{name: one[name] for name in TROUBLE} for one in troubled]
        found["refused.json"] = [
            {name: one[name] for name in ("source", "received_at", "reason", "detail")}
            for one in reached.events({"refused": True, "limit": MOST})
        ]
        parts = {name: json.dumps(value, indent=1, ensure_ascii=False) + "\n" for name, value in found.items()}
        if isinstance(reached, Daemon):
            parts["metrics.txt"] = reached.text("/metrics")
            parts["config-in-force.yaml"] = str(reached.call("GET", "/api/v1/config")["yaml"])
    except SilentError as error:
        return {"state.txt": f"{error}\n"}
    except typer.Exit:
        complain("the bundle has no state of the relay")
        return {"state.txt": "neither the relay nor its database could be read\n"}
    return parts
