"""Zabbix: its webhook media types, whose parameters an administrator names (Zabbix documentation, "Webhook" and
"Macros supported by location"). The field names are those of Zabbix's own media types and of common scripts.

A problem's key is its trigger and its host. An update (`event_update_status` 1) may acknowledge a problem or withdraw
that, and may suppress a problem or end that.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from relay.core.event import Draft
from relay.formats.contract import Format, NotJsonError, Request, decode_json
from relay.formats.reading import (
    Reading,
    clause,
    downtime,
    is_empty,
    join,
    labels,
    links,
    moment,
    severity,
    taken_up,
    unknown,
    withdrawn,
)

_NUMBERS = {"0": "info", "1": "info", "2": "warning", "3": "minor", "4": "major", "5": "critical"}
"""Severities by Zabbix's numbers: Not classified, Information, Warning, Average, High, Disaster."""
_WORDS = {"not classified": "info"}
_PREFIX = re.compile(r"^(?:Problem|Resolved|Recovery|Updated problem)(?: in [^:]{1,40})?: ")
_MACRO = re.compile(r"\{[A-Z][A-Z0-9_.]{2,40}\}")
_OF_A_PROBLEM = (
    "event_value",
    "event_status",
    "status",
    "value",
    "event_id",
    "trigger_id",
    "host_name",
    "hostname",
    "host",
)
"""Fields of which a problem always has one. A message with macros in their place was made by the test button."""
_OWN = (
    *("alert_subject", "event_value", "event_status", "event_source", "event_severity", "event_nseverity"),
    *("trigger_id", "host_name", "zabbix_url"),
)
"""Fields that Zabbix's own media types have. Other senders have a `trigger` or a `name` too."""
_TRIGGER = re.compile(r"triggerid=(\d+)")


def read_zabbix(request: Request) -> list[Draft]:
    """Read a message; anything else gives a notice."""
    payload = Reading(request.payload)
    inner = payload.sub("details") if payload.has("details") else payload
    title = payload.text("alert_subject", "trigger", "event_name", "subject", "details.name")
    if not title or not _is_problem(payload, inner) or (_MACRO.search(title) and not payload.text(*_OF_A_PROBLEM)):
        return [unknown(request, "Zabbix")]
    title = _PREFIX.sub("", title) or title
    title = title if not is_empty(title) else clause("problem of trigger", payload.text("trigger_id")) or "a problem"
    host = payload.text("host_name", "hostname", "host") or inner.text("hostname")
    url = payload.text("link", "url") or _address(payload)
    found = _TRIGGER.search(url)
    trigger = payload.text("trigger_id") or inner.text("id") or (found[1] if found else "")
    about = links(("Zabbix", url))
    key = f"{trigger}/{host}" if trigger else f"{title}/{host}"
    body = payload.text("alert_message", "message", "item")
    draft = Draft(
        title=f"{title} on {host}" if host and host not in title else title,
        status=_status(payload, inner),
        severity=_NUMBERS.get(payload.text("event_nseverity"))
        or severity(payload.text("event_severity", "severity") or inner.text("severity"), _WORDS),
        key=key,
        body=body,
        labels=labels(host=host, **_tags(payload)),
        links=about,
        occurred_at=_time(payload),
    )
    action = payload.text("event_update_action", "update_action").lower()
    if payload.text("event_update_status") != "1" or not action:
        return [draft]
    by, words = payload.text("event_update_user", "user"), payload.text("event_update_message", "update_message")
    return _update(draft, action, by, words)


def _is_problem(payload: Reading, inner: Reading) -> bool:
    """Return whether a message has Zabbix's own fields, or a host beside fields of common scripts."""
    if payload.has(*_OWN):
        return True
    has_host = payload.has("hostname", "host") or inner.has("hostname")
    return has_host and (payload.has("trigger", "status", "value") or inner.has("status", "value"))


def _update(draft: Draft, action: str, by: str, words: str) -> list[Draft]:
    """Read the actions on a problem, like `acknowledged, changed severity from Warning to High`, and the words of who
    did them. The message speaks of the update, as the administrator's template says; the problem keeps its own.
    """
    done = [word.strip() for word in re.split(r",| and ", action)]
    title, key, about = draft.title, draft.key, {"links": draft.links}
    said = words or draft.body
    news = []
    if "acknowledged" in done:
        news.append(taken_up(title, key, by, "Zabbix", said, **about))
    if "unacknowledged" in done:
        news.append(withdrawn(title, key, by, "Zabbix", said, **about))
    if "suppressed" in done or "unsuppressed" in done:
        news.append(downtime(title, key, join(": ", by, said), begins="suppressed" in done, **about))
    if news and "severity" not in action:
        return news
    told = words or (draft.body if "commented" in done else "")
    line = join(": ", join(" by ", action, by), "" if news else told)
    return [msgspec.structs.replace(draft, body="", done=line), *news]


def _status(payload: Reading, inner: Reading) -> Literal["firing", "resolved", "notice"]:
    value = payload.text("event_value", "value") or inner.text("value")
    word = (payload.text("status", "event_status") or inner.text("status")).upper()
    if word:
        return "resolved" if word in ("OK", "RESOLVED") else "firing" if word == "PROBLEM" else "notice"
    return "resolved" if value == "0" else "firing" if value == "1" else "notice"


def _address(payload: Reading) -> str:
    base, trigger, event = payload.text("zabbix_url"), payload.text("trigger_id"), payload.text("event_id")
    return f"{base.rstrip('/')}/tr_events.php?triggerid={trigger}&eventid={event}" if base and trigger and event else ""


def _tags(payload: Reading) -> dict[str, str]:
    """Return the problem's tags as labels. They are a JSON text of `[{"tag": …, "value": …}]`."""
    given = payload.at("event_tags_json") or payload.at("event_tags")
    if isinstance(given, str) and given.lstrip().startswith("["):
        try:
            given = decode_json(given.encode())
        except NotJsonError:
            return {}
    found = {one.text("tag"): one.text("value") for one in Reading(given).each("")[:30]}
    return {name: value for name, value in found.items() if name and value and name != "host"}


def _time(payload: Reading) -> float | None:
    for name in ("event_recovery", "event"):
        day, clock = payload.text(f"{name}_date"), payload.text(f"{name}_time")
        if day and clock and not is_empty(day):
            return moment(f"{day} {clock}")
    return None


FORMAT = Format(read=read_zabbix)
