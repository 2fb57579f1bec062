"""All golden messages on one page, to read as the person at night would: `python -m tests.golden.page > messages.md`.

Of each message: who and what, where, since when, which link, what to do? What is unclear is mended in the format.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

FORMATS = Path(__file__).parent / "formats"
NOTHING = "(no event)"


def page(folder: Path = FORMATS) -> Iterator[str]:
    """Yield the lines of the page: each format is a heading, each payload the messages that come of it."""
    name = ""
    for file in sorted(folder.glob("*/*.md")):
        if file.parent.name != name:
            name = file.parent.name
            yield f"# {name}\n"
        yield f"## {name}: {file.stem.replace('-', ' ')}\n"
        yield (file.read_text(encoding="utf-8").strip() or NOTHING) + "\n"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in page())
