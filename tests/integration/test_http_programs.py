"""HTTP as real programs speak it: curl, wrk, nginx, WebSockets, and Python's clients."""

from __future__ import annotations

import asyncio
import getpass
import gzip
import hashlib
import http.client
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import httpx
import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import BACKENDS, free_address
from tests.integration.manifests import make_service, make_workload
from tests.integration.programs import nginx_of, output_of, require, running
from tests.integration.proxy_process import ProxyProcess

LARGE = 32 << 20
DIRECTIVES = """\
  client_max_body_size 1k;
  gzip on;
  gzip_types text/plain;
  gzip_min_length 10;
  default_type text/plain;
  keepalive_requests 100;
  server {{
    listen {address};
    root {directory}/files;
    location = /empty {{ return 204; }}
    location = /named {{ return 200 "$http_host $http_x_forwarded_for $http_x_forwarded_proto\\n"; }}
  }}
"""


async def _route(proxy: ProxyProcess, address: SocketAddress, server: SocketAddress) -> None:
    ports = [{"name": "main", "port": address.port, "targetPort": "main", "appProtocol": "http"}]
    proxy.configure(make_service(address, ports=ports), make_workload(server, "web-1"))
    await proxy.start()


@asynccontextmanager
async def _nginx(directory: Path) -> AsyncIterator[SocketAddress]:
    """An nginx that serves ``files``, compressed (and so in chunks) for who accepts that."""
    server = free_address(BACKENDS)
    (directory / "files").mkdir()
    (directory / "files/text").write_text("some text, over and over\n" * 2000)
    command = nginx_of("files", DIRECTIVES.format(directory=directory, address=server), directory)
    async with running(*command, "-g", f"user {getpass.getuser()};", directory=directory, listens=server):
        yield server


async def test_nginx_and_curl(proxy: ProxyProcess, address: SocketAddress, tmp_path: Path) -> None:
    require("nginx", "curl")
    url = f"http://{address}"
    async with _nginx(tmp_path) as server:
        large = os.urandom(LARGE)
        (tmp_path / "files/large").write_bytes(large)
        await _route(proxy, address, server)
        text = (tmp_path / "files/text").read_text()
        assert await _curl(f"{url}/text") == text
        assert await _curl("--compressed", f"{url}/text") == text
        compressed = ("-H", "Accept-Encoding: gzip", "-o", "/dev/null", "-D", "-")
        assert "Content-Encoding: gzip" in await _curl(*compressed, f"{url}/text")
        two = ("-o", "/dev/null", f"{url}/text", "-o", "/dev/null", f"{url}/empty")
        assert await _curl("-w", "%{http_code} %{num_connects}\\n", *two) == "200 1\n204 0\n"
        assert f"Content-Length: {len(text)}" in await _curl("-I", f"{url}/text")
        await _curl("-o", str(tmp_path / "got"), f"{url}/large")
        assert hashlib.sha256((tmp_path / "got").read_bytes()).digest() == hashlib.sha256(large).digest()
        part = await _curl("-r", "100-199", "-w", "%{http_code}", "-o", str(tmp_path / "part"), f"{url}/large")
        assert (part, (tmp_path / "part").read_bytes()) == ("206", large[100:200])
        etag = (await _curl("-I", f"{url}/text")).partition("ETag: ")[2].splitlines()[0]
        assert await _curl("-w", "%{http_code}", "-H", f"If-None-Match: {etag}", f"{url}/text") == "304"
        too_large = ("-w", "%{http_code}", "-o", "/dev/null", "--data-binary", f"@{tmp_path}/got", f"{url}/text")
        assert await _curl("-H", "Expect: 100-continue", *too_large) == "413"
        named = await _curl("--proxy", url, "http://shop.example:81/named")
        assert named == "shop.example:81 127.0.0.1 http\n"
        assert (await _curl("-0", f"{url}/text")) == text
        assert (await _curl("--http1.0", "-H", "Connection: keep-alive", f"{url}/text", f"{url}/text")) == text * 2


async def _curl(*arguments: str) -> str:
    return await output_of("curl", "-sS", "--max-time", "20", *arguments)


async def test_wrk_sees_no_error(proxy: ProxyProcess, address: SocketAddress, tmp_path: Path) -> None:
    """nginx closes each connection after 100 requests, which no client is to notice."""
    require("nginx", "wrk")
    async with _nginx(tmp_path) as server:
        await _route(proxy, address, server)
        report = await output_of("wrk", "-t1", "-c16", "-d2s", f"http://{address}/text")
    assert "requests in" in report
    assert "Non-2xx" not in report
    assert "Socket errors" not in report


# -- an origin that says what it got ------------------------------------------------------


async def _digest(request: web.Request) -> web.Response:
    digest = hashlib.sha256()
    size = 0
    async for piece in request.content.iter_any():
        digest.update(piece)
        size += len(piece)
    told = {"sha256": digest.hexdigest(), "size": size, "fields": {k.lower(): v for k, v in request.headers.items()}}
    return web.json_response(told)


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    if request.method == "HEAD":
        return response  # aiohttp would send what follows all the same, where the next response should be
    for _ in range(20):
        await response.write(b"x" * 10_000)
    await response.write_eof()
    return response


async def _gzipped(_: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(b"plain"), headers={"Content-Encoding": "gzip"})


@pytest.fixture
async def origin() -> AsyncIterator[SocketAddress]:
    application = web.Application(client_max_size=LARGE * 2)
    application.router.add_route("*", "/digest", _digest)
    application.router.add_get("/stream", _stream)
    application.router.add_get("/gzip", _gzipped)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    address = free_address(BACKENDS)
    await web.TCPSite(runner, address.host, address.port).start()
    yield address
    await runner.cleanup()


async def test_uploads_by_curl(
    proxy: ProxyProcess, address: SocketAddress, origin: SocketAddress, tmp_path: Path
) -> None:
    require("curl")
    await _route(proxy, address, origin)
    data = os.urandom(LARGE)
    (tmp_path / "data").write_bytes(data)
    for options in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue")):
        told = json.loads(await _curl("-T", str(tmp_path / "data"), *options, f"http://{address}/digest"))
        assert (told["size"], told["sha256"]) == (LARGE, hashlib.sha256(data).hexdigest()), options
    told = json.loads(await _curl("-d", "a=b", f"http://{address}/digest"))
    assert told["size"] == 3


async def test_pythons_own_client(proxy: ProxyProcess, address: SocketAddress, origin: SocketAddress) -> None:
    await _route(proxy, address, origin)

    def talk() -> None:
        client = http.client.HTTPConnection(address.host, address.port, timeout=10)
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            client.request(method, "/digest", body=b"abc" if method in ("POST", "PUT") else None)
            told = json.loads(client.getresponse().read())
            assert told["size"] == (3 if method in ("POST", "PUT") else 0)
        client.request("HEAD", "/stream")
        assert client.getresponse().read() == b""
        client.request("POST", "/digest", body=iter([b"a" * 1000] * 100), encode_chunked=True)
        assert json.loads(client.getresponse().read())["size"] == 100_000
        client.request("GET", "/stream")
        assert len(client.getresponse().read()) == 200_000
        client.close()

    await asyncio.to_thread(talk)


async def test_aiohttp_and_httpx(proxy: ProxyProcess, address: SocketAddress, origin: SocketAddress) -> None:
    await _route(proxy, address, origin)
    url = f"http://{address}"

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"z" * 20_000

    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.post(f"{url}/digest", data=pieces()) as response:
                assert (await response.json())["size"] == 1_000_000
            async with session.get(f"{url}/gzip") as response:
                assert await response.text() == "plain"
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(3):
            assert (await client.put(f"{url}/digest", content=pieces())).json()["size"] == 1_000_000
            assert (await client.get(f"{url}/gzip")).text == "plain"
        answers = await asyncio.gather(*(client.get(f"{url}/stream") for _ in range(20)))
        assert {len(answer.content) for answer in answers} == {200_000}


async def test_websockets(proxy: ProxyProcess, address: SocketAddress) -> None:
    """Also with what the server says right behind the 101."""
    server = free_address(BACKENDS)

    async def echo(connection: ServerConnection) -> None:
        await connection.send("welcome")
        async for message in connection:
            await connection.send(message)

    async with serve(echo, server.host, server.port):
        await _route(proxy, address, server)
        async with connect(f"ws://{address}/chat", proxy=None) as client:
            assert await client.recv() == "welcome"
            large = os.urandom(900_000)
            for message in ("hello", large, b""):
                await client.send(message)
                assert await client.recv() == message
            assert await client.ping() is not None
            await client.close(code=4001, reason="enough")
            assert client.close_code == 4001
