"""Amazon SNS, and the alarms of CloudWatch in it (Amazon SNS Developer Guide, "HTTP/HTTPS notification JSON format";
Amazon CloudWatch User Guide, "Notify users on alarm changes").

An alarm fires in ALARM and ends in OK; INSUFFICIENT_DATA is a notice. A message in the relay's own JSON is an event.
Any other message is a notice with its subject. Confirmations of a subscription give no event.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from relay.core.event import Draft
from relay.formats.contract import Format, NotJsonError, Request, UnreadableError, decode_json, unrecognised
from relay.formats.native import read_one
from relay.formats.reading import Reading, join, key_of, labels, lines, links

CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
_STATES: dict[str, Literal["firing", "resolved"]] = {"ALARM": "firing", "OK": "resolved"}


def read_aws_sns(request: Request) -> list[Draft]:
    """Read an envelope, or an alarm that was delivered raw; anything else gives a notice."""
    payload = Reading(request.payload)
    if payload.text("Type") in CONFIRMATIONS:
        return []
    if payload.text("AlarmName"):
        return [_alarm(payload, "")]
    text = payload.at("Message")
    if not isinstance(text, str) or not payload.text("TopicArn", "Type"):
        return [unrecognised(request)]
    topic = payload.text("TopicArn")
    try:
        inner = decode_json(text.encode())
    except NotJsonError:
        return [_notice(payload, text, topic)]
    message = Reading(inner)
    if message.text("AlarmName"):
        return [_alarm(message, topic)]
    try:
        return [read_one(inner)]
    except UnreadableError:
        return [_notice(payload, text, topic)]


def _notice(payload: Reading, text: str, topic: str) -> Draft:
    first = text.strip().split("\n", 1)[0][:200] if text.strip()[:1] not in ("{", "[") else ""
    title = payload.text("Subject") or first or f"message of {topic.rpartition(':')[2] or 'a topic'}"
    return Draft(
        title=title,
        body=text if text.strip() != title else "",
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
