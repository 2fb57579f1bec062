"""The page, for a screen on the wall and for an operator at night. Its data comes from the API and the feed."""

from __future__ import annotations

from importlib import resources
from urllib.parse import parse_qsl

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from relay import __version__
from relay.web.answers import read_body
from relay.web.sessions import COOKIE, Sessions, TooManyError

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SCRIPTS = ("page", "desk", "events", "now", "parts", "routes", "times")
_FILES = {
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
    **{f"{name}.js": "text/javascript" for name in _SCRIPTS},
}
_MOST_FIELDS = 10
"""Fields of the login's form that are read, at most."""


class Page:
    """Handlers of the page and of its login."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._pages = Environment(
            loader=PackageLoader("relay.web", "pages"), autoescape=True, undefined=StrictUndefined
        )

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/", self.get_page),
            web.get("/login", self.get_login),
            web.post("/login", self.post_login),
            web.post("/logout", self.post_logout),
            *(web.get(f"/{name}", self.get_file) for name in _FILES),
        ]

    async def get_page(self, _: web.Request) -> web.Response:
        """Return the page."""
        return self._render("page.html", version=__version__, login=self._sessions.needed)

    async def get_login(self, request: web.Request) -> web.Response:
        """Return the form that asks for the admin token; redirect to the page if it is not needed."""
        if self._sessions.admits(request):
            return web.Response(status=303, headers={"Location": "/"})
        return self._render("login.html", trouble="")

    async def post_login(self, request: web.Request) -> web.Response:
        """Exchange the admin token for a cookie."""
        form = (await read_body(request)).decode(errors="replace")
        try:
            given = dict(parse_qsl(form, max_num_fields=_MOST_FIELDS)).get("token", "").strip()
            token = self._sessions.log_in(request, given)
        except TooManyError:
            return self._render("login.html", 429, trouble="Too many wrong tries from here; wait a moment.")
        except ValueError:
            token = None
        if token is None:
            return self._render("login.html", 401, trouble="That is not the admin token.")
        answer = web.Response(status=303, headers={"Location": "/"})
        self._sessions.give(request, answer, token)
        return answer

    async def post_logout(self, _: web.Request) -> web.Response:
        """Delete the cookie."""
        answer = web.Response(status=303, headers={"Location": "/login"})
        answer.del_cookie(COOKIE, path="/")
        return answer

    async def get_file(self, request: web.Request) -> web.Response:
        """Return a file of the page."""
        name = request.path.removeprefix("/")
        body = resources.files("relay.web").joinpath("pages", name).read_bytes()
        return web.Response(body=body, content_type=_FILES[name], charset="utf-8", headers=_HEADERS)

    def _render(self, name: str, status: int = 200, **values: object) -> web.Response:
        text = self._pages.get_template(name).render(**values)
        return web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS)
