from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.rate import TokenBucket

rates = st.floats(0.01, 1_000)
steps = st.lists(st.floats(0, 5), max_size=40)


@given(rates, steps)
def test_never_more_is_admitted_than_the_rate_and_one_seconds_worth(rate: float, gaps: list[float]) -> None:
    now, admitted = 100.0, 0
    bucket = TokenBucket(rate, now)
    for gap in gaps:
        now += gap
        while bucket.wait(now) <= 0 and admitted < 5_000:
            bucket.take()
            admitted += 1
        assert admitted <= max(1.0, rate) + rate * (now - 100.0) + 1e-6


@given(rates, steps, st.floats(0.1, 2_000))
def test_what_wait_says_is_enough_and_no_less_would_do(rate: float, gaps: list[float], amount: float) -> None:
    now = 0.0
    bucket = TokenBucket(rate, now)
    for gap in gaps:
        now += gap
        bucket.take(gap)
    wait = bucket.wait(now, amount)
    assert wait >= 0
    assert bucket.wait(now + wait, amount) == pytest.approx(0, abs=1e-6)
    if wait > 1e-3:
        other = TokenBucket(rate, now)
        other.take(-((min(amount, max(1.0, rate)) - wait * rate) - max(1.0, rate)))
        assert other.wait(now + wait * 0.9, amount) > 0


def test_a_full_bucket_admits_one_seconds_worth_at_once() -> None:
    bucket = TokenBucket(5, 0)
    for _ in range(5):
        assert bucket.wait(0) == 0
        bucket.take()
    assert bucket.wait(0) == pytest.approx(0.2)


def test_a_bucket_of_less_than_one_a_second_still_admits_one() -> None:
    bucket = TokenBucket(0.5, 0)
    assert bucket.wait(0) == 0
    bucket.take()
    assert bucket.wait(0) == pytest.approx(2)


def test_an_amount_over_the_burst_passes_a_full_bucket_and_is_owed() -> None:
    bucket = TokenBucket(10, 0)
    assert bucket.wait(0, 100) == 0
    bucket.take(100)
    assert bucket.wait(0) == pytest.approx(9.1)


def test_rest_fills_no_more_than_the_bucket() -> None:
    bucket = TokenBucket(2, 0)
    assert bucket.wait(1_000) == 0
    bucket.take(2)
    assert bucket.wait(1_000) > 0
