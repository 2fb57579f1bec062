"""Cisco APIC: managed objects of subscriptions and queries become faults that fire and end, and notices of changes.

Source: Cisco APIC REST API Configuration Guide, "Subscribing to Query Results"; Cisco APIC Faults, Events, and System
Messages Management Guide, "Fault Life Cycle". A frame holds only the changed attributes of an object. A caller that
keeps the object's whole state (`Managed`) gets complete events from `fold`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from relay.core.event import Draft
from relay.core.words import parse_time
from relay.formats.batch import Item, read_known
from relay.formats.contract import Format, Request, UnreadableError, as_text, misfit, unrecognised
from relay.formats.reading import change, join, taken_up, withdrawn

FAULTS = ("faultInst", "faultDelegate")
RECORDS = ("aaaModLR", "aaaSessionLR", "eventRecord", "faultRecord", "healthRecord")
"""Classes of log entries. An entry never changes, so each gives one notice."""
_NOISE = frozenset({"childAction", "dn", "lcOwn", "modTs", "monPolDn", "rn", "status", "uid", "userdom", "extMngdBy"})
"""Attributes whose changes say nothing to a person."""
_REPORTED = ("severity", "descr", "cause", "code", "ack")
"""Attributes of a fault whose changes give an event."""
_SHOWN = ("name", "nameAlias", "descr")
_LABELS = ("code", "cause", "domain", "subject", "type", "rule", "name", "user")
MOST_CHANGES = 20
_NODE = re.compile(r"topology/pod-(\d+)(?:/node-(\d+))?")
_PORT = re.compile(r"(?:phys|aggr|caggr|cphys|mgmt)-\[([^\]]+)\]")
_TENANT = re.compile(r"(?:^|/)tn-([^/\[\]]+)")
_POLICY = re.compile(r"(tn|ap|epg|BD|ctx|brc|out)-([^/\[\]]+)")


class Managed(msgspec.Struct, frozen=True):
    """The known state of an object: its class, and its attributes by name."""

    kind: str
    attributes: dict[str, str]

    @property
    def firing(self) -> bool:
        """Return whether a fault is neither cleared nor only retained after its end."""
        attributes = self.attributes
        return attributes.get("severity") != "cleared" and attributes.get("lc") != "retaining"


def objects_of(payload: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the class and attributes of each object in an answer. Raises `UnreadableError`."""
    for number, item in enumerate(items_of(payload)):
        try:
            yield from objects_in(item)
        except UnreadableError as error:
            raise UnreadableError(f"imdata[{number}]", str(error)) from error


def items_of(payload: Any) -> list[Any]:
    """Return the items of an answer or a frame. Raises `UnreadableError`."""
    items = payload.get("imdata") if isinstance(payload, dict) else None
    if not isinstance(items, list):
        raise UnreadableError("imdata", misfit("a list of objects", items))
    return items


def objects_in(item: Any) -> list[tuple[str, dict[str, str]]]:
    """Return the class and attributes of each object in one item, in practice one. Raises `UnreadableError`."""
    if not isinstance(item, dict):
        raise UnreadableError("", misfit('an object by its class, like {"faultInst": {…}}', item))
    found = []
    for kind, content in item.items():
        attributes = content.get("attributes") if isinstance(content, dict) else None
        if not isinstance(attributes, dict):
            raise UnreadableError(f"{kind}.attributes", misfit("an object of names and texts", attributes))
        found.append((kind, {name: as_text(value) for name, value in attributes.items()}))
    return found


def read_apic(request: Request) -> list[Item]:
    """Read a frame by itself. The notice of a modified object shows only the new values, not those before."""
    known: dict[str, Managed] = {}
    try:
        items = items_of(request.payload)
    except UnreadableError:
        return [unrecognised(request)]
    return read_known(request, items, lambda item: _read_item(item, known), "imdata")


def _read_item(item: Any, known: dict[str, Managed]) -> list[Draft]:
    """Read one item, and update the objects that are `known` from its frame. Raises `UnreadableError`."""
    drafts: list[Draft] = []
    for kind, attributes in objects_in(item):
        if kind == "error":
            message = join(": ", attributes.get("code", ""), attributes.get("text", ""))
            drafts.append(Draft(title=f"APIC answers {message or 'with an error'}"))
            continue
        dn = attributes.get("dn", "")
        present = not attributes.get("status") and kind not in RECORDS  # a query's answer has no status and is no news
        now, news = fold(known.get(dn), kind, attributes, silent=present)
        if now is not None and dn:
            known[dn] = now
        drafts += news
    return drafts


def fold(
    known: Managed | None, kind: str, attributes: Mapping[str, str], *, silent: bool = False, dated: bool = False
) -> tuple[Managed | None, list[Draft]]:
    """Return the state of an object after news of it, or None if it is gone, and the drafts about the news.

    `attributes` may be only some of the object's. If `silent`, the existence of the object is no news. If `dated`, news
    that is older than the known state changes nothing.
    """
    status = attributes.get("status", "")
    if status == "deleted":
        return None, gone(known or Managed(kind, dict(attributes)))
    if kind in RECORDS:
        entry = Managed(kind, {"dn": attributes.get("dn", "")})  # its text is reported once and need not be kept
        return entry, [] if silent or known is not None else [_record(kind, attributes)]
    if known is not None and dated and _age(attributes, float("inf")) < _age(known.attributes, 0.0):
        return known, []
    now = _merged(known, kind, attributes)
    if kind in FAULTS:
        return now, _fault(known, now, status)
    return now, [] if known is None and silent else _news(known, now, attributes, status)


def _merged(known: Managed | None, kind: str, attributes: Mapping[str, str]) -> Managed:
    before = {} if known is None else known.attributes
    kept = {**before, **{name: value for name, value in attributes.items() if name not in ("status", "childAction")}}
    if kept.get("severity") == "cleared" and before.get("severity", "cleared") != "cleared":
        kept["prevSeverity"] = before["severity"]
    return Managed(kind, kept)


def _news(known: Managed | None, now: Managed, attributes: Mapping[str, str], status: str) -> list[Draft]:
    """Return the notice about a change of an object that is not a fault."""
    if known is None:
        did = "modified" if status == "modified" else "created"
        return [_notice(now, did, _changes({}, attributes, did))]
    changes = _changes(known.attributes, attributes, "modified")
    return [_notice(now, "modified", changes)] if changes else []


def gone(known: Managed) -> list[Draft]:
    """Return the drafts about an object that was deleted."""
    if known.kind in RECORDS:
        return []
    if known.kind in FAULTS:
        return [_draft_of_fault(known, "resolved")] if known.firing else []
    return [_notice(known, "deleted", [])]


def unwatched(known: Managed) -> list[Draft]:
    """Return the end of a fault that no subscription covers any more, since no news of its real end will come."""
    if known.kind not in FAULTS or not known.firing:
        return []
    draft = _draft_of_fault(known, "resolved")
    return [msgspec.structs.replace(draft, notes=("no subscription tells of it any more; it may still be there",))]


def _fault(known: Managed | None, now: Managed, status: str) -> list[Draft]:
    was = known is not None and known.firing
    if not now.firing:
        return [_draft_of_fault(now, "resolved")] if was or (known is None and status) else []
    changed = [name for name in _REPORTED if known is None or known.attributes.get(name) != now.attributes.get(name)]
    if was and not changed:
        return []
    drafts = [_draft_of_fault(now, "firing")] if not was or changed != ["ack"] else []
    dn, ack = now.attributes.get("dn", ""), now.attributes.get("ack")
    if ack == "yes" and "ack" in changed:
        drafts.append(taken_up(_title(now), dn or None, "", "APIC"))
    if ack == "no" and known is not None and known.attributes.get("ack") == "yes":
        drafts.append(withdrawn(_title(now), dn or None, "", "APIC"))
    return drafts


def _draft_of_fault(fault: Managed, status: Any) -> Draft:
    attributes = fault.attributes
    severity = attributes.get("severity")
    unnamed = status == "resolved" and not (attributes.get("cause") or attributes.get("subject"))
    return Draft(
        title="" if unnamed and attributes.get("dn") else _title(fault),  # its end keeps the title that it began with
        status=status,
        severity=severity if severity not in (None, "", "cleared") else None,
        key=attributes.get("dn") or None,
        body=attributes.get("descr", ""),
        labels={**_place_labels(fault), "class": fault.kind},
        occurred_at=_time(attributes.get("lastTransition")) or _time(attributes.get("modTs")),
    )


def _title(fault: Managed) -> str:
    """Return the fault's cause and place, like `port-down on node-101 eth1/1 (F0532)`."""
    attributes = fault.attributes
    dn = attributes.get("dn", "")
    code = attributes.get("code") or dn.rpartition("fault-")[2].partition("/")[0]
    cause = attributes.get("cause") or attributes.get("subject") or "fault"
    return f"{cause} on {place(dn)}" + (f" ({code})" if code else "")


def _record(kind: str, attributes: Mapping[str, str]) -> Draft:
    """Return the notice of a log entry, with the object that it is about."""
    record = Managed(kind, dict(attributes))
    text = attributes.get("descr") or join(" ", kind, attributes.get("dn", ""))
    user, code = attributes.get("user"), attributes.get("code")
    facts = [f"by {user}" if user else "", attributes.get("changeSet", ""), f"code {code}" if code else ""]
    affected = attributes.get("affected") or attributes.get("dn", "")
    return Draft(
        title=f"{text} ({place(affected)})" if affected and affected not in text else text,
        severity=attributes.get("severity") if attributes.get("severity") != "cleared" else None,
        body="\n".join(fact for fact in facts if fact),
        labels={**_place_labels(record), "class": kind},
        occurred_at=_time(attributes.get("created")) or _time(attributes.get("modTs")),
    )


def _notice(now: Managed, did: str, changes: list[str]) -> Draft:
    dn = now.attributes.get("dn", "")
    more = f"… and {len(changes) - MOST_CHANGES} more" if len(changes) > MOST_CHANGES else ""
    return Draft(
        title=join(" ", now.kind, dn, "has been", did),
        severity="info",
        key=dn or None,
        body="\n".join([*changes[:MOST_CHANGES], *([more] if more else [])]),
        labels={**_place_labels(now), "class": now.kind, "change": did},
        occurred_at=_time(now.attributes.get("modTs")),
    )


def _changes(before: Mapping[str, str], after: Mapping[str, str], did: str) -> list[str]:
    """Return `name: "a" → "b"` for each difference, or the names and description of a new object."""
    if did != "modified":
        return [f'{name}: "{after[name]}"' for name in _SHOWN if after.get(name)]
    changes = []
    for name, value in after.items():
        if name in _NOISE or before.get(name, "") == value:
            continue
        changes.append(change(name, before[name], value) if name in before else f'{name}: "{value}"')
    return changes


def _place_labels(one: Managed) -> dict[str, str]:
    dn = one.attributes.get("dn", "")
    labels = {name: value for name in _LABELS if (value := one.attributes.get(name))}
    if dn:
        labels["dn"] = dn
    affected = one.attributes.get("affected", "")
    if (node := _NODE.search(dn) or _NODE.search(affected)) is not None:
        labels["pod"] = node[1]
        if node[2] is not None:
            labels["node"] = node[2]
    if (port := _PORT.search(dn)) is not None:
        labels["interface"] = port[1]
    if (tenant := _TENANT.search(dn) or _TENANT.search(affected)) is not None:
        labels["tenant"] = tenant[1]
    return labels


def place(dn: str) -> str:
    """Return the place in a distinguished name: node and port, else tenant, profile and group, else the name itself."""
    outer = re.sub(r"/(fault|fd)-[^/]*$", "", dn)
    node = _NODE.search(outer)
    if node is not None:
        port = _PORT.search(outer)
        where = f"node-{node[2]}" if node[2] is not None else f"pod-{node[1]}"
        return f"{where} {port[1]}" if port is not None else where
    policy = [f"{kind}-{name}" for kind, name in _POLICY.findall(outer)]
    return "/".join(policy) or outer or "the fabric"


def _age(attributes: Mapping[str, str], unknown: float) -> float:
    """Return the time of an object's last change in Unix seconds, or `unknown`. It shows whether news is old."""
    times = [_time(attributes.get(name)) for name in ("modTs", "lastTransition")]
    return max((at for at in times if at is not None), default=unknown)


def _time(text: str | None) -> float | None:
    """Return a time in Unix seconds, or None for `never` and for an unreadable time."""
    try:
        return parse_time(text) if text else None
    except ValueError:
        return None


FORMAT = Format(read=read_apic, forms=False)
