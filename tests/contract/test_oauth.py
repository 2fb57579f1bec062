"""Accounts whose tokens people grant: login, renewal, and what happens when a grant ends."""

from __future__ import annotations

import asyncio
import json
import stat
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from relay.core.delivery import Failed, Refused
from relay.core.redaction import Redactor
from relay.lifecycle import SystemClock
from relay.logs import make_log
from relay.sandbox.oauth import OAuthSwitches
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from relay.senders.http import HttpClient, HttpSettings
from relay.senders.oauth import BREAK, Integration, OAuthToken, TokenFile, Tokens
from relay.settings.secrets import LiveSecret, SecretRef
from tests.fakes.running import TOKEN, Running, messages, running
from tests.fakes.simulated import ManualClock

REDIRECT = "http://127.0.0.1:9082/callback"
OAUTH = {"client_id": "sandbox", "client_secret": TOKEN, "redirect_uri": REDIRECT}


def accounts(sandbox: Sandbox) -> dict[str, Any]:
    """An account with an integration, and one with a token of its own."""
    url = f"{sandbox.address}/v1"
    people = {"type": "webex", "url": url, "oauth": OAUTH}
    return {"people": people, "ops": {"type": "webex", "url": url, "token": f"{TOKEN}-bot"}}


async def granted_code(sandbox: Sandbox) -> str:
    """What the page gives whoever grants."""
    wanted = {"client_id": "sandbox", "response_type": "code", "redirect_uri": REDIRECT, "scope": "a b", "state": "s1"}
    async with aiohttp.ClientSession(trust_env=False) as session:
        page = f"{sandbox.address}/v1/authorize"
        async with session.get(page, params=wanted) as shown:
            assert "Grant access?" in await shown.text()
        async with session.post(page, params=wanted, data={"answer": "grant"}, allow_redirects=False) as answer:
            address = urlsplit(answer.headers["Location"])
    query = parse_qs(address.query)
    assert (address.path, query["state"]) == ("/callback", ["s1"])
    return query["code"][0]


async def log_in(relay: Running, account: str = "people") -> dict[str, Any]:
    body = {"do": "login", "code": await granted_code(relay.sandbox)}
    async with relay.session.post(f"{relay.admin}/api/v1/accounts/{account}/ask", json=body) as answer:
        assert answer.status == 200, await answer.text()
        granted: dict[str, Any] = await answer.json()
    return granted


class Held:
    """Tokens of a test's own, with a time of its own."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.clock = ManualClock()
        self.clock.time = SystemClock().wall()
        self.log = (folder / "log").open("a+", encoding="utf-8")
        self.redactor = Redactor()
        self.redactor.learn(TOKEN)
        self.http = HttpClient(
            HttpSettings(url=f"{sandbox.address}/v1"), None, make_log("debug", self.log), self.redactor
        )
        self.file = TokenFile(folder / "tokens" / "people.json")
        self.sandbox = sandbox

    def token(self) -> OAuthToken:
        secret = LiveSecret(SecretRef("literal", TOKEN))
        integration = Integration(client_id="sandbox", client_secret=secret, redirect_uri=REDIRECT)
        return OAuthToken(
            "people", integration, self.http, self.file, self.clock, make_log("debug", self.log), self.redactor
        )

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read()


@pytest.fixture
async def held(sandbox: Sandbox, tmp_path: Path) -> Any:
    made = Held(sandbox, tmp_path)
    sandbox.state.wall = made.clock.now
    yield made
    await made.http.close()
    made.log.close()


async def test_a_code_gives_tokens_that_only_the_owner_can_read_and_that_outlive_the_process(held: Held) -> None:
    token = held.token()
    nothing = await token.current()
    assert isinstance(nothing, Refused)
    assert "`relay login people`" in nothing.detail
    code = await granted_code(held.sandbox)
    await token.login(code)
    access = await token.current()
    assert isinstance(access, str)
    assert stat.S_IMODE(held.file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(held.file.path.parent.stat().st_mode) == 0o700
    assert [one.name for one in held.file.path.parent.iterdir()] == ["people.json"]
    assert await held.token().current() == access
    again = await token.login(code)
    assert isinstance(again, Refused)  # a code is good once
    tokens = held.file.load()
    assert tokens is not None
    for secret in (access, tokens.refresh_token, code, TOKEN):
        assert secret not in held.said() + repr(tokens) + str(again)


async def test_a_token_is_renewed_ahead_of_its_end_and_where_that_was_missed(held: Held) -> None:
    token = held.token()
    await token.login(await granted_code(held.sandbox))
    first = await token.current()
    held.clock.time += 12 * 86_400.0
    await token.tend()
    assert (await token.current(), held.sandbox.oauth.renewals) == (first, 0)
    held.clock.time += 1.5 * 86_400.0
    await token.tend()
    second = await token.current()
    assert (second != first, held.sandbox.oauth.renewals) == (True, 1)
    held.clock.time += 15 * 86_400.0
    assert (await token.current() != second, held.sandbox.oauth.renewals) == (True, 2)


async def test_whoever_asks_at_once_shares_one_renewal(held: Held) -> None:
    token = held.token()
    await token.login(await granted_code(held.sandbox))
    first = await token.current()
    assert isinstance(first, str)
    held.sandbox.oauth.expire()
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(token.renew(first)) for _ in range(50)]
    assert all(one.result() is True for one in asked)
    assert held.sandbox.oauth.renewals == 1


@pytest.mark.parametrize("act", ["current", "renew"])
async def test_a_service_that_is_down_is_no_refusal_and_is_not_asked_over_and_over(held: Held, act: str) -> None:
    token = held.token()
    await token.login(await granted_code(held.sandbox))
    first = await token.current()
    assert isinstance(first, str)
    held.clock.time += 15 * 86_400.0
    held.sandbox.state.faults = [Fault(status=503)]
    asked = held.sandbox.state.requests
    for _ in range(5):
        failed = await token.current()
        assert isinstance(failed, Failed)
        assert isinstance(await token.renew(first), Failed)
    assert held.sandbox.state.requests == asked + 1
    held.sandbox.state.faults = []
    held.clock.time += BREAK
    if act == "renew":
        assert await token.renew(first) is True
    assert isinstance(await token.current(), str)


async def test_a_wall_clock_that_is_set_back_does_not_lengthen_the_pause_after_a_renewal_that_failed(
    held: Held,
) -> None:
    token = held.token()
    await token.login(await granted_code(held.sandbox))
    first = await token.current()
    assert isinstance(first, str)
    held.sandbox.state.faults = [Fault(status=503)]
    assert isinstance(await token.renew(first), Failed)
    held.sandbox.state.faults = []
    held.clock.jump -= 86_400.0
    assert isinstance(await token.renew(first), Failed)  # the pause is not over
    held.clock.time += BREAK
    assert await token.renew(first) is True


async def test_a_refused_refresh_token_is_not_tried_again_until_there_is_another(held: Held) -> None:
    token = held.token()
    await token.login(await granted_code(held.sandbox))
    held.clock.time += 91 * 86_400.0
    for _ in range(3):
        refused = await token.current()
        assert isinstance(refused, Refused)
        assert "get a new one with `relay login people`" in refused.detail
        held.clock.time += 60.0
    assert held.said().count("refresh_token_refused") == 1
    other = held.token()  # as a command without a daemon has it
    await other.login(await granted_code(held.sandbox))
    assert isinstance(await token.current(), str)
    assert token.credentials().trouble is None


async def test_tokens_that_cannot_be_written_are_used_and_written_later(held: Held) -> None:
    token = held.token()
    held.file.path.parent.write_text("in the way", encoding="utf-8")
    await token.login(await granted_code(held.sandbox))
    access = await token.current()
    assert isinstance(access, str)
    assert '"event": "tokens_not_saved"' in held.said()
    held.file.path.parent.unlink()
    await token.tend()
    assert await held.token().current() == access


def test_a_file_that_is_damaged_says_so(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "people.json")
    file.path.write_bytes(b'{"access_token": "x"')
    with pytest.raises(ValueError, match="can't be read"):
        file.load()
    tokens = Tokens(access_token="a", issued_at=0, expires_at=1, refresh_token="r", refresh_expires_at=2)
    file.save(tokens)
    assert file.load() == tokens


async def test_an_expiry_amid_a_thousand_deliveries_is_one_renewal(tmp_path: Path, sandbox: Sandbox) -> None:
    names = [f"r{number}" for number in range(20)]
    rooms = {name: {"account": "people", "title": name, "create": True, "digest_over": 10_000} for name in names}
    routes = [{"matchers": [f"room={name}"], "rooms": [name]} for name in names]
    changes = {"accounts": accounts(sandbox), "rooms": rooms, "route": {"rooms": ["r0"], "routes": routes}}
    async with running(tmp_path, sandbox, **changes) as relay:
        await log_in(relay)
        await relay.post([{"title": f"m{n}", "labels": {"room": f"r{n % 20}"}} for n in range(1_000)])

        def posted() -> int:
            return sum(len(room.messages) for room in sandbox.state.rooms.values())

        await relay.until(lambda: posted() >= 300)
        sandbox.oauth.expire()
        await relay.until(lambda: posted() >= 1_000)
        await relay.until_state("done", 1_000)
        assert sandbox.oauth.renewals == 1
        texts = [message.text for name in names for message in messages(sandbox, name)]
        said = Counter(text.split("m", 1)[1].split("\n")[0] for text in texts)
        assert said == Counter(str(n) for n in range(1_000))


async def test_a_revoked_grant_holds_everything_until_a_login(tmp_path: Path, sandbox: Sandbox) -> None:
    rooms = {
        "noc": {"account": "people", "title": "NOC", "create": True, "digest_over": 1_000},
        "ops": {"account": "ops", "title": "Ops", "create": True},
    }
    changes = {"accounts": accounts(sandbox), "rooms": rooms, "operator": {"room": "ops"}}
    async with running(tmp_path, sandbox, **changes) as relay:
        await log_in(relay)
        await relay.post({"title": "before"})
        await relay.until(lambda: len(relay.messages()) == 1)
        sandbox.oauth.switches = OAuthSwitches(revoke=True)
        sandbox.oauth._refresh.clear()
        sandbox.oauth.expire()
        await relay.post([{"title": f"held {n}"} for n in range(5)])
        await relay.until(lambda: "the refresh token is refused" in _last(relay, "Ops"))
        assert "CRITICAL · relay: Account people is refused" in _last(relay, "Ops")
        assert "`relay login people`" in _last(relay, "Ops")
        _, status = await relay.get("/api/v1/status")
        (account,) = [one for one in status["accounts"] if one["account"] == "people"]
        assert "the refresh token is refused" in account["refused"]
        assert len(relay.messages()) == 1
        await log_in(relay)
        await relay.until(lambda: len(relay.messages()) == 6)
        await relay.until(lambda: "resolved · relay: Account people is accepted again" in _last(relay, "Ops"))
        _, exposed = await relay.get("/metrics")
        assert 'relay_account_refused{account="people"} 0.0' in exposed


async def test_a_refresh_token_that_ends_soon_is_told_in_time(tmp_path: Path, sandbox: Sandbox) -> None:
    sandbox.oauth.switches = OAuthSwitches(refresh_token_expires_in=5 * 86_400.0)
    rooms = {
        "noc": {"account": "people", "title": "NOC", "create": True},
        "ops": {"account": "ops", "title": "Ops", "create": True},
    }
    changes = {"accounts": accounts(sandbox), "rooms": rooms, "operator": {"room": "ops"}}
    async with running(tmp_path, sandbox, **changes) as relay:
        granted = await log_in(relay)
        keeper = relay.daemon.loops["credentials"]
        keeper.nudge()
        await relay.until(lambda: "The refresh token of account people ends within a week" in _last(relay, "Ops"))
        (account,) = [one for one in (await relay.get("/api/v1/status"))[1]["accounts"] if one["account"] == "people"]
        assert account["refresh_token_expires_at"][:16] == granted["refresh_token_expires_at"][:16]
        sandbox.oauth.switches = OAuthSwitches()
        await log_in(relay)
        await relay.until(lambda: "resolved · relay: Account people has a new refresh token" in _last(relay, "Ops"))


def _last(relay: Running, title: str) -> str:
    """The whole text of a room."""
    return "\n".join(message.text for message in relay.messages(title))


async def ask(relay: Running, account: str, **body: object) -> tuple[int, Any]:
    async with relay.session.post(f"{relay.admin}/api/v1/accounts/{account}/ask", json=body) as answer:
        return answer.status, json.loads(await answer.text())


@pytest.mark.parametrize(
    ("account", "body", "status", "said"),
    [
        ("nobody", {"do": "me"}, 404, "no account is configured"),
        ("webex", {"do": "dance"}, 400, "dance"),
        ("webex", {"do": "find"}, 400, "room"),
        ("webex", {"do": "find", "room": "nowhere"}, 502, "no room of this account has the name, id or title"),
        ("webex", {"do": "login", "code": "x"}, 502, "has its own token"),
        ("webex", {"do": "create", "title": " "}, 502, "title cannot be empty"),
    ],
)
async def test_what_can_not_be_answered_says_why(
    relay: Running, account: str, body: dict[str, object], status: int, said: str
) -> None:
    answered, document = await ask(relay, account, **body)
    assert (answered, said in document["error"]["message"]) == (status, True), document


async def test_a_service_that_wants_to_be_asked_later_is_429(relay: Running) -> None:
    relay.sandbox.state.faults = [Fault(status=429, retry_after="7", method="GET")]
    async with relay.session.post(f"{relay.admin}/api/v1/accounts/webex/ask", json={"do": "me"}) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
