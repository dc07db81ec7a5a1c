"""The dashboard's files over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from meshproxy.admin.pages import FOLDER
from meshproxy.admin.server import AdminServer
from meshproxy.base.addresses import SocketAddress
from tests.support.view import FakeView

FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    server = AdminServer(FakeView(), SocketAddress("127.0.0.1", 0))
    await server.start()
    async with aiohttp.ClientSession(f"http://{server.address}") as made:
        yield made
    await server.stop()


@pytest.mark.parametrize("name", FILES)
async def test_every_file_is_served(session: aiohttp.ClientSession, name: str) -> None:
    response = await session.get(f"/dashboard/{name}")
    assert response.status == 200
    assert await response.read() == (FOLDER / name).read_bytes(), "it is packed on the way, and unpacked here"
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_root_is_the_page_under_a_strict_policy(session: aiohttp.ClientSession) -> None:
    response = await session.get("/", headers={"Accept-Encoding": "identity"})
    assert response.content_type == "text/html"
    assert "Content-Encoding" not in response.headers
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy


async def test_an_unchanged_file_is_not_sent_again(session: aiohttp.ClientSession) -> None:
    first = await session.get("/dashboard/app.js")
    again = await session.get("/dashboard/app.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    other = await session.get("/dashboard/app.js", headers={"If-None-Match": '"another"'})
    assert other.status == 200


@pytest.mark.parametrize("name", ["nothing.js", "..%2f..%2fserver.py", "../pages.py", "views"])
async def test_there_is_nothing_else(session: aiohttp.ClientSession, name: str) -> None:
    assert (await session.get(f"/dashboard/{name}")).status == 404


async def test_the_page_is_there_without_the_token_and_nothing_else_is() -> None:
    server = AdminServer(FakeView(), SocketAddress("127.0.0.1", 0), "s3cret")
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://{server.address}") as session:
            assert (await session.get("/")).status == 200
            assert (await session.get("/dashboard/app.js")).status == 200
            assert (await session.get("/api/v1/live")).status == 401
            assert (await session.get("/api/v1")).status == 401
            async with session.get("/api/v1/live", headers={"Authorization": "Bearer s3cret"}) as response:
                assert response.status == 200
    finally:
        await server.stop()


async def test_web_pages_of_other_names_get_no_page(session: aiohttp.ClientSession) -> None:
    assert (await session.get("/", headers={"Host": "evil.example"})).status == 403
