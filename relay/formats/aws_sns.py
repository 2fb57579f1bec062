"""Amazon SNS, and the alarms of CloudWatch in it (Amazon SNS Developer Guide, "HTTP/HTTPS notification JSON format";
Amazon CloudWatch User Guide, "Notify users on alarm changes").

An alarm fires in ALARM and ends in OK; INSUFFICIENT_DATA is a notice. An event of EventBridge ("Events" in the Amazon
EventBridge User Guide) is a notice, but the change of an alarm. A message in the relay's own JSON is an event.
Any other message is a notice with its subject. Confirmations of a subscription give no event.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

from relay.core.event import Draft
from relay.formats.contract import Format, NotJsonError, Request, UnreadableError, decode_json, unrecognised
from relay.formats.native import read_one
from relay.formats.reading import Reading, join, key_of, labels, lines, links, spoken

CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
MOST_FACTS = 12
_STATES: dict[str, Literal["firing", "resolved"]] = {"ALARM": "firing", "OK": "resolved"}


def read_aws_sns(request: Request) -> list[Draft]:
    """Read an envelope, or an alarm that was delivered raw; anything else gives a notice."""
    payload = Reading(request.payload)
    if payload.text("Type") in CONFIRMATIONS:
        return []
    if (draft := _known(payload, "")) is not None:
        return [draft]
    text = payload.at("Message")
    if not isinstance(text, str) or not payload.text("TopicArn", "Type"):
        return [unrecognised(request)]
    topic = payload.text("TopicArn")
    try:
        inner = decode_json(text.encode())
    except NotJsonError:
        return [_notice(payload, text, topic)]
    if (draft := _known(Reading(inner), topic)) is not None:
        return [draft]
    try:
        return [read_one(inner)]
    except UnreadableError:
        return [_notice(payload, text, topic, inner)]


def _known(message: Reading, topic: str) -> Draft | None:
    """Read an alarm of CloudWatch or an event of EventBridge; return None if a message is neither."""
    if message.text("AlarmName"):
        return _alarm(message, topic)
    return _bridged(message, topic) if message.text("detail-type") and message.text("source") else None


def _bridged(event: Reading, topic: str) -> Draft:
    """Read an event of EventBridge. The change of an alarm is read as the alarm."""
    detail, arn = event.sub("detail"), event.text("resources.0")
    if detail.text("alarmName"):
        return _alarm(
            Reading(
                {
                    "AlarmName": detail.text("alarmName"),
                    "AlarmArn": arn,
                    "AlarmDescription": detail.text("configuration.description"),
                    "NewStateValue": detail.text("state.value"),
                    "NewStateReason": detail.text("state.reason"),
                    "StateChangeTime": event.text("time"),
                    "Region": event.text("region"),
                    "AWSAccountId": event.text("account"),
                }
            ),
            topic,
        )
    what = detail.text("title", "instance-id", "clusterArn", "DBInstanceIdentifier") or arn.rpartition("/")[2]
    return Draft(
        title=join(": ", event.text("detail-type"), what, detail.text("state", "status", "lastStatus", "statusCode")),
        body=_facts(detail),
        labels=labels(
            service=event.text("source"),
            region=event.text("region"),
            account=event.text("account"),
            topic=topic.rpartition(":")[2],
        ),
        occurred_at=event.moment("time"),
    )


def _facts(given: Reading) -> str:
    """Return the fields of an object, a line each."""
    facts = given.value.items() if given.is_object else ()
    return lines(*[f"{name}: {text[:200]}" for name, value in list(facts)[:MOST_FACTS] if (text := spoken(value))])


def _notice(payload: Reading, text: str, topic: str, inner: Any = None) -> Draft:
    first = text.strip().split("\n", 1)[0][:200] if text.strip()[:1] not in ("{", "[") else ""
    title = payload.text("Subject") or first or f"message of {topic.rpartition(':')[2] or 'a topic'}"
    return Draft(
        title=title,
        body=_facts(Reading(inner)) or (text if text.strip() != title else ""),
        labels=labels(topic=topic.rpartition(":")[2]),
        occurred_at=payload.moment("Timestamp"),
    )


def _alarm(alarm: Reading, topic: str) -> Draft:
    name, state, arn = alarm.text("AlarmName"), alarm.text("NewStateValue"), alarm.text("AlarmArn")
    region = arn.split(":")[3] if arn.count(":") >= 6 else ""
    if not region and topic.count(":") >= 5:
        region = topic.split(":")[3]
    account = alarm.text("AWSAccountId")
    url = f"https://console.aws.amazon.com/cloudwatch/home?region={region}#alarmsV2:alarm/{quote(name, safe='')}"
    dimensions = [join(" ", one.text("name"), one.text("value")) for one in alarm.each("Trigger.Dimensions")[:10]]
    return Draft(
        title=name if state in _STATES else f"{name}: {state.replace('_', ' ').lower() or 'no state'}",
        status=_STATES.get(state, "notice"),
        key=arn or key_of(account, region or alarm.text("Region"), name),
        body=lines(alarm.text("AlarmDescription"), alarm.text("NewStateReason"), join(", ", *dimensions)),
        labels=labels(
            region=region or alarm.text("Region"),
            account=account,
            topic=topic.rpartition(":")[2],
            metric=alarm.text("Trigger.MetricName"),
            namespace=alarm.text("Trigger.Namespace"),
        ),
        links=links(("CloudWatch", url)) if region else (),
        occurred_at=alarm.moment("StateChangeTime"),
    )


FORMAT = Format(read=read_aws_sns, delivery_id="x-amz-sns-message-id")
