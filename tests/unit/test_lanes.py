from __future__ import annotations

import itertools
import math
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.delivery import Delivered, Failed, Lease, Outcome, Reason, Refused, Scope, Settlement, Throttled
from relay.core.judgement import ACCOUNT_PAUSE, LONGEST_ERROR, Circumstances, Verdict, judge, put_back
from relay.core.retry import (
    PROBE_AFTER,
    SET_ASIDE_AFTER,
    RetryPolicy,
    bring_forward,
    delay_after,
    gives_up,
    should_set_aside,
)
from relay.pipeline.lanes import Account, Depths, Lane, choose, next_turn
from relay.ports import Credentials, Send
from relay.senders.webex import SERVICE
from tests.fakes.made import lease

POLICY = RetryPolicy(first=1.0, longest=300.0, give_up_after=3_600.0)
AT = Circumstances(now=5_000.0, took=0.5, chance=0.0, account_succeeded_at=0.0, only_lane=False)

policies = st.builds(
    RetryPolicy, first=st.floats(0.01, 100), longest=st.floats(0.01, 1_000), give_up_after=st.floats(0.1, 1e6)
)
chances = st.floats(0, 1, exclude_max=True)
reasons = st.sampled_from(get_args(Reason))
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Delivered, remote_id=st.text(max_size=5)),
    st.builds(Throttled, seconds=st.floats(0, 4_000), detail=st.text(max_size=600)),
    st.builds(Failed, kind=reasons, detail=st.text(max_size=600), retry_after=st.none() | st.floats(0, 3_600)),
    st.builds(Refused, kind=reasons, scope=st.sampled_from(get_args(Scope)), detail=st.text(max_size=5)),
)
leases = st.builds(
    lease,
    action=st.sampled_from(["post", "reply"]),
    attempts=st.integers(1, 200),
    spent=st.floats(0, 4_000),
    failing_since=st.none() | st.floats(0, 5_000),
)
circumstances = st.builds(
    Circumstances,
    now=st.just(5_000.0),
    took=st.floats(0, 60),
    chance=chances,
    account_succeeded_at=st.floats(0, 5_000),
    only_lane=st.booleans(),
    probed_for=st.none() | st.just(99),
)


# The retry schedule


@given(policies, st.integers(1, 500), chances)
def test_a_delay_is_at_most_what_was_doubled_and_at_least_half_of_it(
    policy: RetryPolicy, attempts: int, chance: float
) -> None:
    bound = min(policy.first * 2.0 ** min(attempts - 1, 60), policy.longest)
    assert bound / 2 <= delay_after(attempts, policy, chance) <= bound


@given(policies, st.integers(1, 500), chances)
def test_delays_grow_until_the_longest(policy: RetryPolicy, attempts: int, chance: float) -> None:
    assert delay_after(attempts, policy, chance) <= delay_after(attempts + 1, policy, chance)
    assert delay_after(10_000, policy, 0.0) == policy.longest


def test_delays_double() -> None:
    assert [delay_after(n, POLICY, 0.0) for n in (1, 2, 3, 9, 10)] == [1, 2, 4, 256, 300]


@pytest.mark.parametrize(
    ("failing_for", "others", "only_lane", "aside"),
    [
        (SET_ASIDE_AFTER, True, False, True),
        (SET_ASIDE_AFTER - 1, True, True, False),
        (1e6, False, False, False),
        (PROBE_AFTER, False, True, True),
        (PROBE_AFTER - 1, False, True, False),
    ],
)
def test_a_head_is_set_aside_when_it_is_to_blame(
    failing_for: float, others: bool, only_lane: bool, aside: bool
) -> None:
    assert should_set_aside(failing_for, others_got_through=others, only_lane=only_lane) is aside


@pytest.mark.parametrize(
    ("due_at", "now", "times", "sooner"),
    [
        (5_300.0, 5_010.0, 0, 5_010.0),  # the first success since it failed
        (5_300.0, 5_000.2, 1, 5_001.0),  # it failed although the room had worked
        (5_300.0, 5_000.2, 5, 5_016.0),
        (5_300.0, 5_200.0, 5, 5_200.0),  # long ago
        (5_300.0, 5_000.2, 10, None),  # its own schedule is sooner
        (5_000.5, 5_000.5, 0, None),  # due already
        (5_010.0, 5_000.2, 500, None),
    ],
)
def test_a_rooms_success_brings_forward_what_failed_there_later_each_time_that_it_fails_again(
    due_at: float, now: float, times: int, sooner: float | None
) -> None:
    assert bring_forward(due_at, 5_000.0, now, times) == sooner


@given(st.lists(st.floats(0.01, 400.0), min_size=1, max_size=200), chances)
def test_a_message_that_never_gets_through_is_tried_little_more_often_than_its_schedule_has_it(
    gaps: list[float], chance: float
) -> None:
    """The room takes something after each of `gaps`, and never this message."""
    failed_at, times, tries, successes = 0.0, 0, 1, list(itertools.accumulate(gaps))
    due_at = delay_after(9, POLICY, chance)
    for success in successes:
        while due_at <= success:
            failed_at, tries = due_at, tries + 1
            due_at = failed_at + delay_after(9, POLICY, chance)
        sooner = bring_forward(due_at, failed_at, success, times)
        if sooner is not None:
            assert sooner >= success
            due_at, times = sooner, times + 1
    assert times <= 1 + math.ceil(math.log2(POLICY.longest))
    assert tries <= 1 + times + successes[-1] / delay_after(9, POLICY, chance)


# What an outcome means


@given(leases, outcomes, st.lists(st.text(max_size=5), max_size=3).map(tuple), circumstances, policies)
def test_no_outcome_loses_a_delivery(
    held: Lease, outcome: Outcome, parts: tuple[str, ...], at: Circumstances, policy: RetryPolicy
) -> None:
    settled = judge(held, outcome, parts, at, policy).settlement
    assert (settled.id, settled.message) == (held.id, held.message)
    assert settled.state == "done" or settled.detail is None or len(settled.detail) <= LONGEST_ERROR
    match settled.state:
        case "done":
            assert isinstance(outcome, Delivered)
            assert settled.parts == parts
        case "dead":
            assert isinstance(outcome, (Refused, Failed))
            assert settled.reason == outcome.kind
        case "waiting":
            assert settled.due_at >= at.now
            assert settled.parts == ()


@given(leases, st.floats(0, 4_000), circumstances)
def test_a_throttle_costs_nothing_and_is_no_failure(held: Lease, seconds: float, at: Circumstances) -> None:
    settled = judge(held, Throttled(seconds), (), at, POLICY).settlement
    assert (settled.state, settled.attempts, settled.spent) == ("waiting", held.attempts - 1, held.spent)
    assert (settled.reason, settled.failing_since, settled.aside) == (None, held.failing_since, False)


@given(leases, reasons, circumstances)
def test_a_refused_account_pauses_and_keeps_everything(held: Lease, kind: Reason, at: Circumstances) -> None:
    verdict = judge(held, Refused(kind, "account", "no"), (), at, POLICY)
    assert verdict.pause_account == "no"
    assert (verdict.settlement.state, verdict.settlement.attempts) == ("waiting", held.attempts - 1)


@pytest.mark.parametrize("scope", ["delivery", "message", "room"])
def test_a_refused_delivery_is_dead_and_only_a_refused_room_is_told(scope: Scope) -> None:
    verdict = judge(lease(), Refused("refused", scope, "no such thing"), (), AT, POLICY)
    assert (verdict.settlement.state, verdict.settlement.reason) == ("dead", "refused")
    assert verdict.refused_room == ("no such thing" if scope == "room" else None)
    assert verdict.pause_account is None


def test_a_posts_id_is_its_messages_and_a_replys_is_not() -> None:
    assert judge(lease(), Delivered("m1"), ("more",), AT, POLICY).settlement.remote_id == "m1"
    assert judge(lease(action="reply"), Delivered("m2"), (), AT, POLICY).settlement.remote_id is None


def test_a_failure_is_tried_again_after_its_delay_while_the_lane_rests() -> None:
    verdict = judge(lease(attempts=3, spent=10.0), Failed("network", "refused"), (), AT, POLICY)
    settled = verdict.settlement
    assert (settled.state, settled.attempts, settled.due_at, settled.spent) == ("waiting", 3, 5_004.0, 10.5)
    assert (settled.failing_since, settled.reason, settled.aside) == (4_999.5, "network", False)
    assert verdict.lane_until == 5_004.0


def test_the_services_own_time_wins_over_the_schedule() -> None:
    assert judge(lease(attempts=9), Failed("remote", "503", 20.0), (), AT, POLICY).lane_until == 5_020.0
    assert judge(lease(), Failed("remote", "503", 0.0), (), AT, POLICY).lane_until == 5_001.0


def again(held: Lease, settled: Settlement) -> Lease:
    """The next lease of a delivery that was settled as waiting."""
    return msgspec.structs.replace(
        held,
        attempts=settled.attempts + 1,
        spent=settled.spent,
        failing_since=settled.failing_since,
        failed_at=settled.failed_at,
        due_at=settled.due_at,
    )


def at_time(now: float, took: float = 0.0) -> Circumstances:
    return Circumstances(now=now, took=took, chance=0.0, account_succeeded_at=0.0, only_lane=True)


def test_only_the_time_that_a_failure_made_it_wait_is_spent() -> None:
    failed = Failed("network", "down")
    held = lease(attempts=8)
    settled = judge(held, failed, (), at_time(5_000.0, took=1.0), POLICY).settlement
    assert (settled.spent, settled.due_at) == (1.0, 5_128.0)
    hurried = judge(again(held, settled), failed, (), at_time(5_011.0, took=1.0), POLICY).settlement
    assert hurried.spent == 1.0 + 10.0 + 1.0
    delayed = judge(again(held, settled), failed, (), at_time(9_000.0, took=1.0), POLICY).settlement
    assert delayed.spent == 1.0 + 128.0 + 1.0


def test_a_wait_for_a_throttle_or_a_pause_is_not_spent() -> None:
    held = lease(attempts=8)
    held = again(held, judge(held, Failed("network", "down"), (), at_time(5_000.0), POLICY).settlement)
    held = again(held, judge(held, Throttled(600.0), (), at_time(5_128.0), POLICY).settlement)
    assert held.spent == 128.0
    held = again(held, judge(held, Throttled(600.0), (), at_time(5_728.0), POLICY).settlement)
    assert judge(held, Failed("network", "down"), (), at_time(6_328.0), POLICY).settlement.spent == 128.0


@given(policies, st.floats(0, 60), chances)
def test_a_delivery_that_always_fails_is_given_up_in_the_end_and_not_before(
    policy: RetryPolicy, took: float, chance: float
) -> None:
    policy = msgspec.structs.replace(
        policy, first=max(policy.first, policy.give_up_after / 500), longest=policy.give_up_after / 10
    )
    held, now = lease(attempts=1), 5_000.0
    for _ in range(2_000):
        at = Circumstances(now=now, took=took, chance=chance, account_succeeded_at=0.0, only_lane=True)
        settled = judge(held, Failed("network", "down"), (), at, policy).settlement
        if settled.state == "dead":
            assert gives_up(settled.spent, policy)
            return
        now = settled.due_at + took
        assert not gives_up(held.spent + took, policy)
        held = again(held, settled)
    pytest.fail("it was never given up")


def test_a_head_that_fails_while_others_get_through_lets_its_lane_go_on() -> None:
    held = lease(attempts=8, failing_since=5_000.0 - SET_ASIDE_AFTER)
    at = msgspec.structs.replace(AT, account_succeeded_at=4_990.0)
    verdict = judge(held, Failed("remote", "500"), (), at, POLICY)
    assert (verdict.settlement.aside, verdict.lane_until, verdict.probe_next) == (True, 0.0, False)


def test_the_only_lanes_head_makes_way_for_a_probe() -> None:
    held = lease(attempts=9, failing_since=5_000.0 - PROBE_AFTER)
    verdict = judge(held, Failed("remote", "500"), (), msgspec.structs.replace(AT, only_lane=True), POLICY)
    assert (verdict.settlement.aside, verdict.lane_until, verdict.probe_next) == (True, 0.0, True)


def test_a_probe_that_fails_is_uncounted_and_gives_the_head_its_place_back() -> None:
    at = msgspec.structs.replace(AT, probed_for=99)
    verdict = judge(lease(attempts=1), Failed("remote", "500"), (), at, POLICY)
    assert (verdict.settlement.attempts, verdict.settlement.unset_aside, verdict.settlement.state) == (0, 99, "waiting")
    assert verdict.lane_until > AT.now


def test_an_attempt_cut_by_a_stop_is_put_back_uncounted() -> None:
    settled = put_back(lease(attempts=2, spent=7.0, failing_since=1.0), 5_000.0, "stopped")
    assert (settled.state, settled.attempts, settled.spent, settled.failing_since) == ("waiting", 1, 7.0, 1.0)
    assert (settled.due_at, settled.detail) == (5_000.0, "stopped")
    assert Verdict(settlement=settled).lane_until == 0.0


# Lanes and accounts at run time


class Nobody:
    service = SERVICE

    async def check(self) -> None:
        """All is well."""

    async def send(self, message: Send) -> Outcome:
        raise AssertionError(message)

    async def renew(self) -> bool:
        return False

    async def tend(self) -> Credentials:
        return Credentials()


def account(name: str = "webex", pace: float | None = None, lanes: int = 3) -> Account:
    made = Account(name, Nobody(), pace, 0.0)
    for number in range(lanes):
        Lane(f"{name}/{number}", made, [f"{name}-room-{number}"])
    return made


def keys(lanes: list[Lane]) -> list[str]:
    return [lane.key for lane in lanes]


def test_every_free_lane_may_send_and_one_in_flight_may_not() -> None:
    made = account()
    made.lanes[1].sending = lease()
    assert keys(choose(made.lanes, Depths(), 10.0)) == ["webex/0", "webex/2"]


def test_one_throttle_rests_one_lane_until_the_service_says() -> None:
    made = account()
    made.throttle(made.lanes[0], 40.0, 10.0)
    assert keys(choose(made.lanes, Depths(), 39.0)) == ["webex/1", "webex/2"]
    assert keys(choose(made.lanes, Depths(), 40.0)) == ["webex/0", "webex/1", "webex/2"]
    assert made.wait(20.0) == 0


@given(st.floats(11, 100), st.floats(11, 100))
def test_a_second_lanes_throttle_in_that_time_rests_the_account_until_the_later_date(one: float, two: float) -> None:
    made = account()
    made.throttle(made.lanes[0], one, 10.0)
    made.throttle(made.lanes[1], two, 10.5)
    assert made.open_at == max(one, two)
    assert choose(made.lanes, Depths(), max(one, two) - 0.1) == []
    assert len(choose(made.lanes, Depths(), max(one, two))) == 3


def test_throttles_far_apart_or_of_one_lane_do_not_rest_the_account() -> None:
    made = account()
    made.throttle(made.lanes[0], 20.0, 10.0)
    made.throttle(made.lanes[1], 40.0, 21.0)
    assert made.open_at == 0.0
    made.throttle(made.lanes[1], 60.0, 41.0)
    assert made.open_at == 0.0


def test_a_paused_account_sends_one_probe_after_its_pause() -> None:
    made = account()
    assert made.pause("401", 10.0)
    assert not made.pause("401 again", 20.0)
    assert choose(made.lanes, Depths(), 21.0) == []
    (probe,) = choose(made.lanes, Depths(), 20.0 + ACCOUNT_PAUSE)
    probe.sending = lease()
    assert choose(made.lanes, Depths(), 21.0 + ACCOUNT_PAUSE) == []
    made.resume()
    assert made.open_at == 0.0
    made.resume()
    assert made.open_at == 0.0
    assert len(choose(made.lanes, Depths(), 21.0 + ACCOUNT_PAUSE)) == 2


def test_a_paced_account_serves_the_worst_severity_first_then_who_waited_longest() -> None:
    made, depths = account(pace=1.0), Depths()
    for lane, (rank, served) in zip(made.lanes, [(2, 1.0), (0, 9.0), (2, 0.0)], strict=True):
        depths.add(lane.rooms[0], rank)
        lane.served_at = served
    order = []
    for now in (10.0, 11.0, 12.0):
        (chosen,) = choose(made.lanes, depths, now)
        chosen.sending = lease()
        order.append(chosen.key)
    assert order == ["webex/1", "webex/2", "webex/0"]


def test_accounts_do_not_hold_one_another_up() -> None:
    one, two = account("one", pace=1.0), account("two")
    one.pause("401", 0.0)
    assert keys(choose([*one.lanes, *two.lanes], Depths(), 1.0)) == ["two/0", "two/1", "two/2"]


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50), st.booleans()), min_size=1, max_size=6), st.floats(0, 50))
def test_after_its_turn_is_due_a_lane_may_send(rests: list[tuple[float, float, bool]], now: float) -> None:
    made = account(lanes=len(rests))
    for lane, (rest, throttled, sending) in zip(made.lanes, rests, strict=True):
        lane.rest_until, lane.throttled_until = rest, throttled
        lane.sending = lease() if sending else None
    turn = next_turn(made.lanes, now, 60.0)
    assert 0 <= turn <= 60.0
    if any(lane.sending is None for lane in made.lanes):
        assert choose(made.lanes, Depths(), now + turn + 1e-6)
        assert turn <= 1e-6 or not choose(made.lanes, Depths(), now + turn * 0.99 - 1e-6)
    else:
        assert turn == 60.0


def test_a_hurried_lane_forgets_its_schedule_but_not_its_throttle() -> None:
    made = account(lanes=1)
    (lane,) = made.lanes
    lane.rest_until, lane.throttled_until = 100.0, 20.0
    lane.hurry()
    assert (lane.rest(15.0), lane.rest(20.0)) == (5.0, 0.0)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 4)), max_size=20))
def test_depths_count_what_waits(added: list[tuple[str, int]]) -> None:
    depths = Depths()
    for room, rank in added:
        depths.add(room, rank)
    assert depths.total == len(added)
    assert depths.worst(["a", "b", "c"]) == min((rank for _, rank in added), default=5)
    again = Depths()
    again.load({room: list(counts) for room, counts in depths.rooms.items()})
    for room, rank in added:
        again.add(room, rank, -1)
    assert (again.total, again.worst(["a", "b"])) == (0, 5)


@pytest.mark.parametrize("action", ["reply", "file"])
def test_what_loses_its_thread_is_tried_once_more_alone(action: str) -> None:
    gone = Refused("refused", "message", "404")
    held = lease(action=action, content="the list", remote="m1")
    assert judge(held, gone, (), AT, POLICY).settlement.message_is == "gone"
    alone = judge(lease(action=action, content="the list", remote=None), gone, (), AT, POLICY).settlement
    assert (alone.state, alone.message_is) == ("dead", None)
