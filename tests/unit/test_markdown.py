from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from relay.core.encoding import whole
from relay.core.markdown import (
    WEBEX_MAX_BYTES,
    Markdown,
    clean,
    code,
    escape_markdown,
    fenced,
    hard_breaks,
    link,
    middle,
    numbered,
    one_line,
    plain_text,
    safe_url,
    split,
)
from tests.fakes.made import harmful

COMMONMARK = MarkdownIt("commonmark")
FENCE = re.compile(r" {0,3}(`{3,})([^`]*)$")


def tokens(markdown: str) -> list[Token]:
    """All tokens of a text, inline ones included."""
    found: list[Token] = []
    for token in COMMONMARK.parse(markdown):
        found += [token, *(token.children or [])]
    return found


def shown(markdown: str) -> str:
    """What a reader sees of a text that is expected to be nothing but text; white space is folded."""
    seen = tokens(markdown)
    kinds = {token.type for token in seen}
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "softbreak", "hardbreak"}, kinds
    return folded("".join(token.content if token.type == "text" else " " for token in seen if token.type != "inline"))


def folded(text: str) -> str:
    return " ".join(text.split())


def squeezed(text: str) -> str:
    return "".join(text.split())


def open_fence(markdown: str) -> str:
    """The fence that is left open at the end of a text, as CommonMark counts them."""
    fence = ""
    for line in markdown.split("\n"):
        found = FENCE.match(line)
        if found is None:
            continue
        if not fence:
            fence = found[1]
        elif found[1].startswith(fence) and not found[2].strip():
            fence = ""
    return fence


# Escaping


@given(harmful)
def test_escaped_text_renders_as_itself_and_nothing_else(text: str) -> None:
    assert shown(escape_markdown(text)) == folded(clean(text))


@given(harmful)
def test_escaped_text_has_no_sign_of_which_a_mention_could_begin(text: str) -> None:
    assert "<" not in escape_markdown(text)


@given(harmful, st.sampled_from(["**{}**", "x {} y", "- {}", "> {}", "# {}", "{} · {}", "1. {}", "*{}*", "[x](y) {}"]))
def test_escaped_text_adds_no_markup_to_what_an_operator_wrote(text: str, template: str) -> None:
    single = one_line(text) or "x"
    written = {token.type for token in tokens(template.replace("{}", "word"))}
    seen = tokens(template.replace("{}", escape_markdown(single)))
    assert {token.type for token in seen} <= written | {"text"}
    assert all("<" not in token.content for token in seen if token.type in ("html_inline", "html_block"))


@given(harmful, harmful)
def test_two_escaped_texts_side_by_side_are_still_only_text(one: str, two: str) -> None:
    shown(escape_markdown(one) + escape_markdown(two))


@given(harmful)
def test_plain_text_takes_escapes_off_again(text: str) -> None:
    indented = re.sub(r"^ +", lambda found: "\xa0" * len(found[0]), clean(text), flags=re.MULTILINE)
    expected = re.sub(r" {2}$", "", indented, flags=re.MULTILINE)
    assert plain_text(escape_markdown(text)) == expected


@pytest.mark.parametrize("text", ["port-down on node-101 eth1/1", "CPU at 93.5% (load: 4)", "why? yes!", ""])
def test_a_usual_title_stays_as_it_is(text: str) -> None:
    assert escape_markdown(text) == text


def test_markdown_is_escaped_once() -> None:
    once = Markdown.escape("*a*")
    assert Markdown.escape(once) == once == "\\*a\\*"
    assert Markdown("**{}**").format("<@all>") == "**&lt;@all&gt;**"
    assert Markdown(" ").join(["*", Markdown("*")]) == "\\* *"


@given(st.text(st.characters(), max_size=20))
def test_a_whole_text_can_be_encoded(text: str) -> None:
    assert whole(text).encode().decode() == whole(text)


def test_control_and_direction_signs_are_dropped_and_line_ends_kept() -> None:
    assert clean("a\x00b\x1b[1mc\u202ed\ufeff\r\ne\tf\u2028\x85") == "ab[1mcd\ne f"


# Links and code


@given(harmful, harmful.map("https://example.org/".__add__))
def test_a_link_is_one_link_with_the_given_address_and_text(text: str, url: str) -> None:
    made = tokens(link(text, url))
    opened = [token for token in made if token.type == "link_open"]
    assert len(opened) == 1
    address = str(opened[0].attrs["href"])
    assert urlsplit(address).netloc == "example.org"
    assert unquote(unquote(address)).split() == unquote(unquote(whole(url))).split()
    label = "".join(token.content for token in made if token.type == "text")
    assert folded(label) == folded(one_line(text, 80) or "link")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//example.org",
        "example.org",
        "",
        "https://",
        "http://[",
        "mailto:a@example.org",
        "https://example.org/" + "x" * 2_000,
        "   https://example.org/" + "x" * 2_000,
        "https://example.org/" + "x" * 1_980 + " " + "x" * 99,
    ],
)
def test_an_address_that_is_not_plain_http_gives_text_alone(url: str) -> None:
    assert safe_url(url) is None
    assert link("Graph", url) == "Graph"


def test_an_address_on_an_ipv6_host_stays_an_address() -> None:
    assert safe_url("https://[2001:db8::1]:8443/a[0]") == "https://[2001:db8::1]:8443/a%5B0%5D"


def test_nothing_in_an_address_is_taken_for_an_entity() -> None:
    made = tokens(link("x", "https://example.org/?a=1&copy;=2&lt;=3"))
    (address,) = (token.attrs["href"] for token in made if token.type == "link_open")
    assert address == "https://example.org/?a=1&copy%3B=2&lt%3B=3"


@given(harmful, st.sampled_from(["{}", "x {} y", "- {}"]))
def test_inline_code_shows_its_text_and_ends_where_it_should(text: str, template: str) -> None:
    made = tokens(template.replace("{}", code(text)))
    (inner,) = (token.content for token in made if token.type == "code_inline")
    assert inner.replace("\u200b", "").strip() == one_line(text).replace("\u200b", "").strip()
    assert not re.search(r"<(/?\s*)(@|spark-mention)", inner, re.IGNORECASE)
    assert {token.type for token in made} <= {
        "paragraph_open",
        "paragraph_close",
        "inline",
        "text",
        "code_inline",
        "bullet_list_open",
        "bullet_list_close",
        "list_item_open",
        "list_item_close",
    }


@given(harmful)
def test_a_code_block_shows_its_text_and_ends_where_it_should(text: str) -> None:
    seen = COMMONMARK.parse(fenced(text) + "\nafter")
    assert [token.type for token in seen] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert seen[0].content.strip("\n").replace("\u200b", "") == clean(text).strip("\n").replace("\u200b", "")
    assert not re.search(r"<(/?\s*)(@|spark-mention)", seen[0].content, re.IGNORECASE)


@given(harmful)
def test_plain_text_of_a_code_block_is_its_text(text: str) -> None:
    expected = clean(text).strip("\n").replace("\u200b", "")
    assert plain_text(fenced(text)).replace("\u200b", "") == expected


def test_plain_text_reads_like_a_sentence() -> None:
    markdown = "# Head\n**bold** and *slanted*, ~~gone~~ `a*b`  \n> quoted &amp; [Run\\]book](https://example.org/r)"
    expected = "Head\nbold and slanted, gone a*b\nquoted & Run]book (https://example.org/r)"
    assert plain_text(markdown) == expected
    assert plain_text("<@personEmail:a@example.org|Ada>, look") == "@Ada, look"


def test_plain_text_leaves_a_numbered_parts_code_block_whole() -> None:
    assert plain_text("```json\n{}\n```  \n(1/2)") == "{}\n(1/2)"


# Cutting


@given(harmful, st.integers(1, 60))
def test_one_line_is_one_line_of_at_most_the_given_length(text: str, longest: int) -> None:
    line = one_line(text, longest)
    assert len(line) <= longest
    assert len(line.splitlines()) <= 1


@given(st.text(max_size=400))
def test_no_word_in_a_single_line_is_over_60_characters(text: str) -> None:
    assert all(len(word) <= 60 for word in one_line(text).split())


@given(st.text(max_size=50), st.integers(1, 50))
def test_a_text_cut_in_the_middle_keeps_both_ends(text: str, longest: int) -> None:
    got = middle(text, longest)
    assert len(got) == min(len(text), longest)
    head, _, tail = got.partition("…") if got != text else (text, "", "")
    assert text.startswith(head)
    assert text.endswith(tail)


long_texts = st.lists(
    st.tuples(harmful, st.integers(1, 40)).map(lambda pair: pair[0] * pair[1]), min_size=1, max_size=8
).map("\n".join)
limits = st.integers(200, 700)


@given(long_texts, limits)
def test_every_part_of_a_split_text_is_text_within_the_limit(text: str, limit: int) -> None:
    parts = split(escape_markdown(text), limit)
    assert all(len(part.encode()) <= limit for part in parts)
    assert squeezed("".join(map(shown, parts))) == squeezed(clean(text))


@given(st.lists(st.tuples(st.booleans(), harmful, st.integers(1, 30)), min_size=1, max_size=6), limits)
def test_every_part_of_a_split_text_closes_the_fences_it_opens(blocks: list[tuple[bool, str, int]], limit: int) -> None:
    text = "\n".join(
        fenced(text * times) if is_code else escape_markdown(text * times) for is_code, text, times in blocks
    )
    parts = split(text, limit)
    assert all(len(part.encode()) <= limit for part in parts)
    assert not any(open_fence(part) for part in parts)
    kinds = {token.type for part in parts for token in tokens(part)}
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "softbreak", "hardbreak", "fence"}


@pytest.mark.parametrize("filler", range(180, 205))
def test_a_code_block_that_opens_at_the_border_stays_within_the_limit(filler: int) -> None:
    parts = split("\n".join(["x" * 90, "y" * (filler - 91), "```", "z" * 150, "```"]), 200)
    assert all(len(part.encode()) <= 200 and not open_fence(part) for part in parts)


def test_a_run_of_backticks_as_long_as_a_message_does_not_set_a_code_block_free() -> None:
    parts = split(fenced("`" * 2_000 + "\n" + "# not a heading\n" * 1_000))
    assert {token.type for part in parts for token in tokens(part)} == {"fence"}


def test_inline_code_with_many_backticks_is_taken_for_no_code_block() -> None:
    line = code("a``b")
    assert hard_breaks(f"{line}\nnext\nlast") == f"{line}  \nnext  \nlast"
    parts = split(f"{line}\n" + "word\n" * 100, 200)
    assert not any(token.type == "fence" for part in parts for token in tokens(part))
    assert plain_text(f"{line}\n*x*\n```\ny\n```") == "a``b\nx\ny"


def test_a_long_lines_cut_makes_no_heading_or_list_of_what_follows() -> None:
    for sign in ("# ", "- ", "1. ", "+ ", "= ", "    "):
        parts = split(escape_markdown("w" + (" " + sign + "w" * 20) * 400), 500)
        assert {token.type for part in parts for token in tokens(part)} <= {
            "paragraph_open",
            "paragraph_close",
            "inline",
            "text",
            "softbreak",
            "hardbreak",
        }


def test_a_text_within_the_limit_is_one_part() -> None:
    text = "é" * (WEBEX_MAX_BYTES // 2)
    assert split(text) == [text]
    assert numbered([text]) == [text]
    assert len(split(text + "éé")) == 2


@settings(max_examples=50)
@given(st.lists(long_texts.filter(str.strip), min_size=1, max_size=3), st.integers(250, 700))
def test_numbered_parts_say_which_they_are_and_stay_within_the_limit(texts: list[str], limit: int) -> None:
    parts = numbered([escape_markdown(text) for text in texts], limit)
    assert all(len(part.encode()) <= limit for part in parts)
    if len(parts) > 1:
        assert [part.rsplit("\n", 1)[1] for part in parts] == [f"({n}/{len(parts)})" for n in range(1, len(parts) + 1)]


def test_line_ends_become_breaks_outside_code_and_empty_lines_are_folded() -> None:
    assert hard_breaks("\na\n\n\n\nb\n```\nx\n\n\ny\n```\nc \n") == "a  \n\nb  \n```\nx\n\n\ny\n```\nc"


@example("\N{NO-BREAK SPACE}#")
@given(harmful)
def test_hard_breaks_leave_the_words_alone(text: str) -> None:
    assert shown(hard_breaks(escape_markdown(text))) == folded(clean(text))


def test_a_cut_line_sets_nothing_in_its_code_free() -> None:
    value = "a [click](http://evil.example) b"
    line = " ".join(f"`{value}`" for _ in range(400))
    for part in split(line, 2_000):
        assert "link_open" not in [token.type for token in tokens(part)]
