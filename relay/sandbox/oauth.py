"""The sandbox's OAuth: a page that grants access, and tokens that expire (Webex for Developers, "Integrations")."""

from __future__ import annotations

import html
import secrets
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
from aiohttp import web

from relay.sandbox.answers import WebexError, json_answer
from relay.sandbox.state import Person, WebexState

CLIENT_ID = "sandbox"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' http://127.0.0.1:* http://localhost:*"
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Grant access</title>
<style>:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui; max-width: 34rem; margin: 3rem auto; padding: 0 1rem }}
button {{ font: inherit; padding: .4rem 1.2rem }}</style>
<h1>Grant access?</h1><p><strong>{client}</strong> asks to act for <strong>{person}</strong>:</p><ul>{scopes}</ul>
<form method="post" action="authorize?{query}"><button name="answer" value="grant">Grant</button>
<button name="answer" value="deny">Deny</button></form></html>"""


class OAuthSwitches(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Lifetimes of tokens in seconds. `revoke` ends all granted tokens."""

    expires_in: float = 14 * 86_400.0
    refresh_token_expires_in: float = 90 * 86_400.0
    revoke: bool = False


class SandboxOAuth:
    """One integration, `sandbox`. Its client secret is the sandbox's token, and the token's owner grants access."""

    def __init__(self, state: WebexState, owner: Person, client_secret: str) -> None:
        self._state = state
        self._owner = owner
        self._secret = client_secret
        self._codes: dict[str, str] = {}
        self._refresh: dict[str, float] = {}
        self.switches = OAuthSwitches()
        self.renewals = 0
        """The number of access tokens that were given for refresh tokens."""

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, which need no token."""
        return [
            web.get("/authorize", self.get_page),
            web.post("/authorize", self.post_page),
            web.post("/access_token", self.post_token),
        ]

    async def get_page(self, request: web.Request) -> web.Response:
        """Return the page on which a person grants or denies access."""
        self._redirect_of(request)
        scopes = "".join(f"<li>{html.escape(scope)}</li>" for scope in request.query.get("scope", "").split())
        page = _PAGE.format(
            client=html.escape(request.query.get("client_id", "")),
            person=html.escape(self._owner.name),
            scopes=scopes,
            query=html.escape(request.query_string),
        )
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": _POLICY})

    async def post_page(self, request: web.Request) -> web.Response:
        """Redirect the person to the client, with a code or with a refusal."""
        address = self._redirect_of(request)
        answer = {"state": request.query.get("state", "")}
        if (await request.post()).get("answer") == "grant":
            code = secrets.token_urlsafe(24)
            self._codes[code] = address
            answer["code"] = code
        else:
            answer["error"] = "access_denied"
        joint = "&" if urlsplit(address).query else "?"
        return web.Response(status=302, headers={"Location": f"{address}{joint}{urlencode(answer)}"})

    def _redirect_of(self, request: web.Request) -> str:
        if request.query.get("client_id") != CLIENT_ID or request.query.get("response_type") != "code":
            found = f"{request.query.get('client_id')!r} and {request.query.get('response_type')!r}"
            raise WebexError(400, f"client_id and response_type: expected {CLIENT_ID!r} and 'code', found {found}.")
        address = request.query.get("redirect_uri", "")
        if urlsplit(address).scheme != "http" or urlsplit(address).hostname not in LOOPBACK:
            raise WebexError(400, f"redirect_uri: expected an http:// address on loopback, found {address[:100]!r}.")
        return address

    async def post_token(self, request: web.Request) -> web.Response:
        """Return tokens for a code, or a new access token for a refresh token. The request is a form or JSON."""
        fields = await _fields(request)
        if fields.get("client_id") != CLIENT_ID or fields.get("client_secret") != self._secret:
            raise WebexError(401, "The client is not known, or its secret is wrong.")
        now = self._state.wall()
        if fields.get("grant_type") == "authorization_code":
            # a code is used up even if the redirect_uri is wrong, so that it can't be tried with others
            if self._codes.pop(fields.get("code", ""), None) != fields.get("redirect_uri"):
                raise WebexError(400, "The code is not known, was used before, or belongs to another redirect_uri.")
            refresh = secrets.token_urlsafe(32)
            self._refresh[refresh] = now + self.switches.refresh_token_expires_in
        else:
            refresh = fields.get("refresh_token", "")
            if fields.get("grant_type") != "refresh_token" or self._refresh.get(refresh, 0.0) <= now:
                raise WebexError(400, "The refresh token provided is expired or invalid.")
            self.renewals += 1
        return self._tokens(refresh, now)

    def _tokens(self, refresh: str, now: float) -> web.Response:
        access = secrets.token_urlsafe(32)
        self._state.tokens[access] = self._owner
        self._state.ends[access] = now + self.switches.expires_in
        return json_answer(
            {
                "access_token": access,
                "expires_in": self.switches.expires_in,
                "refresh_token": refresh,
                "refresh_token_expires_in": max(0, int(self._refresh[refresh] - now)),
                "token_type": "Bearer",
            }
        )

    def expire(self) -> None:
        """End all granted access tokens, as if they had expired."""
        for token in list(self._state.ends):
            del self._state.ends[token], self._state.tokens[token]

    async def put_switches(self, request: web.Request) -> web.Response:
        """Set the lifetimes of tokens, or revoke all tokens."""
        try:
            self.switches = msgspec.json.decode(await request.read(), type=OAuthSwitches)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return web.Response(status=400, text=f"{error}\n")
        if self.switches.revoke:
            self._refresh.clear()
            self.expire()
        return json_answer(self.switches)


async def _fields(request: web.Request) -> dict[str, str]:
    raw = await request.read()
    try:
        if request.content_type == "application/json":
            return msgspec.json.decode(raw, type=dict[str, str])
        return {name: values[0] for name, values in parse_qs(raw.decode()).items()}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WebexError(400, f"The request could not be understood: {error}") from error
