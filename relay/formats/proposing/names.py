"""Names that vendors give to the fields of an alert."""

from __future__ import annotations

import re

from relay.formats.statuses import is_status

ALERTS = frozenset(
    {
        *("alert", "alarm", "incident", "problem", "fault", "issue", "outage", "trigger", "finding"),
        *("detection", "violation"),
    }
)
"""Names of an alert. A list of that name holds the alerts, and an object of that name is the alert."""
BATCHES = frozenset({"event", "notification", "message", "record", "item", "result", "entry", "data", "row"})
"""Further names of a list of alerts."""
TELLING = frozenset({"status", "state", "severity", "level", "priority", "id", "alert_id", "alarm_id", "starts_at"})
"""Names that an alert has, and a resource that it concerns has less often."""
CHECKS = frozenset(
    {"rule", "condition", "check", "monitor", "test", "detector", "event", "spec", "attribute", "sensor"}
)
"""Objects whose name says what is wrong, if nothing else does."""
_TITLES = ("title", "subject", "headline")
_SUMMARIES = ("summary", "short_description", "brief_description", "alertname")
_TEXTS = ("message", "msg", "text")
_OTHERS = ("name", "description", "rule", "check", "monitor", "job_name", "what")
GUESSES = ("info", "memo", "note", "reason", "cause", "failure_reason", "details", "comment", "error", "error_message")
"""Names of texts that may be a title if nothing else is."""
WEAK = 4
"""The first rank of a title that is as likely a text or the name of something else."""
NOTHING_SAID = WEAK + 3
"""The rank of a title that only says that there is one."""
BODIES = (
    *("body", "description", "detailed_description", "long_description", "details", "detail", "message", "msg"),
    *("text", "content", "info", "information", "output", "error_message", "error", "failure_reason", "reason"),
    *("cause", "comment", "notes", "problem_details"),
)
SEVERITIES = (
    *("severity", "sev", "criticality", "level", "alert_level", "log_level", "loglevel", "priority", "prio"),
    *("urgency", "importance", "impact", "risk"),
)
STATUSES = (
    *("status", "state", "current_state", "current_status", "new_state", "new_status", "transition"),
    *("alert_transition", "lifecycle"),
)
_ABOUT = re.compile(r"^(?:alert|alarm|event)_(?=[a-z_]+_name$)")
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[-\s.]+")
_JOINTS = re.compile(r"[_:/]+")
_CARRIERS = ("value", "name", "label", "display_name", "text")
"""Names of a value that the object around it names: `{"priority": {"name": "High"}}`."""
_SPELT = re.compile(r"_(?:string|str|text|name|label|display|value)$")
"""Endings of a name that has a word, where a name without the ending has its number: `severity_string`, `severity`."""
KINDS = ("type", "alert_type", "trigger_type")
"""Names of a type, which often ends in `alert` or `problem` whatever the status is."""
ACTIONS = (
    *("action", "event_action", "alert_event", "event", "event_type", "notification_type", "health", "result"),
    "outcome",
    *KINDS,
)
"""Names that have the status in a word of theirs, if it is a known one."""
ENDED = ("resolved", "cleared", "closed", "recovered", "recovery", "fixed", "ok", "up", "online", "healthy", "normal")
"""Flags that are true at the end, also as `is_resolved`."""
FIRING = (
    *("active", "firing", "triggered", "alarm", "alert", "in_alarm", "in_alert", "alerting", "open", "down", "offline"),
    *("failing", "breached"),
)
"""Flags that are true at the beginning, also as `is_active`."""
END_TIMES = ("resolved_at", "closed_at", "cleared_at", "ended_at", "recovered_at", "end_time", "resolved_time")
TIMES = (
    *("occurred_at", "triggered_at", "fired_at", "started_at", "starts_at", "start_time", "start_date", "start"),
    *("detected_at", "detected_time", "opened_at", "raised_at", "occurred", "triggered", "fired", "started"),
    "detected",
    *("opened", "raised", "event_time", "eventtime", "alert_time", "timestamp", "time_stamp", "time", "date"),
    "datetime",
    *("created_at", "created", "ts", "when", "at", "last_updated", "updated_at"),
)
_NO_TIMES = ("resolved", "closed", "cleared", "ended", "end", "recovered", "acknowledged", "expires", "next", "due")
_SENDERS = frozenset(
    (
        *("account", "organization", "organisation", "org", "tenant", "policy", "customer", "company", "user", "owner"),
        *("project", "team", "group", "workspace", "sender", "integration", "webhook", "app", "application", "channel"),
        *("actor", "reporter", "template", "created_by", "updated_by", "response", "request", "subscription"),
        *("publisher", "producer", "provider", "recipient", "contact", "workflow"),
    )
)
"""Those who send, and those for whom: their texts are not about an alert."""
STRANGERS = _SENDERS | frozenset(
    (
        *("site", "region", "message", "notification", "delivery", "trace", "span", "session", "transaction", "batch"),
        *("version", "schema", "api", "token", "public", "secret", "routing", "access", "license", "space", "zone"),
        *("error", "status", "exit", "postal", "country", "parent", "credential", "environment", "commcell", "http"),
        *("node", "host", "hub", "gateway", "agent", "server", "instance", "process", "vendor", "product", "model"),
        *("run", "execution", "attempt"),
    )
)
"""Things whose id is the sender's own, a secret, or shared by many alerts."""
THINGS = frozenset(
    (
        *("monitor", "check", "sensor", "rule", "probe", "job", "test", "device", "service", "resource", "object"),
        *("entity", "item", "component", "target", "ne", "endpoint"),
    )
)
"""Things whose id tells alerts apart, if each has one alert at most."""
_GENERIC = ALERTS | BATCHES | CHECKS | THINGS | {"state", "status", "type", "host", "system", "policy"}
"""Words in front of a status that make it a change of an alert: `alert.fired`, `CHECK_FAILED`; not `user.created`."""
_NOUNS = ALERTS - {"trigger"}
_CONDITIONS = frozenset(
    (
        *("down", "up", "offline", "online", "unreachable", "reachable", "connected", "disconnected", "recovered"),
        *("unhealthy", "healthy", "unavailable", "available"),
    )
)
"""Words for how a thing is, whatever the thing: `AP_DISCONNECTED`."""
PLACES = ("host", "hostname", "device", "devname", "node", "server", "client", "instance", "ne", "ap")
"""Where an alert is, also as `host_name`."""
LABELS = (
    *(*PLACES, "site", "location", "region", "service", "environment", "env", "cluster", "namespace", "resource"),
    *("entity", "impacted_entity", "object", "involved_object", "item", "component", "target", "sensor", "interface"),
    *("ip", "address", "src_ip", "metric", "check", "monitor", "endpoint", "app", "project", "source", "team"),
    "customer",
)
"""Labels, also as `service_name`."""
IDENTITIES = (
    *(
        *PLACES,
        *("resource", "resource_id", "entity", "item", "component", "service", "app", "application", "sensor"),
        *("interface", "check"),
    ),
    *("endpoint", "monitor", "metric", "rule", "chart", "job", "alert", "alarm", "alarm_type", "alert_type"),
)
"""Names of which a key can be made if there is no id, also as `rule_name`: where it is, and what is watched."""
SUBJECTS = ("type", "event_type", "alert_type", "alarm_type", "kind", "event", "category", "subtype", "reason")
"""Names of a word that says what happened, if no text does."""
LINKS = (
    *("url", "link", "href", "html_url", "permalink", "alert_url", "problem_url", "issue_url", "details_url"),
    "web_url",
)
_FILLERS = frozenset(
    (
        *("a", "an", "the", "you", "your", "have", "has", "had", "been", "is", "was", "of", "for", "from", "in", "on"),
        *("new", "alert", "alerts", "alarm", "incident", "problem", "notification", "event", "test", "webhook"),
        *("detection", "detections"),
        *("triggered", "fired", "raised", "created", "opened", "received", "update", "updated"),
        *("cleared", "resolved", "closed", "ended"),
    )
)
"""Words of a title that says no more than that there is one."""
NO_LINKS = ("unsubscribe", "image", "icon", "logo", "avatar", "favicon", "screenshot", "picture")
BEFORE = ("previous", "old", "last", "prev", "former", "was", "original")
"""Words for how something was before."""


def plain(name: str) -> str:
    """Return a name in small words joined by `_`: `problem_id` for `ProblemID` and `Problem ID`."""
    return _HUMPS.sub("_", name[:100]).lower().lstrip("_")


def stem(name: str) -> str:
    """Return a name without its plural: `alarm` for `alarms`, and for `active_alarms`."""
    last = name.rpartition("_")[2]
    if last.endswith("ies"):
        return f"{last[:-3]}y"
    return last[:-1] if last.endswith("s") and not last.endswith(("ss", "us")) else last


def title_rank(name: str, parent: str) -> int | None:
    """Return how likely a name is that of a title: 0 for the likeliest, None if it is not."""
    first, _, last = name.rpartition("_")
    if _SENDERS & {stem(parent), stem(first)}:
        return None
    if last in _TITLES:
        return 0
    if name in _SUMMARIES or last == "summary":
        return 1
    if last == "name" and (first in ALERTS or (not first and stem(parent) in ALERTS)):
        return 2
    if name in ALERTS:
        return 3
    if name in _TEXTS:
        return WEAK
    if last == "name" and (first in CHECKS or (not first and stem(parent) in CHECKS)):
        return WEAK + 1
    return WEAK + 2 if name in _OTHERS and not parent else None


def is_before(name: str) -> bool:
    """Return whether a name says how something was before: `previous_level`, `old_state`."""
    return name.partition("_")[0] in BEFORE


def meant(name: str, parent: str) -> str:
    """Return the name of what a value says: `severity` for `severity_string`, and for the `name` of a `severity`."""
    return parent if name in _CARRIERS and parent else _SPELT.sub("", name)


def bare(name: str, parent: str) -> str:
    """Return the name of a thing: `device` for `alert_device_name`, and for the `name` or `id` of a `device`."""
    name = _ABOUT.sub("", name)
    return parent if name in ("name", "id") and parent else name.removesuffix("_name")


def is_change(word: str, name: str) -> bool:
    """Return whether a word in a field of this name tells a change of an alert: `alert.fired`, but not `user.created`.

    A `type` is rather the kind of an alert if it ends in a noun: `GATE_PROBLEM`.
    """
    *before, last = _JOINTS.split(plain(word).strip("_"))
    if " " in word.strip() or not before:
        return is_status(word)
    return last in _CONDITIONS or (
        all(stem(one) in _GENERIC or is_status(one) for one in before) and not (name in KINDS and last in _NOUNS)
    )


def is_kind(word: str) -> bool:
    """Return whether a word may say what kind of event it is, though it is a status too: `Alert`, `AP_DISCONNECTED`."""
    *before, last = _JOINTS.split(plain(word).strip("_"))
    return not all(stem(one) in _GENERIC or is_status(one) for one in before) or (not before and last in _NOUNS)


def says_nothing(text: str) -> bool:
    """Return whether a text has no word of its own: `You have a new alert!`."""
    return all(word in _FILLERS for word in re.findall(r"\w+", text.lower()))


def time_rank(name: str, parent: str) -> int | None:
    """Return how likely a name is that of the time at which it happened, or None: not of a project or a user."""
    if name.partition("_")[0] in _NO_TIMES or is_before(parent) or stem(parent) in _SENDERS:
        return None
    name = name.removesuffix("_utc")
    if name in TIMES:
        return TIMES.index(name)
    ends = [number for number, known in enumerate(TIMES) if name.endswith(f"_{known}")]
    ends += [len(TIMES)] if name.endswith(("_at", "_timestamp")) else []
    return len(TIMES) + ends[0] if ends else None


def near(name: str, known: tuple[str, ...]) -> int | None:
    """Return the place of a name in a table, or of the one that it ends with, or None: `hoststate` is a state."""
    if name in known:
        return known.index(name)
    ends = [number for number, one in enumerate(known) if name.endswith(f"_{one}")]
    ends += [len(known) + number for number, one in enumerate(known) if len(one) > 4 and name.endswith(one)]
    return len(known) + ends[0] if ends else None


def is_id(name: str) -> bool:
    """Return whether a name is that of an id, a secret or a version, whoever it belongs to."""
    return name.rpartition("_")[2] in ("id", "uid", "uuid", "guid", "key", "token", "code", "version", "hash")
