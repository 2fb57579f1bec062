"""Metrics in Prometheus' form, all there from the start with every label value that can occur."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from itertools import accumulate
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from relay import __version__
from relay.core.delivery import RESULTS, DeliveryState, Reason
from relay.core.event import STATUSES, Status
from relay.core.suppression import Suppression

REFUSED = ("unauthorized", "malformed", "unknown_format", "too_large", "too_slow", "rate", "queue", "store")
SUPPRESSED = get_args(Suppression)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_BOUNDS = (*(str(float(bound)) for bound in _SECONDS), "+Inf")


class _Durations(Collector):
    """A histogram of seconds for the loop's thread alone: without locks, as it is told of every event."""

    def __init__(self, name: str, help_text: str) -> None:
        self._name = name
        self._help = help_text
        self._counts = [0] * len(_BOUNDS)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Note one."""
        self._counts[bisect_left(_SECONDS, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The histogram as it stands."""
        buckets = list(zip(_BOUNDS, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._name, self._help, buckets, self._sum)


class Metrics:
    """Implements the pipeline's `Telemetry`; gauges are set when they are asked for."""

    def __init__(  # noqa: PLR0915 - the list of all metrics
        self, sources: Iterable[str], rooms: Mapping[str, str], config_hash: int
    ) -> None:
        """`rooms` names each room's account."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a sample beside each counter that nobody asks for
        self._registry = registry = CollectorRegistry()
        accounts = sorted(set(rooms.values()))
        self._sources = tuple(sources)
        self._rooms = tuple(rooms)

        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(name, help_text, labels, registry=registry)

        def gauge(name: str, help_text: str, *labels: str) -> Gauge:
            return Gauge(name, help_text, labels, registry=registry)

        received = counter("relay_events_received_total", "Events committed to the inbox.", "source", "status")
        duplicate = counter("relay_events_duplicate_total", "Events of repeated requests.", "source")
        refused = counter("relay_events_refused_total", "Requests and frames that were not taken.", "source", "reason")
        results = counter("relay_deliveries_total", "Deliveries that came to an end.", "room", "result")
        failures = counter("relay_delivery_failures_total", "Attempts that failed.", "room", "reason")
        throttled = counter("relay_throttled_total", "Answers that asked to wait (429).", "account")
        ambiguous = counter("relay_ambiguous_sends_total", "Sends that may have arrived unseen.", "account")
        self._received = {(s, st): received.labels(s, st) for s in self._sources for st in STATUSES}
        self._fresh: dict[tuple[str, Status], int] = dict.fromkeys(self._received, 0)
        self._duplicate = {s: duplicate.labels(s) for s in self._sources}
        self.refusals: defaultdict[str, int] = defaultdict(int)
        """Requests and frames of each source that were not taken, since the start."""
        self._refused = {(s, r): refused.labels(s, r) for s in self._sources for r in REFUSED}
        self._results = {(room, result): results.labels(room, result) for room in rooms for result in RESULTS}
        self._failures = {
            (room, reason): failures.labels(room, reason) for room in rooms for reason in get_args(Reason)
        }
        self._throttled = {account: throttled.labels(account) for account in accounts}
        self._ambiguous = {account: ambiguous.labels(account) for account in accounts}
        suppressed = counter("relay_suppressed_total", "Events that rules kept from changing a message.", "reason")
        self._suppressed = {reason: suppressed.labels(reason) for reason in SUPPRESSED}
        self._template_failures = counter("relay_template_failures_total", "Templates that failed.", "template")
        self._accept = _Durations("relay_accept_seconds", "Time to commit a request.")
        self._delivery = _Durations("relay_delivery_seconds", "Time from acceptance to the posted message.")
        registry.register(self._accept)
        registry.register(self._delivery)
        self._depth = gauge("relay_queue_depth", "Deliveries that wait.", "room")
        self._oldest = gauge("relay_queue_oldest_seconds", "Age of the oldest delivery that waits.", "room")
        self._dead = gauge("relay_dead_deliveries", "Dead deliveries on record.", "room")
        self._diverted = gauge("relay_room_diverted", "1 while the room's messages go to its fallback.", "room")
        self._account_refused = gauge("relay_account_refused", "1 while the service refuses the account.", "account")
        self._token_ends = gauge(
            "relay_token_expires_timestamp_seconds", "End of an integration's token, 0 where it has none.",
            "account", "token",
        )  # fmt: skip
        for account in accounts:
            self.set_account(account, refused=False, access_until=None, refresh_until=None)
        self._silent = gauge("relay_source_silent", "1 while nothing comes from the source.", "source")
        self.set_silent(())
        self._connected = gauge("relay_feed_connected", "1 while the feed is connected.", "source")
        self._last = gauge("relay_feed_last_message_timestamp_seconds", "Time of the feed's last message.", "source")
        gauge("relay_config_last_reload_successful", "1 where the last load of the configuration succeeded.").set(1)
        gauge("relay_config_hash", "A number that changes with the configuration.").set(config_hash)
        gauge("relay_build_info", "The program's version.", "version").labels(__version__).set(1)

    def set_silent(self, sources: Collection[str]) -> None:
        """Set which sources are silent now."""
        for source in self._sources:
            self._silent.labels(source).set(source in sources)

    def received(self, source: str, status: Status, count: int) -> None:
        """Count committed events."""
        self._fresh[source, status] += count  # the one counter on the hot path: added up when it is asked for

    def duplicate(self, source: str, count: int) -> None:
        """Count events of a repeated request."""
        self._duplicate[source].inc(count)

    def refused(self, source: str, reason: str) -> None:
        """Count a request or frame that was not taken."""
        self._refused[source, reason].inc()
        self.refusals[source] += 1

    def suppressed(self, reason: Suppression) -> None:
        """Count an event that changed no message."""
        self._suppressed[reason].inc()

    def accepted_in(self, seconds: float) -> None:
        """Note how long a commit took."""
        self._accept.observe(seconds)

    def settled(self, room: str, result: DeliveryState) -> None:
        """Count a delivery's end."""
        self._results[room, result].inc()

    def failure(self, room: str, reason: Reason) -> None:
        """Count a failed attempt."""
        self._failures[room, reason].inc()

    def posted_after(self, seconds: float) -> None:
        """Note how long an event took to its room."""
        self._delivery.observe(seconds)

    def throttled(self, account: str) -> None:
        """Count a 429."""
        self._throttled[account].inc()

    def ambiguous(self, account: str) -> None:
        """Count a send that may have arrived unseen."""
        self._ambiguous[account].inc()

    def template_failed(self, template: str) -> None:
        """Count a template's failure."""
        self._template_failures.labels(template).inc()

    def set_rooms(
        self, depths: Mapping[str, int], ages: Mapping[str, float], dead: Mapping[str, int], diverted: Set[str]
    ) -> None:
        """Set the gauges of all rooms; ages in seconds."""
        for room in self._rooms:
            self._depth.labels(room).set(depths.get(room, 0))
            self._oldest.labels(room).set(ages.get(room, 0.0))
            self._dead.labels(room).set(dead.get(room, 0))
            self._diverted.labels(room).set(room in diverted)

    def set_account(
        self, account: str, *, refused: bool, access_until: float | None, refresh_until: float | None
    ) -> None:
        """Set an account's gauges; ends of tokens in Unix seconds."""
        self._account_refused.labels(account).set(refused)
        self._token_ends.labels(account, "access").set(access_until or 0.0)
        self._token_ends.labels(account, "refresh").set(refresh_until or 0.0)

    def set_feed(self, source: str, *, connected: bool, last_message_at: float | None) -> None:
        """Set a feed's gauges."""
        self._connected.labels(source).set(connected)
        self._last.labels(source).set(last_message_at or 0.0)

    def expose(self) -> bytes:
        """The exposition."""
        for key, count in self._fresh.items():
            self._received[key].inc(count)
            self._fresh[key] = 0
        return generate_latest(self._registry)
