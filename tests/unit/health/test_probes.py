"""Checks of real servers that behave and that do not."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import threading
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from meshproxy import __version__
from meshproxy.base.addresses import SocketAddress
from meshproxy.health import probes
from meshproxy.health.probes import ProbeNotPossible, probe
from tests.unit.health.builders import closed_address, make_check
from tests.unit.health.conftest import Handler, Serve

DEADLINE = 10


@pytest.fixture
def any_lateness(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of time-outs: on a busy machine those come late, too."""
    monkeypatch.setattr(probes, "LATENESS", 3600.0)


def answering(answer: bytes) -> Handler:
    """Answers a request with `answer`, and closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    return handle


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts, and says nothing."""


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends a byte now and then, and never a whole line."""
    try:
        while True:
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(0.01)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("answer", "fields", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", {}, ""),
        (b"HTTP/1.1 200\r\n\r\n", {}, ""),
        (b"HTTP/1.0 302\n", {}, ""),
        (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 1_000_000, {}, ""),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000, {}, ""),
        (b"HTTP/1.1 503 No\r\n\r\n", {}, "HTTP 503, expected 200-399"),
        (b"HTTP/1.1 999 No\r\n\r\n", {}, "HTTP 999, expected 200-399"),
        (
            b"HTTP/1.1 204 No\r\n\r\n",
            {"expected_statuses": ((200, 200), (500, 599))},
            "HTTP 204, expected 200, 500-599",
        ),
        (b"HTTP/1.1 2000 OK\r\n\r\n", {}, "the answer is not HTTP"),
        (b"HTTP/1.1  200 OK\r\n\r\n", {}, "the answer is not HTTP"),
        (b"HTTP/2 200\r\n\r\n", {}, "the answer is not HTTP"),
        (b"SSH-2.0-OpenSSH\r\n", {}, "the answer is not HTTP"),
        (bytes(range(256)) * 10, {}, "the answer is not HTTP"),
        (b"x" * 100_000, {}, "the answer is not HTTP"),
        (b"HTTP/1.1 2", {}, "closed within the status line"),
        (b"", {}, "closed before a status line"),
    ],
)
async def test_answers(serve: Serve, answer: bytes, fields: dict[str, Any], reason: str) -> None:
    check = make_check(http_path="/", timeout=5.0, **fields)
    assert await probe(await serve(answering(answer)), check) == reason


@pytest.mark.usefixtures("any_lateness")
@pytest.mark.parametrize("handler", [silent, dripping])
async def test_the_timeout_is_for_the_whole_answer(serve: Serve, handler: Handler) -> None:
    assert await probe(await serve(handler), make_check(http_path="/", timeout=0.1)) == "no answer within 100ms"


@pytest.mark.parametrize(("http_host", "host"), [("", None), ("shop.example", "shop.example")])
async def test_the_request(serve: Serve, http_host: str, host: str | None) -> None:
    requests: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    address = await serve(handle)
    assert await probe(address, make_check(http_path="/ready?full=1", http_host=http_host)) == ""
    assert requests == [
        f"GET /ready?full=1 HTTP/1.1\r\nHost: {host or address}\r\nUser-Agent: meshproxy-health/{__version__}\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n".encode()
    ]


async def test_a_connection_is_enough_for_a_tcp_check(serve: Serve) -> None:
    assert await probe(await serve(silent), make_check()) == ""
    assert await probe(closed_address(), make_check()) == "connect refused"


@pytest.mark.usefixtures("any_lateness")
async def test_a_connection_that_does_not_open(full_address: SocketAddress) -> None:
    assert await probe(full_address, make_check(timeout=0.1)) == "connect timed out after 100ms"


@pytest.fixture
def full_address() -> Iterator[SocketAddress]:
    """The address of a socket whose accept queue is full: Linux drops the SYNs of others."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield SocketAddress(*listener.getsockname())
        for filler in fillers:
            filler.close()


async def test_the_connection_is_closed_not_reset(serve: Serve) -> None:
    """An answer with a body is read to its end first, since unread bytes make a close a reset."""
    ends: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
        await asyncio.sleep(0.02)
        writer.write(b"x" * 60_000)
        writer.write_eof()
        try:
            ends.put_nowait(await reader.read())
        except OSError as error:
            ends.put_nowait(error)

    assert await probe(await serve(handle), make_check(http_path="/")) == ""
    async with asyncio.timeout(DEADLINE):
        assert await ends.get() == b""


async def test_a_server_that_does_not_close_is_not_waited_for(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "LINGER", 0.01)
    left: asyncio.Queue[bytes] = asyncio.Queue()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 No\r\n\r\n")
        left.put_nowait(await reader.read())

    async with asyncio.timeout(DEADLINE):
        assert (
            await probe(await serve(handle), make_check(http_path="/", timeout=3600.0)) == "HTTP 503, expected 200-399"
        )
        assert await left.get() == b""


async def test_a_stream_without_end_is_cut(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "LINGER", 3600.0)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        try:
            while True:
                writer.write(b"x" * 10_000)
                await writer.drain()
        except OSError:
            pass

    async with asyncio.timeout(DEADLINE):
        assert await probe(await serve(handle), make_check(http_path="/")) == ""


async def test_want_of_descriptors_is_not_the_endpoints_fault(serve: Serve) -> None:
    address = await serve(silent)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        with pytest.raises(ProbeNotPossible, match="too many open files"):
            await probe(address, make_check())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert await probe(address, make_check()) == ""


@pytest.mark.parametrize("http_path", [None, "/"])
async def test_a_loop_that_stood_still_is_not_the_endpoints_fault(serve: Serve, http_path: str | None) -> None:
    """The answer is there when the loop goes on, but so is the time-out, and that runs first."""
    address = await serve(answering(b"HTTP/1.1 200 OK\r\n\r\n"))
    asyncio.get_running_loop().call_soon(threading.Event().wait, 0.3)
    with pytest.raises(ProbeNotPossible, match="this process was busy"):
        await probe(address, make_check(http_path=http_path, timeout=0.05))


async def test_no_answer_of_random_bytes_is_anything_but_a_verdict(serve: Serve) -> None:
    random = Random(1)
    for _ in range(50):
        answer = random.choice([b"", b"HTTP/1.1 ", b"HTTP/1.1 200"]) + random.randbytes(random.randrange(40))
        verdict = await probe(await serve(answering(answer)), make_check(http_path="/", timeout=5.0))
        assert isinstance(verdict, str)
