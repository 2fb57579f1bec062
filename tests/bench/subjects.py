"""The programs that the benchmark measures, each a process of its own that posts to the sink."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.bench.work import ROOMS, route

LOAD = str(Path(__file__).with_name("load.py"))
PATIENCE = 600.0
ALERTMANAGER = "prometheus-alertmanager"
TO_PLAN = "SELECT count(*) FROM events WHERE seq > (SELECT value FROM meta WHERE name = 'planned_up_to')"
TO_SEND = """
SELECT (SELECT count(*) FROM deliveries WHERE state = 'waiting')
     + (SELECT count(*) FROM deliveries WHERE state = 'leased')
"""
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return bytes(answer.read())


def wait_until(true: Callable[[], bool], pause: float) -> None:
    """Look again after each pause until something is true. Raise `TimeoutError` when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(pause)


def load(*arguments: object) -> str:
    """Run a load to its end in a process of its own, and return its output."""
    return subprocess.run(
        [sys.executable, LOAD, *map(str, arguments)], check=True, capture_output=True, text=True
    ).stdout


def begin_load(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, LOAD, *map(str, arguments)], stdout=subprocess.DEVNULL)


@contextmanager
def server(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, LOAD, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield process
    finally:
        process.kill()
        process.wait()


class Sink:
    """The fake Webex that all subjects post to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._url = f"http://127.0.0.1:{port}"

    def count(self) -> int:
        """Return how many messages have come since the last reset."""
        return int(get(f"{self._url}/count"))

    def reset(self, *, note: bool = False) -> None:
        """Count from zero; with `note`, record when each marked message comes."""
        get(f"{self._url}/reset{'?note' if note else ''}")

    def arrivals(self) -> dict[str, float]:
        """Return when each marked message came, on the machine's monotonic clock."""
        return dict(json.loads(get(f"{self._url}/arrivals")))

    def wait(self, count: int) -> None:
        """Wait until so many messages have come."""
        wait_until(lambda: self.count() >= count, 0.005)


@contextmanager
def a_sink() -> Iterator[Sink]:
    port = free_port()
    with server("sink", port):
        yield Sink(port)


class Subject:
    """A program that accepts events and posts messages. It begins at once; `ready_after` is in seconds."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.folder = folder
        self.log = (folder / "log").open("w")
        began = time.monotonic()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=folder)
        wait_until(self._is_ready, 0.002)
        self.ready_after = time.monotonic() - began

    def _is_ready(self) -> bool:
        try:
            return bool(get(self.ready_url))
        except urllib.error.HTTPError:
            return True  # it answers, though not to this
        except OSError:
            if self.process.poll() is not None:
                raise SystemExit((self.folder / "log").read_text()) from None
            return False

    events: int
    ready_url: str

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def _of(self, file: str) -> str:
        return Path(f"/proc/{self.process.pid}/{file}").read_text()

    def cpu(self) -> float:
        """Return the processor time so far, of all threads, in seconds."""
        fields = self._of("stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, *, peak: bool = False) -> float:
        """Return the resident memory, or its peak, in MB."""
        return int(self._of("status").split("VmHWM:" if peak else "VmRSS:")[1].split()[0]) / 1024


class Relay(Subject):
    """The relay itself, with a source, 20 rooms and a route for each."""

    def __init__(
        self,
        folder: Path,
        sink: int,
        kind: str = "native",
        *,
        feed: int | None = None,
        dead: bool = False,
        settings: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """`dead`: post to a port that nobody listens on. `settings` changes the configuration before the start."""
        self.events, self.admin = free_port(), free_port()
        self.ready_url = f"http://127.0.0.1:{self.admin}/readyz"
        source = {"type": "webhook", **({"format": "alertmanager"} if kind != "native" else {})}
        sources: dict[str, object] = {"bench": source}
        if feed is not None:
            sources["feed"] = {"type": "websocket", "url": f"ws://127.0.0.1:{feed}"}
        config: dict[str, Any] = {
            "listen": {"events": f"127.0.0.1:{self.events}", "admin": f"127.0.0.1:{self.admin}"},
            "storage": f"sqlite:{folder}/relay.db",
            "accounts": {"webex": {"type": "webex", "token": "x", "url": f"http://127.0.0.1:{1 if dead else sink}/v1"}},
            "rooms": {f"r{n}": {"account": "webex", "id": f"room{n}", "digest_over": 10**9} for n in range(ROOMS)},
            "sources": sources,
            "limits": {"backlog": 10**9, "queue": 10**9},  # what is measured is one source, and a queue of any length
            "keep": {"size": "50GB"},
            "route": {"rooms": ["r0"], "routes": [route(kind, n) for n in range(ROOMS)]},
        }
        if settings is not None:
            settings(config)
        (folder / "relay.yaml").write_text(json.dumps(config))
        command = ["run", "-c", str(folder / "relay.yaml"), "--log-level", "error"]
        super().__init__(folder, [sys.executable, "-m", "relay", *command])

    def __enter__(self) -> Relay:
        return self

    def _count(self, query: str) -> int:
        """Count in the database itself, so that waiting costs the relay nothing."""
        with closing(sqlite3.connect(f"file:{self.folder}/relay.db?mode=ro", uri=True)) as database:
            return int(database.execute(query).fetchone()[0])

    def wait_events(self, count: int) -> None:
        """Wait until so many events are committed."""
        wait_until(lambda: self._count("SELECT count(*) FROM events") >= count, 0.02)

    def wait_planned(self) -> None:
        """Wait until no event is to be planned."""
        wait_until(lambda: not self._count(TO_PLAN), 0.02)

    def wait_idle(self) -> None:
        """Wait until nothing is to be planned or sent."""
        self.wait_planned()
        wait_until(lambda: not self._count(TO_SEND), 0.02)


class Alertmanager(Subject):
    """Debian's Alertmanager, which posts one message an alert to the same rooms by the same routes."""

    def __init__(self, folder: Path, sink: int, kind: str = "alertmanager") -> None:
        self.events = free_port()
        self.ready_url = f"http://127.0.0.1:{self.events}/-/ready"
        url = f"http://127.0.0.1:{sink}/v1/messages"
        webex = {"api_url": url, "send_resolved": False, "http_config": {"authorization": {"credentials": "x"}}}
        text = (
            "{{ range .Alerts }}**{{ .Labels.severity }}** {{ .Annotations.summary }}\n{{ .Annotations.description }}"
        )
        receivers = [
            {"name": f"r{n}", "webex_configs": [{**webex, "room_id": f"room{n}", "message": text + "\n{{ end }}"}]}
            for n in range(ROOMS)
        ]
        routes = [{"matchers": route(kind, n)["matchers"], "receiver": f"r{n}"} for n in range(ROOMS)]
        # an alert of a group of its own, sent at once: the most that it can do
        timing = {"group_by": ["..."], "group_wait": "0s", "group_interval": "1h", "repeat_interval": "12h"}
        config = {"route": {"receiver": "r0", **timing, "routes": routes}, "receivers": receivers}
        (folder / "alertmanager.yml").write_text(json.dumps(config))
        command = [
            ALERTMANAGER,
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{self.events}",
            "--cluster.listen-address=",
            "--log.level=error",
        ]
        super().__init__(folder, command)


class Ceiling(Subject):
    """The prototype without features on the relay's own libraries."""

    def __init__(self, folder: Path, sink: int, kind: str = "native") -> None:  # noqa: ARG002 - it takes both kinds
        self.events = free_port()
        self.ready_url = f"http://127.0.0.1:{self.events}/"
        command = [sys.executable, "-m", "tests.bench.ceiling", str(self.events), str(sink), str(folder)]
        super().__init__(folder, command)


SUBJECTS: dict[str, Callable[[Path, int, str], Subject]] = {
    "relay": Relay,
    "alertmanager": Alertmanager,
    "ceiling": Ceiling,
}


@contextmanager
def a_relay(sink: int, kind: str = "native", **settings: Any) -> Iterator[Relay]:
    with (
        tempfile.TemporaryDirectory(prefix="relay-bench-") as folder,
        Relay(Path(folder), sink, kind, **settings) as it,
    ):
        yield it


@contextmanager
def a_subject(name: str, sink: int, kind: str) -> Iterator[Subject]:
    with (
        tempfile.TemporaryDirectory(prefix="relay-bench-") as folder,
        SUBJECTS[name](Path(folder), sink, kind) as subject,
    ):
        yield subject
