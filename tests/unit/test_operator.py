"""Notices to the operator: they wait in memory, within a bound, until they are committed."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

from relay.core.event import Draft, SourceDefaults
from relay.lifecycle import SystemClock
from relay.logs import make_log
from relay.pipeline.intake import Intake
from relay.pipeline.operator import OperatorNotices
from relay.ports import Accepted


class Taking(Intake):
    """An intake that takes everything."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.cleared: list[bool] = []

    async def accept(self, defaults: SourceDefaults, drafts: Sequence[Draft], *_: object, **__: object) -> Accepted:  # noqa: ARG002
        self.taken += [draft.title for draft in drafts]
        self.cleared += ["body" in draft.cleared for draft in drafts]
        return Accepted(())


async def test_notices_beyond_the_bound_are_dropped_with_one_warning_each_time() -> None:
    lines = io.StringIO()
    intake = Taking()
    notices = OperatorNotices(intake, SystemClock(), make_log("warning", lines), most=2)
    for number in range(5):
        notices.notify(f"room:{number}", f"notice {number}", "major", "firing", "")
    await notices.run_once()
    assert intake.taken == ["notice 0", "notice 1"]
    for number in range(5, 9):
        notices.notify(f"room:{number}", f"notice {number}", "major", "firing", "")
    warned = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(one["event"], one["title"]) for one in warned] == [
        ("notices_dropped", "notice 2"),
        ("notices_dropped", "notice 7"),
    ]


async def test_a_notice_without_a_body_removes_the_one_before() -> None:
    intake = Taking()
    notices = OperatorNotices(intake, SystemClock(), make_log("warning", io.StringIO()))
    notices.notify("room:1", "it fails", "major", "firing", "Look at it.")
    notices.notify("room:1", "it is well again", "info", "resolved", "")
    await notices.run_once()
    assert intake.cleared == [False, True]
