"""The watch: it looks at how well the relay is, and notifies the operator of each finding and of its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from relay.core.findings import Code, Finding, over
from relay.pipeline.loop import Loop
from relay.ports import Clock, NotifyOperator

CUMULATIVE: frozenset[Code] = frozenset({"untold_incident", "dead"})
"""Codes whose detail names an alert that was lost: another one is news."""
QUIET = 300.0
"""Seconds between two notices of what is new about one finding."""


class _Told:
    def __init__(self, finding: Finding | None, at: float) -> None:
        self.finding = finding
        """The finding as the operator was told; None if an earlier process did."""
        self.at = at


class Watch(Loop):
    """A loop that tells the operator what the findings say, on changes only."""

    def __init__(
        self,
        look: Callable[[], Awaitable[Sequence[Finding]]],
        is_known: Callable[[str], bool],
        notify: NotifyOperator,
        clock: Clock,
    ) -> None:
        """`is_known` returns whether the present state of a finding is known already, by its key.

        After a start it may not be: what an earlier process has found is not over because nobody has looked yet.
        """
        super().__init__(clock)
        self._look = look
        self._is_known = is_known
        self._notify = notify
        self._told: dict[str, _Told] = {}

    def recall(self, keys: Iterable[str]) -> None:
        """Restore the findings that an earlier process told of, by the keys of its open notices."""
        self._told = {key: _Told(None, self._clock.now()) for key in keys}

    async def step(self) -> int:
        """Tell of findings that are new, changed or over; return how many. Raises `StoreError`."""
        findings = {one.key: one for one in await self._look()}
        changed = [one for one in findings.values() if self._is_news(one)]
        for one in changed:
            self._told[one.key] = _Told(one, self._clock.now())
            body = "\n".join(part for part in (one.remedy, one.detail) if part)
            self._notify(one.key, f"relay: {one.sentence}", one.notice, "firing", body)
        ended = [key for key in self._told if key not in findings and self._is_known(key)]
        for key in ended:
            finding = self._told.pop(key).finding
            self._notify(key, f"relay: {over(key)}", "info", "resolved", finding.detail if finding else "")
        return len(changed) + len(ended)

    def _is_news(self, one: Finding) -> bool:
        told = self._told.get(one.key)
        if told is None or told.finding is None:
            return True
        if (told.finding.sentence, told.finding.notice) != (one.sentence, one.notice):
            return True
        return one.code in CUMULATIVE and told.finding.detail != one.detail and self._clock.now() - told.at >= QUIET
