"""What goes to a room's fallback, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.delivery import Action, DeliveryState
from relay.core.diverting import (
    NEXT_NOTE,
    Begin,
    Candidate,
    Divert,
    End,
    Follow,
    GoOn,
    Leave,
    OpenDiversion,
    Rehome,
    Replace,
    decide,
    moves_home,
    moves_of,
    position_after,
)

NOW = 1_000.0
ACTIONS: list[Action] = ["post", "digest", "edit", "reply", "file"]


def one(number: int = 1, message: int = 1, action: Action = "post", **changes: Any) -> Candidate:
    values: dict[str, Any] = {"seq": number, "rank": 1, "position": number, "stands": False, "origin": "noc"}
    return Candidate(number, message, action, **{**values, **changes})


def order(to: str | None = "backup", **changes: Any) -> Divert:
    return Divert(room="noc", to=to, now=NOW, **changes)


def ending(*what: str) -> End:
    return End(
        tell_fallback="fallback hears" in what, refresh="room refreshed" in what, comes_home="comes home" in what
    )


OPEN = OpenDiversion(7, "waiting", "backup", 3)


@pytest.mark.parametrize(
    ("asked", "waits"),
    [(order(), False), (order(None), True), (order(stuck=True), True)],
    ids=["nothing waits", "no fallback", "the fallback fails too"],
)
def test_no_diversion_begins_for_nothing_or_to_nowhere(asked: Divert, waits: bool) -> None:
    assert decide(asked, None, [one()] if waits else []) == Leave()


def test_a_diversion_begins_with_a_note_for_the_last_event_that_waits() -> None:
    decision = decide(order(), None, [one(1, 1), one(2, 2, seq=9)])
    assert isinstance(decision, Begin)
    assert (decision.seq, len(decision.moves)) == (9, 2)


@pytest.mark.parametrize(
    ("note", "next_note"),
    [
        ("waiting", None),
        ("leased", None),
        ("dead", NOW + NEXT_NOTE),
        ("dropped", NOW + NEXT_NOTE),
        (None, NOW + NEXT_NOTE),
    ],
)
def test_another_note_waits_for_a_while_where_one_has_died(note: DeliveryState | None, next_note: float | None) -> None:
    decision = decide(order(), OpenDiversion(7, note, "backup", 3), [])
    assert decision == GoOn((), next_note)


def test_nothing_goes_to_a_fallback_that_fails_as_well() -> None:
    assert decide(order(stuck=True), OPEN, [one()]) == GoOn((), None)


@pytest.mark.parametrize(
    ("asked", "found", "expected"),
    [
        (order(), OpenDiversion(7, "done", "backup", 3), ending("fallback hears", "room refreshed")),
        (order(stuck=True), OpenDiversion(7, "done", "backup", 3), ending("room refreshed", "comes home")),
        (order(edits=False), OpenDiversion(7, "done", "backup", 3), ending("fallback hears")),
        (order("other"), OpenDiversion(7, "done", "backup", 3), ending("room refreshed")),
        (order(None), OPEN, ending("room refreshed")),
        (order(known=False), OPEN, ending("fallback hears")),
    ],
    ids=["back", "back, and the fallback fails", "no edits", "another fallback", "no fallback any more", "room gone"],
)
def test_the_end_tells_who_can_hear_it(asked: Divert, found: OpenDiversion, expected: End) -> None:
    assert decide(asked, found, [one()]) == expected


candidates = st.lists(
    st.builds(
        one,
        number=st.integers(1, 50),
        message=st.integers(1, 4),
        action=st.sampled_from(ACTIONS),
        position=st.integers(-5, 50),
        origin=st.sampled_from(["noc", "core"]),
    ),
    max_size=10,
    unique_by=lambda made: made.id,
)


@given(candidates, st.sets(st.integers(1, 4)))
def test_each_delivery_moves_once_and_each_standing_message_is_replaced_once(
    found: list[Candidate], standing: set[int]
) -> None:
    waiting = [one(c.id, c.message, c.action, position=c.position, stands=c.message in standing) for c in found]
    moves = moves_of(waiting)
    assert [move.moved for move in moves] == waiting
    for number in {c.message for c in waiting}:
        mine = [move for move in moves if move.moved.message == number]
        if number in standing:
            assert isinstance(mine[0], Replace)
            assert all(isinstance(move, Follow) for move in mine[1:])
            assert sum(move.counts for move in mine) == 1
        else:
            assert all(isinstance(move, Rehome) for move in mine)


@given(candidates, st.sets(st.integers(1, 4)))
def test_only_what_was_meant_for_a_room_and_stands_nowhere_comes_home(
    found: list[Candidate], standing: set[int]
) -> None:
    waiting = [one(c.id, c.message, c.action, origin=c.origin, stands=c.message in standing) for c in found]
    home = moves_home(waiting, "noc")
    assert {move.moved.id for move in home} == {c.id for c in waiting if c.origin == "noc" and not c.stands}
    assert all(isinstance(move, Rehome) for move in home)


@given(st.integers(1, 10**9), st.integers(-(2**41), 10**9), st.booleans())
def test_what_was_in_haste_stays_ahead_and_all_else_goes_behind(new: int, position: int, stands: bool) -> None:
    place = position_after(one(position=position, stands=stands), new)
    assert place == new or (position < 0 and not stands and place < 0)
    assert (place < 0) == (position < 0 and not stands)
