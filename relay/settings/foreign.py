"""Alertmanager's words in a configuration: what each is called here."""

from __future__ import annotations

import msgspec

from relay.settings.problems import Path

IMPORT = "`relay import alertmanager.yml` converts a whole file"


class Hint(msgspec.Struct, frozen=True):
    """A sentence about a foreign word, and the key that has its meaning here, if there is one at the same place.

    `is_same` says that the value is written as here.
    """

    text: str
    key: str | None = None
    is_same: bool = False


_HINTS = {
    ("", "receivers"): Hint(f"Alertmanager's receivers are `rooms` here, each of an account; {IMPORT}", "rooms"),
    ("", "global"): Hint(
        "Alertmanager's global settings belong to what they are for: a token or address to an account, "
        f"`resolve_timeout` to a source; {IMPORT}"
    ),
    ("", "mute_time_intervals"): Hint(
        "Alertmanager's old name; write `time_intervals`", "time_intervals", is_same=True
    ),
    ("", "resolve_timeout"): Hint("each source has its own here: `sources: {NAME: {resolve_timeout: 5m}}`"),
    ("", "receiver"): Hint(f"the root of the routing tree is `route`, with `rooms: [noc]`; {IMPORT}"),
    ("", "tracing"): Hint("Alertmanager's tracing has no counterpart here; remove it"),
    **{
        ("route", word): Hint("Alertmanager's receiver is a list of rooms here, like `rooms: [noc]`", "rooms")
        for word in ("receiver", "receivers")
    },
    ("route", "match"): Hint("""write matchers, like `matchers: ['severity="critical"']`""", "matchers"),
    ("route", "match_re"): Hint("""write matchers, like `matchers: ['severity=~"critical|major"']`""", "matchers"),
    ("rooms", "room_id"): Hint("Webex's id of a room is `id` here", "id", is_same=True),
    ("rooms", "message"): Hint("the text of messages is a template: `template: NAME`, from `templates`", "template"),
    ("rooms", "send_resolved"): Hint("a route says what its alerts' ends do: `on_resolve: none` on the route"),
    ("accounts", "api_url"): Hint("the address of the service is `url` here", "url", is_same=True),
    **{
        ("accounts", word): Hint(
            "an account's secret is `token` here, like `token: {env: WEBEX_TOKEN}`", "token", is_same=True
        )
        for word in ("bot_token", "access_token", "bearer_token")
    },
    ("accounts", "token"): Hint("the secret of a Spika account is `access_token`", "access_token", is_same=True),
    ("accounts", "http_config"): Hint(
        "an account's secret is `token` here, like `token: {env: WEBEX_TOKEN}`; beside it stand `proxy` and `tls`",
        "token",
    ),
    ("accounts", "authorization"): Hint(
        "an account's secret is `token` here, like `token: {env: WEBEX_TOKEN}`", "token"
    ),
    **{
        (section, word): Hint(f"it is `{meant}` here", meant.partition(":")[0])
        for section in ("accounts", "sources")
        for word, meant in (("proxy_url", "proxy: ADDRESS"), ("tls_config", "tls: {ca: FILE}"))
    },
    **{
        ("sources", word): Hint("it is `auth: {bearer: {env: NAME}}` here", "auth")
        for word in ("bearer_token", "bearer_token_file", "http_config")
    },
    ("sources", "basic_auth"): Hint("it is `auth: {basic: {username: NAME, password: {env: NAME}}}` here", "auth"),
    ("sources", "authorization"): Hint("it is `auth: {bearer: {env: NAME}}` here", "auth"),
    **{
        ("inhibit_rules", f"{side}_match{kind}"): Hint(
            f"""write matchers, like `{side}_matchers: ['severity{operator}"{value}"']`""", f"{side}_matchers"
        )
        for side in ("source", "target")
        for kind, operator, value in (("", "=", "critical"), ("_re", "=~", "critical|major"))
    },
}
"""By the section and the key."""


def hint_of(path: Path) -> Hint | None:
    """Return a hint at what an unknown key at a path is called here; None if it is no word of Alertmanager."""
    section, word = (str(path[0]) if len(path) > 1 else ""), str(path[-1])
    if word.endswith("_configs"):
        return Hint(f"an integration of a receiver is a room of an account here, in `rooms`; {IMPORT}")
    return _HINTS.get((section, word))
