"""Cisco APIC: managed objects of subscriptions and queries become faults that fire and end, and notices of changes.

Source: Cisco APIC REST API Configuration Guide, "Subscribing to Query Results"; Cisco APIC Faults, Events, and System
Messages Management Guide, "Fault Life Cycle". A frame tells of an object what has changed, and no more: whoever keeps
the object's whole state (`Managed`) gets whole events by `fold`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from relay.core.event import Draft
from relay.core.words import parse_time
from relay.formats.batch import Item, read_known
from relay.formats.contract import Format, Request, UnreadableError, as_text, unrecognised
from relay.formats.reading import taken_up, withdrawn

FAULTS = ("faultInst", "faultDelegate")
RECORDS = ("aaaModLR", "aaaSessionLR", "eventRecord", "faultRecord", "healthRecord")
"""Classes of log entries: each is told once, by what it says."""
_NOISE = frozenset({"childAction", "dn", "lcOwn", "modTs", "monPolDn", "rn", "status", "uid", "userdom", "extMngdBy"})
"""Attributes whose changes say nothing to a person."""
_TOLD = ("severity", "descr", "cause", "code", "ack")
"""Attributes of a fault whose changes are told."""
_SHOWN = ("name", "nameAlias", "descr")
_LABELS = ("code", "cause", "domain", "subject", "type", "rule", "name", "user")
MOST_CHANGES = 20
_NODE = re.compile(r"topology/pod-(\d+)(?:/node-(\d+))?")
_PORT = re.compile(r"(?:phys|aggr|caggr|cphys|mgmt)-\[([^\]]+)\]")
_TENANT = re.compile(r"(?:^|/)tn-([^/\[\]]+)")
_POLICY = re.compile(r"(tn|ap|epg|BD|ctx|brc|out)-([^/\[\]]+)")


class Managed(msgspec.Struct, frozen=True):
    """An object as far as it is known: its class, and its attributes by name."""

    kind: str
    attributes: dict[str, str]

    @property
    def firing(self) -> bool:
        """True of a fault that is not over: neither cleared nor only retained."""
        attributes = self.attributes
        return attributes.get("severity") != "cleared" and attributes.get("lc") != "retaining"


def objects_of(payload: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """Class and attributes of each object of an answer. Raises `UnreadableError`."""
    for number, item in enumerate(items_of(payload)):
        try:
            yield from objects_in(item)
        except UnreadableError as error:
            raise UnreadableError(f"imdata[{number}]", str(error)) from error


def items_of(payload: Any) -> list[Any]:
    """The items of an answer or a frame. Raises `UnreadableError`."""
    items = payload.get("imdata") if isinstance(payload, dict) else None
    if not isinstance(items, list):
        raise UnreadableError("imdata", "a list of objects would be right")
    return items


def objects_in(item: Any) -> list[tuple[str, dict[str, str]]]:
    """Class and attributes of the objects of one item, in practice one. Raises `UnreadableError`."""
    if not isinstance(item, dict):
        raise UnreadableError("", "an object by its class would be right")
    found = []
    for kind, content in item.items():
        attributes = content.get("attributes") if isinstance(content, dict) else None
        if not isinstance(attributes, dict):
            raise UnreadableError(f"{kind}.attributes", "an object of names and texts")
        found.append((kind, {name: as_text(value) for name, value in attributes.items()}))
    return found


def read_apic(request: Request) -> list[Item]:
    """Read a frame of which nothing else is known: an object that is modified shows what has changed alone."""
    known: dict[str, Managed] = {}
    try:
        items = items_of(request.payload)
    except UnreadableError:
        return [unrecognised(request)]
    return read_known(request, items, lambda item: _read_item(item, known), "imdata")


def _read_item(item: Any, known: dict[str, Managed]) -> list[Draft]:
    """Read one item beside what is `known` of its frame, which is kept up to date. Raises `UnreadableError`."""
    drafts: list[Draft] = []
    for kind, attributes in objects_in(item):
        if kind == "error":
            said = f"{attributes.get('code', '')}: {attributes.get('text', '')}".strip(": ")
            drafts.append(Draft(title=f"APIC answers {said}"))
            continue
        dn = attributes.get("dn", "")
        present = not attributes.get("status") and kind not in RECORDS  # an answer's objects: no news
        now, told = fold(known.get(dn), kind, attributes, silent=present)
        if now is not None and dn:
            known[dn] = now
        drafts += told
    return drafts


def fold(
    known: Managed | None, kind: str, attributes: Mapping[str, str], *, silent: bool = False, dated: bool = False
) -> tuple[Managed | None, list[Draft]]:
    """What an object is after news of it, None where it is gone, and what is to be told.

    `attributes` may be a part of them; `silent`: it is no news that the object is there; `dated`: news that is older
    than what is known changes nothing.
    """
    status = attributes.get("status", "")
    if status == "deleted":
        return None, gone(known or Managed(kind, dict(attributes)))
    if kind in RECORDS:
        there = Managed(kind, {"dn": attributes.get("dn", "")})  # what it says is told once, and need not be kept
        return there, [] if silent or known is not None else [_record(kind, attributes)]
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
    """What is told of an object that is no fault."""
    if known is None:
        change = "modified" if status == "modified" else "created"
        return [_notice(now, change, _changes({}, attributes, change))]
    changes = _changes(known.attributes, attributes, "modified")
    return [_notice(now, "modified", changes)] if changes else []


def gone(known: Managed) -> list[Draft]:
    """What is told of an object that is there no more."""
    if known.kind in RECORDS:
        return []
    if known.kind in FAULTS:
        return [_draft_of_fault(known, "resolved")] if known.firing else []
    return [_notice(known, "deleted", [])]


def unwatched(known: Managed) -> list[Draft]:
    """What is told of an object that is not watched any more: that a fault of it won't be told to have ended."""
    if known.kind not in FAULTS or not known.firing:
        return []
    draft = _draft_of_fault(known, "resolved")
    return [msgspec.structs.replace(draft, notes=("no subscription tells of it any more; it may still be there",))]


def _fault(known: Managed | None, now: Managed, status: str) -> list[Draft]:
    was = known is not None and known.firing
    if not now.firing:
        return [_draft_of_fault(now, "resolved")] if was or (known is None and status) else []
    told = [name for name in _TOLD if known is None or known.attributes.get(name) != now.attributes.get(name)]
    if was and not told:
        return []
    drafts = [_draft_of_fault(now, "firing")] if not was or told != ["ack"] else []
    dn, ack = now.attributes.get("dn", ""), now.attributes.get("ack")
    if ack == "yes" and "ack" in told:
        drafts.append(taken_up(f"acknowledged in APIC: {_title(now)}", dn, "", "APIC"))
    if ack == "no" and known is not None and known.attributes.get("ack") == "yes":
        drafts.append(withdrawn(f"not acknowledged any more in APIC: {_title(now)}", dn, "", "APIC"))
    return drafts


def _draft_of_fault(fault: Managed, status: Any) -> Draft:
    attributes = fault.attributes
    severity = attributes.get("severity")
    return Draft(
        title=_title(fault),
        status=status,
        severity=severity if severity not in (None, "", "cleared") else None,
        key=attributes.get("dn"),
        body=attributes.get("descr", ""),
        labels={**_place_labels(fault), "class": fault.kind},
        occurred_at=_time(attributes.get("lastTransition")) or _time(attributes.get("modTs")),
    )


def _title(fault: Managed) -> str:
    """The fault's cause and place, like `port-down on node-101 eth1/1 (F0532)`."""
    attributes = fault.attributes
    dn = attributes.get("dn", "")
    code = attributes.get("code") or dn.rpartition("fault-")[2].partition("/")[0]
    cause = attributes.get("cause") or attributes.get("subject") or "fault"
    return f"{cause} on {place(dn)}" + (f" ({code})" if code else "")


def _record(kind: str, attributes: Mapping[str, str]) -> Draft:
    """A log entry: what it says, and of what."""
    record = Managed(kind, dict(attributes))
    said = attributes.get("descr") or f"{kind} {attributes.get('dn', '')}"
    user, code = attributes.get("user"), attributes.get("code")
    facts = [f"by {user}" if user else "", attributes.get("changeSet", ""), f"code {code}" if code else ""]
    affected = attributes.get("affected") or attributes.get("dn", "")
    return Draft(
        title=f"{said} ({place(affected)})" if affected and affected not in said else said,
        severity=attributes.get("severity") if attributes.get("severity") != "cleared" else None,
        body="\n".join(fact for fact in facts if fact),
        labels={**_place_labels(record), "class": kind},
        occurred_at=_time(attributes.get("created")) or _time(attributes.get("modTs")),
    )


def _notice(now: Managed, change: str, changes: list[str]) -> Draft:
    dn = now.attributes.get("dn", "")
    more = f"… and {len(changes) - MOST_CHANGES} more" if len(changes) > MOST_CHANGES else ""
    return Draft(
        title=f"{now.kind} {dn} has been {change}",
        severity="info",
        key=dn or None,
        body="\n".join([*changes[:MOST_CHANGES], *([more] if more else [])]),
        labels={**_place_labels(now), "class": now.kind, "change": change},
        occurred_at=_time(now.attributes.get("modTs")),
    )


def _changes(before: Mapping[str, str], after: Mapping[str, str], change: str) -> list[str]:
    """`name: "a" → "b"` for what differs; of a new object what names it."""
    if change != "modified":
        return [f'{name}: "{after[name]}"' for name in _SHOWN if after.get(name)]
    said = []
    for name, value in after.items():
        if name in _NOISE or before.get(name, "") == value:
            continue
        said.append(f'{name}: "{before[name]}" → "{value}"' if name in before else f'{name}: "{value}"')
    return said


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
    """What a distinguished name is of, for a title: node and port, or tenant, profile and group; else its beginning."""
    outer = re.sub(r"/(fault|fd)-[^/]*$", "", dn)
    node = _NODE.search(outer)
    if node is not None:
        port = _PORT.search(outer)
        where = f"node-{node[2]}" if node[2] is not None else f"pod-{node[1]}"
        return f"{where} {port[1]}" if port is not None else where
    policy = [f"{kind}-{name}" for kind, name in _POLICY.findall(outer)]
    return "/".join(policy) or outer or "the fabric"


def _age(attributes: Mapping[str, str], unknown: float) -> float:
    """The time of an object's last change, for telling old news."""
    times = [_time(attributes.get(name)) for name in ("modTs", "lastTransition")]
    return max((at for at in times if at is not None), default=unknown)


def _time(text: str | None) -> float | None:
    """A time; `never` and what can't be read are None."""
    try:
        return parse_time(text) if text else None
    except ValueError:
        return None


FORMAT = Format(read=read_apic, forms=False)
