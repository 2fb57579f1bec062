"""The program as its users have it: a process, a database file, a command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from typer.testing import CliRunner

from relay.cli import app, status
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from relay.storage.sqlite.database import lock
from tests.acceptance.harness import ROOT, RelayProcess, command, configure, environment, free_port, relay_process
from tests.acceptance.killing import kill_under_load
from tests.fakes.looking import PATIENCE, until_seen
from tests.fakes.running import messages, until


async def test_kill_9_under_load_loses_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    figures = await kill_under_load(tmp_path, sandbox, kills=4, seed=7)
    assert figures.accepted > 20
    assert (figures.lost, figures.out_of_order) == (0, 0)
    assert figures.duplicates <= figures.most_duplicates


async def test_sigterm_gives_sends_their_time_and_ends_with_0(tmp_path: Path, sandbox: Sandbox) -> None:
    sandbox.state.faults = [Fault(latency=0.3, method="POST")]
    sandbox.state.add_room("NOC")
    config = configure(tmp_path, sandbox)
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        async with session.post(relay.events + "/hooks/lab", json={"title": "in flight"}) as answer:
            assert answer.status == 202
        await relay.until_shown(session, "/api/v1/status", lambda status: status["deliveries"].get("leased"))
        assert await relay.stop() == 0
    assert [m.text.splitlines()[0] for m in messages(sandbox)] == ["🔵 WARNING · in flight"]
    code, out, _ = await command("deliveries", "list", "-c", str(config), "-o", "json")
    assert (code, [d["state"] for d in json.loads(out)]) == (0, ["done"])


async def test_a_second_signal_ends_it_at_once(tmp_path: Path, sandbox: Sandbox) -> None:
    sandbox.state.faults = [Fault(latency=60, method="POST")]
    sandbox.state.add_room("NOC")
    async with relay_process(configure(tmp_path, sandbox, stop_grace="60s")) as relay:
        async with aiohttp.ClientSession(trust_env=False) as session:
            async with session.post(relay.events + "/hooks/lab", json={"title": "slow"}):
                pass
            await relay.until_shown(session, "/api/v1/status", lambda status: status["deliveries"].get("leased"))
            relay.process.send_signal(signal.SIGTERM)

            async def stops() -> bool:
                try:
                    async with session.get(relay.admin + "/readyz") as answer:
                        return answer.status == 503
                except aiohttp.ClientError:
                    return True

            await until_seen(stops, bool)
        assert await relay.stop() == -signal.SIGTERM


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        ("damaged", 74, "damaged"),
        ("newer", 74, "newer relay"),
        ("directory", 74, "is a directory"),
        ("lock", 1, "can't be opened"),
        ("folder", 1, "does not exist"),
        ("configuration", 78, "did you mean 'rooms'"),
        ("secret", 78, ".token: the environment variable NO_SUCH_VARIABLE is not set"),
    ],
)
async def test_a_start_that_cannot_be_says_why_and_exits_with_its_code(
    tmp_path: Path, sandbox: Sandbox, spoil: str, code: int, said: str
) -> None:
    config = configure(tmp_path, sandbox)
    database = tmp_path / "relay.db"
    text = config.read_text(encoding="utf-8")
    if spoil == "damaged":
        database.write_bytes(b"nonsense" * 1000)
    elif spoil == "newer":
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA application_id = 1852793714")
            connection.execute("PRAGMA user_version = 99")
            connection.execute("CREATE TABLE t (a)")
        connection.close()
    elif spoil == "directory":
        database.mkdir()
    elif spoil == "lock":
        (tmp_path / "relay.db.lock").mkdir()
    elif spoil == "folder":
        config.write_text(text.replace("/relay.db", "/none/relay.db"), encoding="utf-8")
    elif spoil == "configuration":
        config.write_text(text.replace('"rooms": {', '"roms": {'), encoding="utf-8")
    else:
        config.write_text(text.replace('"token-of-the-tests"', '{"env": "NO_SUCH_VARIABLE"}'), encoding="utf-8")
    exit_code, _, error = await command("run", "-c", str(config))
    assert (exit_code, said in error) == (code, True), error


async def test_a_second_relay_on_one_database_is_refused_with_74(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    other = tmp_path / "other.yaml"
    text = json.loads(config.read_text(encoding="utf-8"))
    other.write_text(json.dumps({**text, "listen": {"events": "127.0.0.1:0", "admin": "127.0.0.1:0"}}))
    async with relay_process(config):
        code, _, error = await command("run", "-c", str(other))
        assert (code, "in use by another relay" in error) == (74, True)


async def test_a_second_relay_fails_on_its_port_before_it_touches_anything(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    other = tmp_path / "other.yaml"
    text = json.loads(config.read_text(encoding="utf-8"))
    asked: list[object] = []
    service = await asyncio.start_server(lambda *both: asked.append(both), "127.0.0.1", 0)
    url = "http://{}:{}".format(*service.sockets[0].getsockname())
    feed = {"type": "websocket", "url": url.replace("http", "ws"), "map": {"title": "x"}}
    text |= {"accounts": {"webex": {**text["accounts"]["webex"], "url": url}}, "sources": {"feed": feed}}
    async with service, relay_process(config):
        for taken in ("events", "admin"):
            listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", taken: text["listen"][taken]}
            changed = {**text, "listen": listen, "storage": f"sqlite:{tmp_path}/other.db"}
            other.write_text(json.dumps(changed), encoding="utf-8")
            code, _, error = await command("run", "-c", str(other))
            place = f"{other}: listen.{taken}: can't listen at {text['listen'][taken]}: Address already in use"
            assert (code, place in error) == (1, True), error
    assert not asked
    assert not [name for name in os.listdir(tmp_path) if name.startswith("other.db")]  # noqa: PTH208 - not blocking


async def test_at_info_each_request_and_each_message_has_a_line(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    lines: list[dict[str, Any]] = []
    for level, expected in (("notice", []), ("info", ["request_accepted", "message_sent"])):
        text = json.loads(config.read_text(encoding="utf-8"))
        config.write_text(json.dumps({**text, "log": level}), encoding="utf-8")
        async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
            before = len(messages(sandbox))
            await session.post(relay.events + "/hooks/lab", json={"title": f"at {level}"})
            await until(sandbox, lambda before=before: len(messages(sandbox)) > before)  # type: ignore[misc]
            await relay.stop()
        lines = [line for line in relay.lines if line["event"] in ("request_accepted", "message_sent")]
        assert [line["event"] for line in lines] == expected
        assert all(line["level"] == "info" for line in lines)
    assert {"source": "lab", "events": 1}.items() <= lines[0].items()
    assert {"room": "noc", "action": "post", "event_id": lines[0]["event_id"]}.items() <= lines[1].items()


async def test_below_systemd_each_line_has_a_priority(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    journal = tmp_path / "journal"
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("rooms: 5\n", encoding="utf-8")
    for file, words in ((config, ("run",)), (wrong, ("run",)), (config, ("ack", "17"))):
        with journal.open("wb") as stream:
            found = os.fstat(stream.fileno())
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "relay", *words, "-c", str(file)),
                env=environment(JOURNAL_STREAM=f"{found.st_dev}:{found.st_ino}"),
                cwd=tmp_path,
                stderr=stream,
            )
            if (file, words) == (config, ("run",)):
                await until_seen(lambda: written(journal), lambda text: '"listening"' in text)
                process.send_signal(signal.SIGTERM)
            await process.wait()
        lines = (await written(journal)).splitlines()
        assert [line for line in lines if line[:3] not in ("<3>", "<4>", "<5>")] == []
        assert lines


async def written(file: Path) -> str:
    """The text of a file."""
    return await asyncio.to_thread(file.read_text, encoding="utf-8")


async def test_the_configuration_is_looked_for_in_order_and_the_places_are_named(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    used = configure(tmp_path, sandbox)
    text = json.loads(used.read_text(encoding="utf-8"))
    here = tmp_path / "here"
    here.mkdir()
    code, _, error = await command("check", cwd=here)
    assert code == 1
    for place in ("$RELAY_CONFIG", str(here), "/var/lib/relay", str(here / "relay.yaml"), "/etc/relay/relay.yaml"):
        assert place in error
    code, _, error = await command("run", cwd=here)
    assert (code, "a relay that runs" in error) == (78, False)
    (here / "config").mkdir()
    for name in ("config/relay.yaml", "relay.yaml", "named.yaml", "variable.yaml"):
        (here / name).write_text(used.read_text(encoding="utf-8"), encoding="utf-8")

    async def checked(*words: str, **env: Any) -> str:
        code, out, error = await command("check", "--no-secrets", *words, cwd=here, **env)
        assert code == 0, error
        return out.partition(":")[0]

    assert await checked() == "relay.yaml"
    running = here / "running" / "own.yaml"
    running.parent.mkdir()
    running.write_text(json.dumps({**text, "storage": f"sqlite:{here}/some.db"}), encoding="utf-8")
    async with relay_process(running):
        assert await checked() == "running/own.yaml"
        assert await checked(RELAY_CONFIG="variable.yaml") == "variable.yaml"
        assert await checked("-c", "named.yaml", RELAY_CONFIG="variable.yaml") == "named.yaml"
        code, out, error = await command("reload", cwd=here)
        assert (code, out.endswith(f" from {running}\n")) == (0, True), error
    assert await checked() == "relay.yaml"


async def test_the_command_line_speaks_to_the_daemon_and_without_it_to_the_store(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    config = configure(tmp_path, sandbox, rooms={"noc": {"account": "webex", "title": "Later"}})
    named = ("-c", str(config))
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        async with session.post(relay.events + "/hooks/lab", json={"title": "lost?", "labels": {"a": "b"}}) as answer:
            event_id = (await answer.json())["ids"][0]
        await relay.until_shown(session, "/api/v1/status", lambda status: status["deliveries"].get("dead"))
        code, out, _ = await command("status", *named)
        assert (code, "from the running relay" in out) == (0, True)
        code, out, _ = await command("status", "--nagios", *named)
        assert (code, out.startswith("RELAY CRITICAL - Room noc is refused.")) == (2, True)
        code, out, _ = await command("events", "show", event_id, *named)
        assert (code, "lost?" in out, "unknown_room" in out) == (0, True, True)
    code, out, _ = await command("events", "tail", *named, "-o", "json")
    assert (code, json.loads(out)[0]["id"]) == (0, event_id)
    code, out, _ = await command("deliveries", "list", "--state", "dead", *named, "-o", "json")
    (dead,) = json.loads(out)
    assert {
        "id",
        "event_id",
        "room",
        "state",
        "reason",
        "attempts",
        "action",
        "created_at",
        "due_at",
        "message_id",
        "last_error",
    } <= set(dead)
    code, out, _ = await command("deliveries", "retry", "--state", "dead", "--dry-run", *named)
    assert (code, "1 would be retried" in out) == (0, True)
    code, out, _ = await command("deliveries", "retry", str(dead["id"]), *named)
    assert (code, "1 retried, by the database" in out) == (0, True)
    code, _, error = await command("deliveries", "drop", "999", *named)
    assert (code, "do not exist" in error) == (1, True)
    code, out, _ = await command("explain", event_id, *named)
    assert (code, "waiting" in out) == (0, True)
    sandbox.state.add_room("Later")
    async with relay_process(config):
        await until(sandbox, lambda: len(messages(sandbox, "Later")) == 1)


async def test_send_posts_with_and_without_the_daemon(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    code, out, error = await command("send", "noc", "change *4711* begins", "--title", "Maintenance", "-c", str(config))
    assert (code, "posted to noc" in out) == (0, True), error
    async with relay_process(config):
        code, out, _ = await command("send", "noc", "-", "--severity", "info", "-c", str(config), stdin=b"from a pipe")
        assert (code, "posted to noc" in out) == (0, True)
        assert (await command("send", "noc", "again", "--severity", "SEV 0", "-c", str(config)))[0] == 0
    told = ["Maintenance\nchange *4711* begins", "⚪ INFO\nfrom a pipe", "🔴 CRITICAL\nagain"]
    assert [m.text for m in messages(sandbox)] == told
    code, _, error = await command("send", "noc", "x", "--severity", "mauve", "-c", str(config))
    assert (code, "expected one of critical, major" in error) == (2, True)
    code, _, error = await command("send", "nok", "x", "-c", str(config))
    assert (code, "did you mean 'noc'" in error) == (2, True)
    sandbox.state.tokens.clear()
    code, _, error = await command("send", "noc", "x", "-c", str(config))
    assert (code, "401" in error) == (1, True)


async def test_explain_tells_the_trail_of_a_payload(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    payload = b'{"title": "port down", "severity": "critical"}'
    code, out, _ = await command("explain", "-", "-c", str(config), "-o", "json", stdin=payload)
    (trail,) = json.loads(out)
    assert code == 0
    assert trail["rooms"] == ["noc"]
    assert trail["deliveries"][0]["markdown"].startswith("🔴 **CRITICAL** · port down")
    assert trail["routes"] == [{"path": "route", "matched": True, "why": "no matchers: everything matches"}]
    assert trail["suppressed"] is None
    code, _, error = await command("explain", "-", "-c", str(config), stdin=b'{"titel": 1}')
    assert (code, "title" in error) == (1, True)


async def test_check_tells_all_problems_with_their_places(tmp_path: Path) -> None:
    config = tmp_path / "relay.yaml"
    config.write_text("accounts: {w: {type: webx, token: x}}\nrooms: {a: {account: v, id: i}}\nroute: {room: [a]}\n")
    code, _, error = await command("check", str(config))
    assert code == 1
    assert f"{config}:1:" in error
    assert f"{config}:3:9: route.room: unknown key (did you mean 'rooms'?)" in error


async def test_check_tells_everything_in_one_run_whatever_else_is_wrong(tmp_path: Path) -> None:
    config = tmp_path / "relay.yaml"
    config.write_text(
        "accounts: {w: {type: webex, token: {env: X}}}\n"
        "rooms: {noc: {account: v, title: a}, bad: {account: w}}\n"
        'sources: {b: {type: webhook, map: {title: "x["}}, c: {type: webhok}}\n'
        "route: {rooms: [nok, bad], routes: [{matchers: ['a=~\"(\"']}]}\n"
        "stop_grace: 5\n"
        'templates: {t: "{{ x("}\n'
    )
    code, _, error = await command("check", str(config))
    paths = [line.split(": ")[1] for line in error.splitlines() if ": warning: " not in line]
    assert code == 1
    assert paths == [
        "accounts.w.token",
        "rooms.noc.account",
        "rooms.bad",
        "sources.b.map.title",
        "sources.c",
        "route.rooms[0]",
        "route.routes[0].matchers[0]",
        "stop_grace",
        "templates.t",
    ]


async def test_the_example_is_good_and_the_schema_is_current() -> None:
    code, out, error = await command("check", "--no-secrets", "config/relay.yaml")
    assert (code, "good" in out) == (0, True), error
    code, out, _ = await command("schema")
    assert out == (ROOT / "config" / "relay.schema.json").read_text(encoding="utf-8")


async def test_the_demo_accounts_for_every_event() -> None:
    code, out, error = await command("demo", "--for", "3")
    assert (code, "every event is accounted for" in out) == (0, True), out + error
    assert "NOT" not in out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["run"],
        ["check"],
        ["explain"],
        ["send"],
        ["events", "tail"],
        ["events", "show"],
        ["deliveries", "list"],
        ["deliveries", "show"],
        ["deliveries", "retry"],
        ["deliveries", "drop"],
        ["status"],
        ["sandbox"],
        ["schema"],
        ["demo"],
    ],
)
async def test_every_command_has_help_with_an_example(words: list[str]) -> None:
    code, out, _ = await command(*words, "--help")
    assert code == 0
    assert "Example: relay" in out or "Begin with: relay demo" in out


async def test_a_template_that_never_ends_is_named_by_check(tmp_path: Path, sandbox: Sandbox) -> None:
    endless = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"
    config = configure(tmp_path, sandbox, templates={"endless": endless})
    code, _, error = await command("check", str(config))
    assert (code, "templates.endless: fails on a sample" in error, "line 1: takes over 500,000 steps" in error) == (
        1,
        True,
        True,
    )


async def test_what_an_event_says_cannot_steer_a_terminal(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        event = {"title": "esc \x1b[31mRED\x1b]0;pwned\x07", "key": "k\x1b[2J"}
        async with session.post(relay.events + "/hooks/lab", json=event) as answer:
            event_id = (await answer.json())["ids"][0]
        for words in (["events", "tail"], ["events", "show", event_id], ["explain", event_id]):
            code, out, _ = await command(*words, "-c", str(config))
            assert (code, "\x1b" in out, "RED" in out) == (0, False, True)


async def test_the_configuration_may_come_from_standard_input(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    code, out, error = await command("check", "-", stdin=config.read_bytes())
    assert (code, "0 errors" in out) == (0, True), error


async def test_a_taken_port_is_named_by_its_key(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    text = json.loads(config.read_text(encoding="utf-8"))
    text["listen"]["admin"] = sandbox.address.removeprefix("http://")
    config.write_text(json.dumps(text), encoding="utf-8")
    code, _, error = await command("run", "-c", str(config))
    assert (code, "listen.admin: can't listen at 127.0.0.1:" in error) == (1, True)


async def test_tail_follows_through_a_restart(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    async with aiohttp.ClientSession(trust_env=False) as session:

        async def post(relay: RelayProcess, title: str) -> None:
            async with session.post(relay.events + "/hooks/lab", json={"title": title}) as answer:
                assert answer.status == 202

        async with relay_process(config) as relay:
            await post(relay, "before")
            following = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "relay",
                "events",
                "tail",
                "-f",
                "-n",
                "1",
                "-c",
                str(config),
                env=environment(),
                cwd=tmp_path,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert following.stdout is not None
            async with asyncio.timeout(PATIENCE):
                assert (await following.stdout.readline()).endswith(b"warning: before\n")
                await post(relay, "while it runs")
                assert (await following.stdout.readline()).endswith(b"warning: while it runs\n")
            assert await relay.stop() == 0
        async with relay_process(config) as relay:
            await post(relay, "after its restart")
            async with asyncio.timeout(PATIENCE):
                assert (await following.stdout.readline()).endswith(b"warning: after its restart\n")
        following.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            _, error = await following.communicate()
        assert (following.returncode, error) == (0, b"")


async def test_tail_n_0_shows_nothing_of_what_was(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        async with session.post(relay.events + "/hooks/lab", json={"title": "old"}) as answer:
            assert answer.status == 202
        code, out, _ = await command("events", "tail", "-n", "0", "-c", str(config))
    assert (code, out) == (0, "")


def configure_tls(folder: Path, sandbox: Sandbox) -> Path:
    """A configuration whose addresses have a certificate."""
    issued = trustme.CA().issue_cert("relay.example")
    cert, key = folder / "cert.pem", folder / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    tls = {"cert": str(cert), "key": str(key)}
    listen = {"events": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}", "tls": tls}
    return configure(folder, sandbox, listen=listen)


async def test_the_command_line_trusts_the_certificate_of_its_own_relay(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure_tls(tmp_path, sandbox)
    async with relay_process(config):
        code, out, error = await command("status", "-c", str(config))
    assert (code, "from the running relay" in out) == (0, True), error


async def test_a_stop_does_not_wait_for_tls_handshakes(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure_tls(tmp_path, sandbox)
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        opened = []
        for address in (relay.events, relay.admin):
            host, port = address.removeprefix("http://").split(":")
            opened.append(await asyncio.open_connection(host, int(port)))
            async with session.get(address.replace("http", "https") + "/healthz", ssl=False) as answer:
                await answer.read()  # what came before it is accepted
        async with asyncio.timeout(5):
            assert await relay.stop() == 0
        for _, writer in opened:
            writer.close()


async def test_a_plugin_does_not_wait_for_a_relay_that_hangs(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "PLUGIN_PATIENCE", 0.1)
    over = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    admin = "{}:{}".format(*silent.sockets[0].getsockname())
    config = configure(tmp_path, sandbox, listen={"events": "127.0.0.1:0", "admin": admin})
    (tmp_path / "relay.db").touch()
    held = lock(tmp_path / "relay.db")
    async with silent:
        said = await asyncio.to_thread(CliRunner().invoke, app, ["status", "--nagios", "-c", str(config)])
        over.set()
    os.close(held)
    assert (said.exit_code, said.stdout.startswith("RELAY UNKNOWN - a relay has the database open")) == (3, True)
    assert "if it stays so, restart it" in said.stdout


@pytest.mark.parametrize("text", ["rooms: [", "- no mapping", "nonsense: 1", None])
async def test_a_relay_is_asked_though_its_file_is_broken_or_gone(
    tmp_path: Path, sandbox: Sandbox, text: str | None
) -> None:
    config = configure(tmp_path, sandbox)
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        async with session.post(relay.events + "/hooks/lab", json={"title": "asked"}) as answer:
            (event_id,) = (await answer.json())["ids"]
        kept = config.read_text(encoding="utf-8")
        if text is None:
            config.unlink()
        else:
            config.write_text(text if text != "nonsense: 1" else kept[:-1] + ', "nonsense": 1}', encoding="utf-8")
        for words in (["status"], ["explain", event_id], ["incidents", "--room", "noc"]):
            code, out, error = await command(*words, cwd=tmp_path)
            assert (code, bool(out)) == (0, True), error
            named = "relay: relay.yaml has errors (`relay check` lists them); the running relay is asked nevertheless\n"
            assert error == named
        config.write_text(kept, encoding="utf-8")


async def test_names_that_nobody_has_are_told_beside_an_empty_list(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    named = ("-c", str(config))
    async with relay_process(config):
        for words in (["incidents", "--room", "nocc"], ["deliveries", "list", "--room", "nocc"]):
            _, _, error = await command(*words, *named)
            assert error == f"relay: no room is called 'nocc' in {config} (did you mean 'noc'?)\n"
        _, _, error = await command("events", "tail", "--source", "lap", *named)
        assert error == f"relay: no source is called 'lap' in {config} (did you mean 'lab'?)\n"
        assert (await command("events", "tail", "--source", "relay", *named))[2] == ""
        code, _, error = await command("backup", "/nowhere/copy.db", *named)
        assert (code, error) == (74, "relay: /nowhere/copy.db can't be written: No such file or directory\n")


async def test_a_relay_that_can_not_be_asked_is_told_in_a_line(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    (tmp_path / "relay.db").touch()
    held = lock(tmp_path / "relay.db")
    code, out, error = await command("status", "-c", str(config))
    os.close(held)
    assert (code, out, "does not answer" in error, error.count("\n")) == (1, "", True, 1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("missing", "cert: there is no file"),
        ("junk", "one of them is not PEM"),
        ("swapped", "the key belongs to another certificate"),
    ],
)
async def test_certificates_that_can_not_be_used_are_told_before_the_start(
    tmp_path: Path, sandbox: Sandbox, wrong: str, said: str
) -> None:
    authority = trustme.CA()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    authority.issue_cert("a.example").cert_chain_pems[0].write_to_path(cert)
    authority.issue_cert("b.example").private_key_pem.write_to_path(key)
    if wrong == "junk":
        cert.write_text("junk", encoding="utf-8")
    elif wrong == "missing":
        cert.unlink()
    listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", "tls": {"cert": str(cert), "key": str(key)}}
    config = configure(tmp_path, sandbox, listen=listen)
    code, _, error = await command("run", "-c", str(config))
    assert (code, said in error) == (78, True), error
    code, _, error = await command("check", str(config))
    assert (code, f"listen.tls: {said}" in error or said in error) == (1, True), error


async def test_a_daemon_whose_database_this_user_can_not_see_is_asked_at_its_address(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    config = configure(tmp_path, sandbox)
    elsewhere = tmp_path / "elsewhere.yaml"
    text = config.read_text(encoding="utf-8")
    elsewhere.write_text(text.replace("relay.db", "not-there.db"), encoding="utf-8")
    async with relay_process(config):
        code, out, _ = await command("status", "-c", str(elsewhere))
        assert (code, "from the running relay" in out) == (0, True)
    code, _, error = await command("status", "-c", str(elsewhere))
    assert (code, "there is no database" in error) == (74, True)
