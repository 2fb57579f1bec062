"""The project's benchmark: `python -m tests.bench`.

It measures the relay beside a prototype without features (the ceiling) and, if asked, beside Alertmanager: in turn
within each repetition, as machines are noisy. Loads, sink and subjects are processes of their own; only loopback is
contacted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

import msgspec

from tests.bench.measuring import NOISY, Figure
from tests.bench.parts import PARTS, RIVALS
from tests.bench.subjects import ALERTMANAGER


def table(figures: list[Figure], subjects: list[str]) -> str:
    """Return the figures as a table: medians with half their spread, and the relay's ratio to each other subject."""
    others = [subject for subject in subjects if subject != "relay"]
    rows = [["part", "figure", *subjects, *(f"relay ÷ {other}" for other in others)]]
    for figure in figures:
        cells = [_said(figure, subject) for subject in subjects]
        ratios = [f"{figure.ratio(other):.2f}" if other in figure.values else "" for other in others]
        rows.append([figure.part, figure.name, *cells, *ratios])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "─" * len(lines[0]), *lines[1:]])


def _said(figure: Figure, subject: str) -> str:
    return f"{figure.median(subject):,.4g} ±{figure.spread(subject) / 2:.0%}" if subject in figure.values else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all without one")
    parser.add_argument("--against", choices=["alertmanager"], help="measure Debian's Alertmanager as well")
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="measure each part so often (3)")
    parser.add_argument("--size", type=float, default=1.0, metavar="X", help="multiply all counts by this (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values to a file, too")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if chosen.against and shutil.which(ALERTMANAGER) is None:
        parser.error(f"{ALERTMANAGER} is not on the PATH; it is in Debian's package of that name")
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    subjects = ["relay", *([chosen.against] if chosen.against else []), "ceiling"]
    figures: list[Figure] = []
    for name in chosen.parts or PARTS:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        figures += PARTS[name](
            name, [s for s in subjects if s in RIVALS.get(name, ("relay",))], chosen.repetitions, chosen.size
        )
    machine = [figure for figure in figures if figure.part == "machine"]
    print(table([figure for figure in figures if figure.part != "machine"], subjects))
    noise = max((figure.spread("relay") for figure in machine), default=0.0)
    print(
        f"\nthe machine's own speed spread by {noise:.0%} over the repetitions"
        + ("" if noise <= NOISY else ": too noisy to tell small differences")
    )
    if chosen.json is not None:
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")


if __name__ == "__main__":
    main()
