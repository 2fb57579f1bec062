"""The store holds no rule of core's: no figure, no name that is taken apart, no text that a room reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relay.core import delivery, diverting, phrases, storm

STORAGE = Path(delivery.__file__).parents[1] / "storage"
FILES = sorted([*STORAGE.rglob("*.py"), *STORAGE.glob("*/sql/*.sql")])
"""The migrations are left out: they say what was right when they were written."""
FIGURES = {
    delivery.MOST_EDITS,
    delivery.MOST_LINES,
    delivery.EDITS_OF_CHANGES,
    delivery.LONGEST_FOR_DIGEST,
    diverting.NEXT_NOTE,
    storm.LATER,
    storm.WINDOW,
}


def test_there_are_files_to_look_at() -> None:
    assert len([file for file in FILES if file.suffix == ".sql"]) > 5


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_figure_of_core_is_written_again(file: Path) -> None:
    text = re.sub(r'"""(?s:.*?)"""|--[^\n]*|#[^\n]*|:rows\(\d+\)', "", file.read_text(encoding="utf-8"))
    numbers = {float(found.replace("_", "")) for found in re.findall(r"(?<![\w.:$'?])\d[\d_]*\.?\d*(?![\w.])", text)}
    assert not numbers & {float(figure) for figure in FIGURES}
    assert not re.search(r"edits\s*(<|>|=|<=|>=)\s*\d", text.replace("edits = 0", ""))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_name_is_taken_apart(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for found in (" GLOB ", " LIKE ", ".partition(", ".removeprefix(", ".startswith("):
        assert found not in text, f"{file.name} takes a name apart by {found.strip()}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_sentence_is_written(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert "**" not in re.sub(r"\*\*\w|\d ?\*\* ?\d|\*\*\{", "", text)
    for sign in (*phrases.SIGNS.values(), *phrases.ENDS.values(), phrases.MOVED, phrases.SILENCED, "↩", "📎", "🌊"):
        assert sign not in text
