"""GitHub: its webhooks (GitHub Docs, "Webhook events and payloads"). The kind of an event is in the header
`X-GitHub-Event`. If a proxy dropped the header, the objects in the payload show the kind.

Checks, jobs, workflows, statuses, deployments and page builds fire when they fail. They end when the same one succeeds
on the same branch. Security alerts fire until they are fixed or dismissed. All other events are notices.
"""

from __future__ import annotations

from typing import Literal

from relay.core.event import Draft
from relay.formats.contract import Format, Request, unrecognised
from relay.formats.github_news import common, notice, place, push, ref
from relay.formats.reading import Reading, clause, join, key_of, lines, links, severity
from relay.formats.signatures import hexadecimal

Status = Literal["firing", "resolved", "notice"]
_OBJECTS = {
    "check_run": "check_run",
    "check_suite": "check_suite",
    "workflow_run": "workflow_run",
    "workflow_job": "workflow_job",
    "deployment_status": "deployment_status",
    "security_advisory": "security_advisory",
    "pull_request": "pull_request",
    "release": "release",
    "build": "page_build",
    "issue": "issues",
    "discussion": "discussion",
    "zen": "ping",
    "pusher": "push",
    "context": "status",
}
_CONCLUSIONS: dict[str, Status] = {
    "success": "resolved",
    "neutral": "resolved",
    "failure": "firing",
    "error": "firing",
    "timed_out": "firing",
    "startup_failure": "firing",
    "action_required": "firing",
    "errored": "firing",
    "built": "resolved",
}
_LEVELS: dict[Status, str | None] = {"firing": "minor", "resolved": None, "notice": "info"}
_ALERTS: dict[str, Status] = {
    "created": "firing",
    "create": "firing",
    "opened": "firing",
    "reopened": "firing",
    "reopened_by_user": "firing",
    "reopen": "firing",
    "appeared_in_branch": "firing",
    "revoked": "resolved",
    "reintroduced": "firing",
    "auto_reopened": "firing",
    "publicly_leaked": "firing",
    "fixed": "resolved",
    "resolved": "resolved",
    "resolve": "resolved",
    "dismissed": "resolved",
    "dismiss": "resolved",
    "closed_by_user": "resolved",
    "auto_dismissed": "resolved",
}
_OF_A_DELIVERY = (
    *("repository.full_name", "organization.login", "sender.login", "installation.id", "hook_id"),
    "security_advisory.ghsa_id",
)
"""Fields of which a delivery has at least one. Without the header that names the kind, they show whose it is."""


def read_github(request: Request) -> list[Draft]:
    """Read a delivery. A ping gives no event, and an unknown kind gives a notice of its action."""
    payload = Reading(request.payload)
    if not payload.is_object:
        return [unrecognised(request)]
    kind = request.header("X-GitHub-Event") or (_kind(payload) if payload.has(*_OF_A_DELIVERY) else "")
    if kind == "ping":
        return []
    if not kind and not payload.has("repository.full_name"):
        return [unrecognised(request)]
    if kind in ("check_run", "workflow_run", "workflow_job"):
        return [_run(kind, payload) if payload.has(kind) else unrecognised(request)]
    if kind in ("status", "deployment_status", "page_build"):
        return [_state(kind, payload)]
    if kind.endswith("_alert"):
        return [_alert(kind, payload)]
    if kind in ("push", "create", "delete"):
        return [push(payload) if kind == "push" else ref(kind, payload)]
    return [notice(kind, payload)]


def _kind(payload: Reading) -> str:
    if payload.has("alert"):
        alert = payload.sub("alert")
        if alert.has("dependency") or alert.has("security_advisory"):
            return "dependabot_alert"
        if alert.has("affected_package_name"):
            return "repository_vulnerability_alert"
        return "secret_scanning_alert" if alert.has("secret_type") else "code_scanning_alert"
    return next((kind for name, kind in _OBJECTS.items() if payload.has(name)), "")


def _run(kind: str, payload: Reading) -> Draft:
    """Read the result of a check, a workflow or a job."""
    run, repository = payload.sub(kind), payload.text("repository.full_name")
    branch = run.text("head_branch", "check_suite.head_branch")
    name, conclusion = run.text("name"), run.text("conclusion")
    which = [run.text("workflow_id")] if kind == "workflow_run" else [run.text("workflow_name"), name]
    shown = name or payload.text("workflow.name") or _stem(run.text("path")) or kind.replace("_", " ")
    result = conclusion.replace("_", " ") or run.text("status").replace("_", " ")
    return Draft(
        title=join(": ", repository, join(" ", shown, clause("on", branch or run.text("head_sha")[:8])), result),
        status=_CONCLUSIONS.get(conclusion, "notice"),
        severity=_LEVELS[_CONCLUSIONS.get(conclusion, "notice")],
        key=key_of(repository, *which, branch, kind=kind),
        body=lines(run.text("output.title", "display_title"), run.text("output.summary")),
        labels=common(kind, payload, branch=branch, conclusion=conclusion),
        links=links(("GitHub", run.text("html_url", "details_url"))),
        occurred_at=run.moment("completed_at", "updated_at", "started_at"),
    )


def _stem(path: str) -> str:
    """Return the name of a workflow's file, like `test` of `.github/workflows/test.yml`."""
    return path.rpartition("/")[2].partition(".")[0]


def _state(kind: str, payload: Reading) -> Draft:
    """Read the status of a commit, a deployment or a page build."""
    one = {"status": payload, "deployment_status": payload.sub("deployment_status")}.get(kind, payload.sub("build"))
    repository, state = payload.text("repository.full_name"), one.text("state", "status")
    branch = payload.text("branches.0.name")
    what = {
        "status": payload.text("context") or "status",
        "deployment_status": f"deployment to {payload.text('deployment.environment') or 'production'}",
    }.get(kind, "page build")
    url = one.text("target_url", "html_url", "log_url") or payload.text("commit.html_url", "repository.html_url")
    return Draft(
        title=join(": ", repository, join(" ", what, clause("on", branch)), state or "state unknown"),
        status=_CONCLUSIONS.get(state, "notice"),
        severity=_LEVELS[_CONCLUSIONS.get(state, "notice")],
        key=f"{kind}/{repository}/{what}/{branch}" if repository or branch else None,
        body=one.text("description", "error.message"),
        labels=common(kind, payload, branch=branch, state=state),
        links=links(("GitHub", url)),
        occurred_at=one.moment("updated_at", "created_at"),
    )


def _alert(kind: str, payload: Reading) -> Draft:
    """Read a security alert about code, a dependency or a secret."""
    alert, repository, action = payload.sub("alert"), payload.text("repository.full_name"), payload.text("action")
    advisory = alert.sub("security_advisory")
    what = advisory.text("summary") or alert.text("rule.description", "affected_package_name", "rule.id")
    secret = alert.text("secret_type_display_name", "secret_type") if kind.startswith("secret") else ""
    public = action == "publicly_leaked" or alert.text("publicly_leaked") == "true"
    what = f"{'publicly ' if public else ''}leaked secret: {secret}" if secret else what
    word = advisory.text("severity") or alert.text("rule.security_severity_level", "severity", "rule.severity")
    word = word or ("critical" if public else "major" if secret else "")
    package = alert.text("dependency.package.name", "affected_package_name")
    number = alert.text("number", "id", "external_identifier")
    return Draft(
        title=join(": ", repository, what or kind.replace("_", " ")) + (f" ({package})" if package not in what else ""),
        status=_ALERTS.get(action, "notice"),
        severity=severity(word, {"note": "info"}),
        key=f"{kind}/{repository}/{number}" if repository and number else None,
        body=lines(
            alert.text("most_recent_instance.message.text"),
            place(alert.sub("most_recent_instance.location")) or place(alert.sub("first_location_detected")),
            advisory.text("cve_id", "ghsa_id"),
            _verdict(alert, action, payload.text("sender.login")),
        ),
        labels=common(kind, payload, package=package, rule=alert.text("rule.id")),
        links=links(("GitHub", alert.text("html_url", "external_reference"))),
        occurred_at=alert.moment("fixed_at", "dismissed_at") or alert.moment("updated_at", "created_at"),
    )


def _verdict(alert: Reading, action: str, who: str) -> str:
    """Return what somebody decided on an alert, and why. An alert that was dismissed is not fixed."""
    why = alert.text("dismissed_reason", "dismiss_reason", "resolution").replace("_", " ")
    words = alert.text("dismissed_comment", "resolution_comment")
    if not why and not words:
        return ""
    return join(": ", join(" by ", action.replace("_", " "), who), why, words)


FORMAT = Format(
    read=read_github, scheme=hexadecimal("X-Hub-Signature-256", prefix="sha256="), delivery_id="X-GitHub-Delivery"
)
