"""All faults of a configuration are reported in one run, and nothing that only follows from them."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.app.trial.checks import check_file
from relay.formats import FORMATS
from relay.settings.load import load
from relay.settings.problems import ConfigurationError

GOOD = """\
listen:
  events: 0.0.0.0:9080
  admin: 127.0.0.1:9081
operator: {room: noc}
timezone: Europe/Amsterdam
accounts:
  webex: {type: webex, token: {env: RELAY_TEST_TOKEN}}
  spika: {type: spika, url: "https://spika.example.net", access_token: {env: RELAY_TEST_TOKEN}}
  grant:
    type: webex
    oauth: {client_id: C1, client_secret: {env: RELAY_TEST_TOKEN}}
rooms:
  noc: {account: webex, title: NOC}
  backup: {account: spika, id: 5}
  core:
    account: webex
    id: core-room
    fallback: backup
    template: fault
    digest_over: 20
  oncall: {account: grant, person: oncall@example.net}
sources:
  prometheus:
    type: webhook
    format: alertmanager
    auth: {bearer: {env: RELAY_TEST_TOKEN}}
    severity: minor
    rate: 100/s
  cameras:
    type: webhook
    map:
      title: join(' ', [site, what])
      severity: level
      severities: {"1": critical}
    auth: none
  bgp:
    type: websocket
    url: wss://ris.example.net/v1
    map: {title: prefix}
    ping: 20s
  fabric:
    type: apic
    url: https://apic1.example.net
    username: relay
    password: {env: RELAY_TEST_TOKEN}
    subscribe: [{class: faultInst}]
time_intervals:
  - name: night
    time_intervals:
      - times:
          - start_time: "22:00"
            end_time: "24:00"
        weekdays: [monday, friday]
inhibit_rules:
  - source_matchers: ['severity="critical"']
    target_matchers: ['severity="minor"']
route:
  rooms: [noc]
  routes:
    - matchers: ['source="fabric"', 'site=~"ams|fra"']
      rooms: [noc, oncall]
      mute_time_intervals: [night]
      continue: true
    - matchers: ['source="cameras"']
      rooms: [core]
      group_by: [site]
      group_wait: 10s
    - matchers: ['source="bgp"']
      on_resolve: [edit, reply]
      mention: [oncall@example.net]
templates:
  fault: "**{{ title }}**"
retry: {first: 1s, longest: 5m}
keep: {done: 7d}
limits: {queue: 1000}
stop_grace: 10s
"""
FAULTS: dict[str, dict[str, str]] = {
    "  admin: 127.0.0.1:9081": {
        "  admin: 127.0.0.1:99999": "10: listen.admin: expected an address like",
        "  admn: 127.0.0.1:9081": "3: listen.admn: unknown key (did you mean 'admin'?)",
        "  admin: 0.0.0.0:9081": "10: listen.admin: the admin address is not on loopback",
    },
    "operator: {room: noc}": {
        "operator: {rom: noc}": "12: operator.rom: unknown key (did you mean 'room'?)",
        "operator: {room: nok}": "18: operator.room: no room is called 'nok' (did you mean 'noc'?)",
        "operator: noc": "11: operator: expected a mapping, found text",
        "oprator: {room: noc}": "1: oprator: unknown key (did you mean 'operator'?)",
    },
    "timezone: Europe/Amsterdam": {"timezone: Mars": "11: timezone: expected a time zone"},
    "  webex: {type: webex, token: {env: RELAY_TEST_TOKEN}}": {
        "  webex: {type: webex, tokn: {env: RELAY_TEST_TOKEN}}": "24: accounts.webex.tokn: unknown key",
        "  webex: {type: webx, token: {env: RELAY_TEST_TOKEN}}": "10: accounts.webex: type 'webx' is not one of",
        "  webex: {token: {env: RELAY_TEST_TOKEN}}": "10: accounts.webex: type is missing",
        "  webex: {type: webex}": "10: accounts.webex: expected exactly one of token and oauth, found none",
        "  webex: {type: webex, token: {env: RELAY_NOT_SET}}": "31: accounts.webex.token: the environment variable",
        "  webex: {type: webex, token: '${RELAY_NOT_SET}'}": "31: accounts.webex.token: the environment variable",
        "  webex: {type: webex, bot_token: {env: RELAY_TEST_TOKEN}}": "24: accounts.webex.bot_token: unknown key;",
        "  webex: {type: webex, access_token: {env: RELAY_TEST_TOKEN}}": "24: accounts.webex.access_token: unknown",
        "  webex: {type: webex, token: {envv: A}}": "31: accounts.webex.token: expected a secret as {env: NAME}, "
        "{file: PATH} or {credential: NAME}, found a mapping (did you mean 'env'?)",
        "  webex: {type: webex, token: {env: 5}}": "31: accounts.webex.token: expected a secret as {env: NAME}, "
        "{file: PATH} or {credential: NAME}, found a mapping whose env is no text",
        "  webex: webex": "10: accounts.webex: expected a mapping, found text",
    },
    "    oauth: {client_id: C1, client_secret: {env: RELAY_TEST_TOKEN}}": {
        "    oauth: {client_secret: {env: RELAY_TEST_TOKEN}}": "5: accounts.grant.oauth.client_id: is missing",
        "    oauth: {client_id: C1, client_secret: 5}": "43: accounts.grant.oauth.client_secret: expected a secret",
    },
    "  noc: {account: webex, title: NOC}": {
        "  noc: {account: webx, title: NOC}": "18: rooms.noc.account: no account is called 'webx' (did you mean",
        "  noc: {title: NOC}": "3: rooms.noc.account: is missing",
        "  noc: {account: webex}": "8: rooms.noc: expected exactly one of id, title and person, found none",
        "  noc: {account: webex, titel: NOC}": "25: rooms.noc.titel: unknown key (did you mean 'title'?)",
        "  noc: {account: webex, room_id: NOC}": "25: rooms.noc.room_id: unknown key; Webex's id of a room is",
        "  noc: {account: webex, title: '${RELAY_NOT_SET}'}": "32: rooms.noc.title: the environment variable",
        "  noc: {account: webex, title: 5}": "32: rooms.noc.title: expected text, found the number 5",
        "  noc: {account: webex, title: NOC, id: a}": "8: rooms.noc: expected exactly one of id, title and person",
    },
    "    fallback: backup": {"    fallback: bakup": "15: rooms.core.fallback: no room is called 'bakup'"},
    "    template: fault": {"    template: falt": "15: rooms.core.template: no template is called 'falt'"},
    "    digest_over: 20": {"    digest_over: many": "18: rooms.core.digest_over: expected a whole number"},
    "  oncall: {account: grant, person: oncall@example.net}": {
        "  oncall: {account: grant, person: anna}": "11: rooms.oncall: person: expected an e-mail address",
        "  oncall: {account: grant, person: a@b.net, create: true}": "11: rooms.oncall: create and members work only",
        "  oncall: [grant]": "11: rooms.oncall: expected a mapping, found a list",
    },
    "    format: alertmanager": {"    format: alertmangr": "13: sources.prometheus.format: no format is called"},
    "    auth: {bearer: {env: RELAY_TEST_TOKEN}}": {
        "    auth: {bearr: {env: RELAY_TEST_TOKEN}}": "12: sources.prometheus.auth.bearr: unknown key (did you mean",
        "    auth: {basic: {username: a}}": "12: sources.prometheus.auth.basic.password: is missing",
        "    auth: {}": "11: sources.prometheus.auth: expected exactly one of",
        "    auth: token": "11: sources.prometheus.auth: expected a mapping, found text",
        "    auht: {bearer: {env: RELAY_TEST_TOKEN}}": "5: sources.prometheus.auht: unknown key (did you mean 'auth'?)",
    },
    "    severity: minor": {"    severity: hihg": "15: sources.prometheus.severity: 'hihg' is not one of critical"},
    "    rate: 100/s": {"    rate: quick": "11: sources.prometheus.rate: expected a rate"},
    "      title: join(' ', [site, what])": {
        "      title: what[": "14: sources.cameras.map.title: 'what[' is not a JMES"
    },
    "    url: wss://ris.example.net/v1": {
        "    url: https://ris.example.net/v1": "10: sources.bgp.url: expected text like wss://",
        "    # no address": "3: sources.bgp.url: is missing",
    },
    "    ping: 20s": {"    ping: 0s": "11: sources.bgp.ping: expected more than 0, found 0"},
    "    username: relay": {"    user: relay": "5: sources.fabric.user: unknown key (did you mean 'username'?)"},
    "    subscribe: [{class: faultInst}]": {
        "    subscribe: [{}]": "17: sources.fabric.subscribe[0]: expected exactly one of class and dn, found none",
        "    subscribe: []": "16: sources.fabric.subscribe: expected at least one entry, found none",
        "    subscribe: [faultInst]": "17: sources.fabric.subscribe[0]: expected a mapping, found text",
    },
    '          - start_time: "22:00"': {
        '          - start_time: "25:00"': "25: time_intervals[0].time_intervals[0].times[0].start_time: expected a",
    },
    "        weekdays: [monday, friday]": {
        "        weekdays: [funday, friday]": "20: time_intervals[0].time_intervals[0].weekdays[0]: expected a day",
    },
    "    target_matchers: ['severity=\"minor\"']": {
        "    target_match: {severity: minor}": "5: inhibit_rules[0].target_match: unknown key; write matchers",
        "    target_matchers: ['severity']": "23: inhibit_rules[0].target_matchers[0]: ",
        "    target_matchers: severity=minor": "22: inhibit_rules[0].target_matchers: expected a list, found text",
    },
    "  rooms: [noc]": {
        "  rooms: [nok]": "11: route.rooms[0]: no room is called 'nok' (did you mean 'noc'?)",
        "  rooms: noc": "10: route.rooms: expected a list, found text",
        "  receiver: noc": "3: route.receiver: unknown key; Alertmanager's receiver is a list of rooms here",
        "  # none": "3: route: the root needs `rooms`",
    },
    "      rooms: [noc, oncall]": {
        "      rooms: [noc, 5]": "20: route.routes[0].rooms[1]: expected text, found the number 5",
        "      rooms: [noc, onkall]": "20: route.routes[0].rooms[1]: no room is called 'onkall'",
    },
    "      mute_time_intervals: [night]": {
        "      mute_time_intervals: [nigth]": "29: route.routes[0].mute_time_intervals[0]: no time interval is called",
    },
    "      continue: true": {"      continue: maybe": "17: route.routes[0].continue: expected true or false"},
    "    - matchers: ['source=\"cameras\"']": {
        "    - match: {source: cameras}": "7: route.routes[1].match: unknown key; write matchers, like",
        "    - match_re: {source: cam.*}": "7: route.routes[1].match_re: unknown key; write matchers, like",
        "    - matchers: source=cameras": "17: route.routes[1].matchers: expected a list, found text",
        "    - matchers: [{source: cameras}]": "18: route.routes[1].matchers[0]: expected text, found a mapping",
        "    - matchers: ['source=~\"(\"']": "18: route.routes[1].matchers[0]: expected a regular expression",
    },
    "      group_by: [site]": {"      group_by: site": "17: route.routes[1].group_by: expected a list, found text"},
    "      mention: [oncall@example.net]": {
        "      mention: [anna]": "17: route.routes[2].mention[0]: expected an e-mail address",
        "      mention: [a@b.net, 7]": "26: route.routes[2].mention[1]: expected text, found the number 7",
    },
    '  fault: "**{{ title }}**"': {
        '  fault: "{{ title"': "10: templates.fault: template fault, line 1: unexpected end"
    },
    "retry: {first: 1s, longest: 5m}": {
        "retry: {frist: 1s}": "9: retry.frist: unknown key (did you mean 'first'?)",
        "retry: {first: 9m, longest: 5m}": "8: retry: expected first to be at most longest",
    },
    "limits: {queue: 1000}": {
        "limits: {queue: 0}": "17: limits.queue: expected more than 0",
        "global: {resolve_timeout: 5m}": "1: global: unknown key; Alertmanager's global settings",
    },
    "stop_grace: 10s": {"stop_grace: soon": "13: stop_grace: expected a duration, like 30s, 5m or 1h30m; found 'soon'"},
}
LINES = GOOD.splitlines()
TABLE = [(line, wrong, said) for line, faults in FAULTS.items() for wrong, said in faults.items()]


@pytest.fixture(scope="module", autouse=True)
def token() -> object:
    """The secret of the configuration is set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAY_TEST_TOKEN", "a-long-enough-token")
        yield None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mending")


def problems(folder: Path, text: str) -> list[str]:
    """What `relay check` says, without the file's name."""
    file = folder / "relay.yaml"
    file.write_text(text, encoding="utf-8")
    return [str(problem).removeprefix(f"{file}:") for problem in check_file(file, machine=True)[1]]


def with_faults(faults: dict[str, str]) -> str:
    return "\n".join(faults.get(line, line) for line in LINES) + "\n"


def test_the_configuration_without_faults_is_good(folder: Path) -> None:
    assert problems(folder, GOOD) == []
    assert all(LINES.count(line) == 1 for line in FAULTS)


@pytest.mark.parametrize(("line", "wrong", "said"), TABLE, ids=[wrong.strip() for _, wrong, _ in TABLE])
def test_one_fault_is_one_problem(folder: Path, line: str, wrong: str, said: str) -> None:
    found = problems(folder, with_faults({line: wrong}))
    assert [f"{said} in {found}" for said in [said] if said not in found[0]] == []
    assert len(found) == 1, found


@settings(max_examples=40)
@given(st.lists(st.sampled_from(TABLE), min_size=2, unique_by=lambda fault: fault[0]))
def test_as_many_problems_are_told_as_there_are_faults(folder: Path, faults: list[tuple[str, str, str]]) -> None:
    found = problems(folder, with_faults({line: wrong for line, wrong, _ in faults}))
    errors = [line for line in found if ": warning: " not in line]
    assert [said for _, _, said in faults if not any(said in line for line in errors)] == []
    assert len(errors) == len(faults), errors


JUNK: tuple[Any, ...] = (
    None,
    [],
    {},
    5,
    True,
    "",
    "x",
    [None],
    {"a": {"b": [1]}},
    ["x", 5, {}],
    {"type": "webex"},
    {"type": {"x": 1}},
)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all values within a value."""
    within = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at for step, inner in within for at in [(*path, step), *places(inner, (*path, step))]]


@settings(max_examples=60)
@given(st.data())
def test_whatever_is_damaged_loading_ends_with_problems_or_a_configuration(folder: Path, data: st.DataObject) -> None:
    document = yaml.safe_load(GOOD)
    for _ in range(data.draw(st.integers(1, 6))):
        *above, last = data.draw(st.sampled_from(places(document)))
        at = document
        for step in above:
            at = at[step]
        at[last] = deepcopy(data.draw(st.sampled_from(JUNK)))  # later damage may go into it
    file = folder / "relay.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    found: ConfigurationError | None = None
    try:
        load(file, FORMATS)
    except ConfigurationError as error:
        found = error
    if found is not None:
        assert found.rest is not None
        assert [problem for problem in found.problems if problem.level == "error"]


def test_a_section_given_twice_adds_up_so_that_no_name_is_missed(folder: Path) -> None:
    text = GOOD.replace("templates:\n", "rooms:\n  late: {account: webex, id: x}\ntemplates:\n")
    text = text.replace("    fallback: backup", "    fallback: late")
    line = text.splitlines().index("rooms:", text.splitlines().index("rooms:") + 1) + 1
    found = [
        one for one in problems(folder, text) if "a sample" not in one
    ]  # how long a template takes is another matter
    assert found[-1] == f"{line}:1: rooms: given twice; remove one"
    assert len(found) == 2
    assert "is a room of the same account" in found[0]


ALERTMANAGER = """\
global: {resolve_timeout: 5m}
route:
  receiver: noc
  routes:
    - {match: {severity: critical}, receiver: oncall}
receivers:
  - name: noc
    webex_configs: [{room_id: x}]
inhibit_rules:
  - {source_match: {severity: critical}, target_match_re: {severity: minor.*}, equal: [site]}
mute_time_intervals: []
"""


def test_alertmanagers_words_are_told_with_what_they_are_called_here(folder: Path) -> None:
    assert problems(folder, ALERTMANAGER) == [
        "1:1: warning: no `operator.room`: the relay reports its own problems only in the log",
        "1:1: accounts: is missing",
        "1:1: global: unknown key; Alertmanager's global settings belong to what they are for: a token or address to "
        "an account, `resolve_timeout` to a source; `relay import alertmanager.yml` converts a whole file",
        "3:3: route.receiver: unknown key; Alertmanager's receiver is a list of rooms here, like `rooms: [noc]`",
        "5:8: route.routes[0].match: unknown key; write matchers, like `matchers: ['severity=\"critical\"']`",
        "5:37: route.routes[0].receiver: unknown key; Alertmanager's receiver is a list of rooms here, like "
        "`rooms: [noc]`",
        "6:1: receivers: unknown key; Alertmanager's receivers are `rooms` here, each of an account; "
        "`relay import alertmanager.yml` converts a whole file",
        "10:6: inhibit_rules[0].source_match: unknown key; write matchers, like "
        "`source_matchers: ['severity=\"critical\"']`",
        "10:42: inhibit_rules[0].target_match_re: unknown key; write matchers, like "
        "`target_matchers: ['severity=~\"critical|major\"']`",
        "11:1: mute_time_intervals: unknown key; Alertmanager's old name; write `time_intervals`",
    ]


HINTED = {
    "accounts": ("bot_token", "api_url", "http_config", "authorization", "proxy_url", "tls_config"),
    "rooms": ("room_id", "message", "send_resolved", "webex_configs"),
    "route": ("receiver", "match", "match_re"),
    "sources": ("basic_auth", "authorization", "bearer_token", "http_config", "proxy_url"),
}


@pytest.mark.parametrize("at", ["accounts.webex", "rooms.noc", "route", "sources.prometheus"])
def test_all_of_alertmanagers_words_in_one_place_are_told(folder: Path, at: str) -> None:
    document = yaml.safe_load(GOOD)
    place = document
    for step in at.split("."):
        place = place[step]
    words = HINTED[at.partition(".")[0]]
    place.update(dict.fromkeys(words, "x"))
    found = [one.split(": ")[1] for one in problems(folder, yaml.safe_dump(document)) if "unknown key;" in one]
    assert sorted(found) == sorted(f"{at}.{word}" for word in words)


@pytest.mark.parametrize(
    ("section", "instead", "said"),
    [
        ("rooms", "rooms: [{name: noc, webex_configs: []}]", "rooms: expected a mapping, found a list"),
        ("accounts", "accounts: webex", "accounts: expected a mapping, found text"),
        ("templates", "templates: ['/etc/alertmanager/*.tmpl']", "templates: expected a mapping, found a list"),
        ("time_intervals", "time_intervals: 5", "time_intervals: expected a list, found a number"),
        ("time_intervals", "include: [none.yaml]", "can't be read: No such file or directory"),
        ("rooms", "include: [none.yaml]", "can't be read: No such file or directory"),
        ("accounts", "", "accounts: is missing"),
    ],
)
def test_no_name_is_missed_in_a_section_that_can_not_be_read(
    folder: Path, section: str, instead: str, said: str
) -> None:
    document = yaml.safe_load(GOOD)
    del document[section]
    errors = [one for one in problems(folder, f"{yaml.safe_dump(document)}{instead}\n") if ": warning: " not in one]
    assert said in errors[0], errors
    missing = [f"{section}: is missing"] if section == "rooms" and instead.startswith("include") else []
    assert [one for one in errors[1:] if not any(text in one for text in missing)] == []


def test_a_misspelled_name_is_told_beside_a_file_that_can_not_be_read(folder: Path) -> None:
    text = GOOD.replace("rooms: [noc, oncall]", "rooms: [noc, onkall]") + "include: [none.yaml]\n"
    found = problems(folder, text)
    assert len(found) == 2
    assert found[1].endswith("no room is called 'onkall' (did you mean 'oncall'?)")


@pytest.mark.parametrize(
    "word", ["webex_configs", "slack_configs", "email_configs", "pagerduty_configs", "webhook_configs"]
)
@pytest.mark.parametrize("section", ["rooms.noc", "route", ""])
def test_integrations_of_receivers_are_rooms_wherever_they_stand(folder: Path, word: str, section: str) -> None:
    document = yaml.safe_load(GOOD)
    at = document
    for step in section.split(".") if section else ():
        at = at[step]
    at[word] = [{"channel": "#noc"}]
    found = problems(folder, yaml.safe_dump(document))
    assert len(found) == 1
    assert f"{word}: unknown key; an integration of a receiver is a room of an account here" in found[0]
