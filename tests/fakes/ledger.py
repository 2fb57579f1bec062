"""What a store does with plans, in memory."""

from __future__ import annotations

import itertools

import msgspec

from relay.core.alert import Alert, AlertKey
from relay.core.delivery import Intent
from relay.core.incident import Incident
from relay.core.plan import Known, Plan, Waiting
from relay.core.planning import plan, plan_due
from relay.core.rules import Rules
from relay.core.suppression import Suppressor


class Ledger:
    """What the store does with plans: rows get their numbers, and the next plan finds what the last one left."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.suppressor = Suppressor(rules.inhibit, rules.intervals)
        self.alerts: dict[AlertKey, Alert] = {}
        self.incidents: dict[int, Incident] = {}
        self.intents: list[Intent] = []
        self.suppressed: list[int] = []
        self._numbers = itertools.count(1)

    def known(self, keys: set[AlertKey]) -> Known:
        last: dict[AlertKey, dict[str, Incident]] = {}
        for _, incident in sorted(self.incidents.items()):
            if (incident.source, incident.key) in keys:
                last.setdefault((incident.source, incident.key), {})[incident.room] = incident
        return Known({key: alert for key, alert in self.alerts.items() if key in keys}, last)

    def take(self, batch: list[Waiting]) -> Plan:
        keys = {(one.event.source, one.event.key) for one in batch}
        return self.write(plan(batch, self.rules, self.known(keys), self.suppressor))

    def wait_until(self, now: float) -> list[Intent]:
        due = {(i.source, i.key) for i in self.incidents.values() if i.wake_at is not None and i.wake_at <= now}
        return self.write(plan_due(due, self.rules, self.known(due), self.suppressor, now)).intents

    def write(self, made: Plan) -> Plan:
        numbers = {intent.message: next(self._numbers) for intent in made.intents if intent.action == "post"}
        self.intents += [
            msgspec.structs.replace(
                intent, message=numbers.get(intent.message, intent.message) if intent.message else next(self._numbers)
            )
            for intent in made.intents
        ]
        for incident in made.incidents.values():
            number = incident.id if incident.id > 0 else next(self._numbers)
            message = numbers.get(incident.message, incident.message)
            self.incidents[number] = msgspec.structs.replace(incident, id=number, message=message)
        self.alerts.update(made.alerts)
        self.suppressed += [seq for seq, _ in made.suppressed]
        return made

    def firing(self) -> dict[tuple[str, str, str], Incident]:
        found: dict[tuple[str, str, str], Incident] = {}
        for incident in self.incidents.values():
            if incident.firing:
                place = (incident.source, incident.key, incident.room)
                assert place not in found
                found[place] = incident
        return found

    def done(self, seq: int) -> list[tuple[str, str]]:
        return [(intent.action, intent.room) for intent in self.intents if intent.event_seq == seq]
