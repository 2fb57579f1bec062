"""Sources that answer our messages with the same words each time, and monitors that only look like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.lockstep import PROBES, SUSPECT, TRUSTED_FOR, Lockstep
from tests.fakes.made import event

NOW = 1_800_000_000.0


def posts_of_a_loop(steps: Lockstep, now: float, takes: float, answers: float, most: int = 50) -> int:
    """How many messages one "hello" becomes, where a message takes a while and is answered after another."""
    for number in range(most):
        one = event(id=f"{now}-{number}", key=f"{now}-{number}", status="notice", title="new message")
        if steps.holds(one, now):
            return number
        now += steps.probe(one, now)
        steps.sent(one, now)
        now += takes + answers
    return most


@pytest.mark.parametrize(("takes", "answers"), [(0.001, 0.003), (0.3, 0.2), (0.3, 1.5)])
def test_a_loop_of_equal_events_ends_after_a_few_messages_and_stays_ended(takes: float, answers: float) -> None:
    steps = Lockstep()
    assert posts_of_a_loop(steps, NOW, takes, answers) == SUSPECT + PROBES
    for later in (60.0, 120.0):
        assert posts_of_a_loop(steps, NOW + later, takes, answers) <= 1


@given(st.floats(0.01, 60.0), st.floats(0.0, 1.0))
def test_a_monitor_that_says_the_same_at_equal_intervals_is_never_held(interval: float, takes: float) -> None:
    """A message waits for its probe, or for the one before; the next notice comes when it comes."""
    steps, free, waits = Lockstep(), 0.0, 0
    due: list[float] = []
    for number in range(100):
        now = NOW + number * interval
        one = event(id=f"e{number}", key=f"e{number}", status="notice", title="backup failed")
        for at in [at for at in due if at <= now]:
            steps.sent(one, at)
        due = [at for at in due if at > now]
        assert not steps.holds(one, now)
        probe = steps.probe(one, now) if free <= now else 0.0
        waits += probe > 0.0
        free = max(free, now) + probe
        due.append(free)
        free += takes
    assert waits <= 1 + 100 * interval / TRUSTED_FOR


@given(st.lists(st.tuples(st.sampled_from(["firing", "resolved"]), st.floats(0.0, 2.0)), max_size=80))
def test_an_alert_that_flaps_is_never_held_back(history: list[tuple[str, float]]) -> None:
    steps, now = Lockstep(), NOW
    for number, (status, gap) in enumerate(history):
        one = event(id=f"e{number}", key="link", status=status, title="link down")
        assert not steps.holds(one, now)
        assert steps.probe(one, now) == 0.0
        steps.sent(one, now)
        now += gap


def test_different_alerts_are_never_held_back() -> None:
    steps = Lockstep()
    for number in range(2_000):
        one = event(id=f"e{number}", key=f"e{number}", title=f"port {number} is down")
        assert not steps.holds(one, NOW + number)
        assert steps.probe(one, NOW + number) == 0.0
        steps.sent(one, NOW + number)


def test_a_source_that_was_held_in_error_is_let_go_once_it_speaks_by_itself() -> None:
    steps = Lockstep()
    posts_of_a_loop(steps, NOW, 0.1, 0.1)
    held = [steps.holds(event(id=f"s{n}", key=f"s{n}", title="new message"), NOW + 20.0 + n) for n in range(20)]
    assert not any(held)
