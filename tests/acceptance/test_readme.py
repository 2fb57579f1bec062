"""What the pages of the documentation show is run as it stands: steps, timelines, routing tests, a format."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from relay.core.markdown import plain_text
from relay.core.words import say_duration
from relay.sandbox.server import Sandbox
from tests.acceptance.harness import command, free_port, relay_process
from tests.fakes.pages import marked_block, read_page
from tests.fakes.running import TOKEN, messages, until

ROOMS = read_page("config/rooms.md")
STEPS = [shlex.split(line, comments=True)[1:] for line in marked_block(ROOMS, "steps: commands").splitlines()]


def configure(folder: Path, sandbox: Sandbox) -> Path:
    """Write the page's configuration, its services those of the sandbox."""
    values: dict[str, Any] = yaml.safe_load(marked_block(ROOMS, "steps: configuration"))
    for account in values["accounts"].values():
        account["url"] = sandbox.address if account["type"] == "spika" else f"{sandbox.address}/v1"
    values["sources"]["fabric"]["url"] = sandbox.address
    values["listen"] = {"events": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}"}
    values["storage"] = f"sqlite:{folder}/relay.db"
    file = folder / "relay.yaml"
    file.write_text(json.dumps(values), encoding="utf-8")
    (folder / "plan.pdf").write_bytes(b"%PDF-1.4 a plan")
    body = [{"type": "TextBlock", "text": "disk full"}]
    card = {"type": "AdaptiveCard", "version": "1.3", "body": body}
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return file


async def test_every_step_from_the_command_line_works_as_it_stands(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WEBEX_TOKEN", "WEBEX_CLIENT_SECRET", "SPIKA_TOKEN", "APIC_PASSWORD"):
        monkeypatch.setenv(name, TOKEN)
    config = configure(tmp_path, sandbox)
    printed: list[str] = []
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        for step in STEPS:
            code, out, error = await command(*step, cwd=tmp_path, RELAY_CONFIG=str(config))
            assert code == 0, (step, out, error)
            printed.append(out)
            if step[0] == "messages" and step[1] == "list":
                check_what_was_posted(sandbox, json.loads(out))
        async with session.get(f"{relay.admin}/healthz") as answer:
            assert answer.status == 200
        sandbox.fabric.put("fvTenant", "uni/tn-blue", name="blue")
        said = "fvTenant uni/tn-blue has been created"
        await until(sandbox, lambda: any(said in one.text for one in messages(sandbox, "SnV NOC")))
    (room,) = [one for one in sandbox.state.rooms.values() if one.title == "SnV NOC"]
    assert printed[0].strip() == room.id
    assert [one.text for one in messages(sandbox, "anna@example.net")] == ["hello, in person"]
    assert [one.text for one in sandbox.state.rooms["5"].messages.values()] == ["the same for Spika"]
    assert set(room.members) == {"relay@sandbox.example", "anna@example.net"}


def check_what_was_posted(sandbox: Sandbox, listed: list[dict[str, Any]]) -> None:
    """Each way to post has left its message."""
    posted = messages(sandbox, "SnV NOC")
    assert [one["text"] for one in listed] == [one.text for one in reversed(posted)]
    assert [one.link for one in posted if one.link] == [f"https://cams.example.net/{name}.jpg" for name in ("a2", "a4")]
    assert [one.file.name for one in posted if one.file is not None] == ["plan.pdf"]
    assert any(one.card is not None for one in posted)
    assert any(one.text == "bold, a link (https://example.net)" or one.text.startswith("bold, a") for one in posted)
    assert any("<@personEmail:anna@example.net|Anna>" in (one.markdown or "") for one in posted)
    assert any(one.text.startswith("⚪ INFO · Maintenance") for one in posted)


async def test_a_package_adds_a_format_as_its_page_says(tmp_path: Path) -> None:
    example = marked_block(read_page("relay/formats/README.md"), "example: format")
    (tmp_path / "tides.py").write_text(example, encoding="utf-8")
    about = tmp_path / "tides-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tides\nVersion: 1\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[relay.formats]\ntides = tides:FORMAT\n", encoding="utf-8")
    config = tmp_path / "relay.yaml"
    config.write_text(
        "accounts: {w: {type: webex, token: {env: X}}}\nrooms: {noc: {account: w, title: NOC}}\n"
        "sources: {gauges: {type: webhook, format: tides, auth: {signature: {env: X}}}}\nroute: {rooms: [noc]}\n",
        encoding="utf-8",
    )
    payload = tmp_path / "reading.json"
    payload.write_text('{"gauge": "pier-3", "level": 4.2, "alarm": true}', encoding="utf-8")
    place = str(tmp_path)
    code, _, error = await command("check", "--no-secrets", str(config), cwd=tmp_path, PYTHONPATH=place)
    assert code == 0, error
    arguments = ("explain", "-c", str(config), "--source", "gauges", str(payload), "-o", "json")
    code, out, error = await command(*arguments, cwd=tmp_path, PYTHONPATH=place)
    assert code == 0, error
    (one,) = json.loads(out)
    assert (one["event"]["title"], one["event"]["key"]) == ("Water at pier-3: 4.2 m", "pier-3")


ROUTED = {
    "accounts": {"webex": {"type": "webex", "token": {"env": "X"}}},
    "rooms": {name: {"account": "webex", "title": name} for name in ("noc", "oncall")},
    "sources": {"fabric": {"type": "webhook"}},
}
UPLINK = {"source": "fabric", "title": "uplink down on node-101", "key": "p1"}
LIFE: list[dict[str, Any]] = [
    {"at": "0s", "severity": "major"},
    {"at": "1m", "severity": "major"},
    {"at": "2m", "severity": "critical"},
    {"at": "3m", "acknowledged_by": "anna"},
    {"at": "14m", "status": "resolved"},
    {"at": "20m", "severity": "major"},
    {"at": "30m", "status": "resolved"},
    {"at": "1h", "severity": "major"},
]
"""What happens in the timeline of config/routing.md."""


def timeline() -> list[tuple[str, str, str]]:
    """Return what the timeline says that the room gets: when, the action, and the message's first line."""
    _, _, behind = read_page("config/routing.md").partition("### Timeline of one incident\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in behind.partition("\n#")[0].splitlines()]
    found: list[tuple[str, str, str]] = []
    at = ""
    for row in rows:
        if len(row) == 3 and row[2].startswith("`"):
            at = row[0] or at
            _, action, text = row[2].split("`", 2)
            found.append((at, action, text.strip()))
    return found


async def run_tests(folder: Path, document: str, route: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a file of routing tests by a configuration with one route; what came of each test."""
    (folder / "relay.yaml").write_text(json.dumps({**ROUTED, "route": route}), encoding="utf-8")
    (folder / "tests.yaml").write_text(document, encoding="utf-8")
    _, out, error = await command("test", "tests.yaml", "-o", "json", cwd=folder, X=TOKEN)
    assert error == ""
    verdicts: list[dict[str, Any]] = json.loads(out)
    return verdicts


async def test_the_timeline_of_an_incident_is_what_happens(tmp_path: Path) -> None:
    case = {"name": "life", "until": "5h", "events": [{**UPLINK, **step} for step in LIFE], "expect": []}
    (verdict,) = await run_tests(tmp_path, json.dumps({"config": "relay.yaml", "tests": [case]}), {"rooms": ["noc"]})
    sent = [
        (say_duration(one["at"]), one["action"], plain_text(one["markdown"]).splitlines()[0]) for one in verdict["sent"]
    ]
    assert sent == timeline()


async def test_the_routing_test_that_is_shown_passes(tmp_path: Path) -> None:
    shown = marked_block(read_page("config/trying.md"), "routing test: basic")
    (verdict,) = await run_tests(tmp_path, shown, {"rooms": ["noc", "oncall"]})
    assert verdict["passed"], verdict["missing"]


async def test_the_steps_of_routing_tests_that_are_shown_are_steps(tmp_path: Path) -> None:
    shown = yaml.safe_load(marked_block(read_page("config/trying.md"), "routing test: steps"))
    case = {"name": "steps", "expect": [{"at": "0s", "room": "noc", "action": "post"}], **shown}
    (tmp_path / "after.yaml").write_text(json.dumps({**ROUTED, "route": {"rooms": ["noc"]}}), encoding="utf-8")
    document = json.dumps({"config": "relay.yaml", "tests": [case]})
    (verdict,) = await run_tests(tmp_path, document, {"rooms": ["noc"]})
    assert verdict["passed"], verdict["missing"]
