"""Names that vendors give to the fields of an alert."""

from __future__ import annotations

ALERTS = frozenset({"alert", "alarm", "incident", "problem", "fault", "issue", "outage", "trigger", "finding"})
"""Names of an alert. A list of that name holds the alerts, and an object of that name is the alert."""
BATCHES = frozenset({"event", "notification", "message", "record", "item", "result", "entry", "data", "row"})
"""Further names of a list of alerts."""
TELLING = frozenset({"status", "state", "severity", "level", "priority", "id", "alert_id", "alarm_id", "starts_at"})
"""Names that an alert has, and a resource that it concerns has less often."""
_CHECKS = frozenset(
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
KINDS = ("type", "alert_type", "trigger_type")
"""Names of a type, which often ends in `alert` or `problem` whatever the status is."""
ACTIONS = (*("action", "event_action", "alert_event", "event", "event_type", "notification_type", *KINDS),)
"""Names that have the status in a word of theirs, if it is a known one."""
ENDED = ("resolved", "cleared", "closed", "recovered", "is_resolved", "is_cleared", "is_ok", "acknowledged_and_closed")
"""Flags that are true at the end."""
FIRING = ("active", "is_active", "firing", "is_firing", "triggered", "alarm", "in_alarm", "open", "is_open")
"""Flags that are true at the beginning."""
END_TIMES = ("resolved_at", "closed_at", "cleared_at", "ended_at", "recovered_at", "end_time", "resolved_time")
TIMES = (
    *("occurred_at", "triggered_at", "fired_at", "started_at", "starts_at", "start_time", "start_date", "start"),
    *("detected_at", "detected_time", "opened_at", "raised_at", "event_time", "alert_time", "timestamp", "time"),
    *("date", "datetime", "created_at", "created", "ts", "when", "at", "last_updated", "updated_at"),
)
_NO_TIMES = ("resolved", "closed", "cleared", "ended", "end", "recovered", "acknowledged", "expires", "next", "due")
KEYS = ("dedup_key", "deduplication_key", "fingerprint", "incident_key", "alert_key", "aggregation_key", "key")
"""Names that promise to be the same for an alert and its end."""
_IDS = ("id", "uuid", "guid", "number", "identifier", "key", "alias", "code")
_STRANGERS = frozenset(
    (
        *("account", "organization", "organisation", "org", "tenant", "policy", "site", "customer", "company", "user"),
        *("owner", "project", "team", "group", "workspace", "sender", "integration", "webhook", "app", "application"),
        *("channel", "region", "subscription", "message", "notification", "delivery", "request", "trace", "span"),
        *("session", "transaction", "batch", "template", "version", "schema", "api", "token", "public", "secret"),
        *("routing", "access", "license", "space", "zone", "error", "status", "response", "exit", "postal", "country"),
        *("parent", "actor", "credential", "environment", "commcell", "http", "created_by", "updated_by", "reporter"),
        *("node", "host", "hub", "gateway", "agent", "server", "instance", "process", "vendor", "product", "model"),
    )
)
"""Things whose id is the sender's own, a secret, or shared by many alerts."""
_THINGS = frozenset(("monitor", "check", "sensor", "rule", "probe", "job", "test", "device", "service", "resource"))
"""Things whose id tells alerts apart, if each has one alert at most."""
LABELS = (
    *("host", "hostname", "host_name", "device", "device_name", "node", "node_name", "server", "client", "site"),
    *("site_name", "location", "region", "service", "service_name", "instance", "environment", "env", "cluster"),
    *(
        "namespace",
        "resource",
        "resource_name",
        "entity",
        "impacted_entity",
        "object",
        "involved_object",
        "sensor",
        "interface",
        "ip",
    ),
    *("address", "src_ip", "metric", "check", "monitor", "app", "app_name", "project", "source", "team", "customer"),
)
IDENTITIES = (
    *("host", "hostname", "host_name", "device", "device_name", "node", "node_name", "server", "client", "instance"),
    *("resource", "resource_name", "resource_id", "entity", "service", "service_name", "sensor", "interface", "check"),
    *(
        "monitor",
        "metric",
        "rule",
        "rule_name",
        "alert_name",
        "alarm_type",
        "alert_type",
        "check_name",
        "chart",
        "alert",
    ),
)
"""Names of which a key can be made if there is no id: where it is, and what is watched."""
LINKS = (
    "url",
    "link",
    "href",
    "html_url",
    "permalink",
    "alert_url",
    "problem_url",
    "issue_url",
    "details_url",
    "web_url",
)
NO_LINKS = ("image", "icon", "logo", "avatar", "favicon", "screenshot", "picture")
BEFORE = ("previous", "old", "last", "prev", "former", "was", "original")
"""Words for how something was before."""


def stem(name: str) -> str:
    """Return a name without its plural: `alarm` for `alarms`, and for `active_alarms`."""
    last = name.rpartition("_")[2]
    if last.endswith("ies"):
        return f"{last[:-3]}y"
    return last[:-1] if last.endswith("s") and not last.endswith("ss") else last


def title_rank(name: str, parent: str) -> int | None:
    """Return how likely a name is that of a title: 0 for the likeliest, None if it is not."""
    first, _, last = name.rpartition("_")
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
    if last == "name" and (first in _CHECKS or (not first and stem(parent) in _CHECKS)):
        return WEAK + 1
    return WEAK + 2 if name in _OTHERS and not parent else None


def is_before(name: str) -> bool:
    """Return whether a name says how something was before: `previous_level`, `old_state`."""
    return name.partition("_")[0] in BEFORE


def time_rank(name: str, parent: str) -> int | None:
    """Return how likely a name is that of the time at which it happened, or None: not of a project or a user."""
    if name.partition("_")[0] in _NO_TIMES or stem(parent) in _STRANGERS:
        return None
    if name in TIMES:
        return TIMES.index(name)
    ends = [number for number, known in enumerate(TIMES) if name.endswith(f"_{known}")]
    ends += [len(TIMES)] if name.endswith(("_at", "_timestamp")) else []
    return len(TIMES) + ends[0] if ends else None


def key_rank(name: str, parent: str) -> int | None:
    """Return how likely a name is that of an alert's key, or None: for the sender's own ids, secrets and shared ones.

    0: promises to be one; 1: the id of an alert; 2: an id alone; 3: the id of what is watched, or another id.
    """
    first, _, last = name.rpartition("_")
    words = set(first.split("_")) if first else set()
    if last not in _IDS and name not in KEYS and not name.endswith("id"):
        return None
    if name in KEYS[:-1] or "correlation" in words or "dedup" in words:
        return 0
    about = {stem(one) for one in words} or {stem(parent)} - {""}
    if about & ALERTS and last in _IDS:
        return 1
    if about & _STRANGERS or (last == "code" and about) or name == "code":
        return None
    if name == "key":
        return 0 if not parent else 3
    if not about:
        return 2 if last in _IDS else None
    if about & (_THINGS | BATCHES | {"attribute", "data"}):
        return 2 if about & {"attribute", "data"} else 3
    return 3 if last in ("id", "uuid", "guid", "key") and not parent else None


def near(name: str, known: tuple[str, ...]) -> int | None:
    """Return the place of a name in a table, or of the known name that it ends with, or None."""
    if name in known:
        return known.index(name)
    ends = [number for number, one in enumerate(known) if name.endswith(f"_{one}")]
    return len(known) + ends[0] if ends else None


def is_id(name: str) -> bool:
    """Return whether a name is that of an id, a secret or a version, whoever it belongs to."""
    return name.rpartition("_")[2] in ("id", "uid", "uuid", "guid", "key", "token", "code", "version", "hash")
