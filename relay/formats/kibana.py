"""Elastic: webhook connectors of Kibana's rules, whose body an administrator writes from variables (Elastic Docs,
"Rule action variables"), detection alerts, and Watcher. JSON texts within JSON are read.

A rule's alert ends with the action group `recovered`. Its key is the rule and the alert's id, since its `uuid` is new
each time. A watch of a cluster's health ends with `green`. Watcher sends no end for other watches, so they expire.
"""

from __future__ import annotations

from typing import Any

from relay.core.event import Draft
from relay.formats.contract import Format, NotJsonError, Request, decode_json
from relay.formats.reading import Reading, join, labels, lines, links, severity, unknown

_WHOLE = ("*", "query matched")
"""Ids of the only alert of a rule that has no groups."""
MAX_TEXTS = 3
"""Levels of JSON texts within JSON that are read."""


def read_kibana(request: Request) -> list[Draft]:
    """Read an action's body; anything else gives a notice."""
    payload = _opened(request.payload, MAX_TEXTS)
    body = Reading(payload).sub("webhook_body") if Reading(payload).has("webhook_body") else Reading(payload)
    draft = _rule(body) or _detection(body) or _watch(body)
    return [unknown(request, "Kibana") if draft is None else draft]


def _opened(value: Any, depth: int) -> Any:
    """Return a value with the texts that are JSON objects read in place."""
    if isinstance(value, dict):
        return {name: _opened(item, depth) for name, item in value.items()}
    if isinstance(value, str) and depth and value.lstrip()[:1] == "{":
        try:
            return _opened(decode_json(value.encode()), depth - 1)
        except NotJsonError:
            return value
    return value


def _rule(body: Reading) -> Draft | None:
    rule = body.sub("rule_info") if body.has("rule_info") else body.sub("rule")
    alert = body.sub("alert_info") if body.has("alert_info") else body.sub("alert")
    context = body.sub("context_info") if body.has("context_info") else body.sub("context")
    name = rule.text("name") or body.text("rule_name", "rulename")
    if not name or not (alert.is_object or context.is_object):
        return None
    which = alert.text("id")
    named_by = "" if which.lower() in _WHOLE else which
    group = alert.text("actionGroup", "actionGroupName").lower()
    tags = [tag.value for tag in rule.each("tags") if isinstance(tag.value, str)]
    named = dict(tag.split("=", 1) for tag in tags if "=" in tag)
    return Draft(
        title=join(": ", name, named_by if named_by != name else ""),
        status="resolved" if group == "recovered" else "firing",
        severity=severity(named.get("severity", "") or context.text("severity", "alertSeverity")),
        key=f"{rule.text('id') or name}/{which}" if which else alert.text("uuid") or rule.text("id") or name,
        body=context.text("reason", "message", "internalShortMessage", "conditions"),
        labels=labels(**{**named, "rule": name, "group": group, "space": rule.text("spaceId")}),
        links=links(
            ("Alert", context.text("alertDetailsUrl")),
            ("Kibana", context.text("viewInAppUrl", "link", "anomalyExplorerUrl")),
            ("Rule", rule.text("url")),
        ),
        occurred_at=context.moment("timestamp", "date") or body.moment("date"),
    )


def _detection(body: Reading) -> Draft | None:
    """Read an alert of Elastic Security. Its names hold dots, which are in one key or mean nested objects."""

    def text(*names: str) -> str:
        given = body.value if isinstance(body.value, dict) else {}
        flat = [given[name] for name in names if isinstance(given.get(name), (str, int, float))]
        return str(flat[0]) if flat else body.text(*names)

    name, uuid = text("kibana.alert.rule.name", "signal.rule.name"), text("kibana.alert.uuid", "_id", "signal.id")
    if not name:
        return None
    host = text("host.name", "host.hostname", "user.name")
    over = text("kibana.alert.workflow_status", "kibana.alert.status") in ("closed", "recovered")
    return Draft(
        title=f"{name}: {host}" if host else name,
        status="resolved" if over else "firing",
        severity=severity(text("kibana.alert.severity", "signal.rule.severity")),
        key=uuid or None,
        body=text("kibana.alert.reason", "signal.reason"),
        labels=labels(rule=name, host=text("host.name"), user=text("user.name")),
        links=links(("Kibana", text("kibana.alert.url"))),
        occurred_at=Reading({"at": text("@timestamp", "kibana.alert.start")}).moment("at"),
    )


def _watch(body: Reading) -> Draft | None:
    watch = body.text("watch_id", "ctx.watch_id")
    if not watch:
        return None
    inner = body.sub("ctx") if body.has("ctx") else body
    state = inner.text("payload.status")
    return Draft(
        title=inner.text("metadata.name") or watch.replace("_", " "),
        status="resolved" if state == "green" else "firing",
        severity={"red": "critical", "yellow": "warning"}.get(state) or severity(inner.text("metadata.severity")),
        key=watch,
        body=lines(inner.text("metadata.description"), f"status {state}" if state else ""),
        labels=labels(watch=watch),
        occurred_at=inner.moment("execution_time", "trigger.triggered_time"),
    )


FORMAT = Format(read=read_kibana)
