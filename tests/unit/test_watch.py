"""The operator is told of each finding once, of its changes, and of its end, also over a restart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from relay.core.event import Severity, Status
from relay.core.findings import Code, Finding, found
from relay.pipeline.watch import QUIET, Watch
from tests.fakes.simulated import ManualClock


def finding(code: Code = "room_failing", about: str = "noc", **changes: Any) -> Finding:
    return found(code, f"{about} fails.", "Look.", about=about, **changes)


class Operator:
    """What a relay finds, and what its operator is told of it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.findings: Sequence[Finding] = ()
        self.unknown: set[str] = set()
        self.told: list[tuple[str, Status]] = []
        self.texts: list[str] = []
        self.watch = self.started()

    def started(self) -> Watch:
        return Watch(self.look, lambda key: key not in self.unknown, self.notify, self.clock)

    async def look(self) -> Sequence[Finding]:
        return self.findings

    def notify(self, key: str, title: str, severity: Severity, status: Status, body: str) -> None:
        assert (status == "resolved") == (severity == "info")
        self.told.append((key, status))
        self.texts.append(f"{title}\n{body}")

    async def after(self, *findings: Finding) -> list[tuple[str, Status]]:
        """Return what is told once these are the findings."""
        self.findings, self.told = findings, []
        await self.watch.step()
        return self.told

    def restart(self, *keys: str) -> None:
        self.watch = self.started()
        self.watch.recall(keys)


async def test_a_finding_is_told_once_and_so_is_its_end() -> None:
    operator = Operator()
    one = finding(detail="503")
    assert await operator.after(one) == [(one.key, "firing")]
    assert operator.texts == ["relay: noc fails.\nLook.\n503"]
    assert await operator.after(one, finding(detail="504")) == []
    assert await operator.after() == [(one.key, "resolved")]
    assert operator.texts[1:] == ["relay: Messages for room noc get through again.\n503"]
    assert await operator.after() == []


async def test_a_finding_that_worsens_is_told_again() -> None:
    operator = Operator()
    await operator.after(finding("set_aside", notice="major"))
    assert await operator.after(finding("set_aside", notice="critical")) == [("set_aside:noc", "firing")]


async def test_another_lost_alert_is_told_but_not_too_often() -> None:
    operator = Operator()
    await operator.after(finding("dead", detail="first alert"))
    assert await operator.after(finding("dead", detail="second alert")) == []
    operator.clock.time += QUIET
    assert await operator.after(finding("dead", detail="second alert")) == [("dead:noc", "firing")]
    assert await operator.after(finding("dead", detail="third alert")) == []


async def test_what_an_earlier_process_told_is_over_only_once_that_is_known() -> None:
    operator = Operator()
    operator.unknown = {"token_ends:webex"}
    operator.restart("token_ends:webex", "late:noc", "of an older release")
    assert await operator.after() == [("late:noc", "resolved"), ("of an older release", "resolved")]
    assert operator.texts == [
        "relay: Deliveries for room noc wait no longer than they should.\n",
        "relay: of an older release is over.\n",
    ]
    operator.unknown = set()
    assert await operator.after() == [("token_ends:webex", "resolved")]


@given(st.lists(st.sets(st.sampled_from(["a", "b", "c"])), max_size=12))
async def test_what_is_open_for_the_operator_is_what_is_found(history: list[set[str]]) -> None:
    operator = Operator()
    open_: set[str] = set()
    for names in history:
        for key, status in await operator.after(*(finding(about=name) for name in names)):
            assert (key in open_) == (status == "resolved")
            open_ ^= {key}
        assert open_ == {f"room_failing:{name}" for name in names}
