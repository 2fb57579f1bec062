"""The statements of a database, by name, from its `.sql` files."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def statements(package: str) -> dict[str, str]:
    """Return the statements of all files in the folder `sql` of a package, by `file.statement`."""
    found: dict[str, str] = {}
    for file in files(package).joinpath("sql").iterdir():
        pieces = _NAME.split(file.read_text(encoding="utf-8"))
        module = file.name.removesuffix(".sql")
        for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
            found[f"{module}.{name}"] = body.strip().rstrip(";")
    return found


def migrations(package: str) -> list[str]:
    """Return the numbered migrations of a package in order; the schema's version is their count."""
    return [
        entry.read_text(encoding="utf-8")
        for entry in sorted(files(package).joinpath("migrations").iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".sql")
    ]
