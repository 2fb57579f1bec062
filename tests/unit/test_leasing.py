"""What a lane sends next: a delivery that was planned, as its message allows it now."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.delivery import (
    EDITS_OF_CHANGES,
    MOST_EDITS,
    Action,
    Diversion,
    IncidentView,
    Lease,
    MessageKind,
    Summary,
)
from relay.core.leasing import (
    Drop,
    Head,
    Later,
    Ready,
    first_of_lanes,
    next_step,
    remark_of,
    with_digest,
    with_note,
)
from relay.core.phrases import ROOM_IS_BACK
from relay.core.storm import open_storm
from tests.fakes.made import EVENT, LEASE

NOW = 2_000.0
FIRING = Summary((IncidentView(EVENT, "firing", 1_000.0),), 1, 0, 1_000.0)
OVER = Summary((IncidentView(EVENT, "resolved", 1_000.0),), 0, 1, 1_000.0)


def head(edits: int = 0, **changes: Any) -> Head:
    names = {"lane", "due_at", "position", "part", "labels", "newer"}
    values: dict[str, Any] = {"lane": "noc", "due_at": NOW, "position": 1, "part": 0}
    values |= {name: changes.pop(name) for name in names & set(changes)}
    return Head(lease=msgspec.structs.replace(LEASE, **changes), edits=edits, **values)


def leased(one: Head) -> Lease:
    step = next_step(one, NOW)
    assert isinstance(step, Ready)
    return step.lease


@pytest.mark.parametrize(
    ("planned", "remote", "told", "edits", "sent"),
    [
        ("post", None, FIRING, 0, "post"),
        ("post", "m1", FIRING, 0, "edit"),  # it stands already: a second post would be a second message
        ("edit", None, FIRING, 0, "post"),  # it does not stand yet, or not any more
        ("edit", "m1", FIRING, EDITS_OF_CHANGES - 1, "edit"),
        ("edit", "m1", FIRING, EDITS_OF_CHANGES, "reply"),  # the last edit is kept for the end
        ("edit", "m1", OVER, EDITS_OF_CHANGES, "edit"),
        ("edit", "m1", OVER, MOST_EDITS, "reply"),
        ("reply", "m1", FIRING, 0, "reply"),
        ("reply", None, FIRING, 0, "post"),
        ("post", "m1", None, 0, "post"),  # a notice stays as it is
        ("reply", None, None, 0, "reply"),  # as does a part of a long one
        ("digest", None, None, 0, "post"),
        ("digest", "m1", None, 2, "edit"),
        ("file", None, FIRING, 0, "file"),
    ],
)
def test_a_delivery_is_sent_as_its_message_allows(
    planned: Action, remote: str | None, told: Summary | None, edits: int, sent: Action
) -> None:
    assert leased(head(edits, action=planned, remote=remote, summary=told)).action == sent


def test_a_digest_keeps_its_own_action_on_record() -> None:
    step = next_step(head(action="digest", kind="digest"), NOW)
    assert isinstance(step, Ready)
    assert (step.lease.action, step.recorded_as, step.wants) == ("post", "digest", "digest")


def test_a_part_of_a_long_text_stays_what_it_is() -> None:
    assert (
        leased(head(action="reply", part=1, content="second half", remote=None, summary=FIRING)).content
        == "second half"
    )


@given(st.floats(0.001, 1e6))
def test_what_is_due_later_waits_whatever_it_is(seconds: float) -> None:
    assert next_step(head(due_at=NOW + seconds), NOW) == Later(NOW + seconds)


@pytest.mark.parametrize("content", ["the last word", None])
def test_the_last_edit_of_a_message_that_never_stood_is_dropped(content: str | None) -> None:
    elsewhere = None if content else "backup"
    assert next_step(head(action="edit", content=content, elsewhere=elsewhere, remote=None), NOW) == Drop()


def test_a_message_that_was_left_behind_says_where_to_read_on() -> None:
    lease = leased(head(action="edit", remote="m1", elsewhere="back|up", summary=None, newer="living"))
    assert lease.content == "⏩ **continued** in room back\\|up"
    here = leased(head(action="edit", remote="m1", elsewhere="noc", summary=None, newer="living"))
    assert here.content == "⏩ **continued** in a newer message"


def test_a_message_that_was_left_behind_tells_the_present_where_it_can() -> None:
    lease = leased(head(action="edit", remote="m1", elsewhere="backup", summary=FIRING, newer="living"))
    assert (lease.summary, lease.content) == (FIRING, None)
    of_storm = leased(head(action="edit", remote="m1", elsewhere="backup", summary=FIRING, newer="digest"))
    assert of_storm.summary is None
    assert of_storm.content is not None


def test_a_group_tells_what_its_alerts_have_in_common() -> None:
    lease = leased(head(action="post", summary=FIRING, labels={"site": "a"}))
    assert lease.summary is not None
    assert lease.summary.labels == {"site": "a"}


@pytest.mark.parametrize(
    ("kind", "content", "wants"),
    [
        ("living", None, "nothing"),
        ("notice", None, "nothing"),
        ("note", None, "note"),
        ("digest", None, "digest"),
        ("digest", "🌊 **Storm over**", "nothing"),
    ],
)
def test_little_is_loaded_and_only_for_those_that_need_it(kind: MessageKind, content: str | None, wants: str) -> None:
    step = next_step(head(action="reply", kind=kind, content=content, remote="m1"), NOW)
    assert isinstance(step, Ready)
    assert step.wants == wants


def test_files_that_a_thread_has_are_asked_for_where_an_alert_names_some() -> None:
    named = msgspec.structs.replace(EVENT, files=("https://a.example/b.png",))
    told = Summary((IncidentView(named, "firing", 1_000.0),), 1, 0, 1_000.0)
    step = next_step(head(action="post", summary=told), NOW)
    assert isinstance(step, Ready)
    assert step.wants == "attached"


def test_a_note_whose_diversion_was_pruned_is_short() -> None:
    diversion = Diversion("noc", "backup", 1_000.0, 3)
    assert (with_note(LEASE, diversion).note, with_note(LEASE, diversion).content) == (diversion, None)
    assert (with_note(LEASE, None).note, with_note(LEASE, None).content) == (None, ROOM_IS_BACK)


def test_a_digest_tells_of_its_storm_or_of_its_own_time_where_that_was_pruned() -> None:
    storm = open_storm("noc", 900.0)
    told = with_digest(LEASE, storm, ((0, "lab", 3),), ()).summary
    assert told is not None
    assert told.digest is not None
    assert (told.digest.began_at, told.digest.over) == (900.0, False)
    alone = with_digest(LEASE, None, (), ()).summary
    assert alone is not None
    assert alone.digest is not None
    assert alone.digest.began_at == LEASE.created_at


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-3, 3), st.integers(0, 3)), max_size=8))
def test_the_first_of_a_lane_is_that_with_the_lowest_place(places: list[tuple[str, int, int]]) -> None:
    heads = [head(lane=lane, position=position, part=part) for lane, position, part in places]
    first = first_of_lanes(heads)
    assert set(first) == {lane for lane, _, _ in places}
    for lane, one in first.items():
        assert (one.position, one.part) == min((p, part) for other, p, part in places if other == lane)


def test_a_remark_names_the_room_and_the_files_that_are_not_shown() -> None:
    named = msgspec.structs.replace(EVENT, files=("/var/log/trace.txt", "https://a.example/b.png"))
    stays = msgspec.structs.replace(LEASE, event=named, origin="core")
    assert remark_of(stays, shows_files=False) == "for room core · not shown here: trace.txt"
    assert remark_of(stays, shows_files=True) == "for room core"
    assert remark_of(msgspec.structs.replace(LEASE, elsewhere="backup"), shows_files=True) == "goes on in room backup"


@given(
    st.sampled_from(["post", "digest", "edit", "reply", "file"]),
    st.booleans(),
    st.sampled_from([None, FIRING, OVER]),
    st.integers(0, MOST_EDITS),
    st.integers(0, 1),
    st.sampled_from([None, "text"]),
    st.sampled_from([None, "noc", "backup"]),
)
def test_no_edit_is_sent_of_what_does_not_stand_and_none_beyond_the_limit(
    action: Action,
    stands: bool,
    told: Summary | None,
    edits: int,
    part: int,
    content: str | None,
    elsewhere: str | None,
) -> None:
    one = head(
        edits,
        action=action,
        remote="m1" if stands else None,
        summary=told,
        part=part,
        content=content,
        elsewhere=elsewhere,
        newer="living",
    )
    step = next_step(one, NOW)
    if isinstance(step, Ready) and part == 0 and step.lease.action == "edit":
        assert stands
        assert edits < MOST_EDITS
    if isinstance(step, Drop):
        assert not stands
