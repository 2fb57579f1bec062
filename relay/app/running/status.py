"""The state of a running relay in one document, for `relay status`, the API and the metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from relay import __version__
from relay.app.running.factfinding import FactFinder
from relay.app.running.feeds import Feeds
from relay.app.running.reload import Reloader
from relay.core.event import SEVERITIES
from relay.core.findings import Finding, health, in_short
from relay.core.wellness import health_of_room, look, state_of_room
from relay.core.words import iso
from relay.listeners.staying import FeedState
from relay.pipeline.credentials import CredentialKeeper
from relay.pipeline.hearing import Hearing
from relay.pipeline.pipeline import Pipeline
from relay.ports import Credentials
from relay.senders.heartbeat import Heartbeat
from relay.settings.model import Settings
from relay.storage.asking import Queries
from relay.storage.queries import Snapshot
from relay.web.metrics import Metrics

SHOWN = ("code", "severity", "about", "rooms", "sentence", "remedy", "detail")
"""Fields of a finding that users see."""


def wellness(findings: Sequence[Finding]) -> dict[str, object]:
    """Return how well the relay is, and all findings, worst first."""
    shown = [{name: getattr(one, name) for name in SHOWN} for one in findings]
    return {"health": health(findings), "summary": in_short(findings), "findings": shown}


def room_status(queue: Snapshot, room: str, now: float) -> dict[str, object]:
    """Return how a room's queue stands; `now` in Unix seconds."""
    aside = queue.aside.get(room)
    worst = next((rank for rank, count in enumerate(aside.counts) if count), 0) if aside else 0
    return {
        "room": room,
        "waiting": queue.waiting.get(room, 0),
        "oldest_seconds": round(max(0.0, now - queue.oldest.get(room, now)), 1),
        "set_aside": sum(aside.counts) if aside else 0,
        "set_aside_until": iso(aside.until) if aside else None,
        "set_aside_severity": SEVERITIES[worst] if aside else None,
        "dead": queue.dead.get(room, 0),
    }


class StatusBoard:
    """Reads the state of the parts of a running relay."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        queries: Queries,
        pipeline: Pipeline,
        feeds: Feeds,
        hearing: Hearing,
        heartbeat: Heartbeat,
        keeper: CredentialKeeper,
        metrics: Metrics,
        reloader: Reloader,
        finder: FactFinder,
        ready: Callable[[], str | None],
        now: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._queries = queries
        self._pipeline = pipeline
        self._feeds = feeds
        self._hearing = hearing
        self._heartbeat = heartbeat
        self._keeper = keeper
        self._metrics = metrics
        self._reloader = reloader
        self._finder = finder
        self._ready = ready
        self._now = now
        self._started_at = now()

    async def status(self) -> dict[str, Any]:
        """Return the whole state as JSON values."""
        now = self._now()
        queue = await self._queries.snapshot(list(self._settings().rooms), everything=True)
        facts = self._finder.facts(queue)
        findings = look(facts)
        refused = {account.name: account.refused for account in facts.accounts}
        why = self._ready()
        return {
            "version": __version__,
            "ready": why is None,
            "why_not_ready": why,
            **wellness(findings),
            "started_at": iso(self._started_at),
            "uptime_seconds": round(now - self._started_at, 1),
            "heartbeat_trouble": self._heartbeat.trouble,
            **queue.counts,
            "accounts": [
                {
                    "account": account.name,
                    "refused": refused.get(account.name),
                    "rests_for_seconds": round(max(0.0, account.open_at - now), 1),
                    **_ends(self._keeper.states.get(account.name, Credentials())),
                }
                for account in self._pipeline.book.accounts()
            ],
            "rooms": [
                {
                    **room_status(queue, room.name, now),
                    "health": health_of_room(room.name, findings),
                    "state": state_of_room(room, facts),
                    "rests_for_seconds": self._rest(room.name, now),
                    "error": room.refused,
                    **self._failing(room.name, now),
                    "goes_to": room.goes_to,
                }
                for room in facts.rooms
            ],
            "sources": [
                {
                    "source": name,
                    "waiting": self._pipeline.arrivals.waiting_of(name),
                    "refused": self._metrics.refusals[name],
                    "dropped": self._metrics.drops[name],
                    "silent": name in self._hearing.silent,
                    "last_event_at": iso(self._pipeline.intake.last_at[name])
                    if name in self._pipeline.intake.last_at
                    else None,
                }
                for name in self._settings().sources
            ],
            "feeds": [
                {
                    "source": name,
                    "connected": state.connected,
                    "last_message_at": None if state.last_message_at is None else iso(state.last_message_at),
                    "tries": state.tries,
                    "last_error": state.last_error,
                }
                for name, state in self._feed_states()
            ],
            "config": self._config(),
        }

    def _feed_states(self) -> list[tuple[str, FeedState]]:
        return [(name, feed.staying.state) for name, feed in self._feeds.running.items()]

    def _config(self) -> dict[str, object]:
        """Return when the configuration in force was loaded, and the result of the last attempt."""
        last = self._reloader.last
        return {
            "file": self._reloader.loaded.file,
            "loaded_at": iso(self._reloader.good_at),
            "hash": self._reloader.loaded.digest,
            "last_reload_good": last.good,
            "problems": len(last.problems),
            "restart_needed": list(last.restart),
        }

    def _rest(self, room: str, now: float) -> float:
        """Return the seconds that a room still rests; a room without due deliveries does not rest."""
        lane = self._pipeline.book.lanes[room]
        return 0.0 if lane.dozing else round(lane.rest(now), 1)

    def _failing(self, room: str, now: float) -> dict[str, object]:
        """Return how long a room has been failing, in seconds, and its last error."""
        since = self._pipeline.book.lanes[room].failed_since
        if since is None:
            return {"failing_seconds": 0, "last_error": None}
        return {
            "failing_seconds": round(max(0.0, now - since), 1),
            "last_error": self._pipeline.chronicle.last_errors.get(room),
        }

    async def metrics(self) -> bytes:
        """Return the metrics in Prometheus' text format, with current gauges."""
        now = self._now()
        queue = await self._queries.snapshot(list(self._settings().rooms), everything=False)
        ages = {room: max(0.0, now - at) for room, at in queue.oldest.items()}
        self._metrics.set_rooms(queue.waiting, ages, queue.dead, self._pipeline.planner.diversions.rooms)
        self._metrics.set_aside({room: aside.counts for room, aside in queue.aside.items()})
        facts = self._finder.facts(queue)
        refused = {account.name: account.refused for account in facts.accounts}
        for account in self._pipeline.book.accounts():
            state = self._keeper.states.get(account.name, Credentials())
            self._metrics.set_account(
                account.name,
                refused=refused.get(account.name) is not None,
                access_until=state.access_until,
                refresh_until=state.refresh_until,
            )
        self._metrics.set_silent(self._hearing.silent)
        self._metrics.set_findings(look(facts))
        for name, feed in self._feed_states():
            self._metrics.set_feed(name, connected=feed.connected, last_message_at=feed.last_message_at)
        return self._metrics.expose()


def _ends(state: Credentials) -> dict[str, object]:
    """Return when the tokens of an account with an integration expire; empty for another account."""
    if state.access_until is None and state.trouble is None:
        return {}
    return {
        "access_token_expires_at": None if state.access_until is None else iso(state.access_until),
        "refresh_token_expires_at": None if state.refresh_until is None else iso(state.refresh_until),
        "token_trouble": state.trouble,
    }
