"""`relay login`: a person grants an integration access, and the account gets its tokens."""

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
    from relay.settings.accounts import OAuthSettings

PATIENCE = 300.0
"""Seconds that a person has to grant access."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def login(
    account: Annotated[str, typer.Argument(help="Name of an account with `oauth`.")],
    config: ConfigOption = None,
    paste: Annotated[
        bool, typer.Option("--paste", help="Ask for the address that the browser ends at, in place of listening.")
    ] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    output: OutputOption = Output.text,
) -> None:
    """Log an account in: a person grants access in a browser, and the relay keeps and renews the tokens.

    A running relay uses the new tokens at once.

    Example: relay login people --paste
    """
    from relay.app.assembly.accounts import authorize_url
    from relay.cli.session import AccountSession, account_for
    from relay.settings.accounts import WebexAccount

    loaded = load_config(config)
    settings = loaded.settings.accounts[account_for(loaded, account)]
    if not isinstance(settings, WebexAccount) or settings.oauth is None:
        able = [name for name, one in loaded.settings.accounts.items() if isinstance(one, WebexAccount) and one.oauth]
        names = ", ".join(able) or f"none in {loaded.file}"
        fail(f"account {account} has its own token; `relay login` is for accounts with `oauth` ({names})", 2)
    state = secrets.token_urlsafe(24)
    url = authorize_url(settings.url, settings.oauth, state)
    listens = not paste and _is_loopback(settings.oauth)
    waiting = _Callback(settings.oauth, state) if listens else None
    complain(f"open this page and grant access:\n{url}")
    if not paste and not listens:
        complain(f"redirect_uri {settings.oauth.redirect_uri} is not on this machine; paste the address here instead")
    if browser and not paste:
        import webbrowser

        webbrowser.open(url)
    redirected = waiting.wait() if waiting is not None else _read_pasted()
    code = _code_of(redirected, state)
    with AccountSession(loaded, account) as desk:
        granted = desk.ask("login", code=code)
        me = desk.ask("me")
    if output is Output.json:
        print_json({**granted, "person": me})
        return
    say(f"account {account} posts as {me['displayName']} ({', '.join(me['emails'])})")
    until = granted["refresh_token_expires_at"]
    print(f"the relay renews the access token; the refresh token expires at {until}")


def _is_loopback(oauth: OAuthSettings) -> bool:
    parts = urlsplit(oauth.redirect_uri)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK and parts.port is not None


def _read_pasted() -> str:
    """Return the address that the browser ended at, as a person pastes it."""
    print("the address that the browser ended at: ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline().strip()
    if not line:
        fail("nothing was pasted")
    return line


def _code_of(address: str, state: str) -> str:
    """Return the code of a redirect that answers our own request; exit if it answers another."""
    query = parse_qs(urlsplit(address).query)

    def first(name: str) -> str:
        return query.get(name, [""])[0]

    if not hmac.compare_digest(first("state").encode(), state.encode()):
        fail("the state in the address is not the one that was sent: the address belongs to another login; try again")
    if first("error"):
        fail(f"access was not granted: {first('error_description') or first('error')}")
    if not first("code"):
        fail("the address has no code; expected one like http://127.0.0.1:9082/callback?code=…&state=…")
    return first("code")


class _Callback:
    """Listens on loopback for a single redirect."""

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
                """Take the redirect, and answer with a page that sends the person back to the terminal."""
                asked = urlsplit(self.path)
                query = parse_qs(asked.query)
                ours = asked.path == path and hmac.compare_digest(query.get("state", [""])[0].encode(), state.encode())
                known = ours and ("code" in query or "error" in query)
                body = b"relay login expects another address\n"
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
                """Return a name without a version."""
                return "relay"

            def log_message(self, *_: object) -> None:
                """Log nothing: the address holds a code."""

        host = parts.hostname or "127.0.0.1"
        try:
            self._server = ThreadingHTTPServer((host, parts.port or 80), Handler)
        except OSError as error:
            fail(f"can't listen at {host}:{parts.port}: {error.strerror}; use --paste")
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def take(self, address: str) -> None:
        """Take the address of the redirect, and end the wait."""
        self._address = address
        self._came.set()

    def wait(self) -> str:
        """Return the address of the redirect; exit if none comes in time."""
        came = self._came.wait(PATIENCE)
        self._server.shutdown()
        self._server.server_close()
        if not came:
            fail(f"no redirect came within {PATIENCE / 60:g} minutes; try again, or use --paste")
        return self._address
