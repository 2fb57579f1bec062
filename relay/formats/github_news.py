"""GitHub's news: pushes, branches and tags, and all other events that are notices."""

from __future__ import annotations

from relay.core.event import Draft
from relay.formats.reading import Reading, clause, join, labels, lines, links, severity

ZERO = "0" * 40
_AROUND = ("pull_request", "issue", "discussion")
"""Objects that a comment or a review is about."""
_THINGS = {
    "issues": ("issue", "info"),
    "gollum": ("wiki page changed", "info"),
    "meta": ("webhook to the relay", "warning"),
    "public": ("repository made public", "warning"),
    "secret_scanning_alert_location": ("place of a leaked secret", "info"),
    "team_add": ("team added", "info"),
}
"""Kinds whose names say little to a person, in words, with the severity of their notices."""
_WITH = {
    "labeled": ("with", "label.name"),
    "unlabeled": ("from", "label.name"),
    "assigned": ("to", "assignee.login"),
    "unassigned": ("from", "assignee.login"),
    "review_requested": ("of", "requested_reviewer.login", "requested_team.name"),
    "milestoned": ("to", "milestone.title", "issue.milestone.title"),
    "renamed": ("from", "changes.repository.name.from"),
    "transferred": ("from", "changes.owner.from.user.login", "changes.owner.from.organization.login"),
    "edited": ("from", "changes.title.from"),
}
"""Words and values that say what an action was done with."""
_NAMED = (
    "alert.secret_type_display_name",
    "membership.user.login",
    "member.login",
    "rule.name",
    "key.title",
    "forkee.full_name",
    "pages.0.title",
    "team.name",
)
"""Names of the objects of other kinds, which have no title: an alert's location, a member, a rule, a deploy key, …"""


def common(kind: str, payload: Reading, **more: str) -> dict[str, str]:
    """Return the labels that all events have, and `more`."""
    return labels(
        repository=payload.text("repository.full_name"),
        event=kind,
        action=payload.text("action"),
        sender=payload.text("sender.login"),
        **more,
    )


def place(location: Reading) -> str:
    """Return the file and the line of a finding."""
    return join(" line ", location.text("path"), location.text("start_line")) if location.text("path") else ""


def ref(kind: str, payload: Reading) -> Draft:
    """Read the creation or deletion of a branch or a tag."""
    repository, who = payload.text("repository.full_name"), payload.text("sender.login")
    ref = join(" ", payload.text("ref_type") or "ref", payload.text("ref"))
    return Draft(
        title=join(": ", repository, join(" by ", f"{ref} {kind}d", who)),
        severity="info",
        labels=common(kind, payload, branch=payload.text("ref")),
        links=links(("GitHub", payload.text("repository.html_url"))),
    )


def push(payload: Reading) -> Draft:
    """Read a push to a branch or a tag."""
    repository, who = payload.text("repository.full_name"), payload.text("pusher.name", "sender.login")
    given = payload.text("ref")
    ref = given.removeprefix("refs/heads/").removeprefix("refs/tags/").removeprefix("refs/")
    named = join(" ", "tag" if given.startswith("refs/tags/") else "branch", ref)
    commits = payload.each("commits")
    did = f"pushed {len(commits)} commit{'' if len(commits) == 1 else 's'} to {ref or 'a branch'}"
    if payload.text("forced") == "true" and payload.text("before") != ZERO:
        did = f"force-pushed {named}"
    if payload.text("after") == ZERO or payload.text("deleted") == "true":
        did = f"deleted {named}"
    elif payload.text("before") == ZERO and not commits:
        did = f"created {named}"
    shown = [join(" ", one.text("id")[:8], one.text("message").partition("\n")[0].strip()) for one in commits[:5]]
    return Draft(
        title=join(": ", repository, f"{who or 'someone'} {did}"),
        severity="info",
        body=lines(*shown),
        labels=common("push", payload, branch=ref),
        links=links(("GitHub", payload.text("compare", "repository.html_url"))),
        occurred_at=payload.moment("head_commit.timestamp", "repository.pushed_at"),
    )


def _with(payload: Reading, action: str) -> str:
    """Return what an action was done with, like the label of `labeled` or the old name of `renamed`."""
    found = _WITH.get(action)
    return clause(found[0], payload.text(*found[1:])) if found is not None else ""


def notice(kind: str, payload: Reading) -> Draft:
    """Read an event of another kind: what was done, with what, and by whom."""
    name = {"issues": "issue", "issue_comment": "issue", "security_advisory": "security_advisory"}.get(kind, kind)
    one, action, who = payload.sub(name), payload.text("action"), payload.text("sender.login")
    owner = payload.text("repository.full_name", "organization.login", "installation.account.login")
    number = one.text("number") or payload.text(*(f"{name}.number" for name in _AROUND))
    thing, usual = _THINGS.get(kind, ((kind or "event").replace("_", " "), "info"))
    did = "merged" if action == "closed" and one.text("merged") == "true" else action.replace("_", " ")
    branch = one.text("head_branch") or one.text("base_ref").removeprefix("refs/heads/")
    what = join(" ", thing, f"#{number}" if number else "", clause("on", branch), did, _with(payload, action))
    title = one.text("title", "name", "summary", "tag_name", "conclusion")
    title = title or payload.text(*(f"{name}.title" for name in _AROUND), *_NAMED)
    return Draft(
        title=join(": ", owner, join(" by ", what, who), title),
        severity=severity(one.text("severity")) or usual,
        body=lines(
            payload.text("comment.body", "review.body", "answer.body") or one.text("body", "description"),
            place(payload.sub("location.details")),
        ),
        labels=common(kind, payload),
        links=links(
            (
                "GitHub",
                payload.text("comment.html_url", "review.html_url", "alert.html_url")
                or one.text("html_url")
                or payload.text("repository.html_url"),
            )
        ),
        occurred_at=one.moment("updated_at", "published_at", "created_at"),
    )
