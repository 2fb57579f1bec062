"""The curves as pictures for the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from tests.bench.curves import CURVES
from tests.bench.measuring import Figure

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "relay",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.grid": True,
}
COLOURS = {"relay": "tab:blue", "alertmanager": "tab:orange", "ceiling": "tab:grey"}


def draw(figures: list[Figure], folder: Path) -> None:
    """Draw what was measured into `latency.svg` and `curves.svg` of a folder; make the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        if rates := [figure for figure in figures if figure.part == "by-rate"]:
            _latency(rates).savefig(folder / "latency.svg", metadata={"Date": None})
        parts = [part for part in CURVES if any(figure.part == part for figure in figures)]
        if parts:
            _curves(figures, parts).savefig(folder / "curves.svg", metadata={"Date": None})


def _latency(figures: list[Figure]) -> Picture:
    picture = Picture(figsize=(7, 3.4), layout="constrained")
    axes = picture.subplots()
    for figure in figures:
        subject, _, share = figure.name.partition(" ")
        dashes = "-" if share == "p50" else "--"
        _line(axes, figure, figure.name, color=COLOURS[subject], linestyle=dashes)
    axes.set(yscale="log", xlabel="alerts a second", ylabel="due to message at the sink, ms")
    axes.legend(frameon=False, ncols=len(figures) // 2)
    return picture


def _curves(figures: list[Figure], parts: list[str]) -> Picture:
    rows = -(-len(parts) // 2)
    picture = Picture(figsize=(8, 2.4 * rows), layout="constrained")
    for part, axes in zip(parts, picture.subplots(rows, 2, squeeze=False).flat, strict=False):
        for figure in figures:
            if figure.part == part and figure.name.startswith("CPU"):
                _line(axes, figure, figure.name, color=COLOURS["relay"])
        axes.set(xscale="log", xlabel=CURVES[part][0], ylabel="CPU for 1,000, s")
        axes.set_ylim(bottom=0)
    return picture


def _line(axes: Axes, figure: Figure, label: str, **style: Any) -> None:
    places = list(figure.values)
    axes.plot([int(place) for place in places], [figure.median(place) for place in places], label=label, **style)
    lowest, highest = zip(*((min(values), max(values)) for values in figure.values.values()), strict=True)
    axes.fill_between([int(place) for place in places], lowest, highest, color=style["color"], alpha=0.15, linewidth=0)
