from __future__ import annotations

import re
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.event import Draft, Link
from relay.formats import FORMATS, Request
from relay.formats.batch import read_payload
from relay.formats.contract import NotJsonError, UnreadableError, as_text, decode_body, decode_json, unrecognised
from relay.formats.native import read_native

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    ["title", "status", "severity", "key", "body", "labels", "links", "files", "occurred_at", "id", "alerts", "labels"]
)
payloads = (
    values | st.dictionaries(fields, values) | st.lists(st.dictionaries(fields, values | st.just("firing")), max_size=3)
)


def read(payload: Any) -> list[Draft]:
    return read_native(Request(payload=payload, source="s"))


def refused(payload: Any) -> list[str]:
    return [one.error for one in read_payload(FORMATS["relay"], Request(payload=payload, source="s")).unread]


def test_a_title_is_all_that_is_needed() -> None:
    assert read({"title": " hello "}) == [Draft(title="hello")]


def test_every_field_is_read_and_unknown_ones_are_left() -> None:
    (draft,) = read(
        {
            "title": "t",
            "severity": "major",
            "status": "firing",
            "key": 7,
            "body": "b",
            "extra": {"x": 1},
            "labels": {"n": 1, "f": 1.0, "yes": True, "none": None},
            "links": [
                {"text": "Runbook", "url": "https://example.org/r"},
                "https://example.org/g",
                {"url": "https://example.org"},
            ],
            "files": ["https://example.org/f.png"],
            "occurred_at": "2026-03-01T02:10:00Z",
        }
    )
    assert (draft.status, draft.severity, draft.key, draft.body) == ("firing", "major", "7", "b")
    assert draft.labels == {"n": "1", "f": "1", "yes": "true"}
    assert draft.links == (
        Link("Runbook", "https://example.org/r"),
        Link("link", "https://example.org/g"),
        Link("link", "https://example.org"),
    )
    assert (draft.files, draft.occurred_at) == (("https://example.org/f.png",), 1_772_331_000)


def test_an_end_needs_its_key_and_no_title() -> None:
    assert read({"status": "resolved", "key": "k"}) == [Draft(title="k", status="resolved", key="k")]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (5, 'expected an object like {"title": "…"}, or a list of them, found the number 5'),
        ({}, "title: expected a text that is not empty, found none"),
        ({"title": "  "}, "title: expected a text that is not empty, found none"),
        ({"title": 5}, "title: expected text, found the number 5"),
        ({"title": "t", "status": "down"}, "status: expected firing, resolved or notice, found the text 'down'"),
        ({"title": "t", "status": "resolved"}, "key: a resolved event needs the key"),
        ({"title": "t", "key": True}, "key: expected text, found true"),
        ({"title": "t", "labels": []}, "labels: expected an object of names and texts, found a list"),
        ({"title": "t", "labels": {"a": {}}}, "labels.a: expected text, found an object"),
        ({"title": "t", "links": {}}, "links: expected a list, found an object"),
        ({"title": "t", "links": "x" * 99}, f"links: expected a list, found the text '{'x' * 20}…{'x' * 19}'"),
        ({"title": "t", "links": [{}]}, "links[0].url: expected an address like https://…, found none"),
        ({"title": "t", "links": [5]}, "links[0]: expected an object like"),
        ({"title": "t", "files": [None]}, "files[0]: expected the file's address as text, found null"),
        ({"title": "t", "occurred_at": True}, "occurred_at: expected a time like 2026-03-01T02:10:00Z, found true"),
        (
            {"title": "t", "occurred_at": "soon"},
            "occurred_at: expected a time, like 2026-03-01T02:10:00Z; found 'soon'",
        ),
        (
            {"title": "t", "occurred_at": 10**400},
            "occurred_at: expected a time in epoch seconds or milliseconds; found 1000",
        ),
    ],
)
def test_what_cannot_be_read_names_its_field(payload: Any, said: str) -> None:
    with pytest.raises(UnreadableError, match=re.escape(said)):
        read(payload)


def test_an_item_of_a_list_that_cannot_be_read_names_its_place() -> None:
    (not_one, no_title) = refused([{"title": "t"}, "x", {"title": []}])
    assert not_one.startswith("[1]: expected an object like")
    assert no_title == "[2].title: expected text, found a list"


@given(payloads)
def test_any_json_is_read_or_refused_in_words(payload: Any) -> None:
    for format_ in FORMATS.values():
        try:
            drafts = read_payload(format_, Request(payload=payload, source="s")).drafts
        except UnreadableError as error:
            assert str(error)  # noqa: PT017 - either end is right
        else:
            assert all(draft.title for draft in drafts)
            assert all(isinstance(value, str) for draft in drafts for value in draft.labels.values())


# JSON of untrusted origin


@pytest.mark.parametrize(
    "body", [b"", b"  \n", b"{", b"nope", b"\xff\xfe", b"[NaN]", b"[Infinity]", b"{'a': 1}", b"[1,]"]
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(NotJsonError):
        decode_json(body)


def test_what_careless_senders_send_is_read_all_the_same() -> None:
    assert decode_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert decode_json(b'["\\ud800x"]') == ["\ufffdx"]
    assert decode_json(b'{"\\udc00": [{"\\ud800": null}]}') == {"\ufffd": [{"\ufffd": None}]}


@pytest.mark.parametrize("depth", [90, 150, 900, 5_000, 100_000])
def test_deep_nesting_is_read_or_refused_and_never_fails(depth: int) -> None:
    try:
        payload = decode_json(b"[" * depth + b"]" * depth)
    except NotJsonError as error:
        assert "nested too deeply" in str(error)  # noqa: PT017 - both ends are right
    else:
        (draft,) = FORMATS["alertmanager"].read(Request(payload=payload, source="s"))
        assert isinstance(draft, Draft)
        assert draft.title == "unrecognised payload from s"


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_refused(body: bytes) -> None:
    try:
        decode_json(body)
    except NotJsonError as error:
        assert str(error)  # noqa: PT017 - either end is right


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (None, ""),
        (True, "true"),
        (5, "5"),
        (5.0, "5"),
        (0.5, "0.5"),
        (1e300, "1e+300"),
        ([1, "a"], '[1,"a"]'),
        ({}, "{}"),
    ],
)
def test_values_are_written_as_a_person_would(value: object, text: str) -> None:
    assert as_text(value) == text


# Bodies that are forms, or nearly JSON

FORM = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"a=1" + b"&" * 1_000_000, ""),
        (b"a=1&" + b"b&" * 400_000, ""),
        (b"a=1&" * 250_000, ""),
        (b"[" * 90 + b",".join([b"1"] * 400_000) + b"]" * 90, ""),
        (b"{" * 1_000_000, ""),
        (b'{"a\\q":' * 100_000, ""),
        (b"{}" * 400_000, ""),
        (b"{\n" * 400_000, ""),
        (b'{"a":"\\q\n' * 100_000, ""),
        (b"<a>" * 300_000, ""),
        (b"<" * 1_000_000, ""),
        (b"--b\r\nContent-Disposition: form-data; " + b";" * 500_000 + b"\r\n\r\nx\r\n--b--", FORM),
        (b"[\n" * 400_000, "application/x-ndjson"),
        (b"--b\r\n" * 150_000, FORM),
        (b"x", "multipart/form-data"),
        (b'--b\r\nContent-Disposition: form-data; name*1111111111="a"\r\n\r\nx\r\n--b--', FORM),
    ],
)
def test_no_body_takes_long(body: bytes, kind: str) -> None:
    began = process_time()
    try:
        payload = decode_body(body, kind)
    except NotJsonError as error:
        assert str(error)  # noqa: PT017 - either end is right
    else:
        unrecognised(Request(payload, "s"))
    assert process_time() - began < 3.0


def test_of_a_document_a_line_each_line_is_read_by_itself() -> None:
    good, cut, spoilt = b'{"a": 1}', b'{"a": ', b'{"a": "C:\\dir\\q"}'
    first, second, third = decode_body(b"\n\n".join([good, cut, spoilt]))
    assert (first, third) == ({"a": 1}, {"a": "C:\\dir\\q"})
    assert (second.index, second.item, second.error[:4]) == (1, '{"a": ', "[1]:")
    told = decode_body(b"mark\r\n" + good, "application/x-ndjson; charset=utf-8")
    assert (told[0].item, told[1]) == ("mark", {"a": 1})


@pytest.mark.parametrize("body", [b"mark\n{}", b'{\n  "a": [\n    {}\n  ]\n', b'{"a": \n{"b": \n'])
def test_one_document_that_is_cut_is_no_document_a_line(body: bytes) -> None:
    with pytest.raises(NotJsonError):
        decode_body(body)


def test_an_item_within_an_item_is_refused_by_its_place_in_the_whole() -> None:
    def group(*alerts: Any) -> dict[str, Any]:
        return {"alerts": list(alerts)}

    firing = {"status": "firing", "labels": {"alertname": "A"}}
    payload = [group(firing), group(firing, {"status": "?"})]
    read = read_payload(FORMATS["alertmanager"], Request(payload=payload, source="s"))
    assert (len(read.drafts), [one.index for one in read.unread]) == (2, [1])
    assert read.unread[0].error == "[1].alerts[1].status: expected firing or resolved, found the text '?'"


def test_forms_are_read_as_they_are_sent() -> None:
    assert decode_body(b"a=1&b=x+y%26z&c") == {"a": "1", "b": "x y&z&c"}
    assert decode_body(b"device=R&D switch\n&status=Down\r\n") == {"device": "R&D switch", "status": "Down"}
    assert decode_body(b"payload=%7B%22a%22%3A1%7D") == {"a": 1}
    assert decode_body(b'{"a": "x\ny", "b": "C:\\dir"}') == {"a": "x\ny", "b": "C:\\dir"}
    assert decode_body(b'{"a": 1}\n{"a": 2}\n') == [{"a": 1}, {"a": 2}]
    assert decode_body(b"<e><k key='n'>1</k><x>&lt;</x></e>") == {"e": {"n": "1", "x": "<"}}
    with pytest.raises(NotJsonError):
        decode_body(b"<!DOCTYPE e [<!ENTITY a 'x'>]><e>&a;</e>")
    form = b'--q\r\nContent-Disposition: form-data; name="data"\r\n\r\n{"a": 1}\r\n--q--\r\n'
    assert decode_body(form, 'multipart/form-data; boundary="q"') == {"a": 1}
