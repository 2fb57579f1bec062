"""Finding the configuration file that a command uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

SYSTEM = Path("/etc/relay/relay.yaml")
STATE = Path("/var/lib/relay")
"""The folder of the database below systemd, as the unit names it."""


def none_found(*, running: bool = True) -> str:
    """Return the message that no configuration was found, with the places that were tried."""
    relays = f"a relay that runs on a database in {' or '.join(map(str, _folders()))}, " if running else ""
    tried = f"$RELAY_CONFIG (not set), {relays}{Path('relay.yaml').absolute()}, {SYSTEM}"
    return f"no configuration was found; tried {tried}; name one with `--config FILE`"


def find_config(given: Path | None, *, running: bool = True) -> Path | None:
    """Return the file of the configuration, or None if no place has one."""
    if given is not None:
        return given
    if os.environ.get("RELAY_CONFIG"):
        return Path(os.environ["RELAY_CONFIG"])
    used = config_of_running() if running else None
    return used or next((path for path in (Path("relay.yaml"), SYSTEM) if _may_exist(path)), None)


def config_of_running() -> Path | None:
    """Return the file of a relay that runs on a database in the default folders; None if none does."""
    return next((_shortened(config) for config, _ in _running()), None)


def database_of(config: Path) -> Path | None:
    """Return the database, in the default folders, of a relay that runs with this file; None if none does."""
    return next((database for used, database in _running() if used == config.absolute()), None)


def _running() -> Iterator[tuple[Path, Path]]:
    """Yield the configuration and the database of each relay that runs on a database in the default folders."""
    from relay.app.running.notice import notice_of

    for folder in _folders():
        for lock in _locks(folder):
            database = lock.with_name(lock.name.removesuffix(".lock"))
            notice = notice_of(database)
            if notice is not None and Path(notice.config).name != "-":  # not from standard input
                yield Path(notice.config), database


def _folders() -> list[Path]:
    """Return the folders in which a relay's database is by default."""
    from relay.settings.load import default_storage

    return list(dict.fromkeys((default_storage().parent.absolute(), STATE)))


def _locks(folder: Path) -> list[Path]:
    """Return the locks beside databases in a folder, that of `relay.db` first."""
    try:
        found = [entry for entry in folder.iterdir() if entry.name.endswith(".lock")]
    except OSError:  # it does not exist, or this user may not see it
        return []
    return sorted(found, key=lambda lock: (lock.name != "relay.db.lock", lock.name))


def _shortened(path: Path) -> Path:
    """Return a path below the current folder in its short form."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _may_exist(path: Path) -> bool:
    """Return False only if a file is certainly absent: one that this user may not see is named in the error."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
