"""Azure Monitor: the common alert schema of action groups, and the older ones of metric and activity log alerts
(Microsoft Learn, "Common alert schema", "Non-common alert schema definitions").

Azure sends no end for an alert of the activity log, so it expires. The ends of Service Health and Resource Health are
read from their own properties.
"""

from __future__ import annotations

from urllib.parse import quote

from relay.core.event import Draft
from relay.formats.contract import Format, Request, as_text, unrecognised
from relay.formats.reading import Reading, clause, join, labels, lines, links, severity, without_tags

_ENDS = ("resolved", "deactivated")
_NUMBERS = {"0": "critical", "1": "major", "2": "minor", "3": "warning", "4": "info"}
PORTAL = "https://portal.azure.com/#view/Microsoft_Azure_Monitoring_Alerts/AlertDetails.ReactView/alertId/"


def read_azure_monitor(request: Request) -> list[Draft]:
    """Read an alert; anything else gives a notice."""
    payload = Reading(request.payload)
    if payload.has("data.essentials"):
        return [_common(payload.sub("data.essentials"), payload.sub("data.alertContext"))]
    outer = payload.sub("data") if payload.has("data.context") else payload
    context = outer.sub("context.activityLog") if outer.has("context.activityLog") else outer.sub("context")
    if context.text("name", "operationName", "id"):
        return [_older(outer, context)]
    return [unrecognised(request)]


def _common(essentials: Reading, context: Reading) -> Draft:
    state, alert = essentials.text("monitorCondition").lower(), essentials.text("alertId")
    raw = essentials.at("alertTargetIDs")
    targets = [as_text(one) for one in raw] if isinstance(raw, list) else [as_text(raw)] if raw else []
    target = targets[0] if targets else ""
    over, incident = _health(essentials.text("monitoringService"), context, target)
    news = context.text("properties.title") if incident else ""
    is_service = incident.startswith("service")  # its target is only the subscription
    what = "" if is_service else essentials.text("configurationItems.0") or target.rpartition("/")[2]
    news = "available again" if over and incident and not is_service else news
    rule, ended = essentials.text("alertRule") or "alert", state in _ENDS or over
    return Draft(
        title=join(": ", rule, what, news),
        status="resolved" if ended else "firing",
        severity=None if incident else severity(essentials.text("severity")),  # Azure gives all of these Sev4
        key=incident or essentials.text("originAlertId") or alert or essentials.text("alertRule") or None,
        body=lines(
            essentials.text("description"), *_conditions(context), _activity(context, rule), *_health_news(context)
        ),
        labels=labels(
            rule=rule, signal=essentials.text("signalType"), service=essentials.text("monitoringService"), target=what
        ),
        links=links(
            ("Results", context.text("condition.allOf.0.linkToFilteredSearchResultsUI")),
            ("Results", context.text("condition.allOf.0.linkToSearchResultsUI")),
            ("Azure", PORTAL + quote(alert, safe="") if alert else ""),
        ),
        occurred_at=essentials.moment("resolvedDateTime") if ended else essentials.moment("firedDateTime"),
    )


def _health(service: str, context: Reading, target: str) -> tuple[bool, str]:
    """Return whether an event of Service Health or Resource Health is an end, and the key that start and end share.

    Azure sends each such event as an alert of its own, which `monitorCondition` never resolves.
    """
    facts, service = context.sub("properties"), service.replace(" ", "").lower()
    if service == "servicehealth" and facts.text("trackingId"):
        state = facts.text("stage") or context.text("status")
        return state.lower() in ("resolved", "complete", "rca"), f"service health {facts.text('trackingId')}"
    if service == "resourcehealth" and target:
        return facts.text("currentHealthStatus").lower() == "available", f"resource health {target}"
    return False, ""


def _conditions(context: Reading) -> list[str]:
    """Return the measured values and their limits in words."""
    conditions = []
    for one in context.each("condition.allOf")[:5]:
        name, value = one.text("metricName", "metricMeasureColumn", "timeAggregation"), one.text("metricValue")
        if name:
            limit = join(" ", one.text("operator"), one.text("threshold"))
            where = [join(" ", place.text("name"), place.text("value")) for place in one.each("dimensions")[:10]]
            conditions.append(join(" ", name, value, f"({limit})" if value and limit else limit, *map(_within, where)))
    return conditions


def _within(place: str) -> str:
    return f"· {place}" if place else ""


def _activity(context: Reading, name: str) -> str:
    """Return what was done in the activity log, by whom and how it ended. The title has the `name` already."""
    done, state = context.text("operationName"), context.text("status")
    if not done:
        return ""
    return join(" ", done if done != name else "", clause("by", context.text("caller")), f"({state})" if state else "")


def _health_news(context: Reading) -> list[str]:
    """Return what an event of Service Health or Resource Health says of itself."""
    facts = context.sub("properties")
    words = without_tags(facts.text("communication", "details"))
    state = join(" → ", facts.text("previousHealthStatus"), facts.text("currentHealthStatus"))
    return [
        join(", ", facts.text("incidentType", "type"), facts.text("service"), facts.text("region"), state),
        facts.text("cause"),
        words,
    ]


def _older(outer: Reading, context: Reading) -> Draft:
    state, name = outer.text("status", "data.status").lower(), context.text("name", "operationName") or "alert"
    target = context.text("resourceName") or context.text("resourceId").rpartition("/")[2]
    return Draft(
        title=join(": ", name, target),
        status="resolved" if state in _ENDS else "firing",
        severity=_NUMBERS.get(context.text("severity")) or severity(context.text("level")),
        key=context.text("id", "correlationId", "name", "operationName") or None,
        body=lines(context.text("description"), *_conditions(context), _activity(context, name)),
        labels=labels(rule=name, target=target, group=context.text("resourceGroupName")),
        links=links(("Azure", context.text("portalLink"))),
        occurred_at=context.moment("timestamp", "eventTimestamp"),
    )


FORMAT = Format(read=read_azure_monitor)
