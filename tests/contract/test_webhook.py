"""What a sender of webhooks sees."""

from __future__ import annotations

import asyncio
import gzip
import json
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from relay.listeners.body import RefusedRequestError, read_body
from relay.sandbox.server import Sandbox
from tests.fakes.running import Running, running


async def test_an_event_is_answered_202_and_posted(relay: Running) -> None:
    status, answer = await relay.post({"title": "link down", "severity": "major"})
    assert status == 202
    assert answer["accepted"] == 1
    assert answer["duplicates"] == 0
    assert len(answer["ids"]) == 1
    await relay.until(lambda: len(relay.messages()) == 1)
    assert relay.messages()[0].text.startswith("🟠 MAJOR · link down")


async def test_a_list_is_taken_as_a_whole(relay: Running) -> None:
    status, answer = await relay.post([{"title": f"event {n}"} for n in range(50)])
    assert (status, answer["accepted"]) == (202, 50)
    await relay.until(lambda: len(relay.messages()) == 50)
    assert [m.text.split(" · ")[1].splitlines()[0] for m in relay.messages()] == [f"event {n}" for n in range(50)]


@pytest.mark.parametrize(
    ("sent", "headers", "status", "code"),
    [
        (b"{", {}, 400, "malformed"),
        (b"", {}, 400, "malformed"),
        (b"[" * 5000, {}, 400, "malformed"),
        (b'{"title": NaN}', {}, 400, "malformed"),
        (b'{"title": "x"', {"Content-Encoding": "gzip"}, 400, "malformed"),
        (gzip.compress(b'{"title": "x"}', mtime=0)[:-9], {"Content-Encoding": "gzip"}, 400, "malformed"),
        (b"title", {"Content-Type": "image/png"}, 415, "unsupported_media_type"),
        (b'{"title": 5}', {}, 422, "unreadable"),
        (b'{"title": "x", "status": "broken"}', {}, 422, "unreadable"),
        (b'{"title": "x", "status": "resolved"}', {}, 422, "unreadable"),
        (b'"text"', {}, 422, "unreadable"),
        (b" " * (2**20 + 1), {}, 413, "too_large"),
        (gzip.compress(b" " * (2**21), mtime=0), {"Content-Encoding": "gzip"}, 413, "too_large"),
        (b'{"title": "x"}', {"Idempotency-Key": "k" * 300}, 400, "malformed"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_its_code(
    relay: Running, sent: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    all_headers = {"Content-Type": "application/json", **headers}
    async with relay.session.post(relay.events + "/hooks/lab", data=BytesIO(sent), headers=all_headers) as answer:
        body = await answer.json()
    assert (answer.status, body["error"]["code"]) == (status, code)
    assert body["error"]["message"]


async def test_a_text_of_any_kind_is_taken_and_a_query_is_named(relay: Running) -> None:
    address = relay.events + "/hooks/lab?severity=major&token=abc"
    async with relay.session.post(address, data=b"# Gate", headers={"Content-Type": "text/markdown"}) as answer:
        body = await answer.json()
    assert (answer.status, body["accepted"]) == (202, 1)
    assert body["unread"] == ["the query (severity, token; send these as a form or as JSON)"]


@pytest.mark.parametrize(
    "sent",
    [
        b'\xef\xbb\xbf{"title": "with a byte-order mark"}',
        b'{"title": "half a pair \\ud800"}',
        json.dumps({"title": "𝄞 ünï\u202ecode"}).encode(),
        b'{"title": "x", "unknown": {"a": [1]}}',
    ],
)
async def test_odd_but_honest_json_is_taken(relay: Running, sent: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with relay.session.post(relay.events + "/hooks/lab", data=sent, headers=headers) as answer:
        assert answer.status == 202
    await relay.until(lambda: len(relay.messages()) == 1)


@pytest.mark.parametrize(
    ("sent", "unread"),
    [
        ({"title": "x", "serverity": "critical"}, ["serverity (did you mean severity?)"]),
        (
            [{"title": "x"}, {"title": "y", "more": {"a": 1}}],
            ["[1].more (an object; expected a short text or a number)"],
        ),
        ({"title": "x", "host": "lock-3"}, None),
    ],
)
async def test_the_answer_names_what_was_not_read(relay: Running, sent: Any, unread: list[str] | None) -> None:
    status, answer = await relay.post(sent)
    assert (status, answer.get("unread")) == (202, unread)
    _, event = await relay.get(f"/api/v1/events/{answer['ids'][-1]}")
    assert event["notes"] == ([f"not read: {one.removeprefix('[1].')}" for one in unread] if unread else [])


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain"])
async def test_a_text_as_curl_sends_it_is_an_event_with_that_title(relay: Running, kind: str) -> None:
    headers = {"Content-Type": kind}
    async with relay.session.post(relay.events + "/hooks/lab", data=b"tide gate is stuck", headers=headers) as answer:
        assert answer.status == 202
    await relay.until(lambda: len(relay.messages()) == 1)
    assert "tide gate is stuck" in relay.messages()[0].text


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("schema", ["json", "form"])
async def test_apprise_itself_is_read(relay: Running, schema: str) -> None:
    from apprise import Apprise, NotifyType

    client = Apprise()
    assert client.add(f"{schema}://{relay.events.removeprefix('http://')}/hooks/lab")
    sent = partial(client.notify, title="Night backup", body="3 discs are full", notify_type=NotifyType.FAILURE)
    assert await asyncio.to_thread(sent)
    await relay.until(lambda: len(relay.messages()) == 1)
    first, *others = relay.messages()[0].text.splitlines()
    assert (first, others[-1]) == ("🟠 MAJOR · Night backup", "3 discs are full")


async def test_compressed_bodies_are_taken(relay: Running) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    packed = gzip.compress(b'{"title": "packed"}')
    async with relay.session.post(relay.events + "/hooks/lab", data=packed, headers=headers) as answer:
        assert answer.status == 202


async def test_other_paths_and_methods_are_refused(relay: Running) -> None:
    async with relay.session.get(relay.events + "/hooks/lab") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    async with relay.session.post(relay.events + "/hooks/none") as answer:
        assert answer.status == 404
    async with relay.session.get(relay.events + "/metrics") as answer:
        assert answer.status == 404
    async with relay.session.get(relay.events + "/healthz") as answer:
        assert answer.status == 200


async def test_a_page_of_another_site_can_post_nothing_where_nobody_is_asked_who_he_is(relay: Running) -> None:
    status, answer = await relay.post({"title": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (status, answer["error"]["code"]) == (403, "forbidden")
    assert (await relay.post({"title": "x"}, headers={"Sec-Fetch-Site": "same-origin"}))[0] == 202


async def test_a_declared_length_over_the_limit_is_refused_before_the_body(relay: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.daemon.events_address.port)
    writer.write(b"POST /hooks/lab HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
    async with asyncio.timeout(5):
        assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01 hello\r\n\r\n",
        b"POST /hooks/lab HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /hooks/lab HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_what_is_no_http_gets_an_error_like_every_other(relay: Running, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.daemon.events_address.port)
    writer.write(raw)
    async with asyncio.timeout(5):
        answer = await reader.read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert json.loads(body)["error"]["code"] == "malformed"
    writer.close()
    await writer.wait_closed()


async def test_a_body_that_does_not_come_ends_with_408() -> None:
    answered: asyncio.Future[RefusedRequestError] = asyncio.get_running_loop().create_future()

    async def handle(request: web.BaseRequest) -> web.Response:
        with pytest.raises(RefusedRequestError) as refused:
            await read_body(request, 100, within=0.05)
        answered.set_result(refused.value)
        return web.Response()

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(b"POST /hooks/lab HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    async with asyncio.timeout(5):
        error = await answered
    assert (error.status, str(error)) == (408, "the body did not arrive within 0.05 s")
    writer.close()
    await writer.wait_closed()
    await runner.cleanup()


async def test_a_sender_that_waits_for_100_continue_is_told_to_go_on(relay: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.daemon.events_address.port)
    writer.write(b"POST /hooks/lab HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 14\r\n\r\n")
    async with asyncio.timeout(5):
        assert b" 100 " in await reader.readline()
        await reader.readline()
        writer.write(b'{"title": "x"}')
        assert b" 202 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_repeated_key_gives_the_original_ids_and_sends_once(tmp_path: Path, sandbox: Sandbox) -> None:
    key: dict[str, Any] = {"headers": {"Idempotency-Key": "k1"}}
    async with running(tmp_path, sandbox) as relay:
        _, first = await relay.post([{"title": "a"}, {"title": "b"}], **key)
        status, again = await relay.post([{"title": "a"}, {"title": "b"}], **key)
        assert (status, again) == (202, {"accepted": 0, "duplicates": 2, "ids": first["ids"]})
    async with running(tmp_path, sandbox) as relay:
        status, again = await relay.post([{"title": "a"}, {"title": "b"}], **key)
        assert (status, again["ids"], again["duplicates"]) == (202, first["ids"], 2)
        status, answer = await relay.post([{"title": "c"}], **key)
        assert (status, answer["error"]["code"]) == (409, "conflict")
        await relay.post({"title": "last"})
        await relay.until(lambda: len(relay.messages()) == 3)


async def test_one_key_sent_many_times_at_once_is_taken_once(relay: Running) -> None:
    async def one() -> tuple[int, Any]:
        return await relay.post({"title": "same"}, headers={"Idempotency-Key": "k"})

    async with asyncio.TaskGroup() as tasks:
        begun = [tasks.create_task(one()) for _ in range(20)]
    answers = [task.result() for task in begun]
    assert {status for status, _ in answers} == {202}
    assert sum(answer["accepted"] for _, answer in answers) == 1
    assert len({answer["ids"][0] for _, answer in answers}) == 1


SECRETS: dict[str, dict[str, Any]] = {
    "bearer": {"auth": {"bearer": ["old-secret", "new-secret"]}},
    "basic": {"auth": {"basic": {"username": "noc", "password": "pässword"}}},
    "header": {"auth": {"header": {"name": "X-Key", "value": "v"}}},
}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("bearer", {}, 401),
        ("bearer", {"Authorization": "Bearer old-secret"}, 202),
        ("bearer", {"Authorization": "bearer new-secret"}, 202),
        ("bearer", {"Authorization": "Bearer other"}, 401),
        ("bearer", {"Authorization": "Bearer "}, 401),
        ("bearer", {"Authorization": "Bearer \u00e9\u00e9"}, 401),
        ("bearer", {"Authorization": "Basic old-secret"}, 401),
        ("basic", {"Authorization": "Basic bm9jOnDDpHNzd29yZA=="}, 202),
        ("basic", {"Authorization": "Basic bm9jOnBhc3N3b3Jk"}, 401),
        ("basic", {"Authorization": "Basic %%%"}, 401),
        ("header", {"X-Key": "v"}, 202),
        ("header", {"X-Key": "w"}, 401),
    ],
)
async def test_a_source_admits_only_its_own_secrets(
    tmp_path: Path, sandbox: Sandbox, path: str, headers: dict[str, str], status: int
) -> None:
    sources = {name: {"type": "webhook", **auth} for name, auth in SECRETS.items()}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        answered, body = await relay.post({"title": "x"}, f"/hooks/{path}", headers=headers)
        assert answered == status
        if status == 401:
            assert body["error"]["code"] == "unauthorized"
    log = (tmp_path / "relay.log").read_text(encoding="utf-8")
    assert not [secret for secret in ("old-secret", "new-secret", "pässword") if secret in log]


async def test_a_rate_is_held_and_says_when_to_come_again(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {
        "lab": {"type": "webhook", "rate": "2/m"},
        "am": {"type": "webhook", "format": "alertmanager", "rate": "1/m"},
    }
    async with running(tmp_path, sandbox, sources=sources) as relay:
        assert (await relay.post([{"title": "a"}, {"title": "b"}]))[0] == 202
        async with relay.session.post(relay.events + "/hooks/lab", json={"title": "c"}) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) >= 1
        group = {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "A"}}]}
        assert (await relay.post(group, "/hooks/am"))[0] == 202
        assert (await relay.post(group, "/hooks/am"))[0] == 503


async def test_a_full_queue_is_503_and_nothing_is_taken(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, limits={"queue": 3}) as relay:
        sandbox.state.faults = []
        relay.daemon.pipeline.book.depths.total = 3
        async with relay.session.post(relay.events + "/hooks/lab", json={"title": "x"}) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"]
            assert (await answer.json())["error"]["code"] == "queue_full"


async def test_a_mapping_reads_other_json_and_counts_failing_expressions_as_absent(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    mapping = {
        "each": "events",
        "title": "join(' ', [site, what])",
        "severity": "level",
        "severities": {"1": "critical"},
        "key": "id",
        "body": "length(`5`)",
        "labels": {"site": "site"},
    }
    async with running(tmp_path, sandbox, sources={"lab": {"type": "webhook", "map": mapping}}) as relay:
        status, answer = await relay.post({"events": [{"site": "ams1", "what": "door open", "level": 1, "id": 7}]})
        assert status == 202
        _, event = await relay.get(f"/api/v1/events/{answer['ids'][0]}")
        assert (event["title"], event["severity"], event["key"]) == ("ams1 door open", "critical", "7")
        assert "map.body counts as absent" in event["notes"][0]
        status, answer = await relay.post({"events": "none"})
        assert (status, answer["accepted"], "events" in answer["unread"][0]) == (202, 1, True)
        _, event = await relay.get(f"/api/v1/events/{answer['ids'][0]}")
        assert (event["title"], '"none"' in event["body"]) == ("unrecognised payload from lab", True)


async def test_a_severity_that_nobody_knows_is_counted_and_noted(relay: Running) -> None:
    words = ["P1", "mauve", "error", "plum", "", "3"]
    _, answer = await relay.post([{"title": word or "none", "severity": word} for word in words])
    shown = [(await relay.get(f"/api/v1/events/{one}"))[1] for one in answer["ids"]]
    assert [one["severity"] for one in shown] == ["critical", "warning", "major", "warning", "warning", "warning"]
    assert [len(one["notes"]) for one in shown] == [0, 1, 0, 1, 0, 1]
    assert [one["labels"].get("severity") for one in shown] == ["p1", "mauve", "error", "plum", None, "3"]
    _, metrics = await relay.get("/metrics")
    assert 'relay_events_unknown_severity_total{source="lab"} 3.0' in metrics


async def test_alertmanager_groups_become_events_with_fingerprints_as_keys(tmp_path: Path, sandbox: Sandbox) -> None:
    alerts = [
        {
            "status": status,
            "labels": {"alertname": "NodeDown", "instance": f"api-{n}", "severity": "page"},
            "annotations": {"summary": f"api-{n} is away"},
            "startsAt": "2026-03-01T02:10:00Z",
            "endsAt": "2026-03-01T02:24:00Z",
            "fingerprint": f"f{n}",
            "generatorURL": "http://prom/graph",
        }
        for n, status in enumerate(["firing", "resolved"])
    ]
    sources = {"am": {"type": "webhook", "format": "alertmanager"}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        status, answer = await relay.post({"version": "4", "status": "firing", "alerts": alerts}, "/hooks/am")
        assert (status, answer["accepted"]) == (202, 2)
        await relay.until(lambda: len(relay.messages()) == 1)
        assert relay.messages()[0].text.startswith("🔴 CRITICAL · NodeDown: api-0 is away")
        _, never_fired = await relay.get(f"/api/v1/events/{answer['ids'][1]}")
        assert never_fired["suppressed"] == "nothing_open"
        ended = {"version": "4", "status": "resolved", "alerts": [{**alerts[0], "status": "resolved"}]}
        await relay.post(ended, "/hooks/am")
        await relay.until(lambda: relay.messages()[0].text.startswith("✅ resolved · NodeDown"))
        status, answer = await relay.post({"hello": "world"}, "/hooks/am")
        assert status == 202
        _, event = await relay.get(f"/api/v1/events/{answer['ids'][0]}")
        assert event["title"] == "unrecognised payload from am"
