"""The meaning of a websocket's close code: the peer refuses us, or the connection was merely lost."""

from __future__ import annotations

import re

REFUSALS = {3000, 3003, 4401, 4403}
"""Unauthorized and Forbidden. 3000 and 3003 are in IANA's WebSocket Close Code Number Registry. 4401 and 4403 are those
of the GraphQL over WebSocket Protocol, and of others that add 4000 to an HTTP status."""
POLICY_VIOLATION = 1008
"""RFC 6455, section 7.4.1: also for refusals that have no code of their own. The reason tells them apart."""
_PRIVATE = range(3000, 5000)
"""RFC 6455, section 7.4.2: for libraries and applications; each vendor has its own numbers."""
_REFUSED = re.compile(
    r"auth(?!or\b)|credential|token|api[ _-]?key|password|forbidden|permission|access denied|not allowed|log[ -]?in",
    re.IGNORECASE,
)
_PASSING = re.compile(r"time[d ]*-?out|unavailable|temporar|again|later|internal|too many|\brate\b", re.IGNORECASE)


def refuses(code: int | None, reason: str) -> bool:
    """Return whether a close means that the peer refuses us until a person changes something."""
    if code in REFUSALS:
        return True
    speaks = code == POLICY_VIOLATION or code in _PRIVATE
    return speaks and _REFUSED.search(reason) is not None and _PASSING.search(reason) is None
