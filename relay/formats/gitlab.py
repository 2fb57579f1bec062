"""GitLab: its webhooks (GitLab documentation, "Webhook events").

Pipelines, jobs and deployments fire when they fail. They end when the next one of the same branch or environment
succeeds. A job that is allowed to fail is a notice. Vulnerabilities fire until they are resolved or dismissed, and an
access token that is about to expire fires. All other events are notices.
"""

from __future__ import annotations

from typing import Literal

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, clause, join, key_of, labels, lines, links, severity, trial
from relay.formats.signatures import gitlab

_STATES: dict[str, Literal["firing", "resolved"]] = {"failed": "firing", "success": "resolved"}
_DONE = {
    "open": "opened",
    "close": "closed",
    "reopen": "reopened",
    "update": "updated",
    "create": "created",
    "delete": "deleted",
    "merge": "merged",
}
"""Actions as they are said of what was done."""
_SYSTEM = {
    "add": "added",
    "create": "created",
    "destroy": "destroyed",
    "remove": "removed",
    "rename": "renamed",
    "transfer": "transferred",
    "update": "updated",
}
"""Actions in the names of system hooks."""
_TITLES = ("issue.title", "merge_request.title", "commit.title", "snippet.title", "name", "tag")
MOST_JOBS = 5
ZERO = "0" * 40
_OF_A_HOOK = (
    *("object_attributes", "project", "project_id", "project_name", "group_id", "group_name", "group_path", "user"),
    *("user_id", "user_name", "username", "owner_name", "path_with_namespace", "full_path"),
)
"""Fields of which a delivery has at least one. Other senders have an `event_name` or an `event_type` too."""


def read_gitlab(request: Request) -> list[Draft]:
    """Read a delivery; anything else gives a notice."""
    payload = Reading(request.payload)
    kind = payload.text("object_kind", "event_name", "event_type")
    if not kind or not payload.has(*_OF_A_HOOK):
        return [unrecognised(request)]
    if kind in ("pipeline", "build", "deployment"):
        draft = _run(kind, payload)
    elif kind in ("push", "tag_push"):
        draft = _push(kind, payload)
    elif kind == "access_token":
        draft = _token(payload)
    elif kind == "vulnerability":
        draft = _vulnerability(payload)
    else:
        draft = _notice(kind, payload)
    if request.header("X-Gitlab-Event-Test") or request.header("X-Gitlab-Test"):
        return [trial(draft.title, "GitLab", draft.body, links=draft.links)]
    return [draft]


def _project(payload: Reading) -> str:
    return payload.text("project.path_with_namespace", "project_name", "project.name", "group_path", "group_name")


def _common(kind: str, payload: Reading, **more: str) -> dict[str, str]:
    who = payload.text("user.username", "user_username", "user_name", "user.name")
    return labels(project=_project(payload), event=kind, user=who, **more)


def _run(kind: str, payload: Reading) -> Draft:
    """Read the status of a pipeline, a job (`build`) or a deployment."""
    project, one = _project(payload), payload.sub("object_attributes") if kind == "pipeline" else payload
    state = one.text("status", "build_status")
    ref = one.text("ref") or payload.text("ref")
    what = {
        "build": join(" ", "job", payload.text("build_name")),
        "deployment": join(" ", "deployment", clause("to", payload.text("environment"))),
    }
    name = what.get(kind, "pipeline")
    where = payload.text("environment") if kind == "deployment" else ref
    owner = payload.text("project.id", "project_id") or project
    run = one.text("id") or payload.text("build_id", "deployment_id")
    url = one.text("url") or payload.text("deployable_url")
    tolerated = state == "failed" and payload.text("build_allow_failure") == "true"
    request = payload.sub("merge_request")
    base = payload.text("project.web_url", "repository.homepage")
    if not url and base and run:
        url = f"{base}/-/{'jobs' if kind == 'build' else 'pipelines'}/{run}"
    return Draft(
        title=join(
            ": ",
            project,
            join(" ", name, clause("on", _branch(ref, request) if kind != "deployment" else "")),
            f"{state or 'state unknown'}{', which is allowed' if tolerated else ''}",
        ),
        status="notice" if tolerated else _STATES.get(state, "notice"),
        severity="info" if tolerated else {"failed": "minor", "success": None}.get(state, "info"),
        key=f"{kind}/{owner}/{name}/{where}" if owner or where else None,
        body=lines(
            payload.text("commit.title", "commit_title", "commit.message"),
            payload.text("build_failure_reason").replace("_", " ") if state == "failed" else "",
            request.text("title"),
            *(_failed_jobs(payload) if state == "failed" else ()),
        ),
        labels=_common(kind, payload, ref=ref, state=state),
        links=links(("GitLab", url)),
        occurred_at=one.moment(
            "finished_at", "build_finished_at", "status_changed_at", "created_at", "build_created_at"
        ),
    )


def _branch(ref: str, request: Reading) -> str:
    """Return a branch as people call it: a merge request's own ref says only its number."""
    return f"merge request !{request.text('iid')}" if request.text("iid") and ref.startswith("refs/") else ref


def _failed_jobs(payload: Reading) -> list[str]:
    """Return the jobs for which a pipeline failed, and why."""
    failed = [
        one for one in payload.each("builds") if one.text("status") == "failed" and one.text("allow_failure") != "true"
    ]
    return [
        join(": ", clause("job", one.text("name")) or "a job", one.text("failure_reason").replace("_", " "))
        for one in failed[:MOST_JOBS]
    ]


def _vulnerability(payload: Reading) -> Draft:
    """Read a finding of a security scan. It fires until somebody resolves or dismisses it."""
    one = payload.sub("object_attributes")
    state, where = one.text("state"), one.text("location.file")
    return Draft(
        title=join(": ", _project(payload), one.text("title") or "vulnerability", state if state != "detected" else ""),
        status="resolved" if state in ("resolved", "dismissed") else "firing",
        severity=severity(one.text("severity")),
        key=key_of(one.text("project_id"), one.text("url", "id", "title"), kind="vulnerability"),
        body=lines(join(" line ", where, one.text("location.start_line") if where else ""), one.text("report_type")),
        labels=_common("vulnerability", payload, state=state),
        links=links(("GitLab", one.text("url"))),
        occurred_at=one.moment("resolved_at", "dismissed_at", "confirmed_at", "created_at"),
    )


def _push(kind: str, payload: Reading) -> Draft:
    project, who = _project(payload), payload.text("user_name", "user_username")
    ref = payload.text("ref").removeprefix("refs/heads/").removeprefix("refs/tags/")
    count = payload.text("total_commits_count") or "0"
    named = join(" ", "tag" if kind == "tag_push" else "branch", ref)
    did = f"pushed {count} commit{'' if count == '1' else 's'} to {ref or 'a branch'}"
    if payload.text("after") == ZERO:
        did = f"deleted {named}"
    elif payload.text("before") == ZERO and count == "0":
        did = f"created {named}"
    elif kind == "tag_push":
        did = f"pushed {named}"
    commits = payload.each("commits")[:5]
    shown = [join(" ", one.text("id")[:8], one.text("title", "message").partition("\n")[0].strip()) for one in commits]
    return Draft(
        title=join(": ", project, f"{who or 'someone'} {did}"),
        severity="info",
        body=lines(*shown),
        labels=_common(kind, payload, ref=ref),
        links=links(("GitLab", payload.text("project.web_url"))),
    )


def _token(payload: Reading) -> Draft:
    """Read the warning of an access token that is about to expire. GitLab sends no renewal, so the alert expires."""
    token = payload.sub("object_attributes")
    owner = _project(payload) or payload.text("group.group_name")
    return Draft(
        title=join(
            ": ",
            owner,
            join(" ", "access token", token.text("name"), "expires", clause("on", token.text("expires_at")) or "soon"),
        ),
        status="firing",
        severity="warning",
        key=key_of(owner, token.text("id", "name"), kind="access_token"),
        labels=_common("access_token", payload),
        links=links(("GitLab", payload.text("project.web_url"))),
    )


def _said(kind: str) -> str:
    """Return the name of a kind in words: `user added to group` for `user_add_to_group`."""
    return " ".join(_SYSTEM.get(word, word) for word in kind.split("_"))


def _notice(kind: str, payload: Reading) -> Draft:
    project, one = _project(payload), payload.sub("object_attributes")
    member = payload.text("user_name") if kind.startswith("user_") else ""
    who = "" if member else payload.text("user.name", "user.username", "user_name")
    action = one.text("action", "state") or payload.text("action")
    did = _DONE.get(action, action) or {"true": "switched on", "false": "switched off"}.get(one.text("active"), "")
    number = one.text("iid") or payload.text("issue.iid", "merge_request.iid")
    title = one.text("title", "name") or payload.text(*_TITLES)
    what = join(" ", _said(kind), f"#{number}" if number else "", did)
    body = one.text("note", "description", "message") or payload.text("description")
    return Draft(
        title=join(": ", project, join(" by ", what, who), member or title),
        severity="info",
        body=body,
        labels=_common(kind, payload, action=action),
        links=links(("GitLab", one.text("url") or payload.text("url", "project.web_url"))),
        occurred_at=one.moment("updated_at", "created_at") or payload.moment("updated_at", "created_at"),
    )


FORMAT = Format(read=read_gitlab, scheme=gitlab)
