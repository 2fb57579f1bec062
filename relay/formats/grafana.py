"""Grafana: its alerting's webhook (Grafana documentation, "Configure the webhook notifier"), and that of Grafana 8 and
before ("Legacy alert notifications", section "Webhook").

A delivery holds firing and resolved alerts together, so its own `state` is not used. The key is the alert's
fingerprint, or the rule's number in a legacy alert.
"""

from __future__ import annotations

import re

from relay.core.event import Draft
from relay.formats.alertmanager import left_out
from relay.formats.batch import Item, read_known
from relay.formats.contract import Format, Request, UnreadableError, as_text, misfit, unrecognised
from relay.formats.reading import Reading, clause, join, labels, lines, links, severity, trial
from relay.formats.signatures import grafana

_STATE = re.compile(r"^\[(?:Alerting|OK|No Data|Paused|Pending)\]\s*", re.IGNORECASE)
_STATES_OF_RULES = {
    "DatasourceNoData": ("no data", "has data again"),
    "DatasourceError": ("the query failed", "the query works again"),
}
"""Alerts that Grafana makes if a rule has no data or can't be evaluated. The label `rulename` names the rule."""
_FIRES_FOR = {"NoData": "no data", "Error": "the query failed"}
"""Reasons for which a rule's own alert fires without a measured value."""
_NO_RECOVERY = {
    "MissingSeries": "its series is gone",
    "NoData": "there is no data any more",
    "Error": "its query fails",
    "RuleDeleted": "its rule was deleted",
    "Paused": "its rule was paused",
    "Updated": "its rule was changed",
}
"""Reasons for which Grafana ends an alert although nothing recovered (Grafana documentation, "Stale alert
instances")."""
_OF_A_LEGACY_ALERT = ("ruleId", "ruleName", "ruleUrl", "evalMatches")
"""Fields of which a legacy alert has at least one. Other senders have a `title` and a `state` too."""
_LEGACY = {"alerting": "firing", "no_data": "firing", "ok": "resolved"}


def read_grafana(request: Request) -> list[Item]:
    """Read alerts; anything else gives a notice."""
    payload = Reading(request.payload)
    alerts = payload.at("alerts")
    if isinstance(alerts, list):
        found = read_known(request, alerts, lambda alert: [_alert(Reading(alert), payload)], "alerts")
        return [*found, *left_out(request.payload, "Grafana")]
    if payload.text("state") and payload.text("ruleName", "title") and payload.has(*_OF_A_LEGACY_ALERT):
        return [_legacy(payload)]
    return [unrecognised(request)]


def _alert(alert: Reading, payload: Reading) -> Draft:
    """Read an alert of a delivery. Raises `UnreadableError`."""
    if alert.text("status") not in ("firing", "resolved"):
        raise UnreadableError("status", misfit("firing or resolved", alert.at("status")))
    named = alert.at("labels")
    given = {name: as_text(value) for name, value in named.items()} if isinstance(named, dict) else {}
    notes = alert.sub("annotations")
    name = given.get("alertname", "")
    resolved = alert.text("status") == "resolved"
    summary, reason = notes.text("summary", "title"), notes.text("grafana_state_reason")
    title = _title(name, given, summary, over=resolved)
    why = _NO_RECOVERY.get(reason, "") if resolved else ""
    title = title if resolved else join(": ", title, _FIRES_FOR.get(reason, ""))
    about = links(
        ("Panel", alert.text("panelURL")),
        ("Dashboard", alert.text("dashboardURL")),
        ("Rule", alert.text("generatorURL")),
        ("Runbook", notes.text("runbook_url")),
        ("Silence", alert.text("silenceURL")),
    )
    body = lines(
        f"Grafana ended this alert, which is no recovery: {why}" if why else "",
        summary if summary not in title else "",
        notes.text("Error", "error"),
        notes.text("description", "message"),
        _values(alert),
        clause("state reason:", reason if not why and reason not in _FIRES_FOR else ""),
    )
    if name == "TestAlert":
        return trial(summary or "Grafana's test alert", "Grafana", body, links=about)
    image = alert.text("imageURL")
    return Draft(
        title=join(": ", title or payload.text("title") or "alert without a name", clause("no recovery,", why)),
        status="resolved" if resolved else "firing",
        severity=severity(given.get("severity") or notes.text("severity")),
        key=_key(alert, payload, given),
        body=body,
        labels=given,
        annotations={name: as_text(value) for name, value in notes.value.items()} if notes.is_object else {},
        links=about,
        files=(image,) if image.startswith("https://") else (),
        occurred_at=alert.moment("endsAt" if resolved else "startsAt"),
    )


def _title(name: str, given: dict[str, str], summary: str, *, over: bool) -> str:
    """Return the alert's name with its summary, or the rule's name if Grafana speaks of the state of a rule."""
    state, rule = _STATES_OF_RULES.get(name), given.get("rulename", "")
    if state is not None and rule:
        return f"{rule}: {state[over]}"
    return summary if name.lower() in summary.lower() else join(": ", name, summary)


def _key(alert: Reading, payload: Reading, given: dict[str, str]) -> str | None:
    named = [f"{name}={value}" for name, value in sorted(given.items()) if value]
    what = alert.text("fingerprint") or ",".join(named)
    if not what:
        return None
    organisation = payload.text("orgId")
    return f"{organisation}/{what}" if organisation else what


def _values(alert: Reading) -> str:
    values = alert.at("values")
    if isinstance(values, dict) and values:
        shown = [(name, as_text(value)) for name, value in list(values.items())[:10]]
        return ", ".join(f"{name} = {value}" for name, value in shown if value)
    return alert.text("valueString")


def _legacy(payload: Reading) -> Draft:
    state = payload.text("state")
    title = _STATE.sub("", payload.text("title")) or payload.text("ruleName", "title")
    metrics = [join(" = ", one.text("metric"), one.text("value")) for one in payload.each("evalMatches")[:10]]
    about = links(("Rule", payload.text("ruleUrl")))
    body = lines(payload.text("message"), join(", ", *metrics))
    rule = payload.text("ruleId")
    if rule == "0" and "test" in title.lower():
        return trial(title, "Grafana", body, links=about)
    tags = payload.sub("tags")
    organisation, said = payload.text("orgId"), state.replace("_", " ")
    return Draft(
        title=title if state in ("alerting", "ok") or said in title.lower() else f"{title}: {said}",
        status=_LEGACY.get(state, "notice"),  # type: ignore[arg-type]  # the table's words
        severity=severity(tags.text("severity")),
        key=f"{organisation}/rule {rule or title}" if organisation else f"rule {rule or title}",
        body=body,
        labels=labels(rule=payload.text("ruleName"), state=state),
        links=about,
        notes=("there is no data",) if state == "no_data" else (),
    )


FORMAT = Format(read=read_grafana, scheme=grafana)
