"""The ceiling: accept, commit durably, post in order. It has no features, so the relay can hardly be faster than it.

It stands on the relay's own libraries: aiohttp, SQLite with `synchronous=FULL` and group commit, a lane for each room.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvloop
from aiohttp import web

Row = tuple[int, str, str]
"""A message: its number, its room, its markdown."""


class Store:
    """A thread that commits whatever waits, all of it in one transaction."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[tuple[str, list[Any], asyncio.Future[None]]] = queue.SimpleQueue()
        self._db = sqlite3.connect(folder / "ceiling.db", isolation_level=None, check_same_thread=False)
        self._db.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, room TEXT, markdown TEXT, done INTEGER DEFAULT 0)"
        )
        threading.Thread(target=self._run, daemon=True).start()

    async def write(self, sql: str, rows: list[Any]) -> None:
        done = self._loop.create_future()
        self._waiting.put((sql, rows, done))
        await done

    def _run(self) -> None:
        while True:
            work = [self._waiting.get()]
            while not self._waiting.empty():
                work.append(self._waiting.get())
            self._db.execute("BEGIN IMMEDIATE")
            for sql, rows, _ in work:
                self._db.executemany(sql, rows)
            self._db.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._finish, [done for _, _, done in work])

    @staticmethod
    def _finish(futures: list[asyncio.Future[None]]) -> None:
        for done in futures:
            done.set_result(None)


class Ceiling:
    """One process that accepts at `/hooks/bench` and posts to the sink."""

    def __init__(self, sink: int, store: Store) -> None:
        self._url = f"http://127.0.0.1:{sink}/v1/messages"
        self._store = store
        self._lanes: dict[str, list[Row]] = defaultdict(list)
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._last = 0

    async def start(self, port: int) -> None:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        application = web.Application(client_max_size=2**24)
        application.router.add_post("/hooks/bench", self._accept)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()

    async def _accept(self, request: web.Request) -> web.Response:
        payload = msgspec.json.decode(await request.read())
        events = payload["alerts"] if "alerts" in payload else payload if isinstance(payload, list) else [payload]
        rows = [self._row(event) for event in events]
        await self._store.write("INSERT INTO messages (id, room, markdown) VALUES (?, ?, ?)", rows)
        for row in rows:
            self._lanes[row[1]].append(row)
        for room in {row[1] for row in rows} - self._busy:
            self._busy.add(room)
            task = asyncio.create_task(self._send(room))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return web.Response(body=b"{}", status=202, content_type="application/json")

    def _row(self, event: dict[str, Any]) -> Row:
        self._last += 1
        labels, notes = event["labels"], event.get("annotations") or {}
        room = labels.get("room") or labels["team"]
        title, text = event.get("title") or notes["summary"], event.get("body") or notes["description"]
        return self._last, room, f"🔴 **CRITICAL** · {title}  \n{text}"

    async def _send(self, room: str) -> None:
        lane = self._lanes[room]
        while lane:
            number, _, markdown = lane.pop(0)
            body = msgspec.json.encode({"roomId": room, "markdown": markdown})
            headers = {"Authorization": "Bearer x", "Content-Type": "application/json"}
            async with self._session.post(self._url, data=body, headers=headers) as answer:
                await answer.read()
            await self._store.write("UPDATE messages SET done = 1 WHERE id = ?", [(number,)])
        self._busy.discard(room)


async def main(port: int, sink: int, folder: str) -> None:
    await Ceiling(sink, Store(Path(folder))).start(port)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
