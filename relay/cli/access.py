"""Access to the relay's state: through the API of the daemon while it runs, else directly in the store."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from urllib.parse import quote, urlencode

import msgspec

from relay.cli.common import EXIT_STORE, SilentError, complain, fail

if TYPE_CHECKING:
    from relay.core.alert import AlertKey
    from relay.core.event import Draft
    from relay.settings.load import Loaded
    from relay.storage.session import Session


class _Problem(msgspec.Struct):
    message: str


class _Refused(msgspec.Struct):
    error: _Problem


TIMEOUT = 30.0
"""Seconds that a request may take."""
IDS_AT_ONCE = 500
"""Most ids in one query: they stand in the address, whose length is limited."""


class ThrottledError(Exception):
    """A service asks to wait for a number of seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the service asks to wait {seconds:g} s")
        self.seconds = seconds


class StrangerError(Exception):
    """The relay accepts none of the admin tokens, or accepts no attempts from this machine for a while."""


class Daemon:
    """The API of a running relay. Its calls raise `SilentError`."""

    name = "the running relay"
    patience = TIMEOUT
    """Seconds to wait for an answer."""

    def __init__(
        self, address: str, certificate: str | None = None, tokens: Sequence[str] = (), *, config: str = ""
    ) -> None:
        """`certificate` is a file if the relay uses TLS, else None. Raises OSError if it can't be read.

        `config` is the file that the tokens are from.
        """
        local = address.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")
        self._base = f"{'http' if certificate is None else 'https'}://{local}"
        self._tokens = list(tokens)
        self._config = config
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.create_default_context(cafile=certificate)
            self._context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # our own certificate is trust enough
            self._context.check_hostname = False

    def answers(self) -> bool:
        """Return whether anything listens at the admin address."""
        request = urllib.request.Request(self._base + "/readyz")  # noqa: S310 - our own address
        try:
            self._opener().open(request, timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def _opener(self) -> urllib.request.OpenerDirector:
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._context)
        )

    def _exchange(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> tuple[int, Any, bytes]:
        """Return the status, headers and body of an answer.

        Each token is tried: during a rotation the relay may know only one of them.
        """
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        answer = self._ask(method, path, data, content_type, self._tokens[0] if self._tokens else None)
        for token in self._tokens[1:]:
            if answer[0] == 401:
                answer = self._ask(method, path, data, content_type, token)
        return answer

    def _ask(
        self, method: str, path: str, data: bytes | None, content_type: str, token: str | None
    ) -> tuple[int, Any, bytes]:
        request = urllib.request.Request(self._base + path, data, method=method)  # noqa: S310 - our own address
        request.add_header("Content-Type", content_type)
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with self._opener().open(request, timeout=self.patience) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()
        except OSError as error:
            reason = getattr(error, "reason", error)
            message = (
                f"a relay has the database open, but its admin address {self._base} does not answer: {reason}; "
                "its log may say why; if it stays so, restart it"
            )
            raise SilentError(message) from error

    def call(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Any:
        """Return the decoded answer; None for 404. A body is sent as JSON, bytes as they are.

        Raises `ThrottledError`; exits for any other error.
        """
        status, headers, raw = self._exchange(method, path, body, content_type)
        if status == 404:
            return None
        if status == 429 and "Retry-After" in headers:
            raise ThrottledError(_seconds(headers["Retry-After"]))
        if status >= 400:
            self._refused(path, status, raw)
        try:
            return msgspec.json.decode(raw)
        except msgspec.DecodeError:
            fail(f"expected JSON from {self._base}{path}, found something else; is this the relay's admin address?")

    def _refused(self, path: str, status: int, raw: bytes) -> NoReturn:
        if status == 401:
            given = f"the admin token of {self._config}" if self._tokens else f"{self._config} without an admin token"
            fail(f"the running relay does not accept {given}; run `relay reload`")
        try:
            message = msgspec.json.decode(raw, type=_Refused).error.message
        except msgspec.DecodeError:
            fail(f"{self._base}{path} answered {status}: {raw[:500].decode(errors='replace')}")
        fail(message, 2 if status == 400 else 1)

    def text(self, path: str) -> str:
        """Return an answer that is not JSON."""
        status, _, raw = self._exchange("GET", path)
        if status >= 400:
            self._refused(path, status, raw)
        return raw.decode(errors="replace")

    def reload(self) -> dict[str, Any]:
        """Reload the configuration; return the result, also if the relay refuses it. Raises `StrangerError`."""
        status, _, raw = self._exchange("POST", "/-/reload", b"")
        if status in (401, 429):
            raise StrangerError
        if status not in (200, 422):
            self._refused("/-/reload", status, raw)
        return dict(msgspec.json.decode(raw))

    def events(self, wanted: Mapping[str, object]) -> list[dict[str, Any]]:
        """Return events, newest first."""
        return list(self.call("GET", f"/api/v1/events?{_query(wanted)}") or [])

    def event(self, event_id: str) -> dict[str, Any] | None:
        """Return an event with its deliveries; None if there is none with the id."""
        found: dict[str, Any] | None = self.call("GET", f"/api/v1/events/{quote(event_id, safe='')}")
        return found

    def deliveries(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return deliveries, newest first."""
        ids = list(wanted.get("ids") or ())
        if len(ids) <= IDS_AT_ONCE:
            return list(self.call("GET", f"/api/v1/deliveries?{_query(wanted)}") or [])
        slices = [ids[start : start + IDS_AT_ONCE] for start in range(0, len(ids), IDS_AT_ONCE)]
        found = [row for some in slices for row in self.deliveries({**wanted, "ids": some})]
        return sorted(found, key=lambda row: row["id"], reverse=True)

    def change(self, verb: Literal["retry", "drop"], ids: Sequence[int]) -> list[int]:
        """Retry or drop deliveries; return the ids that were changed."""
        return list(self.call("POST", f"/api/v1/deliveries/{verb}", {"ids": list(ids)})["changed"])

    def status(self) -> dict[str, Any]:
        """Return the state in short."""
        return dict(self.call("GET", "/api/v1/status"))

    def silences(self) -> list[dict[str, Any]]:
        """Return all silences, sorted by their end, latest first."""
        return list(self.call("GET", "/api/v1/silences"))

    def silence(self, wanted: Mapping[str, object]) -> str:
        """Make a silence; return its id."""
        return str(self.call("POST", "/api/v1/silences", wanted)["id"])

    def firing(self, matchers: Sequence[str]) -> int:
        """Return how many open alerts match all matchers."""
        query = urlencode([("filter", text) for text in matchers])
        return len(self.call("GET", f"/api/v2/alerts?{query}"))

    def expire(self, silence_id: str) -> bool | None:
        """End a silence; return False if it had ended already, None if there is none with the id."""
        answer = self.call("POST", f"/api/v1/silences/{quote(silence_id, safe='')}/expire", {})
        return None if answer is None else bool(answer["expired"])

    def incidents(self, *, ended: bool) -> list[dict[str, Any]]:
        """Return the open incidents, worst first; with `ended`, also those that have ended."""
        return list(self.call("GET", f"/api/v1/incidents?ended={'true' if ended else 'false'}"))

    def ask(self, account: str, request: Mapping[str, object]) -> Any:
        """Return the answer of an account's service. Raises `ThrottledError`."""
        answer = self.call("POST", f"/api/v1/accounts/{quote(account, safe='')}/ask", request)
        if answer is None and request["do"] != "delete":
            fail(f"the running relay knows no account {account!r}; run `relay reload` to load {self._config}")
        return answer

    def incident(self, number: int) -> dict[str, Any] | None:
        """Return an incident with its trail; None if there is none with the number."""
        found: dict[str, Any] | None = self.call("GET", f"/api/v1/incidents/{number}")
        return found

    def acknowledge(self, incident: int, by: str, comment: str) -> bool:
        """Record who acknowledges an incident; return False if none is open with the number."""
        answer = self.call("POST", f"/api/v1/incidents/{incident}/ack", {"by": by, "comment": comment})
        return answer is not None

    def unacknowledge(self, incident: int, by: str, comment: str) -> bool:
        """Record who withdraws an acknowledgement; return False if no incident is open with the number."""
        answer = self.call("POST", f"/api/v1/incidents/{incident}/unack", {"by": by, "comment": comment})
        return answer is not None


class Stored:
    """The store, used directly while no relay runs."""

    name = "the database (no relay runs)"

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._path = loaded.storage
        self._rooms = list(loaded.settings.rooms)
        try:
            there = self._path.exists()
        except PermissionError:
            message = f"no relay answers at the admin address of {loaded.file}, and this user may not read its database"
            fail(f"{message} {self._path}", EXIT_STORE)
        if not there:
            fail(
                f"there is no database at {self._path} (of {loaded.file}) yet; `relay run` creates it, or name another "
                "configuration with `--config FILE`",
                EXIT_STORE,
            )

    def _open(self) -> Session:
        from relay.ports import StoreError
        from relay.storage.sqlite.session import open_session

        try:
            return open_session(self._path)
        except StoreError as error:
            fail(str(error), EXIT_STORE)

    def events(self, wanted: Mapping[str, object]) -> list[dict[str, Any]]:
        """Return events, newest first."""
        from relay.storage.queries import list_events
        from relay.web.filters import EventFilter

        checked = msgspec.structs.asdict(msgspec.convert(wanted, EventFilter))
        return list(msgspec.json.decode(list_events(self._open(), **checked)))

    def event(self, event_id: str) -> dict[str, Any] | None:
        """Return an event with its deliveries; None if there is none with the id."""
        from relay.storage.queries import show_event

        found: dict[str, Any] | None = msgspec.json.decode(show_event(self._open(), event_id))
        if found is not None:
            found["deliveries"] = self.deliveries({"event": event_id, "limit": 1000})
        return found

    def deliveries(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return deliveries, newest first."""
        from relay.storage.queries import list_deliveries
        from relay.web.filters import DeliveryFilter

        checked = msgspec.structs.asdict(msgspec.convert(wanted, DeliveryFilter))
        return list(msgspec.json.decode(list_deliveries(self._open(), **checked)))

    def change(self, verb: Literal["retry", "drop"], ids: Sequence[int]) -> list[int]:
        """Retry or drop deliveries; return the ids that were changed."""
        from relay.lifecycle import SystemClock
        from relay.storage.queries import change

        return [number for number, _ in change(self._write(), [(verb, tuple(ids), SystemClock().wall())])[0]]

    def _write(self) -> Session:
        """Return a session with the database, locked for this command."""
        from relay.ports import StoreError
        from relay.storage.sqlite.database import lock

        try:
            lock(self._path)
        except StoreError as error:
            fail(str(error), EXIT_STORE)
        return self._open()

    def silences(self) -> list[dict[str, Any]]:
        """Return all silences, sorted by their end, latest first."""
        from relay.lifecycle import SystemClock
        from relay.storage.plans import silences
        from relay.web.silences import silence_json

        now = SystemClock().wall()
        found = sorted(silences(self._open()), key=lambda one: one.ends_at, reverse=True)
        return [silence_json(one, now) for one in found]

    def silence(self, wanted: Mapping[str, object]) -> str:
        """Make a silence; return its id."""
        import uuid

        from relay.core.silencing import BadSilenceError, make_silence
        from relay.lifecycle import SystemClock
        from relay.storage.plans import save_silences
        from relay.web.silences import PostSilence, wish_of

        try:
            wish = wish_of(msgspec.convert(wanted, PostSilence))
            made = make_silence(wish, str(uuid.uuid4()), SystemClock().wall())
        except BadSilenceError as error:
            fail(str(error), 2)
        save_silences(self._write(), [made])
        return made.id

    def firing(self, matchers: Sequence[str]) -> int:
        """Return how many open alerts match all matchers."""
        from relay.core.matching import parse_matchers, view_of
        from relay.storage.plans import open_alerts

        wanted = [matcher for text in matchers for matcher in parse_matchers(text)]
        alerts = {(alert.source, alert.key): alert for alert in open_alerts(self._open())}
        return sum(all(one.matches(view_of(alert)) for one in wanted) for alert in alerts.values())

    def expire(self, silence_id: str) -> bool | None:
        """End a silence; return False if it had ended already, None if there is none with the id."""
        from relay.core.silencing import expire
        from relay.lifecycle import SystemClock
        from relay.storage.plans import save_silences, silences

        session = self._write()
        known = next((one for one in silences(session) if one.id == silence_id), None)
        if known is None:
            return None
        ended = expire(known, SystemClock().wall())
        save_silences(session, ended)
        return bool(ended)

    def incidents(self, *, ended: bool) -> list[dict[str, Any]]:
        """Return the open incidents, worst first; with `ended`, also those that have ended."""
        from relay.storage.queries import list_incidents
        from relay.web.silences import with_names

        return with_names(list_incidents(self._open(), ended=ended))

    def incident(self, number: int) -> dict[str, Any] | None:
        """Return an incident with its trail; None if there is none with the number."""
        from relay.app.trial.trail import trail_json
        from relay.lifecycle import SystemClock
        from relay.settings.rules import compile_rules
        from relay.storage.queries import trail
        from relay.templates.rendering import TemplateRenderer

        found, loaded = trail(self._open(), number), self._loaded
        if found is None:
            return None
        renderer = TemplateRenderer(loaded.templates, loaded.settings.timezone, lambda *_: None)
        return trail_json(found, renderer, compile_rules(loaded.settings), SystemClock().wall())

    def acknowledge(self, incident: int, by: str, comment: str) -> bool:
        """Record who acknowledges an incident, for the next start; return False if none is open with the number."""
        from relay.pipeline.intake import acknowledgement

        return self._record(incident, lambda key: acknowledgement(key, by, comment))

    def unacknowledge(self, incident: int, by: str, comment: str) -> bool:
        """Record who withdraws an acknowledgement, for the next start; return False if no incident is open."""
        from relay.pipeline.intake import unacknowledgement

        return self._record(incident, lambda key: unacknowledgement(key, by, comment))

    def _record(self, incident: int, draft_for: Callable[[AlertKey], Draft]) -> bool:
        from relay.app.running.daemon import new_event_id
        from relay.lifecycle import SystemClock
        from relay.pipeline.intake import notice_of_alert
        from relay.storage.inbox import InboxWriter, entry_of
        from relay.storage.queries import key_of_incident
        from relay.storage.sequence import Sequences

        session = self._write()
        key = key_of_incident(session, incident)
        if key is None:
            return False
        now = SystemClock().wall()
        notice = notice_of_alert(key, draft_for(key), new_event_id(now), now)
        InboxWriter.accept(session, [entry_of(notice, Sequences(session).next("event"))])
        return True

    def status(self) -> dict[str, Any]:
        """Return the part of the state that is in the store."""
        from relay import __version__
        from relay.app.running.factfinding import gone_facts, room_facts
        from relay.app.running.status import room_status, wellness
        from relay.core.facts import Facts
        from relay.core.wellness import health_of_room, look
        from relay.lifecycle import SystemClock
        from relay.storage.queries import snapshot

        queue, now = snapshot(self._open(), self._rooms, everything=True), SystemClock().wall()
        rooms = tuple(room_facts(queue, room, now) for room in self._rooms)
        facts = Facts(now=now, running=False, rooms=rooms, gone=gone_facts(queue, self._rooms, now))
        findings = look(facts)
        return {
            "version": __version__,
            "ready": False,
            "why_not_ready": "no relay runs on this database",
            **wellness(findings),
            **queue.counts,
            "accounts": [],
            "rooms": [
                {
                    **room_status(queue, room.name, now),
                    "health": health_of_room(room.name, findings),
                    "state": "no relay runs",
                    "error": None,
                    "rests_for_seconds": 0,
                }
                for room in rooms
            ],
            "feeds": [],
        }


def access(loaded: Loaded, *, quiet: bool = False) -> Daemon | Stored:
    """Return the daemon if one runs, else the store; say so unless `quiet`."""
    daemon = daemon_of(loaded)
    if daemon is not None:
        return daemon
    stored = Stored(loaded)
    if not quiet:
        complain(f"no relay runs on {loaded.file}; reading its database {loaded.storage}")
    return stored


def daemon_of(loaded: Loaded, *, strictly: bool = False) -> Daemon | None:
    """Return the daemon that has this configuration's database open; None if there is none.

    If this user can't see the database, or it is in another place for a service, the admin address decides. If a daemon
    runs but can't be asked, exit with an error or, if `strictly`, raise `SecretError` or OSError.
    """
    from relay.settings.secrets import SecretError
    from relay.storage.sqlite.database import is_locked

    locked = is_locked(loaded.storage)  # None if that can't be seen
    if locked is False:
        return None
    try:
        daemon = _daemon(loaded)
    except (SecretError, OSError) as error:
        if strictly:
            raise
        if locked:
            key = "listen.admin_token" if isinstance(error, SecretError) else "listen.tls.cert"
            fail(f"{loaded.file}: {key}: {error}", 2)
        return None
    return daemon if locked or daemon.answers() else None


def _daemon(loaded: Loaded) -> Daemon:
    """Return the relay at the address of its notice, else at its configured one. Raises `SecretError`, OSError."""
    from relay.app.running.notice import notice_of

    listen, notice = loaded.settings.listen, notice_of(loaded.storage)
    tokens = [ref.resolve() for ref in listen.admin_token or ()]
    if notice is not None:
        return Daemon(notice.admin, notice.certificate, tokens, config=loaded.file)
    certificate = None if listen.tls is None else str(listen.tls.cert)
    return Daemon(str(listen.admin), certificate, tokens, config=loaded.file)


def _query(wanted: Mapping[str, object]) -> str:
    given = {name: value for name, value in wanted.items() if value is not None}
    return urlencode({name: ",".join(map(str, v)) if isinstance(v, (list, tuple)) else v for name, v in given.items()})


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after is not None and retry_after.isdigit() else 15.0
