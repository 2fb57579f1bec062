"""What `relay import` makes of Alertmanager's configurations: what is carried, what is noted, what is refused."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from relay.app.migration.keys import TABLES, Noted
from relay.app.migration.making import Migrated, migrate, migrate_text
from relay.app.migration.matchers import read_matchers
from relay.core.matching import BadMatcherError, view_of
from relay.core.routing import resolve
from relay.core.rules import Rules
from relay.formats import FORMATS
from relay.settings.load import load
from relay.settings.problems import ConfigurationError, dotted
from relay.settings.problems import Path as Place
from relay.settings.rules import compile_rules
from tests.fakes.made import event

GOLDEN = Path(__file__).parents[1] / "golden" / "import"
CASES = sorted(GOLDEN.glob("*.alertmanager.yml"))
RECEIVERS = "receivers: [{name: d}, {name: p, webex_configs: [{room_id: P}]}, {name: q, webex_configs: [{room_id: Q}]}]"


def rules_of(made: Migrated, folder: Path) -> Rules:
    """The rules by which a relay with the imported configuration decides."""
    file = folder / "relay.yaml"
    file.write_text(made.text(), encoding="utf-8")
    return compile_rules(load(file, FORMATS).settings)


def rooms_of(rules: Rules, **labels: str) -> list[str]:
    return [room for route in resolve(rules.root, view_of(event(labels=labels))) for room in route.rooms]


def refusals(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        migrate_text(text, "am.yml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.split(".")[0])
def test_a_configuration_becomes_the_one_on_record_and_loads(case: Path, tmp_path: Path, update_golden: bool) -> None:
    made = migrate_text(case.read_text(encoding="utf-8"), "alertmanager.yml")
    rules_of(made, tmp_path)
    file = case.with_name(case.name.replace(".alertmanager.yml", ".relay.yaml"))
    if update_golden:
        file.write_text(made.text(), encoding="utf-8")
    assert file.read_text(encoding="utf-8") == made.text(), f"{file.name} differs; --update-golden writes it anew"


# Scalars

WORDS = (
    *(
        "true",
        "yes",
        "on",
        "No",
        "y",
        "0123",
        "0x1F",
        "0b11",
        "0o17",
        "1.10",
        "1e3",
        "65_000",
        "1_000.5",
        ".inf",
        ".nan",
    ),
    *("2026-01-02", "2026-01-02T03:04:05Z", "21:00", "190:20:30", "-0", "=", "12e03", "Null-ish", "nan", "~x"),
)


@pytest.mark.parametrize("word", WORDS)
def test_a_scalar_keeps_its_text_wherever_it_stands(word: str, tmp_path: Path) -> None:
    made = migrate_text(
        f"""
route:
  receiver: {word}
  group_by: [{word}]
  routes:
    - {{receiver: q, match: {{k: {word}, {word}: k}}, mute_time_intervals: [{word}]}}
    - {{receiver: {word}, match_re: {{k: {word}}}}}
receivers: [{{name: {word}, webex_configs: [{{room_id: {word}}}]}}, {{name: q, webex_configs: [{{room_id: Q}}]}}]
time_intervals: [{{name: {word}, time_intervals: [{{years: [2026]}}]}}]
inhibit_rules: [{{source_match: {{k: {word}}}, target_match_re: {{k: {word}}}, equal: [{word}]}}]
"""
    )
    rules = rules_of(made, tmp_path)
    first, second = rules.root.routes
    assert [(one.name, one.value) for one in first.matchers] == [("k", word), (word, "k")]
    assert [(one.op, one.value) for one in second.matchers] == [("=~", word)]
    assert rules.root.policy.group_by == (word,)
    assert first.policy.mute == (word,)
    assert [*rules.intervals] == [word]
    (rule,) = rules.inhibit
    assert (rule.sources[0].value, rule.targets[0].value, rule.equal) == (word, word, (word,))
    assert [room["id"] for room in made.settings["rooms"].values()] == [word, "Q"]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20))
def test_any_text_comes_through_both_files(value: str) -> None:
    quoted = "'" + value.replace("'", "''") + "'"
    text = f"route: {{receiver: d, routes: [{{receiver: p, match: {{a: {quoted}}}}}]}}\n{RECEIVERS}"
    if "$${" in value:
        return
    made = migrate_text(text)
    again = yaml.safe_load(made.text())["route"]["routes"][0]["matchers"][0].replace("$${", "${")
    assert [one.value for one in read_matchers(again)] == [yaml.safe_load(quoted)]


@pytest.mark.parametrize("word", ["null", "~", "Null", "NULL"])
def test_an_unquoted_null_is_empty_as_in_alertmanager_and_told(word: str) -> None:
    made = migrate_text(f"route: {{receiver: d, routes: [{{receiver: p, match: {{a: {word}}}}}]}}\n{RECEIVERS}")
    assert made.settings["route"]["routes"][0]["matchers"] == ['a=""']
    assert any(f"reads an unquoted {word} as empty text" in note.message for note in made.notes)


@pytest.mark.parametrize(("word", "value"), [("y", True), ("On", True), ("TRUE", True), ("n", False), ("Off", False)])
def test_a_boolean_is_read_as_go_reads_it(word: str, value: bool) -> None:
    made = migrate_text(f"route: {{receiver: d, routes: [{{receiver: p, continue: {word}}}]}}\n{RECEIVERS}")
    assert made.settings["route"]["routes"][0].get("continue", False) is value


def test_anchors_aliases_and_merges_are_followed() -> None:
    made = migrate_text(
        f"""
route:
  receiver: d
  routes:
    - &one {{receiver: p, group_by: &labels [a, b], match: {{x: "1"}}}}
    - {{<<: *one, receiver: q, group_by: *labels}}
{RECEIVERS}
"""
    )
    first, second = made.settings["route"]["routes"]
    assert (first["rooms"], second["rooms"]) == (["p"], ["q"])
    assert first["matchers"] == second["matchers"] == ['x="1"']


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("route: {receiver: d, routes: [{receiver: q, <<: {receiver: p}}]}", "is merged (<<) and also given here"),
        ("route: {receiver: d, routes: [{<<: {match: {a: b}}, match: {c: d}}]}", "is merged (<<) and also given here"),
        ("route: {receiver: d, receiver: p}", "am.yml:1:22: route.receiver: given twice"),
        ("route: {receiver: d, routes: [{match: {a: b, a: c}}]}", "match.a: given twice"),
        ("route: {receiver: d, routes: [{match: {a: !!binary YQ==}}]}", "binary data (!!binary); write it as text"),
        ("route: {receiver: d, routes: [{match: {[a]: b}}]}", "expected a key of text"),
        ("route: {receiver: d\n", "not valid YAML"),
        ("route: {receiver: d}\n---\nroute: {}", "expected one document"),
        ("a: &a [*a]\nroute: {receiver: d}", "aliases or nesting give more than 200,000 values"),
        ("route: " + "{routes: [" * 60 + "]}" * 60, "aliases or nesting give more than 200,000 values"),
        ("route: " + "[" * 3_000 + "]" * 3_000, "nested too deeply"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True))
            + "route: {receiver: d}",
            "aliases or nesting give more than 200,000 values",
        ),
        ("", "the file is empty; expected an Alertmanager configuration, a mapping"),
        ("[]", "expected an Alertmanager configuration, a mapping"),
        ("a: b", "route: is missing"),
    ],
)
def test_yaml_that_cannot_be_trusted_is_refused_in_words(text: str, said: str) -> None:
    assert any(said in one for one in refusals(text)), refusals(text)


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "am.yml"
    for content, said in (
        (b"#" * (4 * 2**20 + 1), "expected at most 4 MiB"),
        (b"a: \xff", "am.yml:1:4: the file is not UTF-8 here"),
    ):
        file.write_bytes(content)
        with pytest.raises(ConfigurationError, match=said):
            migrate(file)


# What Alertmanager refuses


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ("{}", "am.yml:1:8: route: the root route needs a `receiver`"),
        ("{receiver: }", "the root route needs a `receiver`"),
        ("{receiver: x}", "am.yml:1:19: route.receiver: no receiver is called 'x'"),
        ("{receiver: d, routes: [{receiver: x}]}", "route.routes[0].receiver: no receiver is called 'x'"),
        ("{receiver: d, match: {a: b}}", "route.match: Alertmanager allows no `match` in the root route"),
        ("{receiver: d, continue: true}", "route.continue: Alertmanager allows no `continue` in the root route"),
        ("{receiver: d, mute_time_intervals: [x]}", "route.mute_time_intervals: Alertmanager allows no"),
        ("{receiver: d, routes: [{active_time_intervals: [x]}]}", "no time interval is called 'x'"),
        ("{receiver: d, group_wait: 5}", "route.group_wait: expected a duration, like 30s, 5m or 1h30m; found '5'"),
        ("{receiver: d, group_interval: 0s}", "route.group_interval: expected more than 0s"),
        ("{receiver: d, repeat_interval: 0}", "route.repeat_interval: expected more than 0s"),
        ("{receiver: d, group_by: ['...', a]}", "route.group_by: expected labels, each once"),
        ("{receiver: d, group_by: [a, a]}", "route.group_by: expected labels, each once"),
        ("{receiver: d, group_by: a}", "route.group_by: expected a list of texts, found text"),
        ("{receiver: [d]}", "route.receiver: expected text, found a list"),
        ("{receiver: d, routes: {receiver: d}}", "route.routes: expected a list, found a mapping"),
        ("{receiver: d, routes: [~]}", "route.routes[0]: expected a mapping, found nothing"),
        (
            "{receiver: d, routes: [{continue: 'true'}]}",
            "continue: expected true or false without quotes, found quoted",
        ),
        ("{receiver: d, routes: [{continue: 1}]}", "continue: expected true or false without quotes, found text"),
        ("{receiver: d, routes: [{match: [a]}]}", "match: expected a mapping of labels, found a list"),
        (
            "{receiver: d, routes: [{matchers: ['a']}]}",
            "route.routes[0].matchers[0]: expected a matcher, like severity=~\"critical|major\"; found 'a'",
        ),
        (
            "{receiver: d, routes: [{match_re: {a: '('}}]}",
            "match_re.a: expected a regular expression of RE2; found '('",
        ),
        ("{receiver: d, routes: [{match: {a: '$${b}'}}]}", "`$${` can't be written"),
    ],
)
def test_a_route_that_alertmanager_would_not_take_is_refused_with_its_place(route: str, said: str) -> None:
    found = refusals(f"route: {route}\n{RECEIVERS}")
    assert any(said in one for one in found), found


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("receivers: [~]", "receivers[0]: expected a mapping, found nothing"),
        ("receivers: [{webex_configs: []}]", "receivers[0]: a receiver needs a `name`"),
        ("receivers: [{name: d}, {name: d}]", "receivers[1].name: another receiver is called 'd'"),
        ("receivers: [{name: d, webex_configs: {room_id: x}}]", "webex_configs: expected a list, found a mapping"),
        ("receivers: [{name: d, webex_configs: [{room_id: x, api_url: nowhere}]}]", "expected an address like https"),
        ("receivers: [{name: d, webex_configs: [{room_id: x, http_config: {proxy_url: p}}]}]", "a proxy's address"),
        ("receivers: [{name: d}]\nglobal: 5", "global: expected a mapping, found text"),
        ("receivers: [{name: d}]\nglobal: {resolve_timeout: 0s}", "resolve_timeout: expected more than 0s"),
        ("receivers: [{name: d}]\ninhibit_rules: [{source_match: 5}]", "source_match: expected a mapping of labels"),
        (
            "receivers: [{name: d}]\ninhibit_rules: [{target_matchers: ['(']}]",
            "target_matchers[0]: expected a matcher, like severity=~\"critical|major\"; found '('",
        ),
        ("receivers: [{name: d}]\ninhibit_rules: [{equal: ['']}]", "equal: expected labels, found an empty one"),
        ("receivers: [{name: d}]\ntime_intervals: [{time_intervals: []}]", "a time interval needs a name"),
        ("receivers: [{name: d}]\ntime_intervals: [{name: a}]\nmute_time_intervals: [{name: a}]", "called 'a' already"),
        *(
            (f"receivers: [{{name: d}}]\ntime_intervals: [{{name: a, time_intervals: [{{{interval}}}]}}]", said)
            for interval, said in (
                (
                    "times: [{start_time: 9, end_time: '10:00'}]",
                    "times[0]: expected a time of day, like 09:00, or 24:00 for the day's end; found '9'",
                ),
                (
                    "times: [{start_time: '09:00'}]",
                    "times[0]: expected a time of day, like 09:00, or 24:00 for the day's end; found ''",
                ),
                (
                    "weekdays: [sunnyday]",
                    "weekdays[0]: expected a day of the week, like monday or monday:friday; found 'sunnyday'",
                ),
                ("weekdays: monday", "weekdays: expected a list of texts, found text"),
                ("days_of_month: ['-3:2']", "days_of_month[0]: '-3:2' ends before it begins"),
                ("months: [13]", "months[0]: expected a month, like january, 1 or january:march; found '13'"),
                ("years: ['2026:2025']", "years[0]: '2026:2025' ends before it begins"),
                ("location: Local", "location: expected a time zone like UTC or Europe/Amsterdam, found 'Local'"),
                ("weeks: [1]", "weeks: is unknown to the import; without it"),
            )
        ),
    ],
)
def test_a_section_that_alertmanager_would_not_take_is_refused_with_its_place(section: str, said: str) -> None:
    found = refusals(f"route: {{receiver: d}}\n{section}")
    assert any(said in one for one in found), found


def test_thousands_of_unknown_names_are_told_without_a_guess_at_each() -> None:
    routes = ", ".join(f"{{receiver: team-x{number}}}" for number in range(1_000))
    receivers = ", ".join(f"{{name: team-y{number}}}" for number in range(1_000))
    found = refusals(f"route: {{receiver: team-y0, routes: [{routes}]}}\nreceivers: [{receivers}]")
    assert len(found) == 1_000
    assert sum("did you mean" in one for one in found) == 100


def test_an_address_that_the_relay_would_change_is_told() -> None:
    webex = "[{room_id: R, api_url: http://127.0.0.1:1/webex}]"
    made = migrate_text(f"route: {{receiver: a}}\nreceivers: [{{name: a, webex_configs: {webex}}}]")
    assert made.settings["accounts"]["webex"]["url"] == "http://127.0.0.1:1/webex"
    assert any("/messages after it" in note.message for note in made.notes)


def test_all_errors_are_told_at_once() -> None:
    assert (
        len(refusals("route: {receiver: d, group_wait: x, routes: [{receiver: y}, {match: 5}]}\nreceivers: [7]")) == 5
    )


# Matchers


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a=b", 'a="b"'),
        (' a = b c, d!="e" ', 'a="b c",d!="e"'),
        ('{a="b",c=~d|e}', 'a="b",c=~"d|e"'),
        ("{}", ""),
        ("", ""),
        ("a=", 'a=""'),
        ('a="b,c"', 'a="b,c"'),
        (r'a="b\"c\\d\ne"', r'a="b\"c\\d\ne"'),
        (r"a=b\"c", r'a="b\"c"'),
        (r'a="\d+\.x"', r'a="\\d+\\.x"'),
        ("a=b\\", r'a="b\\"'),
        ("a=b=c", 'a="b=c"'),
        ("a={b}", 'a="{b"'),
        ("a='b'", "a=\"'b'\""),
        ("a==b", 'a="=b"'),
        ("a:b_1=c", 'a:b_1="c"'),
        ("severity=page", 'label.severity="page"'),
        ("source!=x", 'label.source!="x"'),
        ('"a b"="c"', '"a b"="c"'),
        ("a.b=~c", 'a.b=~"c"'),
        ("é=ü", 'é="ü"'),
    ],
)
def test_a_matcher_is_read_as_alertmanager_reads_it(text: str, read: str) -> None:
    assert ",".join(map(str, read_matchers(text))) == read


@pytest.mark.parametrize(
    "text", ["a", "=b", 'a="b', 'a=b"', 'a="b"c', r'a="b\"', "a=b,,c=d", 'a=b d,"e', "=~2", '"é"="\\t"']
)
def test_a_text_that_is_no_matcher_to_alertmanager_is_refused(text: str) -> None:
    with pytest.raises(BadMatcherError):
        read_matchers(text)


@pytest.mark.parametrize("name", ["source", "status", "severity", "title", "key", "format", "label.x", "alertname"])
def test_a_label_keeps_its_meaning_beside_the_fields_of_events(name: str, tmp_path: Path) -> None:
    made = migrate_text(
        f"""
route: {{receiver: d, group_by: [{name}], routes: [{{receiver: p, matchers: ['"{name}"="x"']}}]}}
inhibit_rules: [{{source_match: {{{name}: a}}, target_match: {{{name}: b}}, equal: [{name}]}}]
{RECEIVERS}
"""
    )
    rules = rules_of(made, tmp_path)
    assert rooms_of(rules, **{name: "x"}) == ["p"]
    assert rooms_of(rules, **{name: "y"}) == []
    view = view_of(event(labels={name: "a"}))
    assert [view[one] for one in rules.root.policy.group_by or ()] == ["a"]
    (rule,) = rules.inhibit
    assert all(one.matches(view) for one in rule.sources)
    assert [view[one] for one in rule.equal] == ["a"]


def test_matchers_of_all_forms_must_hold_together(tmp_path: Path) -> None:
    route = "{receiver: p, match: {a: '1'}, match_re: {b: x|y}, matchers: [c!=z, 'd=~\"\", e!~\"f.*\"']}"
    rules = rules_of(migrate_text(f"route: {{receiver: d, routes: [{route}]}}\n{RECEIVERS}"), tmp_path)
    assert rooms_of(rules, a="1", b="x") == ["p"]
    for labels in ({"b": "x"}, {"a": "1", "b": "xx"}, {"a": "1", "b": "x", "c": "z"}, {"a": "1", "b": "y", "d": "1"}):
        assert rooms_of(rules, **labels) == []


def test_a_child_with_an_empty_grouping_inherits_as_in_alertmanager() -> None:
    made = migrate_text(f"route: {{receiver: d, group_by: [a], routes: [{{receiver: p, group_by: []}}]}}\n{RECEIVERS}")
    assert "group_by" not in made.settings["route"]["routes"][0]


# Receivers


def test_a_receiver_without_integrations_tells_nobody(tmp_path: Path) -> None:
    made = migrate_text(
        """
route:
  receiver: "null"
  routes:
    - {receiver: Watchdog, match: {alertname: Watchdog}}
    - {receiver: empty, match: {alertname: Empty}}
    - {receiver: noc, match: {severity: critical}, routes: [{match: {quiet: "1"}}]}
receivers:
  - name: "null"
  - {name: Watchdog, slack_configs: [], webex_configs: ~}
  - {name: empty, webex_configs: []}
  - {name: noc, webex_configs: [{room_id: R}]}
"""
    )
    assert [*made.settings["rooms"]] == ["noc"]
    assert made.settings["operator"] == {"room": "noc"}
    rules = rules_of(made, tmp_path)
    assert rooms_of(rules) == rooms_of(rules, alertname="Watchdog") == rooms_of(rules, alertname="Empty") == []
    assert rooms_of(rules, severity="critical", quiet="1") == ["noc"]
    told = {note.path for note in made.notes if "has no integration" in note.message}
    assert told == {"receivers[0]", "receivers[1]", "receivers[2]"}


def test_receivers_that_tell_nobody_at_all_make_a_configuration_that_loads(tmp_path: Path) -> None:
    made = migrate_text("route: {receiver: d}\nreceivers: [{name: d}]")
    assert made.settings["rooms"] == made.settings["accounts"] == {}
    assert "operator" not in made.settings
    assert any("set `operator`" in note.message for note in made.notes)
    assert rooms_of(rules_of(made, tmp_path)) == []


def test_a_receiver_of_other_integrations_gets_a_room_to_be_filled_in(tmp_path: Path) -> None:
    made = migrate_text(
        "route: {receiver: s}\nreceivers: [{name: s, slack_configs: [{channel: x}], pager_configs: [{}]}]", "am.yml"
    )
    assert made.settings["rooms"] == {"s": {"account": "webex", "title": "s"}}
    assert "operator" not in made.settings
    assert rooms_of(rules_of(made, tmp_path)) == ["s"]
    notes = [str(note) for note in made.notes]
    assert (
        "am.yml:2:13: warning: receivers[0]: receiver 's' has only slack_configs, pager_configs, which the relay does "
        "not have; rooms.s takes its place: give it the id or title of one of your rooms"
    ) in notes
    assert any(
        "am.yml:2:23: warning: receivers[0].slack_configs: the relay does not have this" in note for note in notes
    )


@pytest.mark.parametrize("room", ["'{{ .CommonLabels.room }}'", "'${WEBEX_ROOM}'", "'x{{ y }}'"])
def test_a_room_id_that_is_to_be_filled_in_is_no_room_id(room: str) -> None:
    made = migrate_text(f"route: {{receiver: r}}\nreceivers: [{{name: r, webex_configs: [{{room_id: {room}}}]}}]")
    assert made.settings["rooms"] == {"r": {"account": "webex", "title": "r"}}
    assert any(note.path == "receivers[0].webex_configs[0].room_id" for note in made.notes)


def test_an_unquoted_null_names_the_receiver_of_that_name_or_inherits() -> None:
    text = "route: {receiver: d, routes: [{receiver: null}, {receiver: ~}, {receiver: }]}\n"
    made = migrate_text(text + "receivers: [{name: d, webex_configs: [{room_id: D}]}, {name: null}]")
    assert [route.get("rooms") for route in made.settings["route"]["routes"]] == [[], None, None]
    made = migrate_text(text + "receivers: [{name: d, webex_configs: [{room_id: D}]}]")
    assert [route.get("rooms") for route in made.settings["route"]["routes"]] == [None, None, None]


def test_receivers_become_accounts_rooms_and_policies() -> None:
    made = migrate_text(
        """
global: {webex_api_url: http://127.0.0.1:1/v1/messages}
route: {receiver: a, routes: [{receiver: b}, {receiver: two rooms}, {receiver: own}]}
receivers:
  - {name: a, webex_configs: [{room_id: R1, http_config: {authorization: {credentials: T1}}}]}
  - {name: b, webex_configs: [{room_id: R2, send_resolved: no, http_config: {bearer_token: T1}}]}
  - name: two rooms
    webex_configs:
      - {room_id: R3, http_config: {authorization: {credentials_file: /run/t2, type: bearer}}}
      - {room_id: R4, send_resolved: false, http_config: {bearer_token_file: /run/t2}}
  - name: own
    webex_configs:
      - room_id: R5
        api_url: https://webexapis.com/v1/messages
        http_config:
          proxy_url: http://proxy:3128
          authorization: {type: Token}
          tls_config: {ca_file: ca.pem, insecure_skip_verify: true, min_version: TLS13}
"""
    )
    assert made.settings["accounts"] == {
        "webex": {"type": "webex", "url": "http://127.0.0.1:1/v1", "token": {"env": "WEBEX_TOKEN"}},
        "webex2": {"type": "webex", "url": "http://127.0.0.1:1/v1", "token": {"file": "/run/t2"}},
        "webex3": {
            "type": "webex",
            "proxy": "http://proxy:3128",
            "tls": {"ca": "ca.pem", "verify": False},
            "token": {"env": "WEBEX_TOKEN_3"},
        },
    }
    assert {name: (room["account"], room["id"]) for name, room in made.settings["rooms"].items()} == {
        "a": ("webex", "R1"),
        "b": ("webex", "R2"),
        "two-rooms": ("webex2", "R3"),
        "two-rooms-2": ("webex2", "R4"),
        "own": ("webex3", "R5"),
    }
    assert [route.get("on_resolve") for route in made.settings["route"]["routes"]] == ["none", *2 * [["edit", "reply"]]]
    assert "T1" not in made.text()
    notes = "\n".join(map(str, made.notes))
    for said in (
        "ends are sent to two-rooms-2 too",
        "'ca.pem' is now relative to the folder",
        "Webex accepts only Bearer",
        "tls_config.min_version",
    ):
        assert said in notes


# Nothing is lost

FULL: dict[str, Any] = {
    "global": {"slack_api_url": "https://hooks.example.net/x"},
    "route": {"receiver": "d", "routes": [{"receiver": "p", "match": {"x": "1"}}]},
    "receivers": [
        {"name": "d", "email_configs": [{"to": "a@example.net"}]},
        {
            "name": "p",
            "webex_configs": [
                {
                    "room_id": "P",
                    "http_config": {"authorization": {"type": "Bearer"}, "tls_config": {"server_name": "x"}},
                }
            ],
        },
    ],
    "inhibit_rules": [{"source_match": {"s": "1"}, "target_match": {"t": "1"}}],
    "time_intervals": [
        {"name": "i", "time_intervals": [{"months": ["1"], "times": [{"start_time": "01:00", "end_time": "02:00"}]}]}
    ],
}
PLACES: dict[str, Place] = {
    "file": (),
    "global": ("global",),
    "route": ("route", "routes", 0),
    "receiver": ("receivers", 1),
    "webex": ("receivers", 1, "webex_configs", 0),
    "http": ("receivers", 1, "webex_configs", 0, "http_config"),
    "authorization": ("receivers", 1, "webex_configs", 0, "http_config", "authorization"),
    "tls": ("receivers", 1, "webex_configs", 0, "http_config", "tls_config"),
    "inhibition": ("inhibit_rules", 0),
    "named interval": ("time_intervals", 0),
    "interval": ("time_intervals", 0, "time_intervals", 0),
    "times": ("time_intervals", 0, "time_intervals", 0, "times", 0),
}
SAMPLES: dict[str, Any] = {
    **{f"{side}{key}": {"new": "v"} for side in ("", "source_", "target_") for key in ("match", "match_re")},
    **{f"{side}matchers": ["new=v"] for side in ("", "source_", "target_")},
    **dict.fromkeys(("continue", "insecure_skip_verify"), True),
    **dict.fromkeys(("group_wait", "group_interval", "repeat_interval", "resolve_timeout"), "7m"),
    "mute_time_intervals": ["i"],
    "active_time_intervals": ["i"],
    "group_by": ["new"],
    "equal": ["new"],
    "time_intervals": [{"months": ["5"]}],
    "send_resolved": False,
    "api_url": "https://example.net/v1",
    "webex_api_url": "https://example.net/v1",
    "proxy_url": "http://proxy:1",
    "bearer_token_file": "/t",
    "credentials_file": "/t",
    "ca_file": "/ca",
    "receiver": "d",
    "name": "new",
    "room_id": "new",
    "type": "Token",
    "authorization": {"credentials_file": "/t"},
    "routes": [{"receiver": "d"}],
    "http_config": {"proxy_url": "http://proxy:1"},
    "webex_configs": [{"room_id": "new"}],
    "tls_config": {"ca_file": "/ca"},
    "weekdays": ["monday"],
    "days_of_month": ["-1"],
    "months": ["2"],
    "years": ["2027"],
    "location": "Europe/Amsterdam",
    "start_time": "00:30",
    "end_time": "03:00",
    "times": [{"start_time": "05:00", "end_time": "06:00"}],
}
WHOLE = {("file", key) for key in FULL} | {("receiver", "name")}
"""Stand in the full configuration already; their own tables are tried, and routes name receivers."""
SECRET = {"credentials", "bearer_token"}
"""Texts that go into a variable of the environment, by the note of their account."""
ANYTHING = st.recursive(
    st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=9) | st.just(["a"]),
    lambda one: st.lists(one, min_size=1, max_size=2) | st.dictionaries(st.sampled_from("ab"), one, min_size=1),
)


def put(table: str, key: str, value: Any) -> tuple[str, Place]:
    """The full configuration with a key set in it, and the key's place."""
    whole: Any = deepcopy(FULL)
    holder = whole
    for step in PLACES[table]:
        holder = holder[step]
    holder[key] = value
    if key == "mute_time_intervals" and table == "file":
        holder[key] = [{"name": "j", "time_intervals": [{"months": ["3"]}]}]
    return yaml.safe_dump(whole, sort_keys=False), (*PLACES[table], key)


@pytest.mark.parametrize(
    ("table", "key"),
    [(table, key) for table, keys in TABLES.items() for key in keys if (table, key) not in WHOLE],
)
def test_each_key_of_alertmanager_is_carried_or_noted_at_its_place(table: str, key: str) -> None:
    plain = migrate_text(yaml.safe_dump(FULL, sort_keys=False))
    text, place = put(table, key, SAMPLES.get(key, "x"))
    fate = TABLES[table][key]
    made = migrate_text(text)
    noted = [note for note in made.notes if note.path == dotted(place)]
    if isinstance(fate, Noted):
        (note,) = noted
        assert key in text.splitlines()[note.mark.line - 1]
        assert (made.settings == plain.settings) is not fate.spoils
    elif key not in SECRET:
        assert made.settings != plain.settings or noted


@given(
    table=st.sampled_from([*TABLES]),
    key=st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="_- "), min_size=1, max_size=12),
    value=ANYTHING,
)
def test_a_key_that_nobody_knows_is_named_at_its_place(table: str, key: str, value: Any) -> None:
    if key in TABLES[table]:
        return
    text, place = put(table, key, value)
    try:
        told = migrate_text(text).notes
    except ConfigurationError as error:
        told = error.problems
    (found,) = [one for one in told if one.path == dotted(place)]
    assert "is unknown to the import" in found.message
    assert yaml.safe_dump(key).split("\n")[0] in text.splitlines()[found.mark.line - 1]


def test_a_rule_with_more_than_the_relay_can_do_is_left_out_whole() -> None:
    for key in ("sources", "until"):
        text, place = put("inhibition", key, [{"matchers": ["a=b"]}])
        made = migrate_text(text)
        assert "inhibit_rules" not in made.settings
        assert any(note.path == dotted(place) and "left out" in note.message for note in made.notes)


def test_variables_and_templates_stay_text_and_are_told(tmp_path: Path) -> None:
    route = "{receiver: 'p${ENV}', match: {a: '${ENV}', b: '{{ x }}', c: '$X ${1}'}}"
    made = migrate_text(
        f"route: {{receiver: d, routes: [{route}]}}\nreceivers: [{{name: d}}, {{name: 'p${{ENV}}', "
        "webex_configs: [{room_id: P}]}]"
    )
    rules = rules_of(made, tmp_path)
    assert [one.value for one in rules.root.routes[0].matchers] == ["${ENV}", "{{ x }}", "$X ${1}"]
    told = {note.path for note in made.notes if "stays text" in note.message}
    assert told == {
        "route.routes[0].receiver",
        *(f"route.routes[0].match.{name}" for name in "abc"),
        "receivers[1].name",
    }


def test_a_name_with_signs_that_steer_a_terminal_stays_within_its_note() -> None:
    made = migrate_text(f'route: {{receiver: d, "a\\n# b\\e[31m": x}}\n{RECEIVERS}')
    head = made.text().split("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert "\x1b" not in head
    assert len(head.splitlines()) == len(made.notes) + 1
