"""Text that any encoder takes."""

from __future__ import annotations

import re

_SURROGATES = re.compile("[\ud800-\udfff]")


def whole(text: str) -> str:
    """Replace unpaired surrogates, which no UTF-8 encoder takes and which have brought services down."""
    return text if text.isascii() else _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)
