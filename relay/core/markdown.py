"""Markdown as Webex shows it: escaping event text, turning markdown into plain text, splitting long texts.

Source: Webex for Developers, "Formatting Messages" (markdown is CommonMark without tables; mentions are
`<@personEmail:…>`, `<@all>`, `<spark-mention …>`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, urlsplit

from markupsafe import Markup

from relay.core.encoding import whole

WEBEX_MAX_BYTES = 7439
"""The most that Webex takes as `text` or `markdown`, in bytes of UTF-8."""

_INVISIBLE = "".join(
    chr(code)
    for code in (
        *range(9),
        11,
        12,
        *range(14, 32),
        *range(127, 160),
        0x2028,
        0x2029,
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        0xFEFF,
    )
)
_CLEAN = {**dict.fromkeys(map(ord, _INVISIBLE), None), ord("\r"): None, ord("\t"): " "}
_ENTITIES_OUT = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
_ESCAPES = {**_CLEAN, **{ord(char): "\\" + char for char in "\\`*_[]~|"}, **_ENTITIES_OUT}
_LINE_START = re.compile(r"^( *)(?:([#+\-=.)])|(\d+)(?=[.)]))?", re.MULTILINE)
_NOTABLE = re.compile(r"""[^ !"#$%'()+,\-./0-9:;=?@A-Z^a-z{}]|^[ #+\-=.)0-9]""")
"""A sign that may need escaping. Most titles have none, and are returned as they are."""
LONGEST_URL = 2_000
"""Characters of a link's address. A longer one is no link."""
LONGEST_NAME = 100
"""Characters of a file's name."""
_MENTION = re.compile(r"<(?=/?\s*(?:@|spark-mention))", re.IGNORECASE)
_WHITESPACE = re.compile(r"\s+")
_LONG_WORD = re.compile(r"\S{61,}")
_BACKTICKS = re.compile(r"`+")
_MOST_BACKTICKS = 20
"""Backticks in a row that a code block keeps: `split` carries on fences that are a little longer, at any limit."""
_ENTITY_LIKE = re.compile(r"(&#?\w+);")
_IPV6_HOST = re.compile(r"https?://\[[0-9A-Fa-f:.]+\]", re.IGNORECASE)
_NO_BREAK = "\N{NO-BREAK SPACE}"
_ZERO_WIDTH = "\N{ZERO WIDTH SPACE}"


class Markdown(Markup):
    """Text that is markdown on purpose. Any other text joined to it is escaped first."""

    __slots__ = ()

    @classmethod
    def escape(cls, s: object, /) -> Markdown:
        """Return an object as markdown: itself if it is `Markdown`, else its text with every sign made literal."""
        return s if isinstance(s, Markdown) else cls(escape_markdown(str(s)))


def clean(text: str) -> str:
    """Return a text without control and direction signs; line ends stay."""
    return whole(text).translate(_CLEAN)


def escape_markdown(text: str) -> str:
    """Return text escaped for markdown, so that it makes no mention, link, format or list. Line ends stay."""
    if _NOTABLE.search(text) is None:
        return text
    escaped = whole(text).translate(_ESCAPES)
    return _LINE_START.sub(_escape_line_start, escaped)


def _escape_line_start(found: re.Match[str]) -> str:
    indent, sign, digits = found.groups()
    opened = _NO_BREAK * len(indent)
    if digits:
        return f"{opened}{digits}\\"
    return f"{opened}\\{sign}" if sign else opened


def one_line(text: str, longest: int = 300) -> str:
    """Return text for a single line: white space folded, then over-long words and the whole cut in the middle."""
    if len(text) <= 60 and text.isascii() and text.isprintable() and "  " not in text:
        return middle(text.strip(), longest)
    folded = _WHITESPACE.sub(" ", clean(text)).strip()
    if len(folded) > 60:
        folded = _LONG_WORD.sub(lambda word: middle(word[0], 60), folded)
    return middle(folded, longest)


def middle(text: str, longest: int) -> str:
    """Cut text in the middle to at most `longest` characters."""
    if len(text) <= longest:
        return text
    tail = (longest - 1) // 2
    return f"{text[: longest - 1 - tail]}…{text[len(text) - tail :]}"


def link(text: str, url: str) -> Markdown:
    """Return a link if the address is plain http or https, else the text alone."""
    url = url.strip()
    return _link(one_line(text, 80), url if len(url) <= LONGEST_URL else "")


@lru_cache(maxsize=1_024)
def _link(text: str, url: str) -> Markdown:
    """Return a link. Cached, as the alerts of a rule or a device have the same links again and again."""
    shown = escape_markdown(text) or "link"
    address = safe_url(url)
    return Markdown(shown if address is None else f"[{shown}]({address})")


def file_name(address: str) -> str:
    """Return the file name at the end of an address or a path, without its query or a password before the host."""
    try:
        name = urlsplit(address).path.rstrip("/").rsplit("/", 1)[-1]
    except ValueError:
        name = ""
    return one_line(name, LONGEST_NAME) or "file"


def mention(email: str) -> Markdown:
    """Return a mention of a person, which rings their phone. The settings have checked the address."""
    return Markdown(f"<@personEmail:{email}>")


def safe_url(url: str) -> str | None:
    """Return an http or https address with every sign that could end a markdown link encoded, or None for others."""
    url = whole(url).strip()
    if len(url) > LONGEST_URL:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    quoted = _ENTITY_LIKE.sub(r"\1%3B", quote(url, safe="%/:?#@!$&'*+,;=-._~[]"))
    host = _IPV6_HOST.match(quoted)
    start = host.end() if host is not None else 0
    return quoted[:start] + quoted[start:].replace("[", "%5B").replace("]", "%5D").replace("*", "%2A")


def code(text: str) -> Markdown:
    """Return text as inline code, its backticks and mentions made harmless."""
    inner = _MENTION.sub("<" + _ZERO_WIDTH, one_line(text)) or " "
    ticks = "`" * (_longest_run(inner) + 1)
    pad = " " if inner.startswith("`") or inner.endswith("`") else ""
    return Markdown(f"{ticks}{pad}{inner}{pad}{ticks}")


def fenced(text: str) -> Markdown:
    """Return text as a code block on its own lines, its fence longer than any run of backticks within."""
    inner = _MENTION.sub("<" + _ZERO_WIDTH, clean(text)).strip("\n")
    inner = _BACKTICKS.sub(lambda run: run[0][:_MOST_BACKTICKS], inner)
    fence = "`" * max(3, _longest_run(inner) + 1)
    return Markdown(f"{fence}\n{inner}\n{fence}")


def _longest_run(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0)


# No part may start again at each of many equal signs: 7,000 backticks or brackets would take seconds or minutes.
_TAKE_DOWN = re.compile(
    r"""\\(?P<sign>[!-/:-@\[-`{-~])
      | &(?P<entity>amp|lt|gt);
      | ^(?P<fence>`{3,})[^`\n]*\n(?P<block>.*?)\n(?P=fence)[ ]*$
      | (?P<ticks>(?<!(?<!\\)`)`++)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)
      | \[(?P<text>(?:\\.|[^\[\]\\])*)\]\((?P<url>[^()\s]*)\)
      | <@person\w+:(?:[^|>]*\|)?(?P<name>[^>|]*)>
      | (?P<mark>\*\*|\*|~~|^\#{1,6}[ ]|^>[ ]|[ ]{2}$)""",
    re.VERBOSE | re.MULTILINE | re.DOTALL | re.IGNORECASE,
)
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">"}


_ELABORATE = re.compile(r"[\\&`\[<~#>]")
_STARS = re.compile(r"\*\*|\*|[ ]{2}$", re.MULTILINE)


def plain_text(markdown: str) -> str:
    """Return markdown as readable text, without stars or escapes, links as `text (url)`."""
    if _ELABORATE.search(markdown) is None:
        return _STARS.sub("", markdown)
    return _TAKE_DOWN.sub(_take_down, markdown)


def _take_down(found: re.Match[str]) -> str:
    kind = found.lastgroup
    if kind == "sign":
        return found["sign"]
    if kind == "entity":
        return _ENTITIES[found["entity"].lower()]
    if kind == "block":
        return found["block"]
    if kind == "code":
        return found["code"].strip()
    if kind == "url":
        return f"{plain_text(found['text'])} ({found['url']})"
    return "@" + found["name"] if kind == "name" else ""


_FENCE = re.compile(r"^ {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_UNSAFE_END = re.compile(r"(?:\\|&[a-z]{0,4})\Z")


def split(text: str, limit: int = WEBEX_MAX_BYTES) -> list[str]:
    """Split markdown into parts of at most `limit` bytes (at least 200), at line borders where possible.

    A code block that is cut is closed and opened again; no character, escape or entity is cut.
    """
    if len(text) * 4 <= limit or len(text.encode()) <= limit:
        return [text]
    return _bodies(text, limit)


def cut_markdown(text: str, limit: int = WEBEX_MAX_BYTES) -> str:
    """Cut markdown to one message of at most `limit` bytes. An open code block is closed, and an ellipsis added."""
    parts = split(text, limit)
    return text if len(parts) == 1 else split(text, limit - len("  \n…".encode()))[0] + "  \n…"


def numbered(texts: list[str], limit: int = WEBEX_MAX_BYTES) -> list[str]:
    """Split texts to the limit. If there is more than one part, each ends with its number, like `(1/3)`."""
    parts = [part for text in texts for part in split(text, limit)]
    if len(parts) == 1:
        return parts
    parts = [part for text in texts for part in split(text, limit - len("  \n(9999/9999)"))]
    return [f"{part}  \n({number}/{len(parts)})" for number, part in enumerate(parts, 1)]


def hard_breaks(text: str) -> str:
    """Make every line end outside code blocks a line break (two blanks before it), and fold runs of empty lines.

    Only blanks are stripped: a no-break space may keep the sign behind it from the start of its line.
    """
    text = text.strip(" \t\n")
    if "```" not in text and "~~~" not in text:
        plain = [line.rstrip(" \t") for line in text.split("\n")]
        if len(plain) == 1 or "" not in plain:
            return "  \n".join(plain)  # most messages have neither blocks of code nor empty lines
    lines: list[str] = []
    fence = ""
    for raw in text.split("\n"):
        inside = bool(fence)
        fence = _fence_after(raw, fence, WEBEX_MAX_BYTES)
        if inside or fence:
            lines.append(raw)
            continue
        line = raw.rstrip(" \t")
        if line or (lines and lines[-1]):
            lines.append(line + "  " if line else "")
    return "\n".join(lines).rstrip(" \t\n")


def _bodies(text: str, limit: int) -> list[str]:
    bodies: list[str] = []
    lines: list[str] = []
    size = 0
    fence = ""
    for line in text.split("\n"):
        after = _fence_after(line, fence, limit)
        for piece in _pieces(line, limit // 2, inside=bool(fence)):
            length = len(piece.encode()) + 1
            if lines and size + length + max(len(fence), len(after)) + 1 > limit:
                bodies.append("\n".join([*lines, fence] if fence else lines))
                lines = [fence] if fence else []
                size = len(fence) + 1 if fence else 0
            lines.append(piece)
            size += length
        fence = after
    bodies.append("\n".join(lines))
    return bodies


def _fence_after(line: str, fence: str, limit: int) -> str:
    """Return the marker that closes the fence that is open after a line, or an empty string."""
    found = _FENCE.match(line)
    if found is None or len(found[1]) > limit // 8:
        return fence
    if not fence:
        return found[1]
    closes = found[1].startswith(fence) and line.strip() == found[1]
    return "" if closes else fence


def _pieces(line: str, limit: int, *, inside: bool) -> list[str]:
    """Cut a line that is too long by itself: after a blank if there is one, else between two characters.

    The rest then starts a new line. Unless it is `inside` a code block, its start is escaped, so that it makes no
    heading or list.
    """
    pieces: list[str] = []
    while len(line) * 4 > limit and len(line.encode()) > limit:
        head = line.encode()[:limit].decode(errors="ignore")
        blank = _blank_outside_code(line, len(head))
        head = head[: blank + 1] if blank > 0 else whole_end(head)
        pieces.append(head)
        line = line[len(head) :]
        if not inside:
            line = _LINE_START.sub(_escape_line_start, line, count=1)
    pieces.append(line)
    return pieces


def _blank_outside_code(line: str, longest: int) -> int:
    """Return the last blank outside code spans between half of `longest` and `longest`, or -1 if there is none."""
    blank = line.rfind(" ", longest // 2, longest)
    for start, end in reversed(_code_spans(line)):
        if start < blank < end:
            blank = line.rfind(" ", longest // 2, max(start, longest // 2))
    return blank


def _code_spans(line: str) -> list[tuple[int, int]]:
    """Return the (start, end) of code spans: a run of backticks to the next run of equal length (CommonMark, 6.1).

    One pass from the end finds the next run of each length. A search from each run takes minutes for 60,000 runs.
    """
    runs = [(found.start(), found.end()) for found in _BACKTICKS.finditer(line)]
    following: dict[int, int] = {}
    partner: list[int | None] = [None] * len(runs)
    for number in range(len(runs) - 1, -1, -1):
        start, end = runs[number]
        partner[number] = following.get(end - start)
        following[end - start] = number
    spans: list[tuple[int, int]] = []
    number = 0
    while number < len(runs):
        closing = partner[number]
        if closing is not None:
            spans.append((runs[number][0], runs[closing][1]))
            number = closing
        number += 1
    return spans


def whole_end(head: str) -> str:
    """Return a text that was cut, without half an escape or entity at its end."""
    backslashes = len(head) - len(head.rstrip("\\"))
    if backslashes % 2 == 0 and head.endswith("\\"):
        return head
    shorter = _UNSAFE_END.sub("", head)
    return shorter or head
