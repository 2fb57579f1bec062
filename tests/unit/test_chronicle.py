"""The chronicle: the metrics count the time to an event's first message, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from relay.core.delivery import Diversion, Lease, Refused, Settlement
from relay.logs import make_log
from relay.pipeline.chronicle import Chronicle
from relay.web.metrics import Metrics
from tests.fakes.made import lease

NOW = 1_015.0
"""15 s after the event of `made.EVENT` arrived."""


def ignore(*_: object) -> None:
    """Notify nobody."""


def settlement(one: Lease, **changes: Any) -> Settlement:
    values = {"state": "done", "attempts": 1, "spent": 0.0, "due_at": NOW, **changes}
    return Settlement(id=one.id, message=one.message, **values)


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({"action": "post", "kind": "living"}, True),
        ({"action": "post", "kind": "notice"}, True),
        ({"action": "post", "kind": "living", "origin": "core"}, True),
        ({"action": "edit"}, False),
        ({"action": "reply"}, False),
        ({"action": "file", "file": "https://example.net/graph.png"}, False),
        ({"action": "post", "kind": "digest"}, False),
        ({"action": "digest", "kind": "digest"}, False),
        ({"action": "post", "kind": "note", "note": Diversion("noc", "spare", 1_000.0, 3)}, False),
    ],
)
def test_only_the_first_message_of_an_event_counts_for_its_time(changes: dict[str, Any], counted: bool) -> None:
    metrics = Metrics((), {}, 0)
    chronicle = Chronicle(metrics, make_log("error"), ignore)
    one = lease(**changes)
    chronicle.settled(one, settlement(one), NOW)
    assert sum(metrics.delivery.counts()) == int(counted)


def test_a_message_that_is_posted_anew_after_somebody_deleted_it_does_not_count() -> None:
    metrics = Metrics((), {}, 0)
    chronicle = Chronicle(metrics, make_log("error"), ignore)
    edit, post = lease(action="edit", remote="m1"), lease(action="post", attempts=2)
    refused = Refused("refused", "message", "not found")
    chronicle.failed("webex", edit, refused, settlement(edit, state="waiting", message_is="gone"))
    chronicle.settled(post, settlement(post), NOW)
    assert sum(metrics.delivery.counts()) == 0
    chronicle.settled(post, settlement(post), NOW)
    assert sum(metrics.delivery.counts()) == 1
