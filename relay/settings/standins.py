"""Values that stand in for wrong ones while the rest of a configuration is checked; nothing else complains of them."""

from __future__ import annotations

from typing import Any

from relay.settings.problems import Path, dotted

_SECRET = {"env": "RELAY_STAND_IN"}
_EMAIL = "stand-in@example.invalid"
_TOP: dict[str, tuple[Any, ...]] = {
    "accounts": ({},),
    "rooms": ({},),
    "route": ({"rooms": []},),
    "operator": ({"room": "a"},),
}
_KEYS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("token", "access_token", "client_secret", "password", "bearer", "signature", "value"), (_SECRET,)),
    "admin_token": (_SECRET,),
    "auth": ("none",),
    "url": ("https://stand-in.invalid", "wss://stand-in.invalid"),
    **dict.fromkeys(("account", "room", "name", "title", "username", "client_id", "class", "dn", "format"), ("a",)),
    "id": ("1",),
    "person": (_EMAIL,),
    "rooms": ([],),
    "continue": (True,),
    "subscribe": ([{"class": "a"}],),
    "time_intervals": ([],),
    "start_time": ("00:00",),
    "end_time": ("24:00",),
}
"""By a key's name; a value of another key is removed, so that its default applies."""
_ELEMENTS: dict[str, tuple[Any, ...]] = {
    "routes": ({"continue": True},),
    "rooms": ("a",),
    "times": ({"start_time": "00:00", "end_time": "24:00"},),
    "time_intervals": ({}, {"name": "a", "time_intervals": []}),
    "inhibit_rules": ({"source_matchers": ["a=b"], "target_matchers": ["a=c"]},),
    "subscribe": ({"class": "a"},),
    "mention": (_EMAIL,),
}
"""By the name of a list; for an entry of another list, the whole list is replaced."""
_MATCHERS = ("matchers", "source_matchers", "target_matchers")


def stand_ins(path: Path) -> tuple[Any, ...]:
    """Return values to try in place of a wrong or missing one at a path."""
    last = path[-1]
    unlike_all = f"stand_in={dotted(path).replace('[', '.').replace(']', '')}"  # so that no route hides another one
    if isinstance(last, int):
        above = str(path[-2])
        return (unlike_all,) if above in _MATCHERS else _ELEMENTS.get(above, ())
    if last in _MATCHERS:
        return ([unlike_all],)
    return (_TOP if len(path) == 1 and last in _TOP else _KEYS).get(last, ())
