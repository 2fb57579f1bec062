"""Files that events name: what is posted, and what is not, whatever an event asks for."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from relay.app.assembly.accounts import make_files
from relay.logs import make_log
from relay.ports import File, Missing
from relay.sandbox.server import Sandbox
from relay.senders.attachments import Attachments, is_public
from relay.settings.model import Settings
from tests.fakes.running import running

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
LOG = make_log("critical")


def any_address(_: str) -> bool:
    return True


def read(file: File) -> bytes:
    with file.open() as stream:
        return stream.read()


async def content(files: Attachments, address: str) -> bytes | str:
    """What a file holds, or why there is none; twice, as a second try may need it."""
    async with files.get(address) as found:
        if isinstance(found, File):
            first, second = read(found), read(found)
            assert first == second
            return second
        return found.why if isinstance(found, Missing) else found


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16", "198.18.0.1", "224.0.0.1"),
        *("255.255.255.255", "240.0.0.1", "192.0.2.1", "203.0.113.1", "::1", "::", "fe80::1%eth0", "fc00::1"),
        *("fd00:ec2::254", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
        *("2001:0:7f00:1::", "2001:db8::1", "fec0::1"),
    ],
)
def test_an_inner_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "93.184.216.34"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


class Names(AbstractResolver):
    """Answers each question about a name with the next of its addresses."""

    def __init__(self, **names: list[str]) -> None:
        self.names = {name.replace("_", "."): list(addresses) for name, addresses in names.items()}
        self.asked: list[str] = []

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - the port's
    ) -> list[ResolveResult]:
        self.asked.append(host)
        addresses = self.names[host]
        address = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return [ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
async def origin() -> AsyncIterator[tuple[str, list[str]]]:  # noqa: C901 - a list of small pages
    """A server of files, good and bad; its port, and what it was asked."""
    asked: list[str] = []

    async def picture(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=PNG, content_type="image/png")

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<script>", content_type="text/html")

    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["to"]})

    async def loop(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/loop"})

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "image/png"})
        await answer.prepare(request)
        while True:
            await answer.write(bytes(65_536))

    async def silent(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "image/png"})
        await answer.prepare(request)
        await answer.write(b"x")
        await asyncio.Event().wait()
        return answer

    async def large(_: web.Request) -> web.StreamResponse:
        return web.Response(body=bytes(101 * 2**20), content_type="image/png")

    application = web.Application()
    for name, handler in (
        ("camera.png", picture),
        ("page", page),
        ("redirect", redirect),
        ("endless", endless),
        ("silent", silent),
        ("large", large),
        ("loop", loop),
    ):
        application.router.add_get(f"/{name}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    await runner.cleanup()


@pytest.fixture
async def strict() -> AsyncIterator[Attachments]:
    files = Attachments([], fetch=True, max_size=2**20, log=LOG)
    yield files
    await files.close()


@pytest.fixture
async def lenient() -> AsyncIterator[Attachments]:
    """One that may dial loopback, where the test's own server is."""
    files = Attachments([], fetch=True, max_size=2**20, log=LOG, allowed=any_address)
    yield files
    await files.close()


async def test_a_picture_is_fetched_under_its_name(lenient: Attachments, origin: tuple[str, list[str]]) -> None:
    base, _ = origin
    async with lenient.get(f"{base}/camera.png?token=secret") as found:
        assert isinstance(found, File)
        assert (found.name, found.content_type) == ("camera.png", "image/png")
    assert await content(lenient, f"{base}/camera.png") == PNG
    assert await content(lenient, f"{base}/redirect?to=/camera.png") == PNG


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "0", "[::1]"),
        *("[::ffff:127.0.0.1]", "169.254.169.254", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]"),
        *("[fd00:ec2::254]", "user@127.0.0.1"),
    ],
)
async def test_no_spelling_of_an_inner_address_is_dialled(
    strict: Attachments, origin: tuple[str, list[str]], host: str
) -> None:
    base, asked = origin
    port = base.rsplit(":", 1)[1]
    said = await content(strict, f"http://{host}:{port}/camera.png")
    assert isinstance(said, str)
    assert said.startswith(("its address is not public", "its server"))
    assert asked == []
    if host in ("127.0.0.1", "localhost", "169.254.169.254", "user@127.0.0.1"):
        assert said == "its address is not public"


async def test_what_a_name_resolves_to_is_judged_as_it_is_dialled(origin: tuple[str, list[str]]) -> None:
    base, asked = origin
    port = base.rsplit(":", 1)[1]
    names = Names(rebind_example=["8.8.8.8", "127.0.0.1"], inner_example=["10.0.0.1"])
    dialled: list[str] = []

    def note(address: str) -> bool:
        dialled.append(address)
        return is_public(address)

    files = Attachments([], fetch=True, max_size=2**20, log=LOG, allowed=note, resolver=names)
    names.names["rebind.example"].pop(0)  # the answer to whoever looked it up before
    assert await content(files, f"http://rebind.example:{port}/camera.png") == "its address is not public"
    assert await content(files, f"http://inner.example:{port}/camera.png") == "its address is not public"
    assert (dialled, asked) == (["127.0.0.1", "10.0.0.1"], [])
    await files.close()


async def test_a_redirect_to_an_inner_address_is_not_followed(origin: tuple[str, list[str]]) -> None:
    base, asked = origin
    port = base.rsplit(":", 1)[1]
    names = Names(outer_example=["127.0.0.1"])
    files = Attachments(
        [], fetch=True, max_size=2**20, log=LOG, resolver=names, allowed=lambda _: len(asked_for(names)) <= 1
    )

    def asked_for(names: Names) -> list[str]:
        return names.asked

    inner = f"http://inner.example:{port}/camera.png"
    names.names["inner.example"] = ["127.0.0.1"]
    said = await content(files, f"http://outer.example:{port}/redirect?to={inner}")
    assert (said, asked) == ("its address is not public", [])
    assert await content(files, f"http://outer.example:{port}/redirect?to=file:///etc/passwd") != PNG
    await files.close()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/page", "expected a picture or a document, found text/html"),
        ("/nothing", "its server answers 404"),
        ("/redirect?to=file:///etc/passwd", "it is redirected to another kind of address"),
        (
            "/redirect?to=/redirect?to=/redirect?to=/redirect?to=/redirect?to=/redirect?to=/x",
            "it is redirected more than 5 times",
        ),
        ("/loop", "it is redirected more than 5 times"),
        ("/endless", "it has more than the 1,048,576 bytes that are allowed"),
        ("/large", "it has 105,906,176 bytes, and 1,048,576 are allowed"),
    ],
)
async def test_what_is_no_picture_or_too_much_is_missing(
    lenient: Attachments, origin: tuple[str, list[str]], path: str, said: str
) -> None:
    assert await content(lenient, origin[0] + path) == said


async def test_a_server_that_stalls_is_not_waited_for(origin: tuple[str, list[str]]) -> None:
    files = Attachments([], fetch=True, max_size=2**20, log=LOG, allowed=any_address, within=0.2)
    assert await content(files, f"{origin[0]}/silent") == "it did not arrive within 0.2 s"
    await files.close()


async def test_an_address_is_left_to_the_service_where_that_is_not_asked_for() -> None:
    files = Attachments([], fetch=False, max_size=10, log=LOG)
    assert await content(files, "http://169.254.169.254/latest") == "http://169.254.169.254/latest"


# Directories


@pytest.fixture
def graphs(tmp_path: Path) -> Path:
    """A directory with a file, links that lead out, and a FIFO; beside it a secret."""
    folder = tmp_path / "graphs"
    (folder / "ams").mkdir(parents=True)
    (folder / "ams" / "101.png").write_bytes(PNG)
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    (folder / "link.png").symlink_to(tmp_path / "secret")
    (folder / "out").symlink_to(tmp_path)
    os.mkfifo(folder / "fifo.png")
    (folder / "large.png").write_bytes(b"")
    os.truncate(folder / "large.png", 101 * 2**20)
    return folder


async def test_a_file_of_a_directory_that_is_allowed(graphs: Path) -> None:
    files = Attachments([graphs], fetch=False, max_size=2**20, log=LOG)
    assert await content(files, f"{graphs}/ams/101.png") == PNG
    assert await content(files, f"file://{graphs}/ams/101.png") == PNG


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("{}/../secret", "its path leads out of the directory"),
        ("{}/ams/../../secret", "its path leads out of the directory"),
        ("{}/link.png", "it is not a regular file, or it is behind a link"),
        ("{}/out/secret", "it is not a regular file, or it is behind a link"),
        ("{}/fifo.png", "it is not a regular file"),
        ("{}/ams", "it is not a regular file"),
        ("{}", "its path leads out of the directory"),
        ("{}/large.png", "it has 105,906,176 bytes, and 1,048,576 are allowed"),
        ("{}/nothing.png", "no such file or directory"),
        ("{}/ams/101.png\0", "its path leads out of the directory"),
        ("{}/a\0b/101.png", "its path leads out of the directory"),
        ("{}/\ud800.png", "no file can have such a name"),
        ("{}x/101.png", "it is in none of the directories of `files`"),
        ("/etc/passwd", "it is in none of the directories of `files`"),
        ("/dev/zero", "it is in none of the directories of `files`"),
        ("graphs/ams/101.png", "it is in none of the directories of `files`"),
        ("ftp://example.net/x.png", "expected a path or an address with http, https or file, found ftp"),
        ("", "it is in none of the directories of `files`"),
    ],
)
async def test_no_way_leads_out_of_a_directory(graphs: Path, name: str, said: str) -> None:
    files = Attachments([graphs], fetch=False, max_size=2**20, log=LOG)
    assert await content(files, name.format(graphs)) == said


async def test_a_file_that_grows_while_it_is_sent_is_not(graphs: Path) -> None:
    files = Attachments([graphs], fetch=False, max_size=200, log=LOG)
    async with files.get(f"{graphs}/ams/101.png") as found:
        assert isinstance(found, File)
        (graphs / "ams" / "101.png").write_bytes(bytes(300))
        with pytest.raises(OSError, match="grown"):
            found.open()


# In the room


def settings(graphs: Path, **changes: object) -> dict[str, Any]:
    return {"files": {"directories": [str(graphs)], **changes}}


async def test_files_come_in_the_thread_behind_the_text_one_message_each(
    tmp_path: Path, sandbox: Sandbox, graphs: Path
) -> None:
    async with running(tmp_path, sandbox, **settings(graphs)) as relay:
        names = [f"{graphs}/ams/101.png", "https://graphs.example.net/traffic.png", f"{graphs}/link.png"]
        event = {"title": "disk full", "status": "firing", "key": "d1", "files": names}
        await relay.post(event)
        await relay.until(lambda: len(relay.messages()) == 4)
        first, local, link, missing = relay.messages()
        assert first.text.startswith("🔵 WARNING · disk full")
        assert {one.parent for one in (local, link, missing)} == {first.id}
        assert local.file is not None
        assert (local.file.name, local.file.content) == ("101.png", PNG)
        assert link.link == "https://graphs.example.net/traffic.png"
        assert missing.text == "📎 link.png is not here: it is not a regular file, or it is behind a link"
        await relay.post({**event, "severity": "major"})
        await relay.until(lambda: relay.messages()[0].edits == 1)
        (graphs / "ams" / "102.png").write_bytes(PNG)
        await relay.post({**event, "title": "disk very full", "files": [*names, f"{graphs}/ams/102.png"]})
        await relay.until(lambda: len(relay.messages()) == 5)
        newest = relay.messages()[-1]
        assert newest.file is not None
        assert (newest.parent, newest.file.name) == (first.id, "102.png")
        done = await relay.until_state("done", 7)
        assert [one["action"] for one in done].count("file") == 4
        assert (await relay.get("/api/v1/status"))[1]["rooms"][0]["waiting"] == 0


async def test_a_notice_has_its_files_too_and_what_waits_goes_first(
    tmp_path: Path, sandbox: Sandbox, graphs: Path
) -> None:
    async with running(tmp_path, sandbox, **settings(graphs)) as relay:
        picture = f"{graphs}/ams/101.png"
        await relay.post([{"title": f"camera {n}", "files": [picture]} for n in range(3)])
        await relay.until(lambda: len(relay.messages()) == 6)
        shown = [message.text.split("\n")[0] if message.file is None else "file" for message in relay.messages()]
        assert shown[0].endswith("camera 0")
        assert shown[3:] == ["file"] * 3
        roots = [message.id for message in relay.messages() if message.file is None]
        assert [message.parent for message in relay.messages() if message.file is not None] == roots


async def test_an_address_that_the_service_refuses_is_a_note(tmp_path: Path, sandbox: Sandbox, graphs: Path) -> None:
    async with running(tmp_path, sandbox, **settings(graphs, fetch=True)) as relay:
        await relay.post({"title": "look", "files": ["http://169.254.169.254/latest/meta-data?key=s3cret"]})
        await relay.until(lambda: len(relay.messages()) == 2)
        assert relay.messages()[1].text == "📎 meta-data is not here: its address is not public"
    assert "s3cret" not in relay.log.read_text(encoding="utf-8")


async def test_relative_directories_are_beside_the_configuration(tmp_path: Path, graphs: Path) -> None:
    loaded = Settings.model_validate(
        {
            "accounts": {"webex": {"type": "webex", "token": "x"}},
            "rooms": {"noc": {"account": "webex", "id": "R"}},
            "route": {"rooms": ["noc"]},
            "files": {"directories": ["graphs"]},
        },
        context={"base": tmp_path},
    )
    files = make_files(loaded, LOG)
    assert await content(files, f"{graphs}/ams/101.png") == PNG
