"""The admin API over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from meshproxy.admin.server import AdminServer
from meshproxy.base.addresses import SocketAddress
from tests.support.access import make_record
from tests.support.view import FakeView

ANY_PORT = SocketAddress("127.0.0.1", 0)


@pytest.fixture
def view() -> FakeView:
    return FakeView()


@pytest.fixture
async def server(view: FakeView) -> AsyncIterator[AdminServer]:
    made = AdminServer(view, ANY_PORT)
    await made.start()
    yield made
    await made.stop()


async def ask(server: AdminServer, path: str, method: str = "GET", **options: Any) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://{server.address}{path}", **options) as response,
    ):
        body = await response.read()
        return response.status, await response.json() if response.content_type == "application/json" else body.decode()


async def test_health_and_readiness(server: AdminServer, view: FakeView) -> None:
    assert await ask(server, "/healthz") == (200, "ok\n")
    assert await ask(server, "/readyz") == (200, "ok\n")
    view.reason = "draining"
    assert await ask(server, "/readyz") == (503, "draining\n")
    assert await ask(server, "/healthz") == (200, "ok\n")


async def test_lists(server: AdminServer) -> None:
    _, services = await ask(server, "/api/v1/services")
    assert [(each["name"], each["ready"], each["endpoints"]) for each in services] == [
        ("backend", 1, 3),
        ("other", 0, 0),
    ]
    _, endpoints = await ask(server, "/api/v1/endpoints")
    assert [(each["name"], each["status"], each["usable"], each["connections"]) for each in endpoints] == [
        ("backend-1", "Unknown", True, 30),
        ("backend-2", "Unhealthy", False, 10),
        ("backend-3", "NotReady", False, 0),
    ]
    assert endpoints[1]["reason"] == "connect refused"
    assert endpoints[1]["age"] == 60
    _, listeners = await ask(server, "/api/v1/listeners")
    assert (listeners[0]["state"], listeners[0]["accepted"]) == ("Listening", 40)
    _, clusters = await ask(server, "/api/v1/clusters")
    assert (clusters[0]["usable"], clusters[0]["endpoints"], clusters[0]["config"]["portName"]) == (1, 2, "http")
    _, workloads = await ask(server, "/api/v1/workloads")
    assert workloads[0]["source"] == "files"


async def test_a_listener_that_failed(server: AdminServer, view: FakeView) -> None:
    view.problems = {"l": "in use"}
    _, listeners = await ask(server, "/api/v1/listeners")
    assert (listeners[0]["state"], listeners[0]["problem"]) == ("Failed", "in use")


async def test_filters(server: AdminServer) -> None:
    assert [each["name"] for each in (await ask(server, "/api/v1/services?namespace=team"))[1]] == ["other"]
    assert (await ask(server, "/api/v1/services?name=nobody"))[1] == []
    assert len((await ask(server, "/api/v1/endpoints?service=backend"))[1]) == 3
    assert len((await ask(server, "/api/v1/events?subject=Service/backend"))[1]) == 1
    assert (await ask(server, "/api/v1/events?subject=Service/x"))[1] == []


@pytest.mark.parametrize("path", ["config", "diagnostics", "stats", "status", "events"])
async def test_the_other_documents(server: AdminServer, path: str) -> None:
    status, document = await ask(server, f"/api/v1/{path}")
    assert status == 200
    assert document


async def test_open_metrics_for_whom_it_may_concern(server: AdminServer) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"
    url = f"http://{server.address}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Accept": accept}) as response:
        assert response.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert (await response.text()).endswith("# EOF\n")


async def test_recent_requests(server: AdminServer, view: FakeView) -> None:
    view.recent.add([make_record(target="/a"), make_record(target="/b", status=503)])
    _, requests = await ask(server, "/api/v1/requests")
    assert [(each["path"], each["status"], each["bad"]) for each in requests] == [("/a", 200, False), ("/b", 503, True)]


async def test_metrics_and_index(server: AdminServer) -> None:
    assert await ask(server, "/metrics") == (200, "meshproxy_up 1\nmeshproxy_down 0\n")
    status, text = await ask(server, "/api/v1")
    assert (status, "/api/v1/services" in text) == (200, True)


async def test_what_is_not_there_is_an_error_in_json(server: AdminServer) -> None:
    status, body = await ask(server, "/api/v1/pods")
    assert (status, "services" in body["error"]) == (404, True)
    assert (await ask(server, "/nothing"))[0] == 404
    assert (await ask(server, "/metrics", "DELETE"))[0] == 405


async def test_draining_needs_a_json_post(server: AdminServer, view: FakeView) -> None:
    assert (await ask(server, "/api/v1/drain"))[0] == 404
    assert (await ask(server, "/api/v1/drain", "POST", data="a=b"))[0] == 415
    assert view.drained == 0
    assert (await ask(server, "/api/v1/drain", "POST", json={}))[0] == 202
    assert view.drained == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:1", 200), ("localhost", 200), ("[::1]:15000", 200), ("evil.example", 403), ("", 403), ("a:b:c", 403)],
)
async def test_names_of_web_pages_are_refused(server: AdminServer, host: str, status: int) -> None:
    assert (await ask(server, "/api/v1/status", headers={"Host": host}))[0] == status


async def test_a_token_is_asked_for(view: FakeView) -> None:
    server = AdminServer(view, ANY_PORT, "s3cret")
    await server.start()
    try:
        assert (await ask(server, "/api/v1/status"))[0] == 401
        assert (await ask(server, "/api/v1/status", headers={"Authorization": "Bearer wrong"}))[0] == 401
        headers = {"Authorization": "Bearer s3cret", "Host": "proxy.example"}
        assert (await ask(server, "/api/v1/status", headers=headers))[0] == 200
        assert (await ask(server, "/readyz"))[0] == 200
    finally:
        await server.stop()


async def test_an_address_in_use_is_said(server: AdminServer, view: FakeView) -> None:
    second = AdminServer(view, server.address)
    with pytest.raises(OSError, match="address already in use"):
        await second.start()
