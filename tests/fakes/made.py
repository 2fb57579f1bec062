"""Values that tests need and do not care about, made with what they do care about; and texts that would do harm."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from relay.core.delivery import Lease
from relay.core.event import Event
from relay.core.plan import Waiting

EVENT = Event(
    id="e1",
    source="fabric",
    format="relay",
    status="firing",
    severity="major",
    severity_given=True,
    title="port-down on node-7",
    body="",
    key="k1",
    labels={},
    links=(),
    files=(),
    occurred_at=1_000.0,
    received_at=1_000.0,
)
LEASE = Lease(
    id=1,
    room="noc",
    action="post",
    rank=1,
    message=11,
    kind="living",
    lineage="{}",
    template=None,
    attempts=1,
    spent=0.0,
    created_at=1_000.0,
    content=None,
    remote=None,
    event=EVENT,
)


def event(**changes: Any) -> Event:
    return msgspec.structs.replace(EVENT, **changes)


def waiting(seq: int, one: Event) -> Waiting:
    """An event of the inbox that arrived when it says so."""
    return Waiting(seq, one, one.received_at)


def lease(**changes: Any) -> Lease:
    return msgspec.structs.replace(LEASE, **changes)


_SPICE = (
    "*",
    "**",
    "_",
    "__",
    "`",
    "``",
    "```",
    "~~~",
    "~~",
    "#",
    "# ",
    "###### ",
    "- ",
    "+ ",
    "-",
    "---",
    "===",
    "=",
    "1. ",
    "12) ",
    "7",
    ".",
    ")",
    "> ",
    ">",
    "<",
    "<@all>",
    "<@personEmail:a@example.org|A>",
    "<spark-mention",
    "</",
    "<b>",
    "<!--",
    "<https://example.org>",
    "[x](https://example.org)",
    "![x](y)",
    "[",
    "]",
    "(",
    ")",
    "[a]: /u",
    "&",
    "&amp;",
    "&lt;",
    "&#42;",
    "&copy;",
    "\\",
    "\\\\",
    "|",
    "|-|",
    "!",
    "\t",
    "    ",
    "  ",
    " ",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\x0b",
    "\f",
    "\0",
    "\x85",
    "\u2028",
    "\u202e",
    "\ufeff",
    "\u200b",
    "\xa0",
    "\ud800",
    "é",
    "🔴",
    "https://example.org/",
    "word",
    "a",
    ":",
    "@",
    "@all",
    "{{ x }}",
    "$x$",
    "^",
)
harmful = st.lists(st.sampled_from(_SPICE) | st.text(max_size=4), max_size=12).map("".join)
"""Text as an enemy, or a careless exporter, would write it."""
