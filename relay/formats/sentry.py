"""Sentry: webhooks of its integration platform (Sentry documentation, "Webhooks"), whose header
`Sentry-Hook-Resource` names the resource, and those of the legacy plugin, which send no end. An issue's id is the
key."""

from __future__ import annotations

import re
from typing import Any, Literal

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, clause, join, key_of, labels, lines, links, severity, trial
from relay.formats.signatures import hexadecimal

_ISSUE_OF = re.compile(r"/issues/(\d{1,20})(?:/|$)")
"""The number of an issue in its own address, or in that of one of its events."""
SAMPLE = "This is an example"
"""The beginning of the message of the test button's sample error."""
Status = Literal["firing", "resolved", "notice"]
_ISSUE: dict[str, Status] = {
    "created": "firing",
    "unresolved": "firing",
    "assigned": "firing",
    "unassigned": "firing",
    "resolved": "resolved",
}
_METRIC: dict[str, Status] = {"critical": "firing", "warning": "firing", "resolved": "resolved"}


def read_sentry(request: Request) -> list[Draft]:
    """Read a hook. An installation's hooks give no event, and anything else gives a notice."""
    payload = Reading(request.payload)
    action, data = payload.text("action"), payload.sub("data")
    if request.header("Sentry-Hook-Resource") == "installation":
        return []
    draft = _read(payload, action, data)
    if draft is None:
        return [unrecognised(request)]
    sample = SAMPLE in (draft.title[: len(SAMPLE)], payload.text("message")[: len(SAMPLE)])
    return [trial(draft.title, "Sentry", draft.body, links=draft.links) if sample else draft]


def _read(payload: Reading, action: str, data: Reading) -> Draft | None:
    if data.sub("issue").is_object:
        return _issue(data, action, payload.text("actor.name"))
    if data.sub("metric_alert").is_object:
        return _metric(data, action)
    if data.sub("event").is_object:
        return _event(data.sub("event"), data.text("triggered_rule"))
    if data.sub("error").is_object:
        return _event(data.sub("error"), "")
    if data.has("comment", "comment_id"):
        return _comment(payload, action, data)
    return _plugin(payload) if payload.text("project_name", "project") and payload.has("event") else None


def _comment(payload: Reading, action: str, data: Reading) -> Draft:
    """Read a comment on an issue (Sentry documentation, "Webhooks", section "Comments")."""
    issue, who = data.text("issue_id"), payload.text("actor.name")
    return Draft(
        title=join(": ", join(" by ", f"comment {action}".strip(), who), clause("issue", issue)),
        severity="info",
        body=data.text("comment"),
        labels=labels(project=data.text("project_slug"), issue=issue),
        occurred_at=data.moment("timestamp"),
    )


def _issue(data: Reading, action: str, actor: str) -> Draft:
    issue = data.sub("issue")
    who = data.text("assignee.name")
    state = issue.text("substatus").replace("_", " ") if action == "unresolved" else ""
    did = f"assigned to {who}" if who else state or (action if action != "created" else "")
    change = join(" by ", did, actor if actor != who else "") if did and (actor or did != "resolved") else ""
    status = _ISSUE.get(action, "notice")
    if action in ("assigned", "unassigned") and issue.text("status") in ("resolved", "ignored"):
        status = "notice"
    return Draft(
        title=join(": ", issue.text("title") or "an issue", action if status == "notice" else ""),
        status=status,
        severity=severity(issue.text("level")) if status != "notice" else "info",  # somebody has looked at it
        key=issue.text("id") or None,
        body=issue.text("culprit"),
        done=change,
        labels=labels(
            project=issue.text("project.slug", "project.name"),
            platform=issue.text("platform"),
            issue=issue.text("shortId"),
        ),
        links=links(("Sentry", issue.text("web_url", "permalink"))),
        occurred_at=issue.moment("lastSeen"),
    )


def _metric(data: Reading, action: str) -> Draft:
    alert = data.sub("metric_alert")
    title = data.text("description_title") or alert.text("title")
    return Draft(
        title=alert.text("title", "alert_rule.name") or title or "a metric alert",
        status=_METRIC.get(action, "notice"),
        severity={"critical": "critical", "warning": "warning"}.get(action),
        key=key_of(alert.text("alert_rule.id", "id"), kind="metric"),
        body=data.text("description_text"),
        labels=labels(rule=alert.text("alert_rule.name"), project=alert.text("projects.0")),
        links=links(("Sentry", data.text("web_url"))),
        occurred_at=alert.moment("date_closed") if action == "resolved" else alert.moment("date_started"),
    )


def _event(event: Reading, rule: str) -> Draft:
    return Draft(
        title=event.text("title", "message", "metadata.title") or "an event",
        status="firing",
        severity=severity(event.text("level")),
        key=event.text("issue_id", "groupID") or _issue_in(event.text("issue_url"), event.text("web_url")),
        body=lines(event.text("culprit"), f"rule: {rule}" if rule else ""),
        labels=labels(**{**_tags(event.at("tags")), "platform": event.text("platform"), "rule": rule}),
        links=links(("Sentry", event.text("web_url", "url"))),
        occurred_at=event.moment("datetime", "timestamp"),
    )


def _issue_in(*addresses: str) -> str | None:
    found = next((one for address in addresses if (one := _ISSUE_OF.search(address[:4_000]))), None)
    return found[1] if found is not None else None


def _plugin(payload: Reading) -> Draft:
    event = payload.sub("event")
    title = event.text("title", "metadata.title") or payload.text("message", "culprit")
    about = links(("Sentry", payload.text("url")))
    message = payload.text("message")
    return Draft(
        title=title or "an event",
        status="firing",
        severity=severity(payload.text("level")),
        key=payload.text("id") or None,
        body=lines(payload.text("culprit"), message if message != title else ""),
        labels=labels(
            **_tags(event.at("tags")), project=payload.text("project_slug", "project"), logger=payload.text("logger")
        ),
        links=about,
        occurred_at=event.moment("datetime", "timestamp", "received"),
    )


def _tags(tags: Any) -> dict[str, str]:
    """Return a few tags of an event, which are pairs of name and value."""
    pairs = [one for one in tags if isinstance(one, list) and len(one) == 2] if isinstance(tags, list) else []
    wanted = ("environment", "release", "server_name", "transaction")
    return {name: value for name, value in pairs if name in wanted and isinstance(value, str)}


FORMAT = Format(read=read_sentry, scheme=hexadecimal("Sentry-Hook-Signature"), delivery_id="Request-ID")
