"""One definition of an end: an alert that flaps is not over, for headers, signs, counts, replies and lists alike."""

from __future__ import annotations

import msgspec
import pytest

from relay.core.group import Group, Members, flush, flushed
from relay.core.incident import Incident, Policy, view_of_incident
from relay.core.news import mark_shown
from relay.templates.views import View
from tests.fakes.made import event

NOW = 1_800_000_000.0
POLICY = Policy(group_by=("device",))


def incident(number: int, *, ended: bool, quiet: bool) -> Incident:
    """An incident of one group, which flaps if it is `quiet`."""
    return Incident(
        id=number,
        source="bgp",
        key=f"b{number}",
        room="noc",
        lineage="{}",
        labels={"device": "e1"},
        message=7,
        seq=number,
        event=event(title=f"BGP {number} down", status="resolved" if ended else "firing", severity="major"),
        started_at=NOW - 600.0,
        opened_at=NOW - 600.0,
        remind_at=NOW + 600.0,
        state="resolved" if ended else "firing",
        ended_at=NOW if ended else None,
        changes=(NOW - 60.0, NOW) if quiet else (),
        quiet=quiet,
    )


@pytest.mark.parametrize(
    ("ended", "quiet", "over"), [(False, False, False), (False, True, False), (True, True, False), (True, False, True)]
)
def test_an_incident_is_over_once_it_has_ended_and_flaps_no_more(ended: bool, quiet: bool, over: bool) -> None:
    one = incident(1, ended=ended, quiet=quiet)
    view = view_of_incident(one)
    assert (one.over, view.over) == (over, over)
    assert one.live is not over or one.shown is None
    assert (View(one.event, "noc", view, NOW, None).end is not None) == over  # type: ignore[arg-type]  # no time is said


def test_all_is_said_to_be_over_only_when_nothing_flaps() -> None:
    group = Group(id="g", room="noc", lineage="{}", labels={"device": "e1"}, message=7, flushed_at=NOW - 60.0)
    shown = mark_shown(incident(1, ended=True, quiet=True), 7)
    calm = msgspec.structs.replace(shown, quiet=False, changes=())
    flaps = mark_shown(incident(2, ended=True, quiet=True), 7)
    steps = flush(Members(group, (calm, flaps), shown=2), POLICY)
    assert [step.action for step in steps] == ["edit"]
    after = flushed(group, (calm, flaps), POLICY, NOW)
    assert after.ended_at is None
    last = msgspec.structs.replace(flaps, quiet=False, changes=())
    steps = flush(Members(group, (mark_shown(calm, 7), last), shown=2), POLICY)
    assert [step.content for step in steps if step.action == "reply"] == ["✅ all 2 resolved, the last after 10 min"]
    assert flushed(group, (calm, last), POLICY, NOW).ended_at == NOW
