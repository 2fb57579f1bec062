"""The pages of the documentation as tests read them: their headings, links, code blocks and sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder, pattern in (
        (".", "README.md"),
        ("config", "*.md"),
        ("systemd", "*.md"),
        ("relay", "**/*.md"),
        ("tests", "*.md"),
    )
    for path in (ROOT / folder).glob(pattern)
)
_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"!?\[((?:[^][]|\[[^]]*\])*)\]\(([^)\s]+)\)")
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[*-]|\d+\.) )|\n(?=#)|(?<=\n)(?=\|)|(?m:^#+ .*$)")
_END = re.compile(r"(?<=[.!?])[*_)\"”]*\s+")


def read_page(name: str) -> str:
    """Return a page's text; `name` is its path from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def code_blocks(text: str, *languages: str) -> list[str]:
    """Return the fenced blocks of some languages, without their indentation."""
    found = [(indent, language, block) for indent, language, block in _FENCED.findall(text)]
    return [re.sub(rf"(?m)^{indent}", "", block) for indent, language, block in found if language in languages]


def marked_block(text: str, mark: str) -> str:
    """Return the code block that follows a comment like `<!-- steps: commands -->`."""
    found = re.search(rf"<!-- {re.escape(mark)} -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert found is not None, mark
    return found[1]


def without_code(text: str) -> str:
    """Return a page without its fenced blocks and comments."""
    return _COMMENT.sub("", _FENCED.sub("", text))


def links_of(text: str) -> list[str]:
    """Return the targets of a page's links and pictures; what stands in code is none."""
    return [target for _, target in _LINK.findall(_CODE.sub("", without_code(text)))]


def anchors_of(text: str) -> set[str]:
    """Return the anchors that GitHub gives a page's headings: a second equal one ends in `-1`."""
    seen: Counter[str] = Counter()
    anchors: set[str] = set()
    for heading in re.findall(r"(?m)^#{1,6} +(.+?) *#*$", without_code(text)):
        plain = _LINK.sub(r"\1", heading).replace("`", "").replace("*", "").lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        anchors.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return anchors


def sentences_of(text: str) -> Iterator[str]:
    """Yield a page's sentences; code blocks, tables and headings have none, and code in a line is one word."""
    for block in _BLOCK.split(_LINK.sub(r"\1", without_code(text))):
        plain = _CODE.sub("code", block).strip().lstrip("*-> ")
        if not plain or plain.startswith(("|", "#")):
            continue
        for sentence in _END.split(re.sub(r"^\d+\. ", "", plain)):
            if sentence.strip():
                yield " ".join(sentence.split())


def count_words(sentence: str) -> int:
    """Return how many words a sentence has: signs alone are none."""
    return sum(re.search(r"\w", word) is not None for word in sentence.split())
