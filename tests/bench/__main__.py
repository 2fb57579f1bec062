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
from importlib.util import find_spec
from pathlib import Path

import msgspec

from tests.bench.curves import CURVES, by_rate, curve
from tests.bench.measuring import NOISY, Figure
from tests.bench.parts import PARTS, RIVALS, Part
from tests.bench.subjects import ALERTMANAGER

DRAWN: dict[str, Part] = {**dict.fromkeys(CURVES, curve), "by-rate": by_rate}
"""The parts that `--svg` draws."""
FULL = ("relay", "alertmanager", "ceiling")


def table(figures: list[Figure], subjects: list[str]) -> str:
    """Return figures as a table: medians with half their spread, and the relay's ratio to each other subject."""
    others = [subject for subject in subjects if subject != "relay"]
    rows = [["part", "figure", *subjects, *(f"relay ÷ {other}" for other in others)]]
    for figure in figures:
        cells = [_said(figure, subject) for subject in subjects]
        ratios = [f"{figure.ratio(other):.2f}" if other in figure.values else "" for other in others]
        rows.append([figure.part, figure.name, *cells, *ratios])
    return _aligned(rows)


def curve_table(part: str, figures: list[Figure]) -> str:
    """Return a curve as a table: a column for each place, with the median and half its spread."""
    places = list(figures[0].values)
    rows = [[part, *(f"{int(place):,}" for place in places)]]
    rows += [[figure.name, *(_said(figure, place) for place in places)] for figure in figures]
    return _aligned(rows)


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "─" * len(lines[0]), *lines[1:]])


def _said(figure: Figure, subject: str) -> str:
    return f"{figure.median(subject):,.4g} ±{figure.spread(subject) / 2:.0%}" if subject in figure.values else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"of {', '.join(PARTS)}; all without one. The curves, without one if --svg is given: {', '.join(DRAWN)}",
    )
    parser.add_argument("--against", choices=["alertmanager"], help="measure Debian's Alertmanager as well")
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="measure each part so often (3)")
    parser.add_argument("--size", type=float, default=1.0, metavar="X", help="multiply all counts by this (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values to a file, too")
    parser.add_argument("--svg", type=Path, metavar="FOLDER", help="draw the curves, too (needs the extra 'bench')")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - {*PARTS, *DRAWN}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if chosen.against and shutil.which(ALERTMANAGER) is None:
        parser.error(f"{ALERTMANAGER} is not on the PATH; it is in Debian's package of that name")
    if chosen.svg is not None and find_spec("matplotlib") is None:
        parser.error("--svg draws with matplotlib: pip install -e '.[bench]'")
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    subjects = ["relay", *([chosen.against] if chosen.against else []), "ceiling"]
    figures: list[Figure] = []
    for name in chosen.parts or (DRAWN if chosen.svg else PARTS):
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        rivals = RIVALS.get(name, FULL if name == "by-rate" else ("relay",))
        figures += {**PARTS, **DRAWN}[name](name, [s for s in subjects if s in rivals], chosen.repetitions, chosen.size)
    _print(figures, subjects)
    if chosen.svg is not None:
        from tests.bench.drawing import draw

        draw([figure for figure in figures if figure.part in DRAWN], chosen.svg)
    if chosen.json is not None:
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")


def _print(figures: list[Figure], subjects: list[str]) -> None:
    machine = [figure for figure in figures if figure.part == "machine"]
    if plain := [figure for figure in figures if figure.part != "machine" and figure.part not in DRAWN]:
        print(table(plain, subjects), end="\n\n")
    for part in dict.fromkeys(figure.part for figure in figures if figure.part in DRAWN):
        print(curve_table(part, [figure for figure in figures if figure.part == part]), end="\n\n")
    if machine:
        noise = max(figure.spread("relay") for figure in machine)
        print(
            f"the machine's own speed spread by {noise:.0%} over the repetitions"
            + ("" if noise <= NOISY else ": too noisy to tell small differences")
        )


if __name__ == "__main__":
    main()
