"""`relay login`: a person grants an integration access, and the account has its tokens."""

from __future__ import annotations

import hmac
import secrets
import sys
import threading
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qs, urlsplit

import typer

from relay.cli.common import ConfigOption, Output, OutputOption, complain, fail, load_config, print_json, say

if TYPE_CHECKING:
    from relay.settings.model import OAuthSettings

PATIENCE = 300.0
"""Seconds that a person has."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def login(
    account: Annotated[str, typer.Argument(help="Name of an account with `oauth`.")],
    config: ConfigOption = None,
    paste: Annotated[
        bool, typer.Option("--paste", help="Take the address that the browser ends at, in place of listening for it.")
    ] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    output: OutputOption = Output.text,
) -> None:
    """Log an account in: a person grants access in a browser, the relay keeps the tokens and renews them.

    A running relay goes on with them at once.

    Example: relay login people --paste
    """
    from relay.app.accounts import authorize_url
    from relay.cli.desk import Desk, account_for
    from relay.settings.model import WebexAccount

    loaded = load_config(config)
    settings = loaded.settings.accounts[account_for(loaded, account)]
    if not isinstance(settings, WebexAccount) or settings.oauth is None:
        able = [name for name, one in loaded.settings.accounts.items() if isinstance(one, WebexAccount) and one.oauth]
        these = ", ".join(able) or "none here"
        fail(f"account {account} has a token of its own; `relay login` is for accounts with `oauth` ({these})", 2)
    state = secrets.token_urlsafe(24)
    url = authorize_url(settings.url, settings.oauth, state)
    listens = not paste and _is_loopback(settings.oauth)
    waiting = _Callback(settings.oauth, state) if listens else None
    complain(f"open this page, and grant access:\n{url}")
    if not paste and not listens:
        complain(f"redirect_uri {settings.oauth.redirect_uri} is not this machine: paste the address instead")
    if browser and not paste:
        import webbrowser

        webbrowser.open(url)
    redirected = waiting.wait() if waiting is not None else _pasted()
    code = _code_of(redirected, state)
    with Desk(loaded, account) as desk:
        granted = desk.ask("login", code=code)
        me = desk.ask("me")
    if output is Output.json:
        print_json({**granted, "person": me})
        return
    say(f"account {account} posts as {me['displayName']} ({', '.join(me['emails'])})")
    until = granted["refresh_token_expires_at"]
    print(f"its access token is renewed by the relay; its refresh token is good until {until}")


def _is_loopback(oauth: OAuthSettings) -> bool:
    parts = urlsplit(oauth.redirect_uri)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK and parts.port is not None


def _pasted() -> str:
    """The address that the browser ended at, as a person pastes it."""
    print("the address that the browser ended at: ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline().strip()
    if not line:
        fail("nothing was pasted")
    return line


def _code_of(address: str, state: str) -> str:
    """The code of a redirect that answers our own question."""
    query = parse_qs(urlsplit(address).query)

    def first(name: str) -> str:
        return query.get(name, [""])[0]

    if not hmac.compare_digest(first("state").encode(), state.encode()):
        fail("the state in the address is not the one that was sent: this is an answer to another question")
    if first("error"):
        fail(f"access was not granted: {first('error_description') or first('error')}")
    if not first("code"):
        fail("the address has no code in it; it would read like http://127.0.0.1:9082/callback?code=…&state=…")
    return first("code")


class _Callback:
    """Listens on loopback for the one redirect."""

    def __init__(self, oauth: OAuthSettings, state: str) -> None:
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        parts = urlsplit(oauth.redirect_uri)
        self._came = threading.Event()
        self._address = ""
        path, callback = parts.path or "/", self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10
            server_version, sys_version = "relay", ""

            def do_GET(self) -> None:
                """Take the redirect; the page says to go back."""
                asked = urlsplit(self.path)
                query = parse_qs(asked.query)
                ours = asked.path == path and hmac.compare_digest(query.get("state", [""])[0].encode(), state.encode())
                known = ours and ("code" in query or "error" in query)
                body = b"this is not the answer that is waited for\n"
                if known:
                    done = b"Thank you." if "code" in query else b"Access was not granted."
                    body = done + b" You can close this page and go back to the terminal.\n"
                self.send_response(200 if known else 404)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                if known:
                    callback.take(self.path)

            def version_string(self) -> str:
                """Name no version."""
                return "relay"

            def log_message(self, *_: object) -> None:
                """Say nothing: the address holds a code."""

        host = parts.hostname or "127.0.0.1"
        try:
            self._server = ThreadingHTTPServer((host, parts.port or 80), Handler)
        except OSError as error:
            fail(f"{host}:{parts.port} can't be listened at ({error.strerror}); --paste does without")
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def take(self, address: str) -> None:
        """The redirect has come."""
        self._address = address
        self._came.set()

    def wait(self) -> str:
        """The address of the redirect."""
        came = self._came.wait(PATIENCE)
        self._server.shutdown()
        self._server.server_close()
        if not came:
            fail(f"nobody came back within {PATIENCE / 60:g} minutes; --paste takes the address by hand")
        return self._address
