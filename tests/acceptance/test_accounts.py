"""What an operator does with an account from the command line, with and without a relay that runs: rooms, messages,
files, cards, login."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from tests.acceptance.harness import ROOT, command, configure, environment, free_port, relay_process
from tests.fakes.running import TOKEN, messages, until

PDF = b"%PDF-1.4 a plan"
CARD = {"type": "AdaptiveCard", "version": "1.3", "body": [{"type": "TextBlock", "text": "disk full"}]}


async def answer(*arguments: str, code: int = 0, **options: Any) -> tuple[str, str]:
    """Run a command that is to exit with a code; what it printed."""
    got, out, error = await command(*arguments, **options)
    assert got == code, (out, error)
    return out, error


async def rooms_by_hand(config: str, folder: Path, sandbox: Sandbox) -> None:
    """Make a room, find it, add people, post to it in every way, list and delete."""
    for number in range(5):
        sandbox.state.add_room(f"Room {number}")
    out, _ = await answer("rooms", "create", "SnV NOC", "--member", "anna@example.net", "-c", config)
    room_id = out.strip()
    out, _ = await answer("rooms", "list", "--title", "snv", "--type", "group", "-c", config, "-o", "json")
    assert [(one["title"], one["id"]) for one in json.loads(out)] == [("SnV NOC", room_id)]
    for known_as in ("snv", "SnV NOC", room_id):
        out, _ = await answer("rooms", "show", known_as, "-c", config, "-o", "json")
        assert json.loads(out)["id"] == room_id
    out, error = await answer("rooms", "add-member", "snv", "anna@example.net", "ben@example.net", "-c", config, code=1)
    assert (out, "anna@example.net was not added" in error) == ("added ben@example.net\n", True), error
    out, _ = await answer("rooms", "members", "snv", "-c", config)
    assert {"anna@example.net", "ben@example.net", "relay@sandbox.example"} <= set(out.split())
    (folder / "plan.pdf").write_bytes(PDF)
    (folder / "card.json").write_text(json.dumps(CARD), encoding="utf-8")
    await answer("send", "snv", "hello", "-c", config)
    await answer("send", "snv", "**bold** <@personEmail:anna@example.net|Anna>", "--markdown", "-c", config)
    files = ("--file", str(folder / "plan.pdf"), "--file", "https://cams.example.net/1.jpg")
    await answer("send", "snv", "files", *files, "-c", config)
    await answer("send", "snv", "a card", "--card", str(folder / "card.json"), "-c", config)
    text, marked, first, upload, link, card = messages(sandbox, "SnV NOC")
    assert (text.text, marked.text, card.card) == ("hello", "bold @Anna", CARD)
    assert upload.file is not None
    assert (upload.file.name, upload.file.content, upload.parent) == ("plan.pdf", PDF, first.id)
    assert (link.link, link.parent) == ("https://cams.example.net/1.jpg", first.id)
    await answer("send", "oncall", "to a person", "-c", config)
    assert [one.text for one in messages(sandbox, "oncall@example.net")] == ["to a person"]


async def deletion_by_hand(config: str, sandbox: Sandbox) -> None:
    """List a room's messages over several pages, and delete one's own."""
    (room,) = [one for one in sandbox.state.rooms.values() if one.title == "SnV NOC"]
    anna = sandbox.state.person("anna@example.net")
    mine = len(room.messages)
    for number in range(1_200):
        sandbox.state.add_message(room, anna, f"anna {number}", None, None)
    out, _ = await answer("messages", "list", "snv", "-n", "2000", "-c", config, "-o", "json")
    assert len(json.loads(out)) == mine + 1_200
    out, error = await answer("messages", "delete", "snv", "--mine", "--dry-run", "-c", config, "-o", "json")
    assert (len(json.loads(out)), json.loads(out)[0]["text"]) == (mine, "hello"), error
    _, error = await answer("messages", "delete", "snv", "--mine", "-c", config, stdin=b"n\n", code=1)
    assert f"Delete {mine} messages in the room 'SnV NOC', for everybody and for good?" in error
    _, error = await answer("messages", "delete", "snv", "--mine", "--before", "1h", "-c", config)
    assert len(room.messages) == mine + 1_200
    first = next(iter(room.messages))
    sandbox.state.faults = [Fault(status=429, retry_after="1", method="DELETE", count=1)]
    out, error = await answer("messages", "delete", "snv", first, "--yes", "-c", config)
    assert (out, "asks to wait 1 s" in error) == ("deleted 1 of 1 messages in 'SnV NOC'\n", True)
    out, _ = await answer("messages", "delete", "snv", "--mine", "--yes", "-c", config)
    assert out == f"deleted {mine - 1} of {mine - 1} messages in 'SnV NOC'\n"
    assert {one.person.email for one in room.messages.values()} == {"anna@example.net"}
    await answer("messages", "delete", "snv", "-c", config, code=2)
    _, error = await answer("messages", "delete", "snv", "nonesuch", "-c", config, code=1)
    assert "no such messages in the room 'SnV NOC': nonesuch" in error


def with_rooms(folder: Path, sandbox: Sandbox) -> Path:
    config = configure(folder, sandbox)
    values = json.loads(config.read_text(encoding="utf-8"))
    values["rooms"]["snv"] = {"account": "webex", "title": "SnV NOC"}
    values["rooms"]["oncall"] = {"account": "webex", "person": "oncall@example.net"}
    values["rooms"]["unmade"] = {"account": "webex", "title": "Not made yet", "create": True}
    config.write_text(json.dumps(values), encoding="utf-8")
    return config


@pytest.mark.parametrize("runs", [True, False])
async def test_rooms_and_messages_by_hand(tmp_path: Path, sandbox: Sandbox, runs: bool) -> None:
    config = with_rooms(tmp_path, sandbox)
    if not runs:
        await rooms_by_hand(str(config), tmp_path, sandbox)
        await deletion_by_hand(str(config), sandbox)
        return
    async with relay_process(config):
        await rooms_by_hand(str(config), tmp_path, sandbox)
        await deletion_by_hand(str(config), sandbox)


async def test_what_can_not_be_done_says_why(tmp_path: Path, sandbox: Sandbox) -> None:
    config = str(with_rooms(tmp_path, sandbox))
    (tmp_path / "bad.json").write_text('{"type": "AdaptiveCard", "version": "9"}', encoding="utf-8")
    cases = {
        ("rooms", "show", "nowhere"): (1, "no room of this account has the name, id or title 'nowhere'"),
        ("rooms", "show", "snv", "--account", "webx"): (2, "(did you mean 'webex'?)"),
        ("rooms", "show", "unmade"): (1, "room unmade does not exist yet; its first message creates it"),
        ("rooms", "create", "New", "--member", "anna"): (2, "found 'anna'"),
        ("rooms", "list", "--type", "team"): (2, "expected group or direct, found 'team'"),
        ("rooms", "members", "oncall"): (2, "found the direct room with oncall@example.net"),
        ("messages", "list", "snv", "--after", "soon"): (2, "or a duration like 2h"),
        ("send", "snv", "x", "--file", "nothing.pdf"): (2, "there is no file nothing.pdf"),
        ("send", "snv", "x", "--card", str(tmp_path / "bad.json")): (
            2,
            "version: expected a version that Webex shows, like '1.3'; found '9'",
        ),
        ("send", "snv"): (2, "there is nothing to post"),
        ("login", "webex"): (2, "`relay login` is for accounts with `oauth`"),
    }
    for arguments, (code, said) in cases.items():
        _, error = await answer(*arguments, "-c", config, code=code)
        assert said in error, error


async def test_a_bot_is_told_what_it_can_not_see(tmp_path: Path, sandbox: Sandbox) -> None:
    config = with_rooms(tmp_path, sandbox)
    sandbox.state.add_room("SnV NOC")
    values = json.loads(config.read_text(encoding="utf-8"))
    values["accounts"]["webex"]["token"] = f"{TOKEN}-bot"
    config.write_text(json.dumps(values), encoding="utf-8")
    _, error = await answer("messages", "delete", "snv", "--mine", "-c", str(config), code=1)
    assert "does not show a bot its own messages" in error
    _, error = await answer("messages", "list", "snv", "-c", str(config))
    assert "only the messages that mention it" in error


# Login


def with_oauth(folder: Path, sandbox: Sandbox, port: int) -> Path:
    config = configure(folder, sandbox)
    values = json.loads(config.read_text(encoding="utf-8"))
    del values["accounts"]["webex"]["token"]
    redirect = f"http://127.0.0.1:{port}/callback"
    values["accounts"]["webex"]["oauth"] = {"client_id": "sandbox", "client_secret": TOKEN, "redirect_uri": redirect}
    config.write_text(json.dumps(values), encoding="utf-8")
    return config


class Login:
    """`relay login` as it waits; `url` is the page that it names."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    @classmethod
    async def begin(cls, config: Path, *arguments: str) -> Login:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "relay",
            "login",
            "webex",
            "--no-browser",
            "-c",
            str(config),
            *arguments,
            cwd=ROOT,
            env=environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        async with asyncio.timeout(30):
            while not (line := (await process.stderr.readline()).decode()).startswith("http"):
                assert line, "login ended before it named a page"
        return cls(process, line.strip())

    async def answer(self, given: str, *, follow: bool) -> str:
        """What a person does on the page; where the browser ends."""
        async with aiohttp.ClientSession(trust_env=False) as session:
            sent = session.post(self.url, data={"answer": given}, allow_redirects=follow)
            async with sent as answered:
                return str(answered.url) if follow else answered.headers["Location"]

    async def ended(self, stdin: bytes = b"") -> tuple[int, str, str]:
        async with asyncio.timeout(30):
            out, error = await self.process.communicate(stdin)
        return self.process.returncode or 0, out.decode(), error.decode()


async def test_a_login_waits_for_the_browser_and_the_relay_goes_on(tmp_path: Path, sandbox: Sandbox) -> None:
    config = with_oauth(tmp_path, sandbox, free_port())
    async with relay_process(config) as relay, aiohttp.ClientSession(trust_env=False) as session:
        await session.post(relay.events + "/hooks/lab", json={"title": "held until a login"})
        login = await Login.begin(config)
        await login.answer("grant", follow=True)
        code, out, error = await login.ended()
        assert (code, "posts as Relay (relay@sandbox.example)" in out) == (0, True), error
        await until(sandbox, lambda: bool(messages(sandbox)))
        assert "held until a login" in messages(sandbox)[0].text
    assert (tmp_path / "tokens" / "webex.json").stat().st_mode & 0o777 == 0o600


async def test_a_login_by_pasting_checks_that_the_answer_is_to_its_question(tmp_path: Path, sandbox: Sandbox) -> None:
    config = with_oauth(tmp_path, sandbox, free_port())
    login = await Login.begin(config, "--paste")
    address = await login.answer("grant", follow=False)
    code, _, error = await login.ended(address.replace("state=", "state=x").encode() + b"\n")
    assert (code, "the address belongs to another login" in error) == (1, True)
    login = await Login.begin(config, "--paste")
    code, _, error = await login.ended((await login.answer("deny", follow=False)).encode() + b"\n")
    assert (code, "access was not granted: access_denied" in error) == (1, True)
    login = await Login.begin(config, "--paste", "-o", "json")
    code, out, error = await login.ended((await login.answer("grant", follow=False)).encode() + b"\n")
    assert code == 0, error
    shown = out[out.index("{") :]
    assert json.loads(shown)["person"]["emails"] == ["relay@sandbox.example"]
    await answer("send", "noc", "posted with the tokens on disk", "-c", str(config))
    assert [one.text for one in messages(sandbox)] == ["posted with the tokens on disk"]
