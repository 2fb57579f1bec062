"""New Relic: workflows' webhooks, whose template an administrator may change (New Relic documentation, "Notification
integrations", "Webhook"), and the incidents of its classic alerts. An issue without a known state is a notice."""

from __future__ import annotations

from typing import Literal

from relay.core.event import Draft
from relay.formats.contract import Format, Request, as_text
from relay.formats.reading import Reading, labels, links, severity, taken_up, trial, unknown

_STATES: dict[str, Literal["firing", "resolved"]] = {
    "created": "firing",
    "activated": "firing",
    "open": "firing",
    "closed": "resolved",
    "recovered": "resolved",
}
_SAMPLE = "on 'Some-Entity'"
"""The end of the title of the sample that the test button sends."""
_OF_AN_ISSUE = (
    *("issueUrl", "issueId", "impactedEntities", "totalIncidents", "alertPolicyNames", "alertConditionNames"),
    *("workflowName", "incident_id", "incident_url", "violationChartUrl", "condition_name", "policy_name"),
)
"""Fields of which an issue or an incident has at least one, unless its `state` is one of New Relic's."""


def read_newrelic(request: Request) -> list[Draft]:
    """Read an issue or an incident; anything else gives a notice."""
    payload = Reading(request.payload)
    title = payload.text("title", "condition_name", "details") or payload.text("policy_name")
    key = payload.text("id", "incident_id", "issueId")
    state = payload.text("state", "current_state").lower()
    known = payload.has(*_OF_AN_ISSUE) or (key and state in (*_STATES, "acknowledged"))
    if not known or not (title or key):
        return [unknown(request, "New Relic")]
    if title.endswith(_SAMPLE):
        return [trial("", "New Relic", title, links=links(("New Relic", payload.text("issueUrl"))))]
    entities = [as_text(one.value) for one in payload.each("impactedEntities")]
    about = links(
        ("New Relic", payload.text("issueUrl", "incident_url", "violationChartUrl")),
        ("Runbook", payload.text("runbook_url")),
    )
    details = payload.text("details")
    at = payload.moment("updatedAt", "timestamp", "createdAt") if state in ("closed", "acknowledged") else None
    at = at or payload.moment("createdAt", "timestamp")
    if state == "acknowledged":
        subject = title or f"issue {key}"
        return [taken_up(subject, key or None, payload.text("owner"), "New Relic", links=about, occurred_at=at)]
    return [
        Draft(
            title=title or ("" if state == "closed" else f"issue {key}"),
            status=_STATES.get(state, "notice"),
            severity=severity(payload.text("priority", "severity")),
            key=key or None,
            body=details if details != title else "",
            labels=labels(
                policy=payload.text("policy_name", "alertPolicyNames.0"),
                condition=payload.text("condition_name", "alertConditionNames.0"),
                entities=", ".join(entities[:10]),
                account=payload.text("account_name"),
            ),
            links=about,
            occurred_at=at,
            notes=() if state in _STATES else (f"the state {state or '(none)'!r} is not known",),
        )
    ]


FORMAT = Format(read=read_newrelic)
