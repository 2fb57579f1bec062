"""What a websocket's close code says of who is to do something about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.closing import refuses

REASONS = st.sampled_from(["", "Unauthorized", "invalid token", "bad credentials", "going down"]) | st.text(max_size=40)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (3000, ""),
        (3003, ""),
        (4401, ""),
        (4403, "Forbidden"),
        (1008, "Invalid token"),
        (1008, "unauthorized"),
        (1008, "Authentication failed"),
        (1008, "API key revoked"),
        (4004, "Authentication failed."),
        (4009, "Connection is unauthorized within 1"),
        (4001, "access denied"),
        (3500, "login required"),
        (4010, "missing credentials"),
        (4100, "You do not have permission"),
    ],
)
def test_a_close_that_speaks_of_our_credentials_is_a_refusal(code: int, reason: str) -> None:
    assert refuses(code, reason)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (None, ""),
        (1000, ""),
        (1001, "going away"),
        (1006, ""),
        (1011, "authentication backend failed"),
        (1012, "restart"),
        (1013, "try again later"),
        (1008, ""),
        (1008, "message too big"),
        (1008, "rate limit of this token reached"),
        (4406, "Subprotocol not acceptable"),
        (4408, "Connection initialisation timeout"),
        (4408, "authentication timed out"),
        (4429, "Too many requests"),
        (4500, "Internal auth error"),
        (4503, "auth service unavailable"),
        (3008, "Timeout"),
        (4000, "the author left"),
    ],
)
def test_any_other_close_is_a_loss(code: int | None, reason: str) -> None:
    assert not refuses(code, reason)


@given(st.integers(1000, 2999).filter(lambda code: code != 1008), REASONS)
def test_a_code_of_the_protocol_is_never_a_refusal_whatever_its_reason(code: int, reason: str) -> None:
    assert not refuses(code, reason)


@given(st.sampled_from([3000, 3003, 4401, 4403]), REASONS)
def test_a_code_that_means_a_refusal_needs_no_reason(code: int, reason: str) -> None:
    assert refuses(code, reason)
