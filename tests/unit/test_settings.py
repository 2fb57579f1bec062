from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from relay.core.routing import destinations, resolve
from relay.formats import FORMATS
from relay.settings.load import Loaded, check_machine, load
from relay.settings.problems import ConfigurationError, dotted, near
from relay.settings.rules import compile_rules
from relay.settings.schema import schema_text
from relay.settings.secrets import MASK, LiveSecret, SecretError, SecretRef, secrets_of

BASE = """\
accounts:
  webex: {type: webex, token: {env: WEBEX_TOKEN}}
rooms:
  noc: {account: webex, title: NOC}
operator: {room: noc}
route: {rooms: [noc]}
"""
LINE = BASE.count("\n") + 1
SECRET = "hunter2"


def write(folder: Path, text: str | bytes, name: str = "relay.yaml") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def read(folder: Path, text: str | bytes, **environment: str) -> Loaded:
    return load(write(folder, text), FORMATS, environment)


def problems(folder: Path, text: str | bytes, **environment: str) -> list[str]:
    """The problems of a configuration, without the folder's name."""
    with pytest.raises(ConfigurationError) as caught:
        read(folder, text, **environment)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_a_small_configuration_has_no_problem(tmp_path: Path) -> None:
    loaded = read(tmp_path, BASE)
    assert loaded.warnings == ()
    assert str(loaded.settings.listen.events) == "127.0.0.1:9080"
    assert loaded.settings.retry.give_up_after == 86_400


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("roms: {}", "1: roms: unknown key (did you mean 'rooms'?)"),
        (
            "retry: {frist: 1s}",
            "9: retry.frist: unknown key (did you mean 'first'?); known are first, give_up_after, longest",
        ),
        ("retry: {first: soon}", "16: retry.first: expected a duration, like 30s, 5m or 1h30m; found 'soon'"),
        ("retry: {first: 0s}", "16: retry.first: expected more than 0, found 0"),
        ("keep: {size: big}", "14: keep.size: expected a size, like 1048576, 64KiB or 20MiB; found 'big'"),
        ("keep: {size: no}", "14: keep.size: expected a size like 64KiB, found false"),
        ("limits: {queue: 0}", "17: limits.queue: expected more than 0, found 0"),
        ("limits: {queue: 1.5}", "17: limits.queue: expected a whole number, found the number 1.5"),
        ("limits: {queue: true}", "17: limits.queue: expected a whole number, found true"),
        ("stop_grace: 101y", "13: stop_grace: expected a duration of at most 100y; found '101y'"),
        ("timezone: 1", "11: timezone: expected a time zone like UTC or Europe/Amsterdam, found the number 1"),
        ("limits: {queue: many}", "17: limits.queue: expected a whole number, found the text 'many'"),
        ("listen: 5", "9: listen: expected a mapping, found a number"),
        (
            "listen: {events: here}",
            "18: listen.events: expected an address like 127.0.0.1:9080 or [::1]:9080, found the text 'here'",
        ),
        (
            "listen: {events: '[::1]:70000'}",
            "18: listen.events: expected an address like 127.0.0.1:9080 or [::1]:9080, found the text '[::1]:70000'",
        ),
        (
            "listen: {admin: '127.0.0.1:9080'}",
            "17: listen.admin: is also the events address; give them different addresses",
        ),
        (
            "listen: {admin: '[::]:9081'}",
            "17: listen.admin: the admin address is not on loopback, so it needs `listen.admin_token`",
        ),
        (
            "timezone: Europe/Nowhere",
            "11: timezone: expected a time zone like UTC or Europe/Amsterdam, found the text 'Europe/Nowhere'",
        ),
        (
            "timezone: ../etc",
            "11: timezone: expected a time zone like UTC or Europe/Amsterdam, found the text '../etc'",
        ),
        ("storage: oracle", "10: storage: expected text like sqlite:/var/lib/relay/relay.db"),
        (
            "sources: {a: {}}",
            "14: sources.a: type is missing: expected webhook, websocket, apic, push or alertmanager-api",
        ),
        (
            "sources: {a: {type: webhok}}",
            "14: sources.a: type 'webhok' is not one of webhook, push, alertmanager-api, websocket, apic (did you "
            "mean 'webhook'?)",
        ),
        ("sources: {a: {type: websocket}}", "11: sources.a.url: is missing"),
        (
            "sources: {a: {type: websocket, url: http://x}}",
            "37: sources.a.url: expected text like wss://feed.example.net/v1",
        ),
        (
            "sources: {a: {type: webhook, format: alertmaneger}}",
            "38: sources.a.format: no format is called 'alertmaneger' (did you mean 'alertmanager'?)",
        ),
        (
            "sources: {a: {type: webhook, format: relay, map: {title: t}}}",
            "14: sources.a: expected format or map, found both; remove one",
        ),
        ("sources: {a: {type: webhook, map: {}}}", "30: sources.a.map.title: is missing"),
        (
            "sources: {a: {type: webhook, severity: majr}}",
            "40: sources.a.severity: 'majr' is not one of critical, major, minor, warning, info (did "
            "you mean 'major'?)",
        ),
        (
            "sources: {a: {type: webhook, rate: fast}}",
            "36: sources.a.rate: expected a rate, like 100/s or 30/m; found 'fast'",
        ),
        (
            "sources: {a: {type: webhook, labels: {n: 5}}}",
            "42: sources.a.labels.n: expected text, found the number 5; put it in quotes if you mean text",
        ),
        (
            "sources: {a: {type: webhook, auth: {}}}",
            "36: sources.a.auth: expected exactly one of bearer, basic, header, signature and sns, found none",
        ),
        (
            "sources: {a: {type: webhook, auth: {beare: x}}}",
            "37: sources.a.auth.beare: unknown key (did you mean 'bearer'?); known are basic, bearer, header, "
            "signature, sns",
        ),
        (
            "sources: {a: {type: webhook, auth: {basic: {username: u}}}}",
            "37: sources.a.auth.basic.password: is missing",
        ),
        (
            "sources: {a: {type: webhook, path: /healthz}}",
            "14: sources.a: listens at /healthz, and so does health; change one path",
        ),
        (
            "sources: {relay: {type: webhook}}",
            "18: sources.relay: this name is reserved for the relay's own events; choose another",
        ),
        (
            "templates: {t: {file: gone.md}}",
            "23: templates.t.file: {folder}/gone.md: can't be read: No such file or directory",
        ),
        (
            "stop_grace: 2026-01-01",
            "13: stop_grace: expected a duration, like 30s, 5m or 1h30m; found '2026-01-01'",
        ),
        (
            "storage: 'sqlite:${GONE}'",
            "10: storage: the environment variable GONE is not set (write $${GONE} for the text itself)",
        ),
        ("? [a]\n: x", "3: expected a key of text"),
    ],
)
def test_every_problem_has_its_place_its_path_and_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    found = problems(tmp_path, BASE + text + "\n")
    assert f"relay.yaml:{LINE}:{said.replace('{folder}', str(tmp_path))}" in found


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{rooms: [noc]}", "{rooms: [nco]}", "6:17: route.rooms[0]: no room is called 'nco' (did you mean 'noc'?)"),
        (
            "{rooms: [noc]}",
            "{}",
            "6:8: route: the root needs `rooms`; an empty list sends events that no child route matches nowhere",
        ),
        (
            "{rooms: [noc]}",
            "{rooms: [noc], continue: true}",
            "6:33: route.continue: the root has no siblings to continue with",
        ),
        (
            "{rooms: [noc]}",
            "{rooms: [noc], matchers: [a=b]}",
            "6:33: route.matchers: the root matches every event; move the matchers to a route below",
        ),
        ("{rooms: [noc]}", "{rooms: [noc], template: t}", "6:33: route.template: no template is called 't'"),
        (
            "operator: {room: noc}",
            "operator: {room: nok}",
            "5:18: operator.room: no room is called 'nok' (did you mean 'noc'?)",
        ),
        (
            "account: webex",
            "account: webx",
            "4:18: rooms.noc.account: no account is called 'webx' (did you mean 'webex'?)",
        ),
        (
            "title: NOC",
            "title: NOC, id: x",
            "4:8: rooms.noc: expected exactly one of id, title and person, found id and title",
        ),
        ("title: NOC", "create: true", "4:8: rooms.noc: expected exactly one of id, title and person, found none"),
        ("title: NOC", "id: x, create: true", "4:8: rooms.noc: create and members work only with a title"),
        ("type: webex, ", "", "2:10: accounts.webex: type is missing: expected webex or spika"),
        (
            "type: webex",
            "type: spika, url: http://x",
            "2:39: accounts.webex.token: unknown key; the secret of a Spika account is `access_token`",
        ),
        (
            "type: webex, token:",
            "type: spika, url: 'http://x', access_token:",
            "4:8: rooms.noc: a room of a Spika account needs an `id`, which is a number",
        ),
        (
            "type: webex",
            "type: wbex",
            "2:10: accounts.webex: type 'wbex' is not one of webex, spika (did you mean 'webex'?)",
        ),
        (
            "{env: WEBEX_TOKEN}",
            "{evn: WEBEX_TOKEN}",
            "2:31: accounts.webex.token: expected a secret as {env: NAME}, {file: PATH} or {credential: NAME}",
        ),
        ("{env: WEBEX_TOKEN}", "[]", "2:31: accounts.webex.token: expected a secret as {env: NAME}"),
        (
            "noc: {account",
            '"n c": {account',
            "4:10: rooms.n c: expected a name of letters, digits, - _ and . only; found 'n c'",
        ),
    ],
)
def test_what_does_not_fit_together_is_told_where_it_stands(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = BASE.replace(old, new)
    assert any(found.startswith(f"relay.yaml:{said}") for found in problems(tmp_path, text)), problems(tmp_path, text)


def test_all_problems_are_told_at_once_in_the_files_order(tmp_path: Path) -> None:
    text = BASE.replace("title:", "titel:") + "retry: {first: x, longest: y}\nbogus: 1\n"
    places = [problem.split(": ")[0] for problem in problems(tmp_path, text)]
    assert places == ["relay.yaml:4:25", "relay.yaml:7:16", "relay.yaml:7:28", "relay.yaml:8:1"]


@pytest.mark.parametrize("matcher", ["severity", 'a="b" c="d"', 'a=~"("'])
def test_a_matcher_that_cannot_be_read_is_told_with_its_place(tmp_path: Path, matcher: str) -> None:
    text = BASE.replace("{rooms: [noc]}", f"{{rooms: [noc], routes: [{{matchers: ['{matcher}']}}]}}")
    (found,) = problems(tmp_path, text)
    assert found.startswith("relay.yaml:6:44: route.routes[0].matchers[0]: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "relay.yaml:1:1: the file is empty"),
        ("# nothing\n", "relay.yaml:1:1: the file is empty"),
        ("- a\n", "relay.yaml:1:1: expected a mapping"),
        ("a: [1\n", "relay.yaml:2:1: not valid YAML"),
        ("a:\n\tb: 1\n", "relay.yaml:2:1: not valid YAML: found character '\\t' that cannot start any token"),
        (BASE + "---\na: 1\n", f"relay.yaml:{LINE + 1}:1: expected one document"),
        (BASE.encode() + b"# caf\xe9\n", f"relay.yaml:{LINE}:6: the file is not UTF-8 here"),
        (BASE + "# bell \x07\n", f"relay.yaml:{LINE}:1: not valid YAML: found a control character (7)"),
        ("a: " + "[" * 5_000 + "]" * 5_000, "relay.yaml:1:1: nested too deeply"),
        ("a: " + "[" * 60 + "]" * 60, "relay.yaml:1:54: a[0][0]"),
        ("a: &a {b: *a}\n", "relay.yaml:1:4: a.b: aliases or nesting give more than 200,000 values"),
        ("a: *b\n", "relay.yaml:1:4: not valid YAML: an alias (*)"),
    ],
)
def test_what_is_no_configuration_at_all_is_told_with_its_place(tmp_path: Path, text: str | bytes, said: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(said)


def test_tabs_get_a_hint(tmp_path: Path) -> None:
    assert problems(tmp_path, "a:\n\tb: 1\n")[0].endswith("indent with spaces, not tabs")


def test_an_alias_bomb_is_told_before_it_goes_off(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (found,) = problems(tmp_path, "\n".join(lines))
    assert "aliases or nesting give more than 200,000 values or 50 levels" in found


def test_a_directory_a_missing_file_and_a_huge_one_are_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected a file, found a directory"):
        load(tmp_path, FORMATS)
    with pytest.raises(ConfigurationError, match="can't be read: No such file"):
        load(tmp_path / "gone.yaml", FORMATS)
    assert "expected at most 4 MiB, found more" in problems(tmp_path, b"#" * (4 * 2**20 + 1))[0]


def test_a_key_given_twice_is_a_problem_at_its_second_place(tmp_path: Path) -> None:
    assert problems(tmp_path, BASE + "retry:\n  first: 1s\n  first: 2s\n") == [
        f"relay.yaml:{LINE + 2}:3: retry.first: given twice; remove one"
    ]


def test_byte_order_marks_windows_line_ends_anchors_and_merges_are_fine(tmp_path: Path) -> None:
    text = BASE.replace(
        "  noc: {account: webex, title: NOC}", "  noc: &r {account: webex, title: NOC}\n  core: {<<: *r, title: Core}"
    )
    loaded = read(tmp_path, b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert loaded.settings.rooms["core"].title == "Core"


def test_variables_are_expanded_in_plain_values(tmp_path: Path) -> None:
    text = BASE + "storage: sqlite:${FOLDER}/$${NAME}-$5.db\n"
    assert read(tmp_path, text, FOLDER="/srv").settings.storage == "sqlite:/srv/${NAME}-$5.db"


def test_included_files_add_up_and_their_problems_name_them(tmp_path: Path) -> None:
    write(tmp_path, "rooms:\n  core: {account: webex, title: Core}\n", "more.yaml")
    text = BASE + "include: [more.yaml]\n"
    assert set(read(tmp_path, text).settings.rooms) == {"noc", "core"}
    write(tmp_path, "rooms:\n  noc: {account: webex, title: Again}\nretry: {frist: 1s}\n", "more.yaml")
    assert any(found.endswith("rooms.noc: given in two files; remove one") for found in problems(tmp_path, text))
    assert any(found.startswith("more.yaml:3:9: retry.frist: unknown key") for found in problems(tmp_path, text))


@pytest.mark.parametrize(
    ("include", "said"),
    [
        ("[relay.yaml]", "relay.yaml is included already"),
        ("5", "expected the path of a file, found a number"),
        ("gone.yaml", "No such file"),
        ("'.'", "found a directory"),
    ],
)
def test_a_wrong_include_is_told(tmp_path: Path, include: str, said: str) -> None:
    assert said in problems(tmp_path, BASE + f"include: {include}\n")[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BASE.replace("operator: {room: noc}\n", ""), "no `operator.room`"),
        (
            BASE.replace("{env: WEBEX_TOKEN}", SECRET),
            "2:31: warning: accounts.webex.token: a secret is in the file",
        ),
        (
            BASE.replace("title: NOC}", "title: NOC, fallback: two}\n  two: {account: webex, title: Two}"),
            "warning: rooms.noc.fallback: is a room of the same account, webex",
        ),
        (
            BASE.replace("title: NOC}", "title: NOC}\n  two: {account: webex, title: NOC}"),
            "is the same space as room 'noc'",
        ),
        (
            BASE.replace("[noc]}", "[noc], routes: [{matchers: [a=b]}, {matchers: [a=b, c=d]}]}"),
            "is never reached: route.routes[0] takes every event",
        ),
    ],
)
def test_what_may_not_be_meant_is_a_warning(tmp_path: Path, text: str, said: str) -> None:
    (warning,) = read(tmp_path, text).warnings
    assert warning.level == "warning"
    assert said in str(warning)


@given(st.lists(st.tuples(st.sets(st.sampled_from(("a=b", 'a=~"x|y"', "c=d", "e!=f"))), st.booleans()), max_size=8))
def test_a_route_is_never_reached_if_an_earlier_one_asks_for_no_more(routes: list[tuple[set[str], bool]]) -> None:
    tree = [{"matchers": sorted(matchers), "continue": on} for matchers, on in routes]
    with TemporaryDirectory() as folder:
        found = read(Path(folder), BASE.replace("[noc]}", f"[noc], routes: {json.dumps(tree)}}}")).warnings
    takers = [
        next((n for n, (other, on) in enumerate(routes[:number]) if other <= matchers and not on), None)
        for number, (matchers, _) in enumerate(routes)
    ]
    assert [(one.path, one.message.split(" takes")[0]) for one in found] == [
        (f"route.routes[{number}]", f"is never reached: route.routes[{taker}]")
        for number, taker in enumerate(takers)
        if taker is not None
    ]


@pytest.mark.parametrize(
    ("rooms", "said"),
    [
        ({"a": "a"}, "rooms.a.fallback: the fallbacks form a circle: a → a"),
        ({"a": "b", "b": "c", "c": "a"}, "rooms.b.fallback: the fallbacks form a circle: b → c → a → b"),
        ({"a": "nowhere"}, "rooms.a.fallback: no room is called 'nowhere'"),
    ],
)
def test_a_fallback_that_leads_nowhere_is_an_error(tmp_path: Path, rooms: dict[str, str], said: str) -> None:
    more = "".join(f"\n  {name}: {{account: webex, title: {name}, fallback: {to}}}" for name, to in rooms.items())
    found = problems(tmp_path, BASE.replace("title: NOC}", f"title: NOC}}{more}"))
    assert said in "\n".join(map(str, found))


def test_a_source_beyond_loopback_says_how_it_proves_itself(tmp_path: Path) -> None:
    text = BASE + "listen: {events: ':9080'}\nsources: {a: {type: webhook}, b: {type: webhook, auth: none}}\n"
    (found,) = problems(tmp_path, text)
    assert "sources.a: the events address is not on loopback, so a source needs `auth`" in found


# Secrets

LEAKS = [
    f"auth: {SECRET}",
    f"auth: [{SECRET}]",
    f"auth: {{bearer: {SECRET}, basic: {{username: u, password: {SECRET}}}}}",
    f"auth: {{bearer: {{value: {SECRET}}}}}",
    f"auth: {{bearer: [[{SECRET}]]}}",
    f"auth: {{basic: {SECRET}}}",
    f"auth: {{basic: {{username: [], password: {SECRET}}}}}",
    f"auth: {{bearer: !{SECRET} x}}",
    f"auth: {{bearer: !!int {SECRET}}}",
    f"auth: {{bearer: !!binary {SECRET}!}}",
    f"auth: {{bearer: *{SECRET}}}",
    f"auth: {{bearer: {SECRET}}}, rate: x",
    f"auth: {{header: {{name: ':', value: {SECRET}}}}}",
    f"url: 'wss://u:{SECRET} @x'",
]


@pytest.mark.parametrize("leak", LEAKS)
def test_no_problem_shows_a_secret(tmp_path: Path, leak: str) -> None:
    kind = "websocket" if leak.startswith("url") else "webhook"
    found = problems(tmp_path, BASE + f"sources: {{a: {{type: {kind}, {leak}}}}}\n")
    assert found
    assert not any(SECRET in problem for problem in found), found


def test_settings_never_show_a_secret(tmp_path: Path) -> None:
    text = BASE.replace("{env: WEBEX_TOKEN}", SECRET)
    text += f"sources: {{a: {{type: webhook, auth: {{bearer: [{SECRET}, {{env: OTHER}}]}}}}}}\n"
    loaded = read(tmp_path, text)
    shown = [repr(loaded.settings), str(loaded.settings), loaded.settings.model_dump_json(), *map(str, loaded.warnings)]
    assert not any(SECRET in text for text in shown)
    assert MASK in shown[0]
    assert "{env: OTHER}" in shown[2]
    assert [(dotted(path), ref.origin) for path, ref in secrets_of(loaded.settings)] == [
        ("accounts.webex.token", "literal"),
        ("sources.a.auth.bearer[0]", "literal"),
        ("sources.a.auth.bearer[1]", "env"),
    ]


def test_a_secret_masks_itself_in_every_form() -> None:
    ref = SecretRef("literal", SECRET)
    live = LiveSecret(ref)
    assert live.current() == SECRET
    assert not any(
        SECRET in text for text in (repr(ref), str(ref), f"{ref}", f"{ref!r:>3}", repr([ref]), repr(live), str(live))
    )


def test_a_secret_that_cannot_be_had_is_told_by_its_origin(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for place, said in [("gone", "No such file"), ("empty", "is empty"), ("binary", "is not text")]:
        with pytest.raises(SecretError, match=said):
            SecretRef("file", str(tmp_path / place)).resolve()
    with pytest.raises(SecretError, match="RELAY_TEST_NOT_SET is not set"):
        SecretRef("env", "RELAY_TEST_NOT_SET").resolve()


def test_secrets_that_cannot_be_had_are_problems_with_their_places(tmp_path: Path) -> None:
    loaded = read(tmp_path, BASE.replace("{env: WEBEX_TOKEN}", "{file: token}"))
    (found,) = check_machine(loaded)
    assert str(found).startswith(f"{tmp_path}/relay.yaml:2:31: accounts.webex.token: {{file: {tmp_path}/token}}")


def test_a_secret_in_a_file_follows_the_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    live = LiveSecret(SecretRef("file", str(file)))
    assert live.current() == "one"
    file.write_text("two\n")
    assert live.current() == "one"
    live.reread()
    assert live.current() == "two"
    file.unlink()
    live.reread()
    assert live.current() == "two"


# The tree, the schema, and words


def test_the_tree_is_compiled_with_everything_inherited(tmp_path: Path) -> None:
    text = BASE.replace("title: NOC}", "title: NOC}\n  core: {account: webex, title: Core}").replace(
        "{rooms: [noc]}",
        "{rooms: [noc], template: t, routes: [{matchers: [site=a], rooms: [core], routes: [{matchers: [x=y]}]}]}",
    )
    rules = compile_rules(read(tmp_path, text + "templates: {t: x}\n").settings)
    (found,) = resolve(rules.root, {"site": "a", "x": "y"})
    assert (found.path, found.rooms, found.template) == ("route.routes[0].routes[0]", ("core",), "t")
    assert found.lineage == '{}/{site="a"}/{x="y"}'
    assert [target.room for target in destinations(resolve(rules.root, {}))] == ["noc"]
    assert rules.operator is not None


def test_the_schema_takes_what_is_right_and_refuses_an_unknown_key() -> None:
    schema = json.loads(schema_text())
    good = yaml.safe_load(
        BASE + "sources: {a: {type: webhook, auth: none, rate: 5/s}, b: {type: webhook, auth: {bearer: {env: B}}}}\n"
    )
    jsonschema.validate(good, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**good, "bogus": 1}, schema)


def test_paths_and_near_names_read_as_users_write_them() -> None:
    assert dotted(("route", "routes", 0, "rooms")) == "route.routes[0].rooms"
    assert near("mayor", ["major", "minor"]) == " (did you mean 'major'?)"
    assert near("xyz", ["major"]) == ""


@pytest.mark.parametrize("url", ["ws://127.0.0.1:99999/", "ws://a..b/", "ws://[bad/", "ws://h:x/", "ws:///x"])
def test_a_feed_that_could_never_be_reached_is_told(tmp_path: Path, url: str) -> None:
    text = BASE + f"sources: {{feed: {{type: websocket, url: '{url}'}}}}\n"
    assert any("sources.feed.url: expected an address with a host" in found for found in problems(tmp_path, text)), (
        problems(tmp_path, text)
    )


def test_an_empty_list_of_secrets_is_no_list_that_admits_everyone(tmp_path: Path) -> None:
    text = "listen: {admin: '0.0.0.0:9081', admin_token: []}\n" + BASE
    assert any(
        "listen.admin_token: expected a secret or a list of secrets, found an empty list" in found
        for found in problems(tmp_path, text)
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("type: webex", "type: webex, proxy: '127.0.0.1:3128'", "accounts.webex.proxy: expected a proxy's address"),
        ("type: webex", "type: webex, proxy: 'http://'", "accounts.webex.proxy: expected a proxy's address"),
        ("type: webex", "type: webex, url: 'https://'", "accounts.webex.url: expected an address with a host"),
        ("title: NOC", "person: somebody", "person: expected an e-mail address"),
    ],
)
def test_how_a_service_is_reached_is_looked_at(tmp_path: Path, old: str, new: str, said: str) -> None:
    found = problems(tmp_path, BASE.replace(old, new))
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("tls: {verify: false}", "accounts.webex.tls.verify: any certificate"),
        ("proxy: 'http://u:p@x'", "accounts.webex.proxy: a password is in the file"),
    ],
)
def test_a_connection_that_is_less_than_it_could_be_draws_a_warning(tmp_path: Path, changes: str, said: str) -> None:
    (warning,) = read(tmp_path, BASE.replace("type: webex", f"type: webex, {changes}")).warnings
    assert said in str(warning)


def test_delays_that_would_shrink_are_told(tmp_path: Path) -> None:
    assert any(
        "retry: expected first to be at most longest, found 600s and 300s" in p
        for p in problems(tmp_path, BASE + "retry: {first: 10m}\n")
    )


@pytest.mark.parametrize(
    ("matcher", "said"),
    [
        ('severity="critcal"', "no event has the severity 'critcal' (did you mean 'critical'?)"),
        ('status="fireing"', "no event has the status 'fireing' (did you mean 'firing'?)"),
        ('source="lap"', "no event has the source 'lap'"),
        (
            'severity="high"',
            "no event has the severity 'high': high becomes major; if the sender's word is also a label",
        ),
        ('severity!="P1"', "no event has the severity 'P1': P1 becomes critical;"),
        ('severity=~"page|err"', "no event has the severity 'page|err': page becomes critical, err becomes major;"),
        ('severity=~"mauve|plum"', "no event has the severity 'mauve|plum'"),
        ('status=~"up|down"', "no event has the status 'up|down'"),
    ],
)
def test_a_matcher_that_nothing_can_match_draws_a_warning(tmp_path: Path, matcher: str, said: str) -> None:
    text = BASE.replace("route: {rooms: [noc]}", f"route: {{rooms: [noc], routes: [{{matchers: ['{matcher}']}}]}}")
    assert text != BASE
    (warning,) = read(tmp_path, text).warnings
    assert f"warning: route.routes[0].matchers[0]: {said}" in str(warning)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "on_update: shout",
            "route.on_update: expected one of edit, reply, post, none, or a list of them, found the text 'shout'",
        ),
        ("on_update: [edit, none]", "route.on_update: expected none alone"),
        ("on_resolve: [edit, post]", "route.on_resolve: expected edit or post, found both"),
        (
            "on_resolve: [edit, edti]",
            "route.on_resolve: expected one of edit, reply, post, none, or a list of them, found the text 'edti'",
        ),
        ("on_resolve: []", "route.on_resolve: expected one of edit, reply"),
    ],
)
def test_what_a_change_does_is_looked_at(tmp_path: Path, text: str, said: str) -> None:
    found = problems(tmp_path, BASE.replace("{rooms: [noc]}", f"{{rooms: [noc], {text}}}"))
    assert any(said in problem for problem in found), found


def test_children_inherit_how_incidents_live(tmp_path: Path) -> None:
    route = "{rooms: [noc], on_update: reply, routes: [{matchers: [a=b], on_resolve: [none], reopen_within: 0s}]}"
    root = compile_rules(read(tmp_path, BASE.replace("{rooms: [noc]}", route)).settings).root
    assert (root.policy.on_update, root.policy.on_resolve) == (("reply",), ("edit", "reply"))
    (child,) = root.routes
    assert (child.policy.on_update, child.policy.on_resolve, child.policy.reopen_within) == (("reply",), ("none",), 0.0)


@pytest.mark.parametrize(
    ("key", "bad"),
    [("times", "[{start_time: '25:00', end_time: '26:00'}]"), ("weekdays", "[funday]"), ("months", "[foo]")],
)
def test_a_bad_entry_of_a_list_is_one_error(tmp_path: Path, key: str, bad: str) -> None:
    intervals = f"time_intervals: [{{name: a, time_intervals: [{{{key}: {bad}}}]}}]"
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, f"{BASE}\n{intervals}")
    assert not any("expected at least one entry" in problem.message for problem in caught.value.problems)


def test_group_by_that_is_no_list_is_the_one_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, BASE.replace("route: {", "route: {group_by: site, group_wait: 1s, "))
    assert [problem.message for problem in caught.value.problems] == ["expected a list, found text"]
    for names in ("['']", "[site, site]"):
        with pytest.raises(ConfigurationError, match=r"group_by\[\d\]: '\w*' is (no label|given twice)"):
            read(tmp_path, BASE.replace("route: {", f"route: {{group_by: {names}, "))


def test_a_directory_that_is_not_there_is_a_warning_where_the_machine_is_looked_at(tmp_path: Path) -> None:
    loaded = read(tmp_path, BASE.replace("{env: WEBEX_TOKEN}", SECRET) + "files: {directories: [/nowhere/at-all]}\n")
    (found,) = check_machine(loaded)
    assert str(found).endswith("warning: files.directories[0]: there is no directory /nowhere/at-all now")
