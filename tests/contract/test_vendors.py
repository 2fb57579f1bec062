"""Vendors' webhooks against the daemon: signatures, deliveries that come again, forms, secrets in bodies, Amazon."""

from __future__ import annotations

import base64
import datetime
import hmac
import json
import sqlite3
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from relay.app.trial.checks import adapter_problems
from relay.core.event import Draft
from relay.formats import FORMATS, Format, Request
from relay.formats.signatures import Envelope, sns_content
from relay.listeners.auth import UnavailableError
from relay.listeners.sns import Sns, is_certificate
from relay.logs import make_log
from relay.sandbox.server import Sandbox
from relay.settings.load import load
from relay.settings.problems import ConfigurationError
from tests.fakes.running import Running, configuration, running

RUN = {
    "action": "completed",
    "repository": {"full_name": "ferries/net"},
    "workflow_run": {"name": "build", "workflow_id": 1, "head_branch": "main", "conclusion": "failure"},
}


def stored(tmp_path: Path) -> str:
    with sqlite3.connect(f"file:{tmp_path}/relay.db?mode=ro", uri=True) as database:
        rows = database.execute("SELECT event, payload FROM events").fetchall()
    return str(rows)


async def post_raw(relay: Running, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
    async with relay.session.post(relay.events + path, data=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_github_signs_and_sends_again(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"github": {"type": "webhook", "format": "github", "auth": {"signature": ["new", "old"]}}}
    body = json.dumps(RUN).encode()
    good = f"sha256={hmac.new(b'old', body, 'sha256').hexdigest()}"
    headers = {"Content-Type": "application/json", "X-GitHub-Event": "workflow_run", "X-GitHub-Delivery": "d-1"}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        for wrong in ("", "sha256=0", "sha256=\u00e9", good.upper()):
            status, answer = await post_raw(relay, "/hooks/github", body, **headers, **{"X-Hub-Signature-256": wrong})
            assert (status, answer["error"]["code"]) == (401, "unauthorized")
        signed = {**headers, "X-Hub-Signature-256": good}
        status, first = await post_raw(relay, "/hooks/github", body, **signed)
        assert (status, first["accepted"]) == (202, 1)
        status, again = await post_raw(relay, "/hooks/github", body, **signed)
        assert (status, again) == (202, {"accepted": 0, "duplicates": 1, "ids": first["ids"]})
        await relay.until(lambda: len(relay.messages()) == 1)
        assert relay.messages()[0].text.startswith("🟡 MINOR · ferries/net: build on main: failure")


async def test_a_ping_in_a_form_is_202_and_no_event(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"github": {"type": "webhook", "format": "github"}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        form = {"Content-Type": "application/x-www-form-urlencoded", "X-GitHub-Event": "ping"}
        status, answer = await post_raw(relay, "/hooks/github", b"payload=%7B%22zen%22%3A%22x%22%7D", **form)
        assert (status, answer) == (202, {"accepted": 0, "duplicates": 0, "ids": []})


async def test_the_relays_own_json_may_be_a_form(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox) as relay:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await post_raw(relay, "/hooks/lab", b"title=x", **form))[0] == 202


async def test_merakis_secret_is_checked_and_not_kept(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"meraki": {"type": "webhook", "format": "cisco-meraki", "auth": {"signature": "hush-hush"}}}
    alert = {"sharedSecret": "hush-hush", "alertTypeId": "stopped_reporting", "alertType": "Device went down"}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        assert (await relay.post({**alert, "sharedSecret": "no"}, "/hooks/meraki"))[0] == 401
        assert (await relay.post(alert, "/hooks/meraki"))[0] == 202
        await relay.until(lambda: len(relay.messages()) == 1)
    assert "hush-hush" not in stored(tmp_path) + relay.log.read_text(encoding="utf-8") + relay.messages()[0].text


async def test_merakis_secret_is_not_kept_of_a_list_nor_of_a_line_that_is_cut(tmp_path: Path, sandbox: Sandbox) -> None:
    alert = {"sharedSecret": "hush-hush", "alertTypeId": "gate_down", "alertType": "Gate down"}
    lines = [json.dumps(alert), '{"sharedSecret": "hush-hush", "alertTy', '{"sharedSecret": "hush-hush"}']
    async with running(tmp_path, sandbox, sources={"meraki": {"type": "webhook", "format": "cisco-meraki"}}) as relay:
        status, answer = await post_raw(relay, "/hooks/meraki", "\n".join(lines).encode())
        assert (status, answer["accepted"], [one["index"] for one in answer["refused"]]) == (202, 1, [1, 2])
        _, refused = await relay.get("/api/v1/events?refused=true")
        assert [one["payload"] for one in refused] == ['{"sharedSecret": "********"}', "********"]
    assert "hush-hush" not in stored(tmp_path) + relay.log.read_text(encoding="utf-8") + str(answer)


async def test_what_a_format_does_not_sign_can_not_be_asked_for(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"zabbix": {"type": "webhook", "format": "zabbix", "auth": {"signature": "hush-hush"}}}
    file = tmp_path / "relay.yaml"
    file.write_text(json.dumps(configuration(sandbox, tmp_path, sources=sources)), encoding="utf-8")
    (problem,) = adapter_problems(load(file, FORMATS))
    assert "expected bearer, basic or header: senders of the format zabbix do not sign" in str(problem)


async def test_a_format_that_makes_no_event_loses_nothing(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: Request) -> list[Draft]:
        return [Draft(title="x", key=5)]  # type: ignore[arg-type]  # what another package may do

    monkeypatch.setitem(FORMATS._made, "jira", Format(read=read))  # type: ignore[attr-defined]
    async with running(tmp_path, sandbox, sources={"odd": {"type": "webhook", "format": "jira"}}) as relay:
        status, answer = await relay.post({"a": 1}, "/hooks/odd")
        assert (status, answer["error"]["code"]) == (422, "unreadable")
        _, (kept,) = await relay.get("/api/v1/events?refused=true")
        assert kept["payload"] == '{"a": 1}'


@pytest.mark.parametrize("found", ["MISSING", "NUMBER"])
def test_a_format_that_can_not_be_loaded_is_told(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    (tmp_path / "broken_format.py").write_text("NUMBER = 5\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint("broken", f"broken_format:{found}", "relay.formats")
    monkeypatch.setitem(FORMATS._others, "broken", point)  # type: ignore[attr-defined]
    file = tmp_path / "relay.yaml"
    sources = {"odd": {"type": "webhook", "format": "broken"}}
    file.write_text(json.dumps(configuration(sandbox, tmp_path, sources=sources)), encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load(file, FORMATS)
    (problem,) = [one for one in refused.value.problems if one.level == "error"]
    assert "sources.odd.format: 'broken' can't be loaded: " in str(problem)


# Amazon

TOPIC = "arn:aws:sns:eu-north-1:1234:noc"
CERTIFICATE = "https://sns.eu-north-1.amazonaws.com/SimpleNotificationService-0a1b2c3d.pem"
NOW = 1_772_330_400.0
KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def certificate(days: int = 30) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    start = datetime.datetime.fromtimestamp(NOW - 2 * 86_400, datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def message(version: str = "2", **changes: Any) -> bytes:
    """A message of SNS, signed as it is, and changed behind that."""
    envelope = Envelope(
        Type="Notification",
        MessageId="m",
        TopicArn=TOPIC,
        Timestamp="2026-03-01T02:00:00.000Z",
        Message="level",
        Subject=None,
        Signature="",
        SigningCertURL=CERTIFICATE,
        SignatureVersion=version,
    )
    for name in ("Type", "TopicArn", "Subject", "Token", "SubscribeURL", "SigningCertURL"):
        if name in changes:
            setattr(envelope, name, changes.pop(name))
    algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303 - Amazon's version 1
    envelope.Signature = base64.b64encode(KEY.sign(sns_content(envelope), padding.PKCS1v15(), algorithm)).decode()
    for name, value in changes.items():
        setattr(envelope, name.rstrip("_"), value)
    fields = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


class Amazon:
    """What is asked of Amazon, and what it answers."""

    def __init__(self, answer: bytes | OSError) -> None:
        self.asked: list[str] = []
        self.answer = answer

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer

    def sns(self, *, confirm: bool = False) -> Sns:
        return Sns(frozenset([TOPIC]), confirm=confirm, fetch=self.fetch, now=lambda: NOW, log=make_log("critical"))


@pytest.mark.parametrize("version", ["1", "2"])
async def test_amazons_signature_is_good_and_its_certificate_fetched_once(version: str) -> None:
    amazon = Amazon(certificate())
    sns = amazon.sns()
    assert await sns.verifies(message(version))
    assert await sns.verifies(message(version, Subject="ALARM"))
    assert amazon.asked == [CERTIFICATE]


@pytest.mark.parametrize(
    "changed",
    [
        {"Message_": "another"},
        {"MessageId_": "n"},
        {"Signature_": "!"},
        {"Signature_": "AAAA"},
        {"SignatureVersion_": "3"},
        {"SignatureVersion_": "1"},
        {"Timestamp_": "2027-01-01T00:00:00.000Z"},
        {"TopicArn": "arn:aws:sns:eu-north-1:1234:other"},
        {"Subject_": "added"},
    ],
)
async def test_what_amazon_did_not_sign_is_refused(changed: dict[str, Any]) -> None:
    assert not await Amazon(certificate()).sns().verifies(message(**changed))


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-north-1.amazonaws.com/c.pem",
        "https://sns.eu-north-1.amazonaws.com.example.net/c.pem",
        "https://sns.eu-north-1.amazonaws.com@127.0.0.1/c.pem",
        "https://sns.eu-north-1.amazonaws.com:8443/c.pem",
        "https://s3.eu-north-1.amazonaws.com/c.pem",
        "https://127.0.0.1/c.pem",
        "file:///etc/passwd",
        "https://[",
        "",
        "https://sns.eu-north-1.amazonaws.com/?Action=GetTopicAttributes&TopicArn=x",
        "https://sns.eu-north-1.amazonaws.com/SimpleNotificationService-0a.pem?x=1",
        "https://sns.eu.north.amazonaws.com/c.pem",
        "https://sns.\u0435u-north-1.amazonaws.com/c.pem",
    ],
)
async def test_no_certificate_is_fetched_from_elsewhere(url: str) -> None:
    amazon = Amazon(certificate())
    assert not is_certificate(url)
    assert not await amazon.sns().verifies(message(SigningCertURL=url))
    assert amazon.asked == []


async def test_a_certificate_that_is_over_or_none_is_refused_and_amazon_down_is_no_refusal() -> None:
    assert not await Amazon(certificate(days=1)).sns().verifies(message())
    assert not await Amazon(b"no certificate").sns().verifies(message())
    assert not await Amazon(b"<Attributes>" + certificate() + b"</Attributes>").sns().verifies(message())
    with pytest.raises(UnavailableError, match="could not be asked: no route"):
        await Amazon(OSError("no route")).sns().verifies(message())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"Type": 1}', b"\xff", b"[" * 10_000])
async def test_what_is_no_message_is_refused(body: bytes) -> None:
    assert not await Amazon(certificate()).sns().verifies(body)


async def test_a_subscription_is_confirmed_where_that_is_configured_and_nowhere_else() -> None:
    url = f"https://sns.eu-north-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t"
    asked = {"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": url}
    silent, willing, led_astray = Amazon(certificate()), Amazon(certificate()), Amazon(certificate())
    assert await silent.sns().verifies(message(**asked))
    assert await willing.sns(confirm=True).verifies(message(**asked))
    assert await led_astray.sns(confirm=True).verifies(message(**{**asked, "SubscribeURL": "https://127.0.0.1/x"}))
    assert silent.asked == led_astray.asked == [CERTIFICATE]
    assert willing.asked == [CERTIFICATE, url]


async def test_a_source_of_amazons_refuses_everybody_else(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"aws": {"type": "webhook", "format": "aws-sns", "auth": {"sns": {"topics": [TOPIC]}}}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        for body in (b"{}", message(TopicArn="arn:aws:sns:eu-north-1:1:x"), message(SigningCertURL="http://[::1]/c")):
            status, answer = await post_raw(relay, "/hooks/aws", body, **{"Content-Type": "text/plain"})
            assert (status, answer["error"]["code"]) == (401, "unauthorized")
