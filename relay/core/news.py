"""The steps by which a message follows its incident: an edit, a reply, a new post.

Pure. An event changes an incident at once; its message follows when it is due, and these functions say how.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from relay.core import phrases
from relay.core.delivery import Action, Reply, ReplyKind
from relay.core.event import RANK
from relay.core.incident import Change, Incident, Policy, Shown
from relay.core.replies import Message, reply_about, say


class Step(msgspec.Struct, frozen=True):
    """One change of a message. `content` is a reply's text; without it the present state is shown.

    A reply that `says` something is said anew when it is sent.

    A `post` takes the place of a message that stands; one that is to `ring` mentions whom the route names.
    """

    action: Action
    content: str | None = None
    ring: bool = False
    says: Reply | None = None


def uneditable(steps: Sequence[Step]) -> list[Step]:
    """Return the steps for a message that can't be edited, as it has a card: one reply shows the present state."""
    if not any(step.action == "edit" for step in steps):
        return list(steps)
    return [*(step for step in steps if step.action == "post"), Step("reply")]


def is_news(incident: Incident) -> bool:
    """Return whether its message must change, as it differs from the present state, or must be posted."""
    shown = incident.shown
    if shown is None:
        return incident.firing and incident.held is None and not is_taken_up(incident)
    if incident.quiet and shown.quiet:
        return False
    return incident.fresh or shown != _present(incident) or is_owed(incident)


def is_taken_up(incident: Incident) -> bool:
    """Return whether it is acknowledged and has not become critical since."""
    return incident.ack is not None and not (incident.event.severity == "critical" and incident.ack.rank > 0)


def is_owed(incident: Incident) -> bool:
    """Return whether it worsened or began again while it was held back, so that it must ring phones now."""
    shown = incident.shown
    if shown is None or shown.state != "firing" or not incident.firing or incident.held is not None or incident.quiet:
        return False
    return shown.rang is None or RANK[shown.rang] > RANK[shown.severity]


def mark_shown(incident: Incident, message: int, remind_at: float | None = None) -> Incident:
    """Return an incident whose message shows the present state; its next reminder is at `remind_at`, if given."""
    return msgspec.structs.replace(
        incident,
        message=message,
        shown=_rung(incident),
        fresh=False,
        news=(),
        remind_at=incident.remind_at if remind_at is None else remind_at,
    )


def _present(incident: Incident) -> Shown:
    """Return the present state of an incident, with the severity that last rang phones."""
    silenced = incident.held is not None and incident.firing and incident.held.reason == "silenced"
    rang = None if incident.shown is None else incident.shown.rang
    return Shown(incident.state, incident.event.severity, incident.quiet, silenced, rang)


def _rung(incident: Incident) -> Shown:
    """Return the state that the message shows after this change. If the incident is held back, no phone has rung."""
    shown = _present(incident)
    if incident.held is not None and incident.firing:
        return shown
    return msgspec.structs.replace(shown, rang=shown.severity if incident.firing else None)


def alarms(incident: Incident) -> bool:
    """Return whether it has opened at, or worsened to, critical since it last rang phones."""
    shown = incident.shown
    critical = (
        incident.firing and incident.held is None and not incident.quiet and incident.event.severity == "critical"
    )
    return critical and (shown is None or shown.state != "firing" or shown.rang is None or RANK[shown.rang] > 0)


def steps_for(incident: Incident, policy: Policy) -> list[Step]:
    """Return the steps for an incident with a message of its own."""
    shown = incident.shown
    if not is_news(incident):
        return []
    if shown is None:
        return [Step("post", ring=alarms(incident))]
    if incident.held is not None:
        return quietly(policy)
    if incident.quiet:
        return [Step("edit"), reply("flapping", incident)]
    if shown.quiet:
        return [Step("edit"), reply("flaps no more", incident)]
    if incident.firing != (shown.state == "firing"):
        return _again(incident, policy) if incident.firing else by_policy(policy.on_resolve, reply("ended", incident))
    return _update(incident, shown, policy)


def _update(incident: Incident, shown: Shown, policy: Policy) -> list[Step]:
    if alarms(incident) and policy.mention:
        return [Step("post", ring=True)]
    if shown.silenced and incident.firing:
        return [Step("edit"), reply("silence over", incident)]
    if is_owed(incident):
        return [Step("edit"), reply("held back", incident)]
    steps = by_policy(policy.on_update, Step("reply"))
    if alarms(incident) and any(step.action == "edit" for step in steps):
        steps.append(reply("worsened", incident, before=shown.rang or shown.severity))  # an edit rings no phone
    return steps


def _again(incident: Incident, policy: Policy) -> list[Step]:
    if alarms(incident) and policy.mention:
        return [Step("post", ring=True)]
    down = incident.event.occurred_at - (incident.ended_before or incident.event.occurred_at)
    return [Step("edit"), reply("again", incident, seconds=down)]


def quietly(policy: Policy) -> list[Step]:
    """Return the steps for a change that must ring no phone: an edit, if the policy edits messages at all."""
    return [Step("edit")] if "edit" in (*policy.on_update, *policy.on_resolve) else []


def by_policy(changes: tuple[Change, ...], replying: Step) -> list[Step]:
    """Return the steps that a policy names; a reply is `replying`."""
    return [replying if change == "reply" else Step(change) for change in changes if change != "none"]


def plainly(steps: Sequence[Step], incident: Incident) -> list[Step]:
    """Return the steps for a room without edits and threads: at most one new message.

    It shows the present state, or a reply's text with the incident's title. An incident that is held back gets none.
    """
    if incident.shown is not None and incident.firing and incident.held is not None:
        return []
    posts = [step for step in steps if step.action == "post"]
    if posts:
        return posts[:1]
    if any(step.action == "edit" for step in steps):
        return [Step("reply")]
    return [alone(step, incident) for step in steps[:1]]


def reply(kind: ReplyKind, incident: Incident, now: float = 0.0, **facts: object) -> Step:
    """Return a reply about one incident; `now` by the relay's own clock."""
    says = reply_about(kind, [incident], **facts)
    return Step("reply", say(says, [incident], now, Message(0, 1, incident.event.severity)), says=says)


def alone(step: Step, incident: Incident) -> Step:
    """Return a reply as it is said where it stands in no thread: with the title of its alert."""
    says = None if step.says is None else msgspec.structs.replace(step.says, titled=True)
    return Step("reply", phrases.with_title(step.content, incident.event.title), says=says)
