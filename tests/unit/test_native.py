from __future__ import annotations

import re
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.event import Draft, Link
from relay.core.severity import severity_of
from relay.formats import FORMATS, Request
from relay.formats.batch import read_payload, unread_parts
from relay.formats.bodies import decode
from relay.formats.contract import NotJsonError, UnreadableError, as_text, decode_body, decode_json, unrecognised
from relay.formats.foreign import OWN_NAMES, respelt
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
    assert draft.unread == ("extra (an object; expected a short text or a number)",)
    assert draft.links == (
        Link("Runbook", "https://example.org/r"),
        Link("link", "https://example.org/g"),
        Link("link", "https://example.org"),
    )
    assert (draft.files, draft.occurred_at) == (("https://example.org/f.png",), 1_772_331_000)


@pytest.mark.parametrize(
    ("fields", "cleared"),
    [
        ({}, ()),
        ({"body": None, "links": None}, ()),
        ({"body": ""}, ("body",)),
        ({"body": "", "message": "still here"}, ()),
        ({"body": "x", "links": [], "files": []}, ("links", "files")),
        ({"body": "", "links": [{"url": "https://example.org"}]}, ("body",)),
    ],
)
def test_what_is_there_and_empty_is_removed_and_what_is_absent_stays(fields: Any, cleared: Any) -> None:
    assert read({"title": "t", "key": "k", "status": "firing", **fields})[0].cleared == cleared


def test_an_end_needs_its_key_and_no_title() -> None:
    assert read({"status": "resolved", "key": "k"}) == [Draft(title="k", status="resolved", key="k")]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (5, 'expected an object like {"title": "…"}, or a list of them, found the number 5'),
        ({}, "title: expected a text that is not empty, found none"),
        ({"title": "  "}, "title: expected a text that is not empty, found none"),
        (
            {"titel": "x"},
            "title: expected a text that is not empty, found none; 'titel' is not known (did you mean title?)",
        ),
        ({"n": 1, "m": 2}, "title: expected a text that is not empty, found none; it has n, m"),
        ({"title": 5}, "title: expected text, found the number 5"),
        (
            {"title": "t", "status": "odd"},
            "status: expected firing, resolved or notice, or a word like down or ok, found",
        ),
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


# Other senders' words


@pytest.mark.parametrize(
    ("payload", "status", "severity"),
    [
        ({"title": "t", "key": "k", "status": "ok"}, "resolved", None),
        ({"title": "t", "key": "k", "status": "RECOVERY"}, "resolved", None),
        ({"title": "t", "key": "k", "state": "up"}, "resolved", None),
        ({"title": "t", "key": "k", "status": "alarm.cleared"}, "resolved", None),
        ({"title": "t", "key": "k", "type": "recovery"}, "resolved", None),
        ({"title": "t", "status": "down"}, "firing", None),
        ({"title": "t", "status": "alerting"}, "firing", None),
        ({"title": "t", "status": "Problem"}, "firing", None),
        ({"title": "t", "state": "FAILED"}, "firing", "FAILED"),
        ({"title": "t", "status": "critical"}, "firing", "critical"),
        ({"title": "t", "status": "critical", "severity": "minor"}, "firing", "minor"),
        ({"title": "t", "status": "alert"}, "firing", None),
        ({"title": "t", "status": "acknowledged"}, "notice", None),
        ({"title": "t", "level": "high"}, "notice", "high"),
        ({"title": "t", "Priority": "P1"}, "notice", "P1"),
        ({"title": "t", "type": "alert"}, "notice", None),
        ({"title": "t", "priority": "normal"}, "notice", None),
        ({"title": "t", "priority": "normal", "level": "high"}, "notice", "high"),
        ({"Title": "t", "STATUS": "down", "Severity": "high"}, "firing", "high"),
        ({"title": "t", "severity": "low", "level": "high"}, "notice", "low"),
    ],
)
def test_the_words_of_other_senders_are_known(payload: Any, status: str, severity: str | None) -> None:
    (draft,) = read(payload)
    assert (draft.status, draft.severity, draft.unread) == (status, severity, ())


@pytest.mark.parametrize(
    ("payload", "title", "body"),
    [
        ({"message": "tide gate is stuck"}, "tide gate is stuck", ""),
        ({"text": "tide gate\nis stuck"}, "tide gate", "is stuck"),
        ({"title": "gate", "message": "it is stuck"}, "gate", "it is stuck"),
        ({"title": "gate", "body": "it is stuck", "description": "since noon"}, "gate", "it is stuck\nsince noon"),
        ({"summary": "gate", "description": "it is stuck"}, "gate", "it is stuck"),
        ({"name": "gate", "text": "gate"}, "gate", ""),
        ({"title": "gate", "message": "gate", "details": "east"}, "gate", "east"),
        ({"subject": "gate", "content": "east"}, "gate", "east"),
        ({"message": "x" * 300}, f"{'x' * 100}…{'x' * 99}", "x" * 300),
        ({"host": "lock-3", "status": "down"}, "lock-3 is down", ""),
        ({"host": "lock-3", "service": "pump", "state": "CRITICAL"}, "pump on lock-3 is CRITICAL", ""),
        ({"host": "lock-3", "severity": "high"}, "lock-3", ""),
        ({"key": "lock-3", "status": "down"}, "lock-3 is down", ""),
        ({"key": "lock-3", "status": "ok"}, "lock-3", ""),
        ({"status": "ok"}, "s is ok", ""),
    ],
)
def test_texts_are_taken_for_what_they_are(payload: Any, title: str, body: str) -> None:
    (draft,) = read(payload)
    assert (draft.title, draft.body) == (title, body)


@pytest.mark.parametrize(
    ("fields", "unread"),
    [
        ({"priority": 5}, "priority (expected a word like major or P2, found the number 5)"),
        ({"level": "H"}, "level (expected a word like major or P2, found the text 'H')"),
        ({"severity": 2}, "severity (expected a word like major or P2, found the text '2')"),
        ({"state": "Störung"}, "state (expected a word like down or ok, found the text 'Störung')"),
        ({"current_state": 2}, "current_state (expected a word like down or ok, found the number 2)"),
        ({"apiKey": "abc"}, "apiKey (it looks like a secret, so it is not shown)"),
        ({"user_token": "abc"}, "user_token (it looks like a secret, so it is not shown)"),
    ],
)
def test_a_word_that_nobody_knows_is_named(fields: Any, unread: str) -> None:
    (draft,) = read({"title": "t", **fields})
    assert draft.unread == (unread,)
    assert "abc" not in draft.labels.values()


@pytest.mark.parametrize(
    ("payload", "title", "body"),
    [
        ({"text": "Gate", "attachments": [{"title": "stuck", "text": "since noon"}]}, "Gate", "stuck\nsince noon"),
        ({"attachments": [{"color": "danger", "fallback": "Gate is stuck"}]}, "Gate is stuck", ""),
        ({"attachments": [{"title": "Gate", "fields": [{"title": "pump", "value": 5}]}]}, "Gate", "pump: 5"),
        ({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "Gate\nstuck"}}]}, "Gate", "stuck"),
        ({"content": "", "embeds": [{"title": "Gate", "description": "stuck"}]}, "Gate", "stuck"),
        ({"title": "Gate", "sections": [{"facts": [{"name": "site", "value": "east"}]}]}, "Gate", "site: east"),
        (
            {"attachments": [{"content": {"body": [{"text": "Gate"}, {"columns": [{"items": [{"text": "stuck"}]}]}]}}]},
            "Gate",
            "stuck",
        ),
    ],
    ids=["slack", "fallback", "mattermost", "blocks", "discord", "teams", "adaptive card"],
)
def test_the_texts_of_a_chat_message_are_read(payload: Any, title: str, body: str) -> None:
    (draft,) = read(payload)
    assert (draft.title, draft.body) == (title, body)
    assert "(only the texts are shown)" in draft.unread[0]


def test_an_attachment_that_is_an_address_is_a_link() -> None:
    (draft,) = read({"title": "Gate", "attachments": "https://gate.example.net/1.png"})
    assert ([link.url for link in draft.links], draft.unread) == (["https://gate.example.net/1.png"], ())


def test_an_end_in_other_words_without_a_key_is_told_as_a_notice() -> None:
    (draft,) = read({"title": "backup", "status": "ok"})
    assert (draft.status, draft.severity) == ("notice", "info")
    assert draft.unread == ("status (without a key 'ok' ends no alert, so the event is a notice)",)


def test_other_names_become_labels_links_and_times() -> None:
    (draft,) = read(
        {
            "title": "t",
            "Host": "lock-3",
            "tags": ["east", "tide"],
            "count": 3,
            "muted": False,
            "url": "https://example.org/a",
            "runbook_url": "https://example.org/r",
            "timestamp": 1_772_331_000_000,
            "fingerprint": 77,
            "nothing": None,
            "empty": [],
            "labels": {"count": "4"},
        }
    )
    assert draft.labels == {"Host": "lock-3", "tags": "east, tide", "count": "4", "muted": "false"}
    assert set(draft.links) == {Link("link", "https://example.org/a"), Link("Runbook", "https://example.org/r")}
    assert (draft.occurred_at, draft.key, draft.unread) == (1_772_331_000.0, "77", ())


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("serverity", "severity"),
        ("sevrity", "severity"),
        ("Titel", "title"),
        ("lables", "labels"),
        ("stauts", "status"),
        ("occured_at", "occurred_at"),
        ("boddy", "body"),
        ("link_s", "links"),
    ],
)
def test_a_slip_in_a_name_is_named(name: str, meant: str) -> None:
    (draft,) = read({"title": "t", name: "x"})
    assert draft.unread == (f"{name} (did you mean {meant}?)",)
    assert draft.notes == (f"not read: {name} (did you mean {meant}?)",)
    assert draft.labels == {name: "x"}


def test_a_severity_that_nobody_knows_is_named_and_noted_once() -> None:
    (draft,) = read({"title": "t", "severity": "mauve"})
    assert draft.unread == ("severity (expected a word like major or P2, found the text 'mauve')",)
    assert draft.notes == ()


def test_of_many_names_the_first_are_looked_at_and_few_are_named() -> None:
    (draft,) = read({"title": "t", **{f"n{number}": {"a": 1} for number in range(5_000)}})
    assert len(draft.unread) == 21
    assert draft.unread[0] == "4800 names after the first 200"
    assert draft.unread[-1] == "and 181 more"
    (draft,) = read({"title": "t", "x" * 500: {"a": 1}, "a\x1b[31m": {"a": 1}})
    assert all(len(one) < 120 and one.isprintable() for one in draft.unread)


def test_parts_of_a_list_are_named_by_their_place() -> None:
    payload = [{"title": "a"}, {"n": 1}, {"title": "b", "titel": "c"}]
    found = read_payload(FORMATS["relay"], Request(payload=payload, source="s"))
    assert unread_parts(found) == ["[2].titel (did you mean title?)"]


APPRISE = {"version": "1.0", "title": "Night backup", "message": "3 of 4 discs\nare full", "attachments": []}


@pytest.mark.parametrize(
    ("kind", "severity"), [("info", "info"), ("success", "info"), ("warning", "warning"), ("failure", "major")]
)
def test_the_json_of_apprise_is_read(kind: str, severity: str) -> None:
    (draft,) = read({**APPRISE, "type": kind})
    assert (draft.title, draft.body) == ("Night backup", "3 of 4 discs\nare full")
    assert severity_of(draft.severity or "") == severity
    assert (draft.status, draft.labels, draft.unread) == ("notice", {}, ())
    (draft,) = read({**APPRISE, "title": "", "attachments": [{"filename": "a", "base64": "x", "mimetype": "y"}]})
    assert draft.title == "3 of 4 discs"
    assert draft.unread == ("attachments (a list; expected a short text or a number)",)


@given(st.dictionaries(st.text(max_size=12) | st.sampled_from(["host", "message", "type", "url", "state"]), values))
def test_no_value_of_another_name_is_lost(others: dict[str, Any]) -> None:
    foreign = {name: value for name, value in others.items() if not set(respelt({name: value})) & set(OWN_NAMES)}
    payload = {"title": "t", **foreign}
    (draft,) = read(payload)
    said = str([draft, draft.unread])
    for name, value in payload.items():
        if value in (None, "", [], {}) or (isinstance(value, str) and not value.strip()):
            continue
        if isinstance(value, str) and value.isprintable() and "'" not in value and "\\" not in value:
            assert value.strip() in said or f"{name} (" in said


# Bodies


@pytest.mark.parametrize("kind", ["", "text/plain", "text/plain; charset=utf-8", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize(
    ("body", "payload"),
    [
        ("tide gate is stuck", {"title": "tide gate is stuck"}),
        ("tide gate\nis stuck\n", {"title": "tide gate", "body": "is stuck"}),
        ("level=95% & rising", {"title": "level=95% & rising"}),
        ("<b>gate</b>", {"title": "<b>gate</b>"}),
        ("5", {"title": "5"}),
        ('"quoted"', {"title": "quoted"}),
        ('"gate" is stuck', {"title": '"gate" is stuck'}),
        ("[FIRING] gate is stuck", {"title": "[FIRING] gate is stuck"}),
        ("[lock-3] gate is stuck", {"title": "[lock-3] gate is stuck"}),
        ("title=gate+3&severity=major", {"title": "gate 3", "severity": "major"}),
        ("message=stuck&host=lock-3", {"message": "stuck", "host": "lock-3"}),
        ('{"title": "gate"}', {"title": "gate"}),
        ('{"title": "two\nlines"}', {"title": "two\nlines"}),
    ],
)
def test_a_text_without_a_type_is_an_event_with_that_title(kind: str, body: str, payload: Any) -> None:
    assert decode(FORMATS["relay"], body.encode(), kind) == payload


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"gate", "application/json"),
        (b"gate", "application/vnd.x+json"),
        (b'{"title": "ga', ""),
        (b"[1, ", "text/plain"),
        (b'[{"title": "a"}, {"ti', "text/plain"),
        (b"[null, ", ""),
        (b'"ga', ""),
        (b" \n", "text/plain"),
        (b"\x00\x01", "application/octet-stream"),
    ],
)
def test_a_body_that_was_cut_or_declared_is_no_text(body: bytes, kind: str) -> None:
    with pytest.raises(NotJsonError):
        decode(FORMATS["relay"], body, kind)


def test_a_text_for_a_vendors_format_is_no_event() -> None:
    with pytest.raises(NotJsonError):
        decode(FORMATS["alertmanager"], b"tide gate is stuck", "text/plain")


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
        ({"a": 1}, '{"a":1}'),
        ({}, ""),
        ([], ""),
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
