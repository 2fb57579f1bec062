"""How vendors sign: the examples that they publish, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.formats import FORMATS
from relay.formats.contract import Signed
from relay.listeners.auth import Signature

NOW = 1_772_330_400.0
BODY = b'{"title": "gate 4", "n": 1.0}'
SECRET = "between us"


def mac(secret: str, content: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(secret.encode(), content, algorithm).digest()


def standard(secret: str, body: bytes, at: float) -> dict[str, str]:
    content = b"msg-1." + str(int(at)).encode() + b"." + body
    signature = "v1," + base64.b64encode(mac(secret, content)).decode()
    return {"webhook-id": "msg-1", "webhook-timestamp": str(int(at)), "webhook-signature": signature}


def intersight(secret: str, body: bytes, at: float, target: str = "/hooks/intersight") -> dict[str, str]:
    headers = {
        "Host": "relay.example.net",
        "Date": formatdate(at, usegmt=True),
        "Content-Type": "application/json",
        "Digest": "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode(),
        "Content-Length": str(len(body)),
    }
    names = ["(request-target)", "host", "date", "digest", "content-type", "content-length"]
    lines = [f"{name}: post {target}" if name[0] == "(" else f"{name}: {headers[name.title()]}" for name in names]
    signature = base64.b64encode(mac(secret, "\n".join(lines).encode())).decode()
    said = f'keyId="k", algorithm="hmac-sha256", headers="{" ".join(names)}", signature="{signature}"'
    return {**headers, "Authorization": f"Signature {said}"}


def signed_by(name: str, secret: str, body: bytes = BODY, at: float = NOW) -> dict[str, str]:
    """The headers by which a vendor signs."""
    sha256 = mac(secret, body).hex()
    return {
        "github": {"X-Hub-Signature-256": f"sha256={sha256}"},
        "jira": {"X-Hub-Signature": f"sha256={sha256}"},
        "sentry": {"Sentry-Hook-Signature": sha256},
        "pagerduty": {"X-PagerDuty-Signature": f"v1={'0' * 64}, v1={sha256}"},
        "netbox": {"X-Hook-Signature": mac(secret, body, "sha512").hex()},
        "webex": {"X-Spark-Signature": mac(secret, body, "sha1").hex()},
        "grafana": {
            "X-Grafana-Alerting-Signature": mac(secret, f"{int(at)}:".encode() + body).hex(),
            "X-Our-Time": str(int(at)),
        },
        "gitlab": standard(secret, body, at),
        "intersight": intersight(secret, body, at),
    }[name]


SIGNED = ("github", "jira", "sentry", "pagerduty", "netbox", "webex", "grafana", "gitlab", "intersight")
TIMED = ("grafana", "gitlab", "intersight")


def admits(name: str, headers: Mapping[str, str], *secrets: str, body: bytes = BODY, now: float = NOW) -> bool:
    scheme = FORMATS[name].scheme
    assert scheme is not None
    target = "/hooks/intersight"
    return Signature(lambda: secrets, scheme).verifies(Signed(body, headers, "POST", target), now)


def test_every_format_that_signs_is_tried_here() -> None:
    assert {name for name, one in FORMATS.items() if one.scheme is not None} == {*SIGNED, "cisco-meraki"}


@pytest.mark.parametrize("name", SIGNED)
def test_a_signature_is_good_for_its_secret_its_body_and_its_time(name: str) -> None:
    headers = signed_by(name, SECRET)
    assert admits(name, headers, SECRET)
    assert admits(name, headers, "the new one", SECRET)
    assert admits(name, signed_by(name, "the new one"), "the new one", SECRET)
    assert not admits(name, headers, "another")
    assert not admits(name, headers)
    assert not admits(name, {}, SECRET)
    assert not admits(name, headers, SECRET, body=b'{"n": 1.0, "title": "gate 4"}')
    assert not admits(name, headers, SECRET, body=b'{"title":"gate 4","n":1.0}')
    assert not admits(name, signed_by(name, ""), "")
    assert admits(name, headers, SECRET, now=NOW + 3_600) == (name not in TIMED)


@pytest.mark.parametrize("name", SIGNED)
@given(value=st.text(max_size=40))
def test_odd_headers_are_refused_and_never_fail(name: str, value: str) -> None:
    headers = dict.fromkeys(signed_by(name, SECRET), value)
    assert not admits(name, headers, SECRET)
    assert not admits(name, {**headers, "Authorization": f"Signature {value}"}, SECRET)


def test_what_vendors_publish_is_admitted() -> None:
    github = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"X-Hub-Signature-256": f"sha256={github}"}
    assert admits("github", headers, "It's a Secret to Everybody", body=b"Hello, World!")  # GitHub Docs
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the test vector of standardwebhooks.com
    given_: dict[str, Any] = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert admits("gitlab", given_, key, body=b'{"test": 2432232314}', now=1_614_265_330)
    assert not admits("gitlab", given_, key, body=b'{"test": 2432232314}', now=1_614_266_330)


def test_gitlab_may_send_the_token_itself_and_grafana_no_time() -> None:
    assert admits("gitlab", {"X-Gitlab-Token": SECRET}, "old", SECRET)
    assert not admits("gitlab", {"X-Gitlab-Token": "nearly"}, SECRET)
    assert admits("grafana", {"X-Grafana-Alerting-Signature": mac(SECRET, BODY).hex()}, SECRET)


def test_meraki_has_its_secret_in_the_body() -> None:
    body = b'{"sharedSecret": "between us", "alertTypeId": "stopped_reporting"}'
    assert admits("cisco-meraki", {}, "new", SECRET, body=body)
    for wrong in (b"{}", b'{"sharedSecret": ["between us"]}', b'{"sharedSecret": "\\u00e9"}', b"no json", b"[1]"):
        assert not admits("cisco-meraki", {}, SECRET, body=wrong)


def test_a_request_may_not_be_sent_elsewhere_with_intersights_signature() -> None:
    headers = signed_by("intersight", SECRET)
    scheme = FORMATS["intersight"].scheme
    assert scheme is not None
    assert not scheme(Signed(BODY, headers, "POST", "/hooks/other"), SECRET, NOW)
    bare = {**headers, "Authorization": headers["Authorization"].replace("(request-target) ", "")}
    assert not scheme(Signed(BODY, bare, "POST", "/hooks/intersight"), SECRET, NOW)
