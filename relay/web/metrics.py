"""Metrics in Prometheus' form. All exist from the start, with every label value that can occur."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Counted
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from itertools import accumulate, product
from typing import Generic, Literal, TypeVar, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from relay import __version__
from relay.core.delivery import RESULTS, DeliveryState, Reason
from relay.core.event import SEVERITIES, STATUSES, Status
from relay.core.findings import CODES, DEGREES, Finding
from relay.core.suppression import Suppression

REFUSED = ("unauthorized", "malformed", "too_large", "too_slow", "rate", "queue", "store")
CLOSED: tuple[Literal["slow", "many"], ...] = ("slow", "many")
SUPPRESSED = (*get_args(Suppression), "own")
M = TypeVar("M", Counter, Gauge)
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_NAMES = (*(str(float(bound)) for bound in BOUNDS), "+Inf")


class Durations(Collector):
    """A histogram of seconds without locks, because it observes every event. Only the loop's thread may use it."""

    def __init__(self, name: str, help_text: str) -> None:
        self._name = name
        self._help = help_text
        self._counts = [0] * len(_NAMES)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self._sum += seconds

    def counts(self) -> list[int]:
        """Return the durations in each bucket so far, by `BOUNDS`; the last bucket is unbounded."""
        return list(self._counts)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the present histogram."""
        buckets = list(zip(_NAMES, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._name, self._help, buckets, self._sum)


class _Family(Generic[M]):
    """A metric by its labels: one child for each configured combination, removed once it is not configured any more."""

    def __init__(self, metric: M) -> None:
        self._metric: M = metric
        self._children: dict[tuple[str, ...], M] = {}

    def __getitem__(self, labels: tuple[str, ...]) -> M:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._metric.labels(*labels)
        return child

    def keep(self, *values: Iterable[str]) -> None:
        """Keep exactly the combinations of these values: remove other children, add missing ones."""
        self.keep_only(product(*values))

    def keep_only(self, wanted: Iterable[tuple[str, ...]]) -> None:
        """Keep exactly these combinations: remove other children, add missing ones."""
        wanted = set(wanted)
        for gone in self._children.keys() - wanted:
            self._metric.remove(*gone)
            del self._children[gone]
        for labels in sorted(wanted):
            self[labels]


class Metrics:
    """Implements the pipeline's `Telemetry`; gauges are set when Prometheus asks."""

    def __init__(  # noqa: PLR0915 - the list of all metrics
        self, sources: Iterable[str], rooms: Mapping[str, str], config_hash: int
    ) -> None:
        """Create all metrics; `rooms` maps each room to its account."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the samples of all counters
        self._registry = registry = CollectorRegistry()
        self._sources: tuple[str, ...] = ()
        self._rooms: tuple[str, ...] = ()

        def counter(name: str, help_text: str, *labels: str) -> _Family[Counter]:
            return _Family(Counter(name, help_text, labels, registry=registry))

        def gauge(name: str, help_text: str, *labels: str) -> _Family[Gauge]:
            return _Family(Gauge(name, help_text, labels, registry=registry))

        self._received = counter("relay_events_received_total", "Events committed to the inbox.", "source", "status")
        self._fresh: dict[tuple[str, Status], int] = {}
        self._duplicate = counter("relay_events_duplicate_total", "Events of repeated requests.", "source")
        self.refusals: defaultdict[str, int] = defaultdict(int)
        """Refused requests, frames and items of each source, since the start."""
        self._refused = counter(
            "relay_events_refused_total",
            "Requests, frames and items of batches that were refused.",
            "source",
            "reason",
        )
        self._connections_closed = counter(
            "relay_connections_closed_total",
            "Connections without a request that were closed, because they were too slow or too many.",
            "reason",
        )
        self._connections_closed.keep(CLOSED)
        self._unknown_severity = counter(
            "relay_events_unknown_severity_total", "Events with an unknown word as severity.", "source"
        )
        self.drops: defaultdict[str, int] = defaultdict(int)
        """Events of each source that nobody asked for, since the start."""
        self._dropped = counter(
            "relay_events_dropped_total", "Events that the source's `when` or its mapping's left out.", "source"
        )
        self.received_in_all = 0
        """Events committed since the start."""
        self.done_in_all = 0
        """Deliveries done since the start."""
        self._results = counter("relay_deliveries_total", "Deliveries that came to an end.", "room", "result")
        self._failures = counter("relay_delivery_failures_total", "Attempts that failed.", "room", "reason")
        self._throttled = counter("relay_throttled_total", "Answers that asked to wait (429).", "account")
        self._ambiguous = counter("relay_ambiguous_sends_total", "Sends that may have arrived unseen.", "account")
        self._suppressed = counter(
            "relay_suppressed_total", "Events that rules kept from changing a message.", "reason"
        )
        self._template_failures = counter("relay_template_failures_total", "Templates that failed.", "template")
        self._depth = gauge("relay_queue_depth", "Deliveries that wait.", "room")
        self._oldest = gauge("relay_queue_oldest_seconds", "Age of the oldest delivery that waits.", "room")
        self._aside = gauge(
            "relay_deliveries_set_aside", "Deliveries that failed while their room goes on.", "room", "severity"
        )
        self._dead = gauge("relay_dead_deliveries", "Dead deliveries on record.", "room")
        self._diverted = gauge("relay_room_diverted", "1 while the room's messages go to its fallback.", "room")
        self._account_refused = gauge("relay_account_refused", "1 while the service refuses the account.", "account")
        self._token_ends = gauge(
            "relay_token_expires_timestamp_seconds",
            "When an integration's token expires, 0 if there is none.",
            "account",
            "token",
        )
        self._findings = gauge("relay_findings", "Things that are wrong now, by kind.", "code", "severity")
        self._findings.keep(CODES, DEGREES)
        self._finding = gauge(
            "relay_finding_info",
            "1 for each thing that is wrong now, with what to do about it.",
            "code",
            "severity",
            "about",
            "sentence",
            "remedy",
        )
        self._silent = gauge("relay_source_silent", "1 while the source is silent.", "source")
        self._connected = gauge("relay_feed_connected", "1 while the feed is connected.", "source")
        self._last = gauge("relay_feed_last_message_timestamp_seconds", "Time of the feed's last message.", "source")
        self._add_plain_ones(registry)
        self.use(sources, rooms, config_hash)

    def _add_plain_ones(self, registry: CollectorRegistry) -> None:
        """Create the metrics without labels."""
        self.accept = Durations("relay_accept_seconds", "Time to commit a request.")
        self.delivery = Durations("relay_delivery_seconds", "Time from an event's arrival to its first message.")
        registry.register(self.accept)
        registry.register(self.delivery)
        self._reloaded = Gauge(
            "relay_config_last_reload_successful",
            "1 if the last load of the configuration succeeded.",
            registry=registry,
        )
        self._reloaded.set(1)
        self._reloaded_at = Gauge(
            "relay_config_last_reload_success_timestamp_seconds",
            "When a configuration was last put in force.",
            registry=registry,
        )
        self._config_hash = Gauge(
            "relay_config_hash", "A number that changes with the configuration.", registry=registry
        )
        build = Gauge("relay_build_info", "The program's version.", ("version",), registry=registry)
        build.labels(__version__).set(1)

    def use(
        self, sources: Iterable[str], rooms: Mapping[str, str], config_hash: int, templates: Iterable[str] = ()
    ) -> None:
        """Keep the metrics of these sources, rooms (mapped to their accounts), templates and cards.

        Those of others are removed; values of kept ones continue through a reload.
        """
        self._sources, self._rooms, accounts = tuple(sources), tuple(rooms), set(rooms.values())
        self._count_received()
        self._received.keep(self._sources, STATUSES)
        self._refused.keep(self._sources, REFUSED)
        self._results.keep(rooms, RESULTS)
        self._failures.keep(rooms, get_args(Reason))
        self._aside.keep(rooms, SEVERITIES)
        self._suppressed.keep(SUPPRESSED)
        self._template_failures.keep(templates)
        self._token_ends.keep(accounts, ("access", "refresh"))
        for by_source in (self._duplicate, self._silent, self._unknown_severity, self._dropped):
            by_source.keep(self._sources)
        for by_room in (self._depth, self._oldest, self._dead, self._diverted):
            by_room.keep(rooms)
        for by_account in (self._throttled, self._ambiguous, self._account_refused):
            by_account.keep(accounts)
        self._config_hash.set(config_hash)

    def use_feeds(self, names: Iterable[str]) -> None:
        """Keep the metrics of these feeds, and remove those of others."""
        names = tuple(names)
        self._connected.keep(names)
        self._last.keep(names)

    def reloaded(self, at: float | None) -> None:
        """Record that a configuration was put in force `at` a time in Unix seconds, or that a load failed (None)."""
        self._reloaded.set(at is not None)
        if at is not None:
            self._reloaded_at.set(at)

    def set_silent(self, sources: Collection[str]) -> None:
        """Set which sources are silent now."""
        for source in self._sources:
            self._silent[source,].set(source in sources)

    def received(self, source: str, status: Status, count: int) -> None:
        """Count committed events."""
        key = (source, status)  # the one counter on the hot path: a plain dict, added to its metric when asked for
        self._fresh[key] = self._fresh.get(key, 0) + count
        self.received_in_all += count

    def duplicate(self, source: str, count: int) -> None:
        """Count events of a repeated request."""
        self._duplicate[source,].inc(count)

    def refused(self, source: str, reason: str, count: int = 1) -> None:
        """Count refused requests, frames or items of a batch."""
        self._refused[source, reason].inc(count)
        self.refusals[source] += count

    def connection_closed(self, reason: Literal["slow", "many"]) -> None:
        """Count a connection without a request that was closed."""
        self._connections_closed[reason,].inc()

    def unknown_severity(self, source: str, count: int) -> None:
        """Count committed events with an unknown word as severity."""
        self._unknown_severity[source,].inc(count)

    def dropped(self, source: str, count: int) -> None:
        """Count events that nobody asked for, and that are not stored."""
        self._dropped[source,].inc(count)
        self.drops[source] += count

    def suppressed(self, reason: Suppression) -> None:
        """Count an event that changed no message."""
        self._suppressed[reason,].inc()

    def own(self) -> None:
        """Count a message that one of the relay's own accounts wrote, and which is therefore no event."""
        self._suppressed["own",].inc()

    def accepted_in(self, seconds: float) -> None:
        """Count the duration of a commit."""
        self.accept.observe(seconds)

    def settled(self, room: str, result: DeliveryState) -> None:
        """Count a delivery's end."""
        self._results[room, result].inc()
        self.done_in_all += result == "done"

    def failure(self, room: str, reason: Reason) -> None:
        """Count a failed attempt."""
        self._failures[room, reason].inc()

    def posted_after(self, seconds: float) -> None:
        """Count the time from an event's arrival to its first message."""
        self.delivery.observe(seconds)

    def throttled(self, account: str) -> None:
        """Count a 429."""
        self._throttled[account,].inc()

    def ambiguous(self, account: str) -> None:
        """Count a send that may have arrived unseen."""
        self._ambiguous[account,].inc()

    def template_failed(self, template: str) -> None:
        """Count a template's failure."""
        self._template_failures[template,].inc()

    def set_rooms(
        self, depths: Mapping[str, int], ages: Mapping[str, float], dead: Mapping[str, int], diverted: Set[str]
    ) -> None:
        """Set the gauges of all rooms; ages in seconds."""
        for room in self._rooms:
            self._depth[room,].set(depths.get(room, 0))
            self._oldest[room,].set(ages.get(room, 0.0))
            self._dead[room,].set(dead.get(room, 0))
            self._diverted[room,].set(room in diverted)

    def set_aside(self, counts: Mapping[str, Sequence[int]]) -> None:
        """Set how many deliveries of each room are set aside, the worst severity first."""
        for room in self._rooms:
            for severity, count in zip(SEVERITIES, counts.get(room, (0,) * len(SEVERITIES)), strict=True):
                self._aside[room, severity].set(count)

    def set_account(
        self, account: str, *, refused: bool, access_until: float | None, refresh_until: float | None
    ) -> None:
        """Set an account's gauges; expiry of tokens in Unix seconds."""
        self._account_refused[account,].set(refused)
        self._token_ends[account, "access"].set(access_until or 0.0)
        self._token_ends[account, "refresh"].set(refresh_until or 0.0)

    def set_findings(self, findings: Sequence[Finding]) -> None:
        """Set what is wrong now."""
        counts = Counted((one.code, one.severity) for one in findings)
        for code, severity in product(CODES, DEGREES):
            self._findings[code, severity].set(counts[code, severity])
        labels = [(one.code, one.severity, one.about, one.sentence, one.remedy) for one in findings]
        self._finding.keep_only(labels)
        for one in labels:
            self._finding[one].set(1)

    def set_feed(self, source: str, *, connected: bool, last_message_at: float | None) -> None:
        """Set a feed's gauges."""
        self._connected[source,].set(connected)
        self._last[source,].set(last_message_at or 0.0)

    def expose(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        self._count_received()
        return generate_latest(self._registry)

    def _count_received(self) -> None:
        for key, count in self._fresh.items():
            self._received[key].inc(count)
        self._fresh.clear()
