"""The durable retry schedule: when a failed delivery is tried again, and when it is given up."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

SET_ASIDE_AFTER = 120.0
"""Seconds that a head may fail, while others of its account get through, before its lane goes on without it."""
PROBE_AFTER = 300.0
"""Seconds that a head may fail in an account's only lane before the next delivery is tried as a probe."""

FORWARD_GAP = 1.0
"""Seconds from a failure to the next try, if a success of its room has brought the delivery forward once in vain."""


class RetryPolicy(msgspec.Struct, frozen=True):
    """The delays of retries: the first, the longest, and the failing time until a delivery is dead. All in seconds."""

    first: float = 1.0
    longest: float = 300.0
    give_up_after: float = 86_400.0


def delay_after(attempts: int, policy: RetryPolicy, chance: float) -> float:
    """Return the seconds to wait after the n-th failed attempt: doubling, less up to half by `chance` in [0, 1)."""
    doubled = policy.first * 2.0 ** min(attempts - 1, 60)
    return min(doubled, policy.longest) * (1.0 - chance / 2.0)


class PutOff(msgspec.Struct, frozen=True, array_like=True):
    """A delivery that waits for a later try, in a room that has taken another delivery since.

    Times are Unix seconds. `failed_at` is None if it only waits for another delivery of its message. `times` counts
    how often it was brought forward.
    """

    id: int
    message: int
    due_at: float
    failed_at: float | None
    times: int


def bring_all_forward(found: Sequence[PutOff], now: float) -> list[PutOff]:
    """Return the deliveries that become due earlier, as their rooms work. A message's others go with its failed one."""
    failed = {one.message: one for one in found if one.failed_at is not None}
    sooner: list[PutOff] = []
    for one in found:
        cause = failed.get(one.message, one)
        failed_at = now if cause.failed_at is None else cause.failed_at
        due_at = bring_forward(one.due_at, failed_at, now, cause.times if cause.failed_at is not None else 0)
        if due_at is not None:
            times = one.times + 1 if one is cause and cause.failed_at is not None else 0
            sooner.append(msgspec.structs.replace(one, due_at=due_at, times=times))
    return sooner


def bring_forward(due_at: float, failed_at: float, now: float, times: int) -> float | None:
    """Return when a failed delivery is due, as its room has taken another since, or None to keep `due_at`.

    `times` counts how often it was brought forward and failed again while the room worked. The first time it is due at
    once, then 1 s, 2 s, 4 s, … after its failure: the room may refuse this very message.
    """
    gap = 0.0 if times == 0 else FORWARD_GAP * 2.0 ** min(times - 1, 60)
    sooner = max(now, failed_at + gap)
    return sooner if sooner < due_at else None


def gives_up(spent: float, policy: RetryPolicy) -> bool:
    """Return whether the seconds that failures have cost a delivery, without throttles and pauses, are used up."""
    return spent >= policy.give_up_after


def should_set_aside(failing_for: float, *, others_got_through: bool, only_lane: bool) -> bool:
    """Return whether a lane goes on without its head, which has been failing for `failing_for` seconds."""
    if others_got_through:
        return failing_for >= SET_ASIDE_AFTER
    return only_lane and failing_for >= PROBE_AFTER
