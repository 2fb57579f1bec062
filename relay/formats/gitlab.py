"""GitLab: its webhooks (GitLab documentation, "Webhook events").

Pipelines, jobs and deployments fire when they fail. They end when the next one of the same branch or environment
succeeds. An access token that is about to expire fires. All other events are notices.
"""

from __future__ import annotations

from typing import Literal

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.reading import Reading, labels, links, trial
from relay.formats.signatures import gitlab

_STATES: dict[str, Literal["firing", "resolved"]] = {"failed": "firing", "success": "resolved"}
ZERO = "0" * 40


def read_gitlab(request: Request) -> list[Draft]:
    """Read a delivery; anything else gives a notice."""
    payload = Reading(request.payload)
    kind = payload.text("object_kind", "event_name", "event_type")
    if not kind:
        return [unrecognised(request)]
    if kind in ("pipeline", "build", "deployment"):
        draft = _run(kind, payload)
    elif kind in ("push", "tag_push"):
        draft = _push(kind, payload)
    elif kind == "access_token":
        draft = _token(payload)
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
    what = {"build": f"job {payload.text('build_name')}", "deployment": f"deployment to {payload.text('environment')}"}
    name = what.get(kind, "pipeline")
    where = payload.text("environment") if kind == "deployment" else ref
    run = one.text("id") or payload.text("build_id", "deployment_id")
    url = one.text("url") or payload.text("deployable_url")
    base = payload.text("project.web_url", "repository.homepage")
    if not url and base and run:
        url = f"{base}/-/{'jobs' if kind == 'build' else 'pipelines'}/{run}"
    return Draft(
        title=f"{project}: {name} {f'on {ref} ' if kind != 'deployment' and ref else ''}is {state}",
        status=_STATES.get(state, "notice"),
        severity={"failed": "minor", "success": None}.get(state, "info"),
        key=f"{kind}/{payload.text('project.id', 'project_id') or project}/{name}/{where}",
        body=payload.text("commit.title", "commit_title", "commit.message", "build_failure_reason"),
        labels=_common(kind, payload, ref=ref, state=state),
        links=links(("GitLab", url)),
        occurred_at=one.moment(
            "finished_at", "build_finished_at", "status_changed_at", "created_at", "build_created_at"
        ),
    )


def _push(kind: str, payload: Reading) -> Draft:
    project, who = _project(payload), payload.text("user_name", "user_username")
    ref = payload.text("ref").removeprefix("refs/heads/").removeprefix("refs/tags/")
    count = payload.text("total_commits_count") or "0"
    did = f"pushed {count} commit{'' if count == '1' else 's'} to"
    if payload.text("after") == ZERO:
        did = "deleted"
    elif payload.text("before") == ZERO and count == "0":
        did = "created"
    shown = [f"{one.text('id')[:8]} {one.text('title', 'message')}".splitlines()[0] for one in payload.each("commits")]
    return Draft(
        title=f"{project}: {who or 'someone'} {did} {'tag ' if kind == 'tag_push' else ''}{ref}",
        severity="info",
        body="\n".join(shown[:5]),
        labels=_common(kind, payload, ref=ref),
        links=links(("GitLab", payload.text("project.web_url"))),
    )


def _token(payload: Reading) -> Draft:
    """Read the warning of an access token that is about to expire. GitLab sends no renewal, so the alert expires."""
    token = payload.sub("object_attributes")
    owner = _project(payload) or payload.text("group.group_name")
    return Draft(
        title=f"{owner}: access token {token.text('name')} expires on {token.text('expires_at') or 'a day unknown'}",
        status="firing",
        severity="warning",
        key=f"access_token/{owner}/{token.text('id', 'name')}",
        labels=_common("access_token", payload),
        links=links(("GitLab", payload.text("project.web_url"))),
        occurred_at=token.moment("created_at"),
    )


def _notice(kind: str, payload: Reading) -> Draft:
    project, one = _project(payload), payload.sub("object_attributes")
    who = payload.text("user.name", "user.username", "user_name")
    action = one.text("action", "state") or payload.text("action")
    number = one.text("iid") or payload.text("issue.iid", "merge_request.iid")
    title = one.text("title", "name") or payload.text("issue.title", "merge_request.title", "name", "tag")
    what = kind.replace("_", " ") + (f" #{number}" if number else "")
    body = one.text("note", "description", "message") or payload.text("description")
    return Draft(
        title=f"{f'{project}: ' if project else ''}{what} {action}".rstrip()
        + (f" by {who}" if who else "")
        + (f": {title}" if title else ""),
        severity="info",
        body=body,
        labels=_common(kind, payload, action=action),
        links=links(("GitLab", one.text("url") or payload.text("url", "project.web_url"))),
        occurred_at=one.moment("updated_at", "created_at") or payload.moment("updated_at", "created_at"),
    )


FORMAT = Format(read=read_gitlab, scheme=gitlab)
