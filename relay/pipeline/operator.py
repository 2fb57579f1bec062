"""Notices to the operator: the relay's own trouble becomes events of the source `relay`, on transitions only."""

from __future__ import annotations

from relay.core.event import OPERATOR_SOURCE, Cleared, Draft, Severity, SourceDefaults, Status
from relay.pipeline.intake import Intake
from relay.pipeline.loop import Loop
from relay.ports import Clock, Log

QUIET = 300.0
"""Seconds in which a notice about the same thing is not repeated."""
MOST_WAITING = 1_000
"""The most notices that wait in memory for their commit, so that a store that fails for long costs little memory."""


class OperatorNotices(Loop):
    """The loop that collects notices to the operator and commits them as events."""

    def __init__(self, intake: Intake, clock: Clock, log: Log, most: int = MOST_WAITING) -> None:
        """Keep at most `most` notices in memory; drop further ones until these are committed."""
        self._intake = intake
        self._most = most
        self._dropping = False
        super().__init__(clock)
        self._log = log
        self._waiting: list[Draft] = []
        self._noticed: dict[str, float] = {}
        self._defaults = SourceDefaults(source=OPERATOR_SOURCE, format="relay")

    def notify(self, key: str, title: str, severity: Severity, status: Status, body: str) -> None:
        """Queue a notice to the operator. One of status `notice` is not repeated for its key within five minutes.

        The body replaces that of the notice before, also if it is empty.
        """
        now = self._clock.now()
        if status == "notice":
            if now - self._noticed.get(key, -QUIET) < QUIET:
                return
            self._noticed[key] = now
        if len(self._waiting) < self._most:
            cleared: tuple[Cleared, ...] = () if body else ("body",)
            draft = Draft(title=title, severity=severity, status=status, key=key, body=body, cleared=cleared)
            self._waiting.append(draft)
            self.nudge()
        elif not self._dropping:
            self._dropping = True
            self._log.warning("notices_dropped", waiting=self._most, title=title)

    async def step(self) -> int:
        """Commit the queued notices; return how many. Raises `StoreError`."""
        drafts, self._waiting = self._waiting, []
        try:
            if drafts:
                await self._intake.accept(self._defaults, drafts, b"{}")
        except BaseException:
            self._waiting = drafts + self._waiting
            raise
        self._dropping = False
        return len(drafts)
