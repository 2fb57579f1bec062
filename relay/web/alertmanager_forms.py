"""The documents of Alertmanager's API v2: alerts, groups, silences, status and errors.

Source: prometheus/alertmanager, `api/v2/openapi.yaml`, definitions `gettableAlert`, `alertStatus` (with `mutedBy` since
0.28), `alertGroup`, `gettableSilence`, `postableSilence` and `alertmanagerStatus`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import yaml

from relay import __version__
from relay.core.alert import Alert
from relay.core.fingerprint import fingerprint
from relay.core.matching import LABEL_PREFIX, make_matcher, parse_matchers, view_of
from relay.core.routing import Destination, Route
from relay.core.rules import Rules
from relay.core.suppression import Silence
from relay.core.words import iso

NOBODY = "(nobody)"
"""The receiver's name for a route without rooms."""
_KEYED_BY_LABELS = frozenset(("alertmanager", "alertmanager-api", "grafana"))
"""Formats whose alerts have the same key only if they have the same labels."""
_OPERATORS = {"=": (False, True), "!=": (False, False), "=~": (True, True), "!~": (True, False)}
"""(isRegex, isEqual) of each operator."""


class PostedMatcher(msgspec.Struct, frozen=True, kw_only=True):
    """A matcher of a posted silence."""

    name: str
    value: str
    isRegex: bool  # noqa: N815 - Alertmanager's names
    isEqual: bool | None = True  # noqa: N815

    def text(self) -> str:
        """Return the matcher in its written form, like `site="ams"`."""
        kind = (self.isRegex, self.isEqual is not False)
        operator = next(op for op, meant in _OPERATORS.items() if meant == kind)
        return str(make_matcher(self.name, operator, self.value))  # type: ignore[arg-type]  # one of the four


class PostedSilence(msgspec.Struct, frozen=True, kw_only=True):
    """A silence as it is posted; with an `id` it changes the one that has it."""

    matchers: tuple[PostedMatcher, ...]
    startsAt: str  # noqa: N815
    endsAt: str  # noqa: N815
    createdBy: str  # noqa: N815
    comment: str
    id: str | None = None


class Suppressed(msgspec.Struct, frozen=True, kw_only=True):
    """The causes that suppress an alert: ids of silences, fingerprints of alerts, and names of time intervals."""

    silences: Sequence[str] = ()
    alerts: Sequence[str] = ()
    intervals: Sequence[str] = ()

    def document(self) -> dict[str, object]:
        """Return the document `alertStatus`."""
        return {
            "state": "suppressed" if self.silences or self.alerts or self.intervals else "active",
            "silencedBy": list(self.silences),
            "inhibitedBy": list(self.alerts),
            "mutedBy": list(self.intervals),
        }


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """An alert to show, with where it goes. `muted` names the intervals that mute it, by room."""

    alert: Alert
    targets: Sequence[Destination]
    by: Suppressed
    muted: Mapping[str, Sequence[str]]

    @property
    def receivers(self) -> list[str]:
        """Return the names of its rooms, or `NOBODY`."""
        return [target.room for target in self.targets] or [NOBODY]

    def status(self, room: str | None = None) -> dict[str, object]:
        """Return its status in a room. Without a room it is muted only if it is so in all of its rooms."""
        muted = [self.muted.get(name, ()) for name in ([room] if room else self.receivers)]
        intervals = list(dict.fromkeys(name for names in muted for name in names)) if all(muted) else []
        return msgspec.structs.replace(self.by, intervals=intervals).document()


def labels_of(alert: Alert) -> dict[str, str]:
    """Return the labels by which Alertmanager's clients know an alert, named as matchers find them.

    They are its own labels that have a value, source and severity. If two alerts can have the same labels, title and
    key tell them apart.
    """
    view = view_of(alert)
    added = ["source", "severity"]
    if alert.format not in _KEYED_BY_LABELS or "alertname" not in alert.labels:
        added += ["title", "key"]
    own = {name if view[name] == value else LABEL_PREFIX + name: value for name, value in alert.labels.items() if value}
    return {**own, **{name: view[name] for name in added}}


def alert_document(shown: Shown, rules: Rules, ahead: float, room: str | None = None) -> dict[str, Any]:
    """Return the document `gettableAlert`, as a `room` sees it if one is given.

    `ahead` is by how many seconds the relay's own clock is ahead: arrival and expiry go by it, while `startsAt` goes by
    the source's clock.
    """
    alert = shown.alert
    labels = labels_of(alert)
    return {
        "labels": labels,
        "annotations": {"summary": alert.title, **alert.annotations},
        "fingerprint": fingerprint(labels),
        "startsAt": iso(alert.started_at),
        "endsAt": iso(rules.expires_at(alert) - ahead),
        "updatedAt": iso(alert.seen_at - ahead),
        **({"generatorURL": alert.generator_url} if alert.generator_url else {}),
        "receivers": [{"name": name} for name in shown.receivers],
        "status": shown.status(room),
    }


def status_document(rules: Rules, started_at: float, version: str) -> dict[str, object]:
    """Return the document `alertmanagerStatus`; `version` is that of the Alertmanager whose API is spoken."""
    names: dict[str, None] = {}
    config = {"route": _route(rules.root, names), "receivers": [{"name": name} for name in names]}
    return {
        "cluster": {"status": "disabled", "peers": []},
        "uptime": iso(started_at),
        "versionInfo": {
            "version": version,
            "revision": __version__,
            "branch": "relay",
            **dict.fromkeys(("buildUser", "buildDate", "goVersion"), ""),
        },
        "config": {"original": yaml.safe_dump(config, sort_keys=False, allow_unicode=True)},
    }


def _route(route: Route, names: dict[str, None]) -> dict[str, object]:
    """Return a route in Alertmanager's form, its rooms as one receiver; `names` collects the receivers."""
    receiver = ",".join(route.rooms) or NOBODY
    names[receiver] = None
    tree: dict[str, object] = {"receiver": receiver}
    if route.policy.group_by is not None:
        tree["group_by"] = list(route.policy.group_by)
    if route.matchers:
        tree["matchers"] = [str(matcher) for matcher in route.matchers]
    if route.continues:
        tree["continue"] = True
    if route.routes:
        tree["routes"] = [_route(child, names) for child in route.routes]
    return tree


def silence_document(one: Silence, now: float) -> dict[str, object]:
    """Return the document `gettableSilence`."""
    matchers = [
        {"name": m.name, "value": m.value, "isRegex": _OPERATORS[m.op][0], "isEqual": _OPERATORS[m.op][1]}
        for text in one.matchers
        for m in parse_matchers(text)
    ]
    return {
        "id": one.id,
        "status": {"state": one.state(now)},
        "matchers": matchers,
        "startsAt": iso(one.starts_at),
        "endsAt": iso(one.ends_at),
        "updatedAt": iso(one.updated_at),
        "createdBy": one.created_by,
        "comment": one.comment,
    }
