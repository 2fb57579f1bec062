"""An update keeps the description, links and files that it says nothing of; what it empties goes."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from relay.core.event import Draft, Event, Link, SourceDefaults, stamp
from relay.core.matching import parse_matchers
from relay.core.routing import Route
from relay.core.rules import Rules
from relay.templates.views import View
from tests.fakes.ledger import Ledger
from tests.fakes.made import event, waiting

RUNBOOK = Link("Runbook", "https://runbooks.example.net/lag")
BODY = "Replica db-7 lags.\nSee step 4."
FIRST = event(
    key="lag", status="firing", severity="major", body=BODY, links=(RUNBOOK,), files=("https://g.example.net/a.png",)
)
RULES = Rules(
    Route(
        path="route",
        rooms=("noc",),
        routes=(
            Route(
                path="route.routes[0]",
                rooms=("noc", "oncall"),
                lineage="{}/{critical}",
                matchers=tuple(parse_matchers("severity=critical")),
            ),
        ),
    ),
    {"noc": None, "oncall": None},
    Route(path="operator", rooms=("noc",), lineage="operator"),
)


def after(*events: Event) -> dict[str, Event]:
    """The event of each room's incident after some events."""
    ledger = Ledger(RULES)
    for seq, one in enumerate(events, 1):
        ledger.take([waiting(seq, one)])
    return {one.room: one.event for one in ledger.incidents.values()}


def update(**changes: Any) -> Event:
    """A further event of the same alert, which says only what is given."""
    return event(
        **{"key": "lag", "status": "firing", "severity": "major", "body": "", "links": (), "files": (), **changes}
    )


@pytest.mark.parametrize(
    ("changes", "body", "links"),
    [
        ({"severity": "critical"}, BODY, (RUNBOOK,)),
        ({"title": "Replica lags more"}, BODY, (RUNBOOK,)),
        ({"done": "tag db added by anna"}, BODY, (RUNBOOK,)),
        ({"status": "resolved"}, BODY, (RUNBOOK,)),
        ({"body": "Replica db-8 lags."}, "Replica db-8 lags.", (RUNBOOK,)),
        ({"status": "resolved", "body": "in step again"}, "in step again", (RUNBOOK,)),
        ({"cleared": ("body",)}, "", (RUNBOOK,)),
        ({"cleared": ("links", "body"), "status": "resolved"}, "", ()),
        ({"cleared": ("links",)}, BODY, ()),
        ({"links": (Link("Graph", "https://g.example.net"),)}, BODY, (Link("Graph", "https://g.example.net"),)),
    ],
)
def test_what_an_update_does_not_speak_of_stays(changes: dict[str, Any], body: str, links: tuple[Link, ...]) -> None:
    for one in after(FIRST, update(**changes)).values():
        assert (one.body, one.links) == (body, links)
        assert one.files == FIRST.files


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": {"device": "r2"}}, True),
        ({"labels": {"owner": "team-b"}}, True),
        ({"labels": {"severity": "P2", "action": "update"}}, False),
        ({"links": (Link("Runbook", "https://runbooks.example.net/lag-2"),)}, True),
        ({"links": (Link("Step 4", RUNBOOK.url),)}, True),
        ({"links": (Link("Runbook", f"{RUNBOOK.url}?from=1&to=2#panel"),)}, False),
        ({}, False),
    ],
)
def test_an_update_is_told_if_the_message_would_read_otherwise(changes: dict[str, Any], told: bool) -> None:
    ledger = Ledger(RULES)
    for seq, one in enumerate((FIRST, update(**changes)), 1):
        ledger.take([waiting(seq, one)])
    assert ledger.done(2) == ([("edit", "noc")] if told else [])


@pytest.mark.parametrize(
    "ends", [{}, {"body": "in step again", "title": "Replica is in step", "done": "closed by anna"}]
)
def test_an_alert_that_fires_again_in_its_message_has_the_description_from_before_its_end(ends: dict[str, Any]) -> None:
    again = after(FIRST, update(status="resolved", **ends), update())["noc"]
    assert (again.body, again.links, again.files) == (BODY, (RUNBOOK,), FIRST.files)
    assert (again.done, again.title) == ("", FIRST.title)
    flaps = after(FIRST, *[update(status="resolved", **ends), update()] * 3)["noc"]
    assert flaps.body == BODY
    new = after(FIRST, update(status="resolved", **ends), update(body="Another replica lags."))["noc"]
    assert new.body == "Another replica lags."


def test_a_room_that_is_reached_later_reads_all_of_it() -> None:
    found = after(FIRST, update(severity="critical"))
    assert set(found) == {"noc", "oncall"}
    assert (found["oncall"].body, found["oncall"].links, found["oncall"].files) == (BODY, (RUNBOOK,), FIRST.files)


def test_what_was_done_is_a_line_until_something_else_is_done() -> None:
    found = after(FIRST, update(done="tag db added"), update(severity="critical"))
    assert found["noc"].done == "tag db added"
    found = after(FIRST, update(done="tag db added"), update(done="note: on it"))
    assert found["noc"].done == "note: on it"
    assert View(found["noc"], "noc", None, 0.0, UTC).parts()["done"] == "note: on it"


def test_the_same_deed_twice_is_a_repeat() -> None:
    ledger = Ledger(RULES)
    for seq, one in enumerate((FIRST, update(done="tag db added"), update(done="tag db added")), 1):
        ledger.take([waiting(seq, one)])
    assert ledger.suppressed == [3]


def test_an_event_is_bounded_and_keeps_what_a_draft_clears() -> None:
    made = stamp(
        Draft(title="t", done="x" * 9_000, cleared=("body",)), SourceDefaults(source="s", format="relay"), "e", 0.0
    )
    assert (len(made.done), made.cleared) == (500, ("body",))
