"""What an attempt's outcome means for its delivery, its lane and its account."""

from __future__ import annotations

from typing import assert_never

import msgspec

from relay.core.delivery import Delivered, Failed, Lease, Outcome, Refused, Settlement, Throttled
from relay.core.retry import RetryPolicy, delay_after, gives_up, should_set_aside

FIRST_PAUSE = 10.0
"""Seconds after which a refused account is tried again, one delivery at a time; doubled with each refusal."""
ACCOUNT_PAUSE = 300.0
"""The longest such pause."""
LONGEST_ERROR = 500
"""Characters of a failure's detail that are recorded."""


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What is true around an attempt. Times in seconds on the steady clock; `chance` in [0, 1)."""

    now: float
    took: float
    chance: float
    account_succeeded_at: float
    only_lane: bool
    probed_for: int | None = None
    """Where the attempt was a probe: the delivery that was set aside for it."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What follows: the delivery's settlement, and until when its lane rests (steady seconds)."""

    settlement: Settlement
    lane_until: float = 0.0
    pause_account: str | None = None
    refused_room: str | None = None
    probe_next: bool = False


def judge(lease: Lease, outcome: Outcome, parts: tuple[str, ...], at: Circumstances, policy: RetryPolicy) -> Verdict:
    """Decide what an attempt's outcome means; `parts` are the replies that follow a post which got through."""
    match outcome:
        case Delivered(remote_id=remote_id):
            posted = remote_id if lease.action == "post" else None
            return Verdict(settlement=_settle(lease, at, state="done", remote_id=posted, parts=parts))
        case Throttled(seconds=seconds, detail=detail):
            back = _put_back(lease, at, detail)
            return Verdict(settlement=msgspec.structs.replace(back, due_at=at.now + max(seconds, policy.first)))
        case Refused(scope="account", detail=detail):
            return Verdict(settlement=_put_back(lease, at, detail), pause_account=detail)
        case Refused(kind=kind, scope=scope, detail=detail):
            dead = _settle(lease, at, state="dead", reason=kind, detail=detail)
            return Verdict(settlement=dead, refused_room=detail if scope == "room" else None)
        case Failed():
            return _after_failure(lease, outcome, at, policy)
    assert_never(outcome)


def _after_failure(lease: Lease, outcome: Failed, at: Circumstances, policy: RetryPolicy) -> Verdict:
    if at.probed_for is not None:
        back = _put_back(lease, at, outcome.detail, unset_aside=at.probed_for)
        return Verdict(settlement=back, lane_until=at.now + delay_after(1, policy, at.chance))
    since = lease.failing_since if lease.failing_since is not None else at.now - at.took
    delay = delay_after(lease.attempts, policy, at.chance)
    if outcome.retry_after is not None:
        delay = max(outcome.retry_after, policy.first)
    spent = lease.spent + _waited(lease, at) + at.took
    if gives_up(spent, policy):
        dead = _settle(lease, at, state="dead", reason=outcome.kind, detail=outcome.detail, spent=spent)
        return Verdict(settlement=dead)
    others = at.account_succeeded_at > since
    aside = should_set_aside(at.now - since, others_got_through=others, only_lane=at.only_lane)
    again = _settle(
        lease,
        at,
        state="waiting",
        spent=spent,
        failed_at=at.now,
        due_at=at.now + delay,
        aside=aside,
        reason=outcome.kind,
        detail=outcome.detail,
        failing_since=since,
    )
    return Verdict(settlement=again, lane_until=0.0 if aside else at.now + delay, probe_next=aside and not others)


def _waited(lease: Lease, at: Circumstances) -> float:
    """Seconds that the last failure has made it wait: what was waited for a throttle or a pause is left out."""
    if lease.failed_at is None:
        return 0.0
    return max(0.0, min(at.now - at.took, lease.due_at) - lease.failed_at)


def put_back(lease: Lease, now: float, detail: str) -> Settlement:
    """A delivery whose attempt was cut by a stop: back in its place, the attempt not counted."""
    return _put_back(lease, Circumstances(now=now, took=0, chance=0, account_succeeded_at=0, only_lane=False), detail)


def _put_back(lease: Lease, at: Circumstances, detail: str, unset_aside: int | None = None) -> Settlement:
    return _settle(
        lease,
        at,
        state="waiting",
        attempts=lease.attempts - 1,
        spent=lease.spent + _waited(lease, at),
        detail=detail or None,
        failing_since=lease.failing_since,
        unset_aside=unset_aside,
    )


def _settle(lease: Lease, at: Circumstances, **changes: object) -> Settlement:
    values: dict[str, object] = {
        "id": lease.id,
        "message": lease.message,
        "attempts": lease.attempts,
        "spent": lease.spent,
        "due_at": at.now,
        **changes,
    }
    detail = values.get("detail")
    if isinstance(detail, str):
        values["detail"] = detail[:LONGEST_ERROR]
    return Settlement(**values)  # type: ignore[arg-type]  # the names are checked by the callers' tests
