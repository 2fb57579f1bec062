"""ServiceNow: a table's record as a business rule or a flow posts it (ServiceNow documentation, "Outbound REST web
service"; table `incident`). Values may be plain, or objects of `value` and `display_value`.

States: 1 new, 2 in progress, 3 on hold, 6 resolved, 7 closed, 8 cancelled. A record in progress or on hold fires and is
acknowledged. A record that goes back to new withdraws that.
"""

from __future__ import annotations

import re

from relay.core.event import Draft
from relay.formats.contract import Format, Request
from relay.formats.reading import (
    Reading,
    clause,
    join,
    labels,
    lines,
    links,
    severity,
    taken_up,
    unknown,
    withdrawn,
    without_tags,
)

_ID = re.compile(r"[0-9a-f]{32}")
"""An id of a record (`sys_id`)."""
_NUMBERS = {"1": "critical", "2": "major", "3": "minor", "4": "warning", "5": "info"}
_ENDS = ("6", "7", "8", "resolved", "closed", "canceled", "cancelled")
_NEW = ("1", "new")
_TAKEN = ("2", "3", "in progress", "on hold")


def read_servicenow(request: Request) -> list[Draft]:
    """Read a record; anything else gives a notice."""
    outer = Reading(request.payload)
    record = outer.sub("record") if outer.has("record") else outer.sub("result") if outer.has("result") else outer
    number, summary = _value(record, "number"), _shown(record, "short_description")
    if not (number or summary):
        return [unknown(request, "ServiceNow")]
    state, table = _value(record, "state").lower(), _value(record, "sys_class_name") or "incident"
    base, own = _value(record, "server_url") or outer.text("server_url"), _value(record, "sys_id")
    url = f"{base.rstrip('/')}/nav_to.do?uri={table}.do?sys_id={own}" if base and own else ""
    about = links(("ServiceNow", url or _value(record, "url") or _value(record, "link")))
    title = f"{number} {summary}".strip()
    key = number or own or None
    who = _shown(record, "assigned_to") or _shown(record, "sys_updated_by")
    at = record.moment("sys_updated_on", "opened_at")
    taken = []
    if state in _TAKEN:
        reason = lines(
            "on hold" if state in ("3", "on hold") else "",
            record.text("hold_reason.display_value") if state in ("3", "on hold") else "",
            _shown(record, "comments") or _shown(record, "work_notes"),
        )
        taken = [taken_up(title, key, who, "ServiceNow", reason, links=about, occurred_at=at)]
    elif state in _NEW and _changed(record):
        taken = [withdrawn(title, key, _shown(record, "sys_updated_by"), "ServiceNow", links=about, occurred_at=at)]
    priority = _value(record, "priority") or _value(record, "severity")
    return [
        Draft(
            title=title,
            status="resolved" if state in _ENDS else "firing" if state else "notice",
            severity=_NUMBERS.get(priority[:1]) or severity(priority),
            key=key,
            body=lines(
                without_tags(_shown(record, "description")),
                join(": ", _shown(record, "close_code"), without_tags(_shown(record, "close_notes"))),
                clause("by", _shown(record, "resolved_by")) if state in _ENDS else "",
            ),
            labels=labels(
                table=table,
                group=_shown(record, "assignment_group"),
                ci=_shown(record, "cmdb_ci"),
                category=_shown(record, "category"),
            ),
            links=about,
            occurred_at=at,
        ),
        *taken,
    ]


def _changed(record: Reading) -> bool:
    """Return whether a record was changed after its creation."""
    return _value(record, "sys_mod_count") not in ("", "0")


def _value(record: Reading, name: str) -> str:
    return record.text(f"{name}.value", name)


def _shown(record: Reading, name: str) -> str:
    """Return a value as people know it. A reference to another record is only an id, which says nothing to them."""
    shown = record.text(f"{name}.display_value", name)
    return "" if _ID.fullmatch(shown) else shown


FORMAT = Format(read=read_servicenow)
