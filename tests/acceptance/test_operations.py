"""What an operator does with incidents from the command line: silences, acknowledgements, trials, with and without a
relay that runs."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import tarfile
from pathlib import Path
from typing import Any

import aiohttp

from relay.app.running.notice import Notice, notice_of
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from tests.acceptance.harness import command, configure, free_port, relay_process
from tests.fakes.looking import until_seen
from tests.fakes.running import TOKEN, messages, until

FAULT = {"title": "port-down", "severity": "major", "status": "firing", "key": "p1"}


async def test_silences_and_acknowledgements_by_hand(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    named = ("--config", str(config))
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        await session.post(relay.events + "/hooks/lab", json=FAULT)
        await until(sandbox, lambda: len(messages(sandbox)) == 1)
        code, out, error = await command("silence", "add", "-d", "2h", "-m", "change 4711", "source=lab", *named)
        assert (code, len(out.strip())) == (0, 36), error
        assert error == "relay: the silence suppresses 1 open alert now\n"
        silence = out.strip()
        silence = out.strip()
        await until(sandbox, lambda: messages(sandbox)[0].text.startswith("🔕 silenced · port-down"))
        _, out, _ = await command("silence", "list", *named, "-o", "json")
        (one,) = json.loads(out)
        assert (one["id"], one["state"], one["comment"]) == (silence, "active", "change 4711")
        assert (await command("silence", "expire", silence, *named))[:2] == (0, f"{silence} ended\n")
        assert (await command("silence", "expire", silence, *named))[:2] == (0, f"{silence} had ended already\n")
        code, _, error = await command("silence", "expire", "nope", *named)
        assert (code, "no silence has the id nope (the running relay was asked)" in error) == (1, True)
        code, out, _ = await command("incidents", "-c", str(config), "-o", "json")
        (incident,) = json.loads(out)
        code, out, _ = await command("ack", str(incident["id"]), "-m", "mine", "--author", "anna", *named)
        assert (code, out) == (0, f"incident {incident['id']} is acknowledged by anna\n")
        await until(sandbox, lambda: "👤 anna · mine" in messages(sandbox)[0].text)
        code, out, _ = await command("explain", incident["message_id"], "-c", str(config))
        assert code == 1
        event_id = (await relay.get(session, "/api/v1/events?source=lab"))[-1]["id"]
        code, out, _ = await command("explain", event_id, "-c", str(config))
        assert (code, f"incident {incident['id']} in room noc: firing, in message" in out) == (0, True)
        assert "acknowledged by anna: mine" in out


async def test_explain_says_what_holds_an_alert_back(tmp_path: Path, sandbox: Sandbox) -> None:
    rules = [{"source_matchers": ["site=a"], "target_matchers": ["site=b"]}]
    config = configure(tmp_path, sandbox, inhibit_rules=rules)
    named = ("-c", str(config))
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        events = [
            {"title": f"site {site} is down", "status": "firing", "key": site, "labels": {"site": site}}
            for site in "ab"
        ]
        async with session.post(relay.events + "/hooks/lab", json=events) as answer:
            _, event_id = (await answer.json())["ids"]
        await until(sandbox, lambda: len(messages(sandbox)) == 1)
        (first,) = [one for one in json.loads((await command("incidents", *named, "-o", "json"))[1]) if not one["held"]]
        cause = f"the alert 'site a is down' (incident {first['id']}) fires"
        afterwards = "if it still fires when that ends, it is sent then"
        _, out, _ = await command("explain", event_id, *named)
        assert f"  no message at first: another alert that fires suppresses it; {afterwards}\n" in out
        assert f"    suppressed: {cause}\n" in out
        _, out, _ = await command("explain", str(first["id"] + 1), *named)
        assert f"  held back: {cause}; {afterwards}\n" in out


async def test_explain_takes_the_number_of_an_incident_with_a_relay_and_without(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    config = configure(tmp_path, sandbox)
    named = ("-c", str(config))
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        await session.post(relay.events + "/hooks/lab", json=FAULT)
        await until(sandbox, lambda: len(messages(sandbox)) == 1)
        (incident,) = json.loads((await command("incidents", *named, "-o", "json"))[1])
        number = str(incident["id"])
        assert (await command("ack", number, "--author", "anna", "-c", str(config)))[0] == 0
        await until(sandbox, lambda: "👤 anna" in messages(sandbox)[0].text)
        trails = [(await command("explain", number, *named))[:2]]
        code, _, error = await command("explain", "4711", *named)
        assert (code, "expected a file, an event's id or an incident's number, found '4711'" in error) == (1, True)
    trails.append((await command("explain", number, *named))[:2])
    for code, out in trails:
        assert (code, f"incident {number} in room noc: major: port-down\n" in out) == (0, True)
        assert "firing major: port-down" in out
        assert "      post 1: done\n" in out
        assert "acknowledged by anna\n" in out
        assert "    │ 🟠 **MAJOR** · port-down" in out


async def test_a_new_silence_tells_how_many_open_alerts_it_suppresses(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        await session.post(relay.events + "/hooks/lab", json=FAULT)
        await until(sandbox, lambda: len(messages(sandbox)) == 1)
        later = ("--start", "2099-01-01T00:00:00Z", "--end", "2099-01-02T00:00:00Z")
        for words, expected, sentence in (
            (("source=other",), 0, "the silence suppresses no open alert now; `relay incidents` lists the open ones"),
            (("source=lab", *later), 0, "the silence begins later; it matches 1 open alert now"),
            (("port-down", "source=lab"), 2, "expected matchers like alertname=port-down, found the word 'port-down'"),
            (("source=lab", 'title=~"port.*"'), 0, "the silence suppresses 1 open alert now"),
        ):
            code, _, error = await command("silence", "add", "-m", "x", *words, "-c", str(config))
            assert (code, error) == (expected, f"relay: {sentence}\n")


async def test_the_beginning_of_an_id_is_enough_to_end_a_silence(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    async with relay_process(config):
        add = ("silence", "add", "-c", str(config), "-m", "x")
        made = [(await command(*add, f"source={name}"))[1].strip() for name in "abc"]
        short = next(made[0][:n] for n in range(1, 36) if not any(one.startswith(made[0][:n]) for one in made[1:]))
        code, out, _ = await command("silence", "expire", short, "-c", str(config))
        assert (code, out) == (0, f"{made[0]} ended\n")
        code, _, error = await command("silence", "expire", "", "-c", str(config))
        assert (code, "no silence has the id" in error) == (1, True)


async def test_an_acknowledgement_is_withdrawn_by_hand(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    named = ("--config", str(config))
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        await session.post(relay.events + "/hooks/lab", json=FAULT)
        await until(sandbox, lambda: len(messages(sandbox)) == 1)
        (incident,) = json.loads((await command("incidents", "-c", str(config), "-o", "json"))[1])
        assert (await command("ack", str(incident["id"]), "--author", "anna", *named))[0] == 0
        await until(sandbox, lambda: "👤 anna" in messages(sandbox)[0].text)
        code, out, _ = await command("unack", str(incident["id"]), "-m", "off duty", "--author", "anna", *named)
        assert (code, out) == (0, f"incident {incident['id']} is no longer acknowledged, by anna\n")
        await until(sandbox, lambda: "👤" not in messages(sandbox)[0].text)
        code, _, error = await command("unack", "4711", *named)
        assert (code, "no incident is open with the number 4711" in error) == (1, True)


async def test_without_a_relay_they_are_kept_for_its_next_start(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    named = ("--config", str(config))
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        await session.post(relay.events + "/hooks/lab", json=FAULT)
        await until(sandbox, lambda: len(messages(sandbox)) == 1)
        await relay.stop()
    code, out, error = await command("incidents", "-c", str(config), "-o", "json")
    assert code == 0, error
    code, out, error = await command("ack", str(json.loads(out)[0]["id"]), "-a", "anna", *named)
    assert code == 0, error
    code, out, error = await command("silence", "add", "-m", "quiet", 'key=~"p.*"', *named)
    assert (code, "the silence suppresses 1 open alert now" in error) == (0, True)
    code, _, error = await command("silence", "add", "-m", "quiet", "key!=p", "-d", "soon", *named)
    assert (code, "found 'soon'" in error) == (2, True)
    code, _, error = await command("silence", "add", "-m", "quiet", "key=~.*", *named)
    assert (code, "this would silence everything" in error) == (2, True)
    for words in (("ack", "1"), ("unack", "1"), ("silence", "add", "key=p")):
        code, _, error = await command(*words, "-c", "on my way")
        said = "relay: there is no configuration 'on my way'; `-c` is --config, and a comment follows -m\n"
        assert (code, error) == (2, said)
    code, _, error = await command("silence", "add", "key=p", *named)
    assert (code, "give a reason with -m" in error) == (2, True)
    async with relay_process(config):
        await until(sandbox, lambda: messages(sandbox)[0].text.startswith("🔕 silenced"))
        await until(sandbox, lambda: "👤 anna" in messages(sandbox)[0].text)


async def test_what_happened_is_a_test_and_what_would_change_is_told(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    new = tmp_path / "new.yaml"
    values = json.loads(config.read_text(encoding="utf-8"))
    values["rooms"]["core"] = {"account": "webex", "title": "Core"}
    values["route"]["routes"] = [{"matchers": ["key=p1"], "rooms": ["core"]}]
    new.write_text(json.dumps(values), encoding="utf-8")
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        for event in (FAULT, {**FAULT, "key": "p2"}, {"key": "p1", "status": "resolved"}):
            await session.post(relay.events + "/hooks/lab", json=event)
        await relay.until_shown(session, "/api/v1/status", lambda status: not status["events"]["waiting"])
        code, out, error = await command("test", "--record", "-c", str(config))
        assert (code, "port-down" in out) == (0, True), error
        (tmp_path / "recorded.yaml").write_text(out, encoding="utf-8")
        code, out, error = await command("diff", str(config), str(new))
        assert (code, out.splitlines()[-1]) == (1, "2 of 3 events would go to other rooms"), error
    code, out, error = await command("test", str(tmp_path / "recorded.yaml"))
    assert (code, out.splitlines()[-1]) == (0, "1 passed, 0 failed"), error
    code, out, error = await command("test", str(tmp_path / "recorded.yaml"), "-c", str(new))
    assert (code, "is missing" in out) == (1, True), error
    code, out, _ = await command("events", "tail", "-c", str(config), "-o", "json")
    (tmp_path / "events.json").write_text(out, encoding="utf-8")
    code, out, _ = await command("diff", str(config), str(new), "--events", str(tmp_path / "events.json"), "-o", "json")
    assert (code, [one["after"] for one in json.loads(out)]) == (1, [["core"], ["core"]])
    code, out, _ = await command("diff", str(config), str(config), "--events", str(tmp_path / "events.json"))
    assert (code, out) == (0, "0 of 3 events would go to other rooms\n")
    code, _, error = await command("test")
    assert (code, "give files of tests" in error) == (2, True)
    code, _, error = await command("import", "-", stdin=b"a: b")
    assert (code, "expected an Alertmanager configuration, a mapping" in error) == (2, True)


async def test_a_backup_is_whole_while_the_relay_works(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    copy = tmp_path / "copy.db"
    code, _, error = await command("backup", str(copy), "-c", str(config))
    assert (code, "there is no database" in error) == (74, True)
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        for number in range(200):
            async with session.post(relay.events + "/hooks/lab", json={"title": f"event {number}"}) as answer:
                assert answer.status == 202
        code, out, error = await command("backup", str(copy), "-c", str(config), "-o", "json")
        assert (code, json.loads(out)["bytes"] > 10_000) == (0, True), error
        code, _, error = await command("backup", str(copy), "-c", str(config))
        assert (code, "exists already" in error) == (2, True)
    code, _, error = await command("backup", str(tmp_path / "none" / "x.db"), "-c", str(config))
    assert (code, "can't be written" in error) == (74, True), error
    values = json.loads(config.read_text(encoding="utf-8"))
    other = tmp_path / "restored.yaml"
    other.write_text(json.dumps({**values, "storage": f"sqlite:{copy}"}), encoding="utf-8")
    async with relay_process(other) as relay, aiohttp.ClientSession(trust_env=False) as session:
        assert (await relay.get(session, "/api/v1/status"))["events"]["total"] == 200
    assert not parts(tmp_path)


def parts(folder: Path) -> list[Path]:
    """What a copy has left behind."""
    return list(folder.glob(".*.part"))


async def test_a_configuration_is_reloaded_by_hand_and_by_signal(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    good = config.read_text(encoding="utf-8")
    named = ("-c", str(config))
    code, _, error = await command("reload", *named)
    assert (code, "no relay runs" in error) == (1, True)
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        settings = json.loads(good)
        settings["sources"]["extra"] = {"type": "webhook"}
        config.write_text(json.dumps(settings), encoding="utf-8")
        code, out, error = await command("reload", *named)
        assert (code, out.startswith("reloaded at 20")) == (0, True), error
        async with session.post(relay.events + "/hooks/extra", json={"title": "x"}) as answer:
            assert answer.status == 202
        config.write_text(json.dumps({**settings, "route": {"rooms": ["nowhere"]}}), encoding="utf-8")
        code, _, error = await command("reload", *named)
        assert (code, f"{config}:1:" in error, "no room is called 'nowhere'" in error) == (1, True, True)
        assert "the previous one stays in force" in error
        assert (await relay.get(session, "/api/v1/status"))["config"]["last_reload_good"] is False
        config.write_text("rooms: [", encoding="utf-8")
        code, _, error = await command("reload", *named)
        assert (code, "can't be found" in error) == (1, True)
        config.write_text(good, encoding="utf-8")
        relay.process.send_signal(signal.SIGHUP)
        await relay.until_shown(session, "/api/v1/status", lambda status: status["config"]["last_reload_good"])
        async with session.post(relay.events + "/hooks/extra", json={"title": "x"}) as answer:
            assert answer.status == 404
        assert await relay.stop() == 0
    assert [line["event"] for line in relay.lines].count("reloaded") == 2


async def test_a_relay_is_found_whatever_has_changed_in_its_configuration(tmp_path: Path, sandbox: Sandbox) -> None:
    listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", "admin_token": "first"}
    config = configure(tmp_path, sandbox, listen=listen)
    named = ("-c", str(config))
    settings = json.loads(config.read_text(encoding="utf-8"))

    def write(**changes: Any) -> None:
        config.write_text(json.dumps({**settings, **changes}), encoding="utf-8")

    async with relay_process(config) as relay:
        code, out, error = await command("status", *named)
        assert (code, "from the running relay" in out) == (0, True), error
        write(listen={**listen, "admin": "127.0.0.1:9", "admin_token": ["second", "first"]})
        code, out, error = await command("reload", *named)
        assert (code, "only after a restart: listen.admin" in out) == (0, True), error
        write(listen={**listen, "admin_token": "third"})
        code, out, error = await command("status", *named)
        assert (code, "run `relay reload`" in error) == (1, True)
        code, out, error = await command("reload", *named)
        assert (code, out.startswith("reloaded at 20")) == (0, True), error
        write(listen={**listen, "admin_token": "fourth"}, route={"rooms": ["nowhere"]})
        code, out, error = await command("reload", *named)
        assert (code, "no room is called 'nowhere'" in error) == (1, True), error
        config.write_text("rooms: [", encoding="utf-8")
        code, out, error = await command("reload", *named, "-o", "json", STATE_DIRECTORY=str(tmp_path))
        assert (code, json.loads(out)["good"], json.loads(out)["problems"][0]["line"]) == (1, False, 1), error
        write(listen={**listen, "admin_token": "third"}, route={"rooms": ["nowhere"]})
        code, out, error = await command("deliveries", "list", *named)
        assert (code, "is asked nevertheless" in error) == (0, True), error
        assert await relay.stop() == 0
    code, out, error = await command("status", *named)
    assert (code, "no room is called 'nowhere'" in error) == (78, True), error


async def test_a_hang_up_before_it_listens_is_a_reload_and_no_end(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)

    async def hang_up(process: asyncio.subprocess.Process) -> None:
        async def caught() -> int:
            state = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")  # noqa: ASYNC240 - no disk
            return int(re.findall(r"SigCgt:\s*(\w+)", state)[0], 16)

        await until_seen(caught, lambda signals: signals >> (signal.SIGHUP - 1) & 1)
        process.send_signal(signal.SIGHUP)

    async with relay_process(config, hang_up) as relay, aiohttp.ClientSession(trust_env=False) as session:

        async def notice() -> Notice | None:
            assert (await relay.get(session, "/api/v1/status"))["ready"]
            return notice_of(tmp_path / "relay.db")

        await until_seen(notice, lambda found: found is not None and found.loads >= 2)
        assert await relay.stop() == 0
    assert "reloaded" in [line["event"] for line in relay.lines]


def unpacked(bundle: Path) -> dict[str, str]:
    with tarfile.open(bundle) as opened:
        parts = {one.name.removeprefix("relay-support/"): opened.extractfile(one) for one in opened.getmembers()}
        return {part: stream.read().decode() for part, stream in parts.items() if stream is not None}


async def test_a_support_bundle_holds_what_helps_and_no_secret(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    for name in ("live", "still"):
        bundle = tmp_path / f"{name}.tar.gz"
        if name == "live":
            async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
                await session.post(relay.events + "/hooks/lab", json={"no": "very private"})
                sandbox.state.faults = [Fault(status=400)]
                await session.post(relay.events + "/hooks/lab", json={"title": "private title"})
                await relay.until_shown(session, "/api/v1/deliveries?state=dead")
                code, out, error = await command("support-bundle", str(bundle), "-c", str(config))
        else:
            code, out, error = await command("support-bundle", str(bundle), "-c", str(config))
        assert (code, "config.yaml" in out) == (0, True), error
        assert bundle.stat().st_mode & 0o777 == 0o600
        texts = unpacked(bundle)
        assert texts.keys() >= {"versions.txt", "config.yaml", "problems.txt", "status.json", "deliveries.json"}
        assert ("metrics.txt" in texts) == ("config-in-force.yaml" in texts) == (name == "live")
        assert "aiohttp 3" in texts["versions.txt"]
        (dead,) = json.loads(texts["deliveries.json"])
        assert (dead["state"], dead["reason"]) == ("dead", "refused")
        assert len(json.loads(texts["refused.json"])) == 1
        whole = "".join(texts.values())
        assert TOKEN not in whole
        assert "private" not in whole
    assert (await command("support-bundle", str(tmp_path / "still.tar.gz"), "-c", str(config)))[0] == 2


async def test_a_support_bundle_with_a_broken_file_says_what_it_lacks(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)
    place = str(tmp_path)
    async with relay_process(config):
        config.write_text("rooms: [", encoding="utf-8")
        arguments = ("support-bundle", str(tmp_path / "live.tar.gz"), "-c", str(config))
        code, _, error = await command(*arguments, STATE_DIRECTORY=place)
        assert code == 0, error
    live = unpacked(tmp_path / "live.tar.gz")
    assert "see problems.txt" in live["config.yaml"]
    assert f"{config}:1:" in live["problems.txt"]
    assert "title: NOC" in live["config-in-force.yaml"]
    assert json.loads(live["status.json"])["ready"] is True
    arguments = ("support-bundle", str(tmp_path / "still.tar.gz"), "-c", str(config))
    code, _, error = await command(*arguments, STATE_DIRECTORY=place)
    assert (code, "so the relay can't be found" in error) == (0, True)
    assert "could be read" in unpacked(tmp_path / "still.tar.gz")["state.txt"]


async def test_a_shell_completes_names_and_words(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configure(tmp_path, sandbox)

    async def completed(words: str, **env: Any) -> list[str]:
        place = str(len(words.split(" ")) - 1)
        code, out, _ = await command(COMP_WORDS=words, COMP_CWORD=place, _RELAY_COMPLETE="complete_bash", **env)
        assert code == 0
        return out.split()

    assert await completed(f"relay send -c {config} n") == ["noc"]
    assert await completed("relay events tail --source ", RELAY_CONFIG=str(config)) == ["lab"]
    assert await completed("relay deliveries list --state d") == ["dead", "done", "dropped"]
    assert await completed("relay deliveries list --reason t") == ["timeout", "too_large"]
    assert await completed("relay send ", RELAY_CONFIG=str(tmp_path / "none.yaml")) == []


async def test_too_many_wrong_tokens_are_told_in_a_line(tmp_path: Path, sandbox: Sandbox) -> None:
    listen = {"events": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}", "admin_token": "right"}
    config = configure(tmp_path, sandbox, listen=listen)
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        wrong = {"Authorization": "Bearer wrong"}
        guessing = asyncio.Event()

        async def guess() -> None:
            while not guessing.is_set():
                async with session.get(f"{relay.admin}/api/v1/status", headers=wrong) as answer:
                    assert answer.status in (401, 429)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(guess())
            code, _, error = await command("status", "-c", str(config))
            guessing.set()
        assert (code, error.count("\n"), "too many wrong tokens" in error) == (1, 1, True), error
        assert await relay.stop() == 0


async def test_check_tells_problems_as_json_with_their_places(tmp_path: Path) -> None:
    config = tmp_path / "relay.yaml"
    config.write_text("rooms: [\n", encoding="utf-8")
    code, said, _ = await command("check", "-o", "json", str(config))
    (problem,) = json.loads(said)
    assert code == 1
    assert (problem["file"], problem["line"], problem["level"]) == (str(config), 2, "error")
    assert "not valid YAML" in problem["message"]
