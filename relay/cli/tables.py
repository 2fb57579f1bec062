"""Tables for a terminal: nothing is cut, whatever its width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

GAP = 2
"""Spaces between two columns."""
INDENT = "    "
"""Before the cells that stand below their row."""
_FRACTION = re.compile(r"(?<=T\d\d:\d\d:\d\d)\.\d+Z")


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the lines of a table, the header first; times are shown to the second.

    If the columns need more than `width`, cells of the widest ones stand below their row, each on its own line.
    """
    shown = [[_FRACTION.sub("Z", " ".join(cell.split())) for cell in row] for row in rows]
    sizes = [max(map(cell_len, (column, *cells))) for column, *cells in zip(columns, *shown, strict=True)]
    beside = list(range(len(columns)))
    while sum(sizes[n] + GAP for n in beside) - GAP > width and len(beside) > 1:
        beside.remove(max(beside[1:], key=lambda n: sizes[n]))
    below = [n for n in range(len(columns)) if n not in beside]
    lines = [_beside(columns, beside, sizes)]
    for row in shown:
        lines += [_beside(row, beside, sizes), *_below(columns, row, below, width)]
    return lines


def _beside(cells: Sequence[str], which: Sequence[int], sizes: Sequence[int]) -> str:
    return "".join(cells[n] + " " * (sizes[n] - cell_len(cells[n]) + GAP) for n in which).rstrip()


def _below(columns: Sequence[str], row: Sequence[str], which: Sequence[int], width: int) -> list[str]:
    lines: list[str] = []
    name_size = max((len(columns[n]) for n in which), default=0) + GAP
    for n in which:
        first = INDENT + columns[n].ljust(name_size)
        later = " " * len(first)
        lines += textwrap.wrap(
            row[n],
            max(width, len(first) + 20),
            initial_indent=first,
            subsequent_indent=later,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines
