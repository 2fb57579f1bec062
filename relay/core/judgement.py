"""The judgement of an attempt: its consequences for its delivery, its lane and its account."""

from __future__ import annotations

from typing import Literal, assert_never

import msgspec

from relay.core.delivery import Delivered, Failed, Lease, Outcome, Refused, Settlement, Throttled
from relay.core.retry import RetryPolicy, delay_after, gives_up, should_set_aside

FIRST_PAUSE = 10.0
"""Seconds after which a refused account is tried again, one delivery at a time; doubled with each refusal."""
ACCOUNT_PAUSE = 300.0
"""Seconds of the longest pause of a refused account."""
REFUSED_ROOM = 30.0
"""Seconds after which a refused room that has a fallback is tried again."""
LONGEST_ERROR = 500
"""Characters of a failure's detail that are recorded."""


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """The circumstances of an attempt. Times are seconds on the steady clock; `chance` is in [0, 1)."""

    now: float
    took: float
    chance: float
    account_succeeded_at: float
    only_lane: bool
    diverts: bool = False
    """Whether the room has a fallback, which takes the deliveries that the room refuses."""
    probed_for: int | None = None
    """The delivery that was set aside for this attempt, if it is a probe."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The consequences of an attempt: the delivery's settlement, and until when its lane rests (steady seconds)."""

    settlement: Settlement
    lane_until: float = 0.0
    pause_account: str | None = None
    refused_room: str | None = None
    probe_next: bool = False


def judge(lease: Lease, outcome: Outcome, parts: tuple[str, ...], at: Circumstances, policy: RetryPolicy) -> Verdict:
    """Decide the consequences of an attempt's outcome. `parts` are the replies that follow a post which got through."""
    match outcome:
        case Delivered():
            return Verdict(settlement=_delivered(lease, outcome, parts, at))
        case Throttled(seconds=seconds, detail=detail):
            back = _put_back(lease, at, detail)
            return Verdict(settlement=msgspec.structs.replace(back, due_at=at.now + max(seconds, policy.first)))
        case Refused():
            return _after_refusal(lease, outcome, at)
        case Failed():
            return _after_failure(lease, outcome, at, policy)
    assert_never(outcome)


def _delivered(lease: Lease, outcome: Delivered, parts: tuple[str, ...], at: Circumstances) -> Settlement:
    if lease.action != "post":
        return _settle(lease, at, state="done", parts=parts)
    return _settle(lease, at, state="done", remote_id=outcome.remote_id, space=outcome.space or None, parts=parts)


def _after_refusal(lease: Lease, outcome: Refused, at: Circumstances) -> Verdict:
    detail = outcome.detail
    if outcome.scope == "account":
        return Verdict(settlement=_put_back(lease, at, detail), pause_account=detail)
    last_word = lease.content is not None or lease.elsewhere is not None
    if outcome.scope == "message" and lease.action == "edit" and last_word:
        return Verdict(settlement=_settle(lease, at, state="done", detail=detail))  # nothing is left to edit
    threaded = lease.remote is not None and lease.action in ("reply", "file")  # one by itself has no thread to lose
    if outcome.scope == "message" and (threaded or (lease.summary is not None and lease.action == "edit")):
        return Verdict(settlement=_again(lease, at, detail, message_is="gone"))
    if outcome.scope == "room" and at.diverts:
        back = msgspec.structs.replace(_put_back(lease, at, detail), due_at=at.now + REFUSED_ROOM)
        return Verdict(settlement=back, lane_until=at.now + REFUSED_ROOM, refused_room=detail)
    if outcome.kind == "refused" and outcome.scope == "delivery" and lease.action == "edit":
        return Verdict(settlement=_again(lease, at, detail, message_is="sealed"))
    dead = _settle(lease, at, state="dead", reason=outcome.kind, detail=detail)
    return Verdict(settlement=dead, refused_room=detail if outcome.scope == "room" else None)


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
        message_is="uncounted" if lease.action == "edit" and not outcome.ambiguous else None,
    )
    return Verdict(settlement=again, lane_until=0.0 if aside else at.now + delay, probe_next=aside and not others)


def _waited(lease: Lease, at: Circumstances) -> float:
    """Return the seconds that the last failure made it wait. Waits for a throttle or a pause do not count."""
    if lease.failed_at is None:
        return 0.0
    return max(0.0, min(at.now - at.took, lease.due_at) - lease.failed_at)


def _again(lease: Lease, at: Circumstances, detail: str, message_is: Literal["gone", "sealed"]) -> Settlement:
    """Return a settlement that tries again at once, in another way: the message is not in the state assumed."""
    return _settle(lease, at, state="waiting", detail=detail, failing_since=lease.failing_since, message_is=message_is)


def put_back(lease: Lease, now: float, detail: str) -> Settlement:
    """Return a settlement that puts a delivery back, uncounted, as a stop cut its attempt short."""
    at = Circumstances(now=now, took=0, chance=0, account_succeeded_at=0, only_lane=False)
    return msgspec.structs.replace(_put_back(lease, at, detail), message_is=None)


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
        message_is="uncounted" if lease.action == "edit" else None,
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
