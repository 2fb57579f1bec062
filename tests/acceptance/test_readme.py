"""The README's section "From the command line and from YAML", step by step as it stands."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from relay.sandbox.server import Sandbox
from tests.acceptance.harness import ROOT, command, free_port, relay_process
from tests.fakes.running import TOKEN, messages, until

README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """A marked code block of the README."""
    found = re.search(rf"<!-- steps: {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found is not None, name
    return found[1]


STEPS = [shlex.split(line, comments=True)[1:] for line in block("commands").splitlines()]


def configure(folder: Path, sandbox: Sandbox) -> Path:
    """The README's configuration, its services those of the sandbox."""
    values: dict[str, Any] = yaml.safe_load(block("configuration"))
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


async def test_every_step_of_the_readme_works_as_it_stands(
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


async def test_a_package_adds_a_format_as_the_readme_says(tmp_path: Path) -> None:
    found = re.search(r"<!-- example: format -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    (tmp_path / "tides.py").write_text(found[1], encoding="utf-8")
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
    options = {"PYTHONPATH": str(tmp_path), "cwd": tmp_path}
    code, _, error = await command("check", "--no-secrets", str(config), **options)
    assert code == 0, error
    arguments = ("explain", "-c", str(config), "--source", "gauges", str(payload), "-o", "json")
    code, out, error = await command(*arguments, **options)
    assert code == 0, error
    (one,) = json.loads(out)
    assert (one["event"]["title"], one["event"]["key"]) == ("Water at pier-3: 4.2 m", "pier-3")
