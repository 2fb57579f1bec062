from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from relay.app.trial.checks import adapter_problems
from relay.core.redaction import MASK, MOST, SHORTEST, Redactor, secrets_in_url
from relay.formats import FORMATS
from relay.settings.load import load

SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=SHORTEST, max_size=60).filter(
    lambda text: "*" not in text
)
WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": lambda secret: secret,
    "percent": lambda secret: quote(secret, safe=""),
    "form": quote_plus,
    "JSON": lambda secret: json.dumps({"token": secret}),
    "JSON with escaped slashes": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "HTML": html.escape,
    "repr": repr,
    "basic": lambda secret: base64.b64encode(f"somebody:{secret}".encode()).decode(),
    "basic of another length": lambda secret: base64.b64encode(f"some:{secret}".encode()).decode(),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
}


@pytest.mark.parametrize("how", WRITTEN)
@given(secret=SECRETS)
def test_a_secret_is_taken_out_however_it_is_written(how: str, secret: str) -> None:
    assume(secret not in "before (" and secret not in ") after")  # or it is taken out there, too
    redactor = Redactor()
    redactor.learn(secret)
    written = WRITTEN[how](secret)
    cleared = redactor.redact(f"before ({written}) after")
    assert MASK in cleared
    assert secret not in cleared
    assert written not in cleared
    assert cleared.startswith("before (")
    assert cleared.endswith(") after")


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    redactor = Redactor()
    redactor.learn("hunter-2")
    assert redactor.redact_bytes(b"\xff hunter-2 \xfe") == b"\xff " + MASK.encode() + b" \xfe"


def test_a_secret_that_was_replaced_is_still_taken_out_and_short_ones_never_are() -> None:
    redactor = Redactor()
    for secret in ("first-token", "second-token", "abc"):
        redactor.learn(secret)
    assert redactor.redact("first-token second-token abc") == f"{MASK} {MASK} abc"


def test_secrets_that_are_in_use_outlive_any_number_that_came_and_went() -> None:
    redactor = Redactor()
    for number in range(2 * MOST):
        redactor.learn("in-use-always")
        redactor.learn(f"session-{number:06}")
    assert redactor.redact("in-use-always") == MASK


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://hook.example/x", []),
        ("wss://u:p%40ss-word@feed.example/s", ["p%40ss-word", "p@ss-word"]),
        ("wss://feed.example/s?access_token=abcdefgh&symbol=bitcoin", ["abcdefgh"]),
        ("http://[broken", []),
    ],
)
def test_secrets_within_addresses_are_found(url: str, found: list[str]) -> None:
    assert secrets_in_url(url) == found


@pytest.mark.parametrize(("secret", "warned"), [("abcde", True), ("abcdef", False)])
def test_a_secret_that_is_too_short_to_be_taken_out_is_warned_of(tmp_path: Path, secret: str, warned: bool) -> None:
    file = tmp_path / "relay.yaml"
    account = {"type": "webex", "token": secret}
    base = {"storage": f"sqlite:{tmp_path}/relay.db", "accounts": {"webex": account}}
    rest = {"rooms": {"noc": {"account": "webex", "id": "R"}}, "sources": {"lab": {"type": "webhook"}}}
    file.write_text(json.dumps({**base, **rest, "route": {"rooms": ["noc"]}}), encoding="utf-8")
    found = [one for one in adapter_problems(load(file, FORMATS)) if "fewer than 6 characters" in one.message]
    assert [(one.path, one.level) for one in found] == ([("accounts.webex.token", "warning")] if warned else [])
    assert secret not in "".join(one.message for one in found)
