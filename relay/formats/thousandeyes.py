"""Cisco ThousandEyes: alert notifications by webhook (ThousandEyes documentation, "Webhooks", section "Alert
Notification Webhook"). The key is the `alertId`, which an alert's trigger and its clear share."""

from __future__ import annotations

from relay.core.event import Draft
from relay.formats.contract import Format, Request, as_text, unrecognised
from relay.formats.reading import Reading, clause, join, labels, lines, links, severity, trial

MOST_AGENTS = 10


def read_thousandeyes(request: Request) -> list[Draft]:
    """Read a notification; anything else gives a notice."""
    payload = Reading(request.payload)
    kind = payload.text("eventType", "type").upper()
    alert = payload.sub("alert") if payload.has("alert") else payload.sub("agentAlert")
    if "TEST" in kind and not alert.text("alertId", "id"):
        return [trial("ThousandEyes' test notification", "ThousandEyes")]
    if not alert.text("ruleName") and not (alert.text("alertId") and payload.text("eventType", "eventId")):
        return [unrecognised(request)]
    what = alert.text("testName", "agentName", "hostname")
    rule = alert.text("ruleName") or f"alert {alert.text('alertId')}"
    cleared = kind.endswith("CLEAR") or (not kind and alert.text("active") in ("0", "2"))
    places = alert.each("agents") or alert.each("monitors")
    agents = [_agent(place, cleared) for place in places[:MOST_AGENTS]]
    more = len(places) - len(agents)
    targets = [as_text(one.value) for one in alert.each("testTargetsDescription")[:MOST_AGENTS]]
    return [
        Draft(
            title=f"{rule}: {what}" if what else rule,
            status="resolved" if cleared else "firing",
            severity=severity(alert.text("severity")),
            key=alert.text("alertId", "id") or f"{rule}/{what}",
            body=lines(alert.text("ruleExpression"), *agents, f"and {more} more" if more > 0 else ""),
            labels=labels(
                rule=alert.text("ruleName"),
                test=alert.text("testName"),
                target=join(", ", *targets),
                alert_type=alert.text("type"),
                agent=alert.text("agentName"),
            ),
            links=links(("ThousandEyes", alert.text("permalink", "apiLinks.0.href"))),
            occurred_at=alert.moment(*(("dateEndZoned", "dateEnd") if cleared else ("dateStartZoned", "dateStart"))),
        )
    ]


def _agent(agent: Reading, cleared: bool) -> str:
    metrics = agent.text("metricsAtEnd" if cleared else "metricsAtStart", "metricsAtStart")
    return join(
        ": ", agent.text("agentName", "monitorName") or clause("agent", agent.text("agentId", "monitorId")), metrics
    )


FORMAT = Format(read=read_thousandeyes)
