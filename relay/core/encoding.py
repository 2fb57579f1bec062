"""Text that any encoder takes."""

from __future__ import annotations

import re

_SURROGATES = re.compile("[\ud800-\udfff]")


def whole(text: str) -> str:
    """Return a text with its unpaired surrogates replaced. No UTF-8 encoder takes them."""
    return text if text.isascii() else _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)
