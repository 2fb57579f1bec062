"""RIPE RIS Live: BGP messages of route collectors (ris-live.ripe.net, "RIS Live Manual"). A source of type `websocket`
subscribes with filters: `send: [{type: ris_subscribe, data: {prefix: 192.0.2.0/24, type: UPDATE}}]`.

A prefix fires when a peer withdraws it, and ends when that peer announces it. Each announcement is also a notice, with
its origin among the labels. Keep-alives give no event.
"""

from __future__ import annotations

from typing import Any

from relay.core.event import Draft
from relay.formats.contract import MOST_EVENTS, Format, Request, as_text, unrecognised
from relay.formats.reading import Reading, clause, join, key_of, labels

_CONTROL = ("pong", "ris_subscribe_ok", "ris_rrc_list")


def read_ris_live(request: Request) -> list[Draft]:
    """Read a frame. Frames of the protocol give no event, and its errors a notice."""
    frame = Reading(request.payload)
    kind, data = frame.text("type"), frame.sub("data")
    if kind == "ris_error":
        return [Draft(title=f"RIS Live answers: {data.text('message') or 'an error'}", severity="major")]
    if kind in _CONTROL or (kind.startswith("ris_") and kind != "ris_message"):
        return []
    if (kind and kind != "ris_message") or not data.has("type", "peer", "host"):
        return [unrecognised(request)]
    return _message(data)


def _message(data: Reading) -> list[Draft]:
    """Read a BGP message. Keep-alives give no event."""
    what = data.text("type")
    if what == "UPDATE":
        return _update(data)
    if what in ("KEEPALIVE", ""):
        return []
    number = data.text("peer_asn")
    peer = join(" ", "peer", data.text("peer"), f"(AS{number})" if number else "", clause("at", data.text("host")))
    if what in ("RIS_PEER_STATE", "STATE"):
        state = data.text("state", "new_state")
        up = state in ("connected", "up", "established")
        return [
            _draft(
                data,
                f"{peer} is {state or 'in an unknown state'}",
                "resolved" if up else "firing",
                _key("peer", data),
                None if up else "minor",
            )
        ]
    if what == "NOTIFICATION":
        code = join("/", data.text("notification.code"), data.text("notification.subcode"))
        return [_draft(data, join(" ", peer, "sent a notification", code), "firing", _key("peer", data), "minor")]
    return [_draft(data, f"{peer} sent {what.lower()}", "notice", None, "info")]


def _update(data: Reading) -> list[Draft]:
    path = join(" ", *[_hop(hop.value) for hop in data.each("path")])
    origin = path.split()[-1].strip("{}").split(",")[0] if path else ""
    number = data.text("peer_asn")
    peer = join(" ", f"AS{number}" if number else "a peer", clause("at", data.text("host")))
    drafts = []
    for one in data.each("announcements"):
        hop = one.text("next_hop")
        for prefix in _texts(one, "prefixes"):
            news = f"{prefix} is announced by AS{origin}" if origin else f"{prefix} is announced"
            more = {"prefix": prefix, "origin_as": origin}
            key, body = _key(prefix, data), join(", ", clause("path", path), clause("next hop", hop))
            drafts.append(_draft(data, f"{news} to {peer}", "notice", None, "info", body, **more))
            drafts.append(_draft(data, f"{news} to {peer}", "resolved", key, None, body, **more))
    drafts += [
        _draft(
            data,
            f"{prefix} is withdrawn by {peer}",
            "firing",
            _key(prefix, data),
            "major",
            prefix=prefix,
        )
        for prefix in _texts(data, "withdrawals")
    ]
    unique = {(draft.key or draft.title, draft.status): draft for draft in drafts}
    return list(unique.values())[:MOST_EVENTS]


def _draft(
    data: Reading, title: str, status: Any, key: str | None, severity: str | None, body: str = "", **more: str
) -> Draft:
    about = labels(peer=data.text("peer"), peer_as=data.text("peer_asn"), collector=data.text("host"), **more)
    return Draft(
        title=title,
        status=status,
        severity=severity,
        key=key,
        body=body,
        labels=about,
        occurred_at=data.moment("timestamp"),
    )


def _key(what: str, data: Reading) -> str | None:
    """Return the key of a prefix, or of the session itself, at a peer."""
    return key_of(data.text("host"), data.text("peer"), kind=what)


def _hop(value: Any) -> str:
    """Return an AS of a path, or a set of them, as text."""
    if not isinstance(value, list):
        return as_text(value)
    found = [text for one in value if (text := as_text(one))]
    return "{" + ",".join(found) + "}" if found else ""


def _texts(data: Reading, path: str) -> list[str]:
    """Return the values of a list that are not empty, as texts."""
    return [text for one in data.each(path) if (text := as_text(one.value))]


FORMAT = Format(read=read_ris_live, forms=False)
