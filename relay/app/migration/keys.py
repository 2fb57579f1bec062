"""Every key of an Alertmanager configuration, and how the import treats it.

From the structs of prometheus/alertmanager (`config/config.go`, `config/notifiers.go`, `timeinterval/timeinterval.go`)
and prometheus/common (`config/http_config.go`), 0.25 to 0.31.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Form = Literal["text", "raw", "texts", "pairs", "boolean", "duration"]
"""The form of a value; `raw` is a text that the import inspects itself, or that may be a secret."""


class Carried(msgspec.Struct, frozen=True):
    """A key that has a counterpart: with a `form`, or a `table`; with `each`, a list of tables."""

    form: Form | None = None
    table: str | None = None
    each: bool = False


class Noted(msgspec.Struct, frozen=True):
    """A key that is left out, with a note that says `why`; with `spoils`, its whole table is left out."""

    why: str
    spoils: bool = False


class Refused(msgspec.Struct, frozen=True):
    """A key that can't be left out, as its table would mean something else: an error that says `why`."""

    why: str


Fate = Carried | Noted | Refused

_TEXT, _TEXTS, _PAIRS = Carried("text"), Carried("texts"), Carried("pairs")
_DURATION = Carried("duration")
_CREDENTIAL = "the relay's accounts use a token: put it into the account's variable or file"
_NO_CLIENT = "an account of the relay has no such setting"
_NO_CERTIFICATE = "the relay does not support client certificates"
_OTHERS = (
    *("discord", "email", "hipchat", "incidentio", "jira", "mattermost", "msteams", "msteamsv2", "opsgenie"),
    *("pagerduty", "pushover", "rocketchat", "slack", "sns", "telegram", "victorops", "webhook", "wechat"),
)
_OF_OTHERS = (
    *("jira_api_url", "mattermost_webhook_url", "mattermost_webhook_url_file", "opsgenie_api_key"),
    *("opsgenie_api_key_file", "opsgenie_api_url", "pagerduty_url", "hipchat_api_url", "hipchat_auth_token"),
    *("rocketchat_api_url", "rocketchat_token", "rocketchat_token_file", "rocketchat_token_id"),
    *("rocketchat_token_id_file", "slack_api_url", "slack_api_url_file", "slack_app_token", "slack_app_token_file"),
    *("slack_app_url", "smtp_auth_identity", "smtp_auth_password", "smtp_auth_password_file", "smtp_auth_secret"),
    *("smtp_auth_secret_file", "smtp_auth_username", "smtp_force_implicit_tls", "smtp_from", "smtp_hello"),
    *("smtp_require_tls", "smtp_smarthost", "smtp_tls_config", "telegram_api_url", "telegram_bot_token"),
    *("telegram_bot_token_file", "victorops_api_key", "victorops_api_key_file", "victorops_api_url"),
    *("wechat_api_corp_id", "wechat_api_secret", "wechat_api_secret_file", "wechat_api_url"),
)
_MATCHERS: dict[str, Fate] = {"match": _PAIRS, "match_re": _PAIRS, "matchers": _TEXTS}

TABLES: dict[str, dict[str, Fate]] = {
    "file": {
        "global": Carried(table="global"),
        "route": Carried(table="route"),
        "receivers": Carried(table="receiver", each=True),
        "inhibit_rules": Carried(table="inhibition", each=True),
        "time_intervals": Carried(table="named interval", each=True),
        "mute_time_intervals": Carried(table="named interval", each=True),
        "templates": Noted("these are Go templates; rewrite them in Jinja2 (`templates:`), or use the built-in one"),
        "tracing": Noted("the relay sends no traces"),
        "event_recorder": Noted("the relay keeps its own trail (`relay events`)"),
    },
    "global": {
        "resolve_timeout": _DURATION,
        "webex_api_url": _TEXT,
        "http_config": Noted("give `proxy` and `tls` to the accounts that need them"),
        **dict.fromkeys(_OF_OTHERS, Noted("belongs to an integration that the relay does not have")),
    },
    "route": {
        "receiver": _TEXT,
        **_MATCHERS,
        "continue": Carried("boolean"),
        "group_by": _TEXTS,
        "group_wait": _DURATION,
        "group_interval": _DURATION,
        "repeat_interval": _DURATION,
        "mute_time_intervals": _TEXTS,
        "active_time_intervals": _TEXTS,
        "routes": Carried(table="route", each=True),
    },
    "receiver": {
        "name": _TEXT,
        "webex_configs": Carried(table="webex", each=True),
        **{f"{kind}_configs": Noted("the relay does not have this integration") for kind in _OTHERS},
    },
    "webex": {
        "room_id": Carried("raw"),
        "send_resolved": Carried("boolean"),
        "api_url": _TEXT,
        "http_config": Carried(table="http"),
        "message": Noted("this is a Go template; rewrite it in Jinja2 (`templates:`), or use the built-in one"),
    },
    "http": {
        "authorization": Carried(table="authorization"),
        "bearer_token": Carried("raw"),
        "bearer_token_file": _TEXT,
        "proxy_url": _TEXT,
        "tls_config": Carried(table="tls"),
        "basic_auth": Noted(_CREDENTIAL),
        "oauth2": Noted("use an account with `oauth:` and `relay login` instead"),
        "no_proxy": Noted("the relay uses NO_PROXY of its environment, if the account has no `proxy`"),
        "proxy_from_environment": Noted("the relay uses HTTPS_PROXY and NO_PROXY if an account has no `proxy`"),
        **dict.fromkeys(
            ("proxy_connect_header", "follow_redirects", "enable_http2", "http_headers"), Noted(_NO_CLIENT)
        ),
    },
    "authorization": {
        "type": _TEXT,
        "credentials": Carried("raw"),
        "credentials_file": _TEXT,
        "credentials_ref": Noted(_CREDENTIAL),
    },
    "tls": {
        "ca_file": _TEXT,
        "insecure_skip_verify": Carried("boolean"),
        "ca": Noted("write the authority to a file and give its path as `tls.ca`"),
        "ca_ref": Noted("write the authority to a file and give its path as `tls.ca`"),
        **dict.fromkeys(("cert", "cert_file", "cert_ref", "key", "key_file", "key_ref"), Noted(_NO_CERTIFICATE)),
        **dict.fromkeys(("server_name", "min_version", "max_version"), Noted(_NO_CLIENT)),
    },
    "inhibition": {
        **{f"{side}_{key}": fate for side in ("source", "target") for key, fate in _MATCHERS.items()},
        "equal": _TEXTS,
        "name": Noted("inhibit rules of the relay have no name"),
        "sources": Noted("the relay has no rules with several sources, so this rule is left out", spoils=True),
    },
    "named interval": {"name": _TEXT, "time_intervals": Carried(table="interval", each=True)},
    "interval": {
        "times": Carried(table="times", each=True),
        "weekdays": _TEXTS,
        "days_of_month": _TEXTS,
        "months": _TEXTS,
        "years": _TEXTS,
        "location": _TEXT,
    },
    "times": {"start_time": _TEXT, "end_time": _TEXT},
}

UNKNOWN: dict[str, Fate] = {
    "inhibition": Noted("is unknown to the import, so this rule is left out", spoils=True),
    "named interval": Refused("is unknown to the import; without it the interval might mean other times"),
    "interval": Refused("is unknown to the import; without it the interval might mean other times"),
    "times": Refused("is unknown to the import; without it the interval might mean other times"),
}
"""The fate of an unknown key, by table; in other tables it is noted."""
NOT_KNOWN = Noted("is unknown to the import and left out")
