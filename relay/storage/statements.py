"""Named SQL from the `.sql` files, and many rows in one statement.

Every step of a statement releases the interpreter's lock and takes it again. Under load that costs far more than the
row itself. So one statement writes hundreds of rows, and reads return one JSON document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain
from sqlite3 import Connection

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_ROWS = re.compile(r":rows\((\d+)\)")
_CHUNKS = (512, 256, 128, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)

Row = Sequence[object]


@cache
def statements(module: str) -> dict[str, str]:
    """Return the statements of `sql/<module>.sql` by name."""
    text = files("relay.storage").joinpath("sql", f"{module}.sql").read_text(encoding="utf-8")
    pieces = _NAME.split(text)
    return {name: body.strip().rstrip(";") for name, body in zip(pieces[1::2], pieces[2::2], strict=True)}


@cache
def _expanded(sql: str, count: int) -> str:
    return _ROWS.sub(lambda found: ",".join(["(" + ",".join("?" * int(found[1])) + ")"] * count), sql)


def write_rows(connection: Connection, sql: str, rows: Sequence[Row]) -> int:
    """Run a statement with `:rows(n)` for rows of n values each, in few large steps; return how many it changed."""
    start = changed = 0
    for size in _CHUNKS:
        while len(rows) - start >= size:
            values: Iterable[object] = chain.from_iterable(rows[start : start + size])
            changed += connection.execute(_expanded(sql, size), tuple(values)).rowcount
            start += size
    return changed


def read_json(connection: Connection, sql: str, values: Row | Mapping[str, object] = ()) -> str:
    """Return the one JSON document that a statement yields, or `null` if it yields none."""
    row = connection.execute(sql, values).fetchone()
    return "null" if row is None or row[0] is None else str(row[0])
