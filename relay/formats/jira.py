"""Jira: its webhooks (Atlassian Developer, "Webhooks"). An issue fires when it is created or reopened, and ends when it
is resolved, done or deleted. Other changes update an open issue. A webhook without an issue's key, as for a comment
alone, is a notice."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from relay.core.event import MAX_BODY, Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, change, clause, join, labels, lines, links, severity
from relay.formats.signatures import hexadecimal

_PRIORITIES = {"minor": "warning"}
"""Jira's minor is its lowest priority but one, above trivial."""
_DONE = ("done", "closed", "resolved", "fixed", "won't do", "cancelled", "canceled")
_MARKUP = re.compile(r"\{(?:code|noformat|quote|color|panel)[^{}]{0,200}\}")
MOST_CHANGES = 5
_NAMED = ("sprint.name", "version.name", "project.name", "project.key", "board.name", "issueLink.issueLinkType.name")
"""Names of what a webhook without an issue is about."""


def read_jira(request: Request) -> list[Draft]:
    """Read a delivery; anything else gives a notice."""
    payload = Reading(request.payload)
    event, issue = payload.text("webhookEvent"), payload.sub("issue")
    if not event:
        return [unrecognised(request)]
    key, fields = issue.text("key"), issue.sub("fields")
    who = payload.text("user.displayName", "user.name", "comment.author.displayName", "comment.author.name")
    comment = _words(payload.at("comment.body")).strip()
    author = payload.text("comment.author.displayName", "comment.author.name") or who
    at = payload.moment("timestamp") or fields.moment("updated", "created")
    if not key:
        what = event.removeprefix("jira:").replace("_", " ")
        who = who or payload.text("worklog.author.displayName", "worklog.updateAuthor.displayName")
        name = payload.text(*_NAMED)
        body = lines(comment, payload.text("worklog.timeSpent"), _words(payload.at("worklog.comment")).strip())
        return [
            Draft(title=join(": ", "Jira", join(" by ", what, who), name), severity="info", body=body, occurred_at=at)
        ]
    did = payload.text("issue_event_type_name").removeprefix("issue_").replace("_", " ")
    did = did or ("deleted" if event == "jira:issue_deleted" else "")
    changes = [
        change(one.text("field") or "a field", one.text("fromString"), one.text("toString"))
        for one in payload.each("changelog.items")
    ]
    summary = fields.text("summary")
    status = _status(event, payload, fields)
    said = join(": ", author, comment) if comment else ""
    news = join(" · ", *changes[:MOST_CHANGES], "" if said or not changes else clause("by", who), said)
    return [
        Draft(
            title=f"{key} {summary}".strip(),
            status=status,
            severity=severity(fields.text("priority.name"), _PRIORITIES),
            key=key,
            body=_words(fields.at("description")).strip(),
            done=news or (join(" by ", did, who) if did else ""),
            labels=labels(
                project=fields.text("project.key", "project.name"),
                type=fields.text("issuetype.name"),
                state=fields.text("status.name"),
                assignee=fields.text("assignee.displayName"),
            ),
            links=links(("Jira", _address(issue.text("self"), key))),
            occurred_at=at,
        )
    ]


def _status(event: str, payload: Reading, fields: Reading) -> Literal["firing", "resolved", "notice"]:
    if event == "jira:issue_deleted":
        return "resolved"
    if not event.startswith(("jira:issue_", "comment_")):
        return "notice"
    for one in payload.each("changelog.items"):
        if one.text("field") == "resolution":
            return "resolved" if one.text("toString") else "firing"
        if one.text("field") == "status" and one.text("toString").lower() in _DONE:
            return "resolved"
    done = fields.text("status.statusCategory.key") == "done" or fields.text("resolution.name")
    return "resolved" if done else "firing"


def _address(own: str, key: str) -> str:
    parts = urlsplit(own)
    before = parts.path.partition("/rest/api/")[0]
    return f"{parts.scheme}://{parts.netloc}{before}/browse/{key}" if parts.netloc else ""


def _words(body: Any, depth: int = 20) -> str:
    """Return the plain text of wiki markup, or of an Atlassian document."""
    if isinstance(body, str):
        return _MARKUP.sub("", body[:MAX_BODY])
    if not depth or not isinstance(body, dict):
        return ""
    own, content, about = body.get("text"), body.get("content"), body.get("attrs")
    if body.get("type") in ("mention", "emoji", "inlineCard") and isinstance(about, dict):
        own = next((about[name] for name in ("text", "shortName", "url") if name in about), "")
    inner = "".join(_words(item, depth - 1) for item in content) if isinstance(content, list) else ""
    end = "\n" if body.get("type") in ("paragraph", "heading", "listItem", "hardBreak") else ""
    return (own if isinstance(own, str) else "") + inner + end


FORMAT = Format(
    read=read_jira,
    scheme=hexadecimal("X-Hub-Signature", prefix="sha256="),
    delivery_id="X-Atlassian-Webhook-Identifier",
)
