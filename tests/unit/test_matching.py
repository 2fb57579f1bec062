from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.matching import BadMatcherError, Matcher, Operator, compile_re2, make_matcher, parse_matchers, view_of
from tests.fakes.made import event

OPERATORS: tuple[Operator, ...] = ("=", "!=", "=~", "!~")
operators = st.sampled_from(OPERATORS)
words = st.text("ab-.7\n", max_size=4)
_atoms = st.sampled_from(["a", "b", ".", "7", "-", "\\-", "\n", "[ab]", "[^a]", "\\.", "\\d", "(a|b)"])
_repeated = st.tuples(_atoms, st.sampled_from(["", "", "*", "+", "?"])).map("".join)
expressions = st.lists(st.lists(_repeated, max_size=4).map("".join), min_size=1, max_size=3).map("|".join)


def accepts(op: Operator, value: str, actual: str) -> bool:
    """What Alertmanager's documentation says of the four operators, in Python's words."""
    equal = actual == value if op in ("=", "!=") else re.fullmatch(value, actual) is not None
    return equal is (op in ("=", "=~"))


@given(operators, expressions, words)
def test_a_matcher_accepts_what_the_reference_does(op: Operator, value: str, actual: str) -> None:
    assert make_matcher("site", op, value).matches({"site": actual}) is accepts(op, value, actual)


@given(operators, expressions)
def test_an_absent_label_is_the_empty_text(op: Operator, value: str) -> None:
    matcher = make_matcher("site", op, value)
    assert matcher.matches({}) is matcher.matches({"site": ""})


@given(words, expressions)
def test_a_negative_operator_is_the_positive_ones_contrary(actual: str, value: str) -> None:
    view = {"site": actual}
    assert make_matcher("site", "=", value).matches(view) is not make_matcher("site", "!=", value).matches(view)
    assert make_matcher("site", "=~", value).matches(view) is not make_matcher("site", "!~", value).matches(view)


@given(st.text(min_size=1, max_size=8), operators, st.text(max_size=8))
def test_a_matcher_reads_back_as_it_is_written(name: str, op: Operator, value: str) -> None:
    written = Matcher(name, op, re.escape(value) if op in ("=~", "!~") else value)
    (read,) = parse_matchers(str(written))
    expected = name.removeprefix("label.")
    assert (read.name, read.op, read.value) == (expected, op, written.value)


def test_an_expression_matches_the_whole_value() -> None:
    matcher = make_matcher("site", "=~", "ams|fra")
    assert [matcher.matches({"site": site}) for site in ("ams", "fra", "ams1", "xams", "ams\n")] == [
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('severity="critical"', [("severity", "=", "critical")]),
        ("severity=critical", [("severity", "=", "critical")]),
        ('  a = "b" ', [("a", "=", "b")]),
        ('a!="b"', [("a", "!=", "b")]),
        ('a=~"b|c"', [("a", "=~", "b|c")]),
        ('a!~"b"', [("a", "!~", "b")]),
        ('{a="b",c!="d"}', [("a", "=", "b"), ("c", "!=", "d")]),
        ('a="b", c=d,', [("a", "=", "b"), ("c", "=", "d")]),
        ('a="x,y}"', [("a", "=", "x,y}")]),
        (r'a="say \"hi\" \\ \n"', [("a", "=", 'say "hi" \\ \n')]),
        ('a=""', [("a", "=", "")]),
        ('"a label"="b"', [("a label", "=", "b")]),
        ('label.severity="x"', [("label.severity", "=", "x")]),
        ('label.site="x"', [("site", "=", "x")]),
        ('"été"="🔴"', [("été", "=", "🔴")]),
    ],
)
def test_alertmanagers_forms_are_read(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert [(matcher.name, matcher.op, matcher.value) for matcher in parse_matchers(text)] == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found an empty one"),
        ("{}", "found an empty one"),
        ('{a="b"', "does not close it"),
        ("severity", "expected a matcher, like"),
        ('="x"', "expected a matcher, like"),
        ('""="x"', "expected a label's name"),
        ('a="b" c="d"', "expected a comma or the end"),
        ('a="b",,c="d"', "expected a matcher, like"),
        ('a="b', "expected a comma"),
        ('a=~"("', "expected a regular expression of RE2; found '(': missing )"),
        ('a=~"(?=x)"', "expected a regular expression of RE2"),
        ('a=~"(x)\\\\1"', "expected a regular expression of RE2"),
    ],
)
def test_what_is_no_matcher_is_refused_with_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(BadMatcherError, match=re.escape(said)):
        parse_matchers(text)


def test_an_expression_that_no_encoder_takes_is_a_bad_matcher() -> None:
    with pytest.raises(BadMatcherError):
        compile_re2("\ud800")


@given(st.text(max_size=30))
def test_any_text_is_a_list_of_matchers_or_a_bad_matcher(text: str) -> None:
    try:
        assert parse_matchers(text)
    except BadMatcherError as error:
        assert str(error)  # noqa: PT017 - either end is right


def test_a_hostile_expression_takes_no_time() -> None:
    assert not make_matcher("a", "=~", "(a*)*b").matches({"a": "a" * 50_000})


def test_the_events_own_fields_win_over_labels_which_stay_within_reach() -> None:
    view = view_of(event(labels={"severity": "sev-9", "site": "ams"}, severity="minor", key="k"))
    assert (view["severity"], view["label.severity"], view["site"]) == ("minor", "sev-9", "ams")
    assert (view["source"], view["status"], view["key"], view["format"]) == ("fabric", "firing", "k", "relay")
    assert parse_matchers('label.severity="sev-9"')[0].matches(view)
    assert "label.site" not in view


def test_a_dot_is_no_line_end_as_alertmanager_has_it() -> None:
    matches = [make_matcher("x", "=~", value).matches({"x": "a\nb"}) for value in ("a.*b", "(?s:a.*b)")]
    assert matches == [False, True]


def test_a_backslash_that_escapes_nothing_stands_for_itself() -> None:
    for text, value in (
        (r'a=~"host\d+"', r"host\d+"),
        (r'a=~"a\.b"', r"a\.b"),
        (r'a="x\\y\"z\n"', 'x\\y"z\n'),
        (r"a=\\", "\\"),
        (r"a=~\d+", r"\d+"),
    ):
        (matcher,) = parse_matchers(text)
        assert matcher.value == value
        (again,) = parse_matchers(str(matcher))
        assert msgspec.structs.replace(again, pattern=None) == msgspec.structs.replace(matcher, pattern=None)
