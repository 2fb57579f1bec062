from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.delivery import Failed, Refused, Throttled
from relay.senders.outcomes import (
    DEFAULT_THROTTLE,
    JUNK_RETRY_AFTER,
    LONGEST_RETRY_AFTER,
    Answer,
    Operation,
    classify,
    describe,
    read_retry_after,
)

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
NOW = 1_772_331_000.0
headers = st.none() | st.text(max_size=20) | st.floats().map(str) | st.integers(-10, 10**6).map(str)


@given(st.sampled_from(OPERATIONS), st.integers(100, 999), st.binary(max_size=60), headers)
def test_every_answer_has_an_outcome(operation: Operation, status: int, body: bytes, header: str | None) -> None:
    outcome = classify(operation, Answer(status, body, header), NOW)
    match outcome:
        case Throttled(seconds=seconds):
            assert status == 429
            assert 0 <= seconds <= LONGEST_RETRY_AFTER
        case Failed(retry_after=wait):
            assert status in (407, 408, 423) or status >= 500 or status < 400
            assert wait is None or 0 <= wait <= LONGEST_RETRY_AFTER
        case Refused(detail=detail):
            assert 400 <= status < 500
            assert detail.startswith(str(status))


@pytest.mark.parametrize(
    ("operation", "status", "kind", "scope"),
    [
        ("post", 400, "refused", "delivery"),
        ("post", 401, "auth", "account"),
        ("post", 403, "refused", "room"),
        ("post", 404, "unknown_room", "room"),
        ("post", 413, "too_large", "delivery"),
        ("reply", 404, "refused", "message"),
        ("reply", 401, "auth", "account"),
        ("find", 400, "refused", "room"),
        ("find", 404, "unknown_room", "room"),
        ("create", 403, "unknown_room", "room"),
        ("create", 409, "refused", "room"),
    ],
)
def test_a_refusal_reaches_as_far_as_the_table_says(operation: Operation, status: int, kind: str, scope: str) -> None:
    outcome = classify(operation, Answer(status, b"{}"), NOW)
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.scope) == (kind, scope)


@pytest.mark.parametrize("operation", ["post", "find"])
@pytest.mark.parametrize("body", [b"404: Not Found", b"<html></html>", b""])
def test_a_404_that_is_not_the_services_own_is_a_wrong_address(operation: Operation, body: bytes) -> None:
    outcome = classify(operation, Answer(404, body), NOW)
    assert isinstance(outcome, Refused)
    assert outcome.scope == "account"
    assert "check the account's `url`, like https://webexapis.com/v1" in outcome.detail


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_401_is_the_accounts_trouble_whatever_was_asked(operation: Operation) -> None:
    outcome = classify(operation, Answer(401, b""), NOW)
    assert isinstance(outcome, Refused)
    assert outcome.scope == "account"


@pytest.mark.parametrize(
    ("status", "kind"), [(408, "timeout"), (423, "remote"), (500, "remote"), (503, "remote"), (302, "remote")]
)
def test_trouble_that_may_pass_is_tried_again(status: int, kind: str) -> None:
    outcome = classify("post", Answer(status, b"", "7"), NOW)
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retry_after) == (kind, 7.0)


def test_a_400_that_speaks_of_length_is_too_large() -> None:
    body = b'{"message": "message length limited to 7439 bytes"}'
    outcome = classify("post", Answer(400, body), NOW)
    assert isinstance(outcome, Refused)
    assert outcome.kind == "too_large"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("30", 30.0),
        (" 2.5 ", 2.5),
        ("999999", LONGEST_RETRY_AFTER),
        ("-5", JUNK_RETRY_AFTER),
        ("nan", JUNK_RETRY_AFTER),
        ("inf", JUNK_RETRY_AFTER),
        ("", JUNK_RETRY_AFTER),
        ("rand(30),add(30)", JUNK_RETRY_AFTER),
        ("soon", JUNK_RETRY_AFTER),
        ("³", JUNK_RETRY_AFTER),
        (format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True), 0.0),
        (format_datetime(datetime.fromtimestamp(NOW + 90_000, UTC), usegmt=True), LONGEST_RETRY_AFTER),
    ],
)
def test_retry_after_is_read_in_every_form_and_has_a_cap(header: str | None, seconds: float | None) -> None:
    assert read_retry_after(header, NOW) == seconds


def test_a_throttle_without_a_time_waits_a_default() -> None:
    assert classify("post", Answer(429, b""), NOW) == Throttled(DEFAULT_THROTTLE, "429")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"message": "The room\\nis gone", "errors": []}', "404: The room is gone (tracking id T1)"),
        (b'{"errors": [{"description": ""}, {"description": "gone"}]}', "404: gone (tracking id T1)"),
        (b"<html>nginx</html>", "404: <html>nginx</html> (tracking id T1)"),
        (b"\xff\xfe", "404: \ufffd\ufffd (tracking id T1)"),
        (b"", "404 (tracking id T1)"),
        (b"[]", "404: [] (tracking id T1)"),
    ],
)
def test_what_the_service_said_is_told_in_one_line(body: bytes, said: str) -> None:
    assert describe(Answer(404, body, tracking_id="T1")) == said


@given(st.binary(max_size=2_000))
def test_no_answer_makes_a_long_story(body: bytes) -> None:
    said = describe(Answer(500, body))
    assert len(said) <= 310
    assert len(said.splitlines()) == 1
