"""The dashboard in a real browser, over a real proxy with real traffic."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import free_address
from tests.integration.browser import Page, browsing
from tests.integration.conditions import wait_until
from tests.integration.http_traffic import http_traffic
from tests.integration.manifests import Manifest, make_policy, make_route, make_service, make_workload
from tests.integration.proxy_process import ProxyProcess
from tests.support.certificates import TestCA, context_of, service_account
from tests.support.http import Origin

HOSTILE = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>"
BAD = """\
apiVersion: v1
kind: Service
metadata: {name: bad}
spec: {ports: [{port: 1}], nonsense: 1}
"""
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
NODE = "(document.querySelector(`.node[title^='{}']`)?.title ?? '')"


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with browsing(tmp_path) as made:
        yield made
        assert made.complaints == [], "no script failed, and the policy refused nothing"


def shop(address: SocketAddress, origins: tuple[Origin, Origin], **policy: Any) -> tuple[Manifest, ...]:
    """A Service whose requests go to another by a quarter."""
    other = free_address()
    backends = [
        {"name": name, "port": each.port, "weight": weight}
        for name, each, weight in (("shop", address, 3), ("next", other, 1))
    ]
    return (
        make_service(address, "shop"),
        make_service(other, "next"),
        make_workload(origins[0].endpoint.address, "shop-1", "shop"),
        make_workload(origins[1].endpoint.address, "next-1", "next"),
        make_route("shop", {"name": "canary", "backendRefs": backends}),
        *((make_policy("shop", **policy),) if policy else ()),
    )


def identity_files(ca: TestCA, directory: Path) -> Manifest:
    """`Proxy.spec.identity` of a proxy beside the Service ``db``."""
    certificate, key = ca.issue(service_account("db")).write(directory, "db")
    roots = directory / "roots.pem"
    roots.write_text(ca.bundle)
    return {"files": {"certificate": str(certificate), "key": str(key), "roots": str(roots)}}


@asynccontextmanager
async def peer(address: SocketAddress, ca: TestCA, directory: Path) -> AsyncIterator[None]:
    """One that calls as the service account ``cart``, by a connection without HTTP."""
    context = context_of(ca.issue(service_account("cart")), ca.bundle, ssl.Purpose.SERVER_AUTH, directory)
    name = "db.default.svc.cluster.local"
    _, writer = await asyncio.open_connection(address.host, address.port, ssl=context, server_hostname=name)
    yield
    writer.close()
    await writer.wait_closed()


async def open_dashboard(page: Page, proxy: ProxyProcess, view: str = "overview") -> None:
    await page.go(f"http://{proxy.admin}/#/{view}")
    await page.wait_for("document.querySelector('.shell.live .content') !== null", "the dashboard is live")


async def show(page: Page, view: str) -> None:
    """Go on to another view of the same page."""
    await page.run(f"location.hash = '#/{view}'")


async def test_traffic_is_seen_while_it_flows(
    proxy: ProxyProcess, origins: tuple[Origin, Origin], address: SocketAddress, page: Page, tmp_path: Path
) -> None:
    ca, inbound = TestCA(), free_address()
    services = [{"name": "db", "port": origins[0].endpoint.address.port, "appProtocol": "tcp"}]
    proxy.configure(
        *shop(address, origins),
        identity=identity_files(ca, tmp_path),
        inbound={"address": str(inbound), "services": services},
    )
    await proxy.start()
    await open_dashboard(page, proxy)
    assert "/s" not in await page.run(NODE.format("shop:"))
    async with http_traffic(address, concurrency=2), peer(inbound, ca, tmp_path):
        await page.wait_for(f"{NODE.format('default/cart:')}.includes('1 open')", "a peer is known by its identity")
        await page.wait_for(
            f"/ [0-9.k]+\\/s · 100% · p50 .+ · p99 /.test({NODE.format('shop:')})", "the Service has requests"
        )
        await page.wait_for(f"{NODE.format('next-1:')}.includes('/s')", "so has the endpoint that it is routed to")
        await page.wait_for("document.querySelectorAll('.line .flow').length >= 4", "all the way there are lines")
        await show(page, "routes")
        await page.wait_for(
            "document.querySelectorAll('.split-row')[1]?.innerText.includes('now')", "the split is seen as it is"
        )
        shares = await page.run("[...document.querySelectorAll('.split-row')[1].querySelectorAll('.split-bar span')]"
                                ".map((each) => Number(each.style.flexGrow))")  # fmt: skip
        assert shares == pytest.approx([0.75, 0.25], abs=0.15)
        await show(page, "services/default%2Fshop")
        await page.wait_for_text("this machine")
        await page.wait_for("document.querySelectorAll('table.requests tbody tr').length > 3", "requests are listed")


async def test_an_endpoint_that_dies_is_seen_without_a_reload(
    proxy: ProxyProcess, origins: tuple[Origin, Origin], address: SocketAddress, page: Page
) -> None:
    check = {"http": {"path": "/"}, "interval": "100ms", "timeout": "1s", "unhealthyThreshold": 1}
    proxy.configure(*shop(address, origins, healthCheck=check))
    await proxy.start()
    await open_dashboard(page, proxy)
    await page.wait_for_text("All is well.")
    await origins[0].stop()
    await page.wait_for_text("shop has no endpoint that is ready")
    await show(page, "services/default%2Fshop")
    await page.wait_for_text("Unhealthy")
    await origins[0].start()
    await page.wait_for_text("Healthy")


async def test_a_refused_configuration_is_shown_with_its_line(
    proxy: ProxyProcess, origins: tuple[Origin, Origin], address: SocketAddress, page: Page
) -> None:
    proxy.expected_errors.append("nonsense")
    proxy.configure(*shop(address, origins))
    await proxy.start()
    await open_dashboard(page, proxy, "configuration")
    await page.wait_for_text("ACK by all workers")
    await page.wait_for_text("nothing is wrong, or odd")
    proxy.write("bad.yaml", BAD)
    await page.wait_for_text("bad.yaml:4")
    await page.wait_for_text("NACK")
    (proxy.manifests / "bad.yaml").unlink()
    await page.wait_for_text("nothing is wrong, or odd")


async def test_failed_requests_are_found_and_hostile_ones_do_no_harm(
    proxy: ProxyProcess, origins: tuple[Origin, Origin], address: SocketAddress, page: Page
) -> None:
    proxy.configure(*shop(address, origins))
    await proxy.start()
    path = quote(HOSTILE)
    for target in (f"/{path}?password=1", f"/{HOSTILE}"):  # the second is refused, for it is no path
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: s\r\nX-Request-Id: {HOSTILE}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
    origins[0].answer = origins[1].answer = _busy
    async with http_traffic(address, 1, b"GET /broken HTTP/1.1\r\nHost: s\r\n\r\n") as traffic:
        await wait_until(lambda: traffic.failures, "requests fail")
    await open_dashboard(page, proxy, "requests")
    await page.wait_for_text(f"/{path}")
    await page.press("/")
    await page.type("broken 503")
    await page.wait_for(
        "[...document.querySelectorAll('table.requests .code')].every((each) => each.innerText === '503')",
        "only those that failed are listed",
    )
    assert await page.run("window.pwned") is None
    assert await page.run("document.querySelectorAll('#app img, #app script').length") == 0
    assert "password" not in await page.text()


async def _busy(received: object) -> bytes:
    return BUSY


async def test_the_page_outlives_the_proxy(
    proxy: ProxyProcess, origins: tuple[Origin, Origin], address: SocketAddress, page: Page
) -> None:
    proxy.configure(*shop(address, origins))
    await proxy.start()
    await open_dashboard(page, proxy)
    await proxy.stop()
    await page.wait_for_text("No connection to the proxy")
    assert "shop" in await page.text(), "what was known is still there"
    await proxy.start()
    await page.wait_for_text("The proxy has restarted")
    await page.wait_for("document.querySelector('.shell.live') !== null", "and it is live again")
    page.complaints.clear()  # the browser says of each try that nobody was there


async def test_a_worker_that_is_killed_is_an_event(
    proxy: ProxyProcess, origins: tuple[Origin, Origin], address: SocketAddress, page: Page
) -> None:
    proxy.configure(*shop(address, origins))
    await proxy.start()
    await open_dashboard(page, proxy, "configuration")
    os.kill(proxy.worker_pids()[0], signal.SIGKILL)
    await page.wait_for_text("WorkerExited")


async def test_a_token_is_asked_for_and_kept_in_the_tab(
    proxy: ProxyProcess, origins: tuple[Origin, Origin], address: SocketAddress, page: Page, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    proxy.configure(*shop(address, origins), admin={"tokenFile": str(token)})
    await proxy.start()
    await page.go(f"http://{proxy.admin}/")
    for typed, answer in (("wrong", "does not accept"), ("s3cret", "Topology")):
        await page.wait_for("document.activeElement?.id === 'token'", "the token is asked for")
        await page.type(typed)
        await page.press("Enter")
        await page.wait_for_text(answer)
    assert await page.run("JSON.stringify(localStorage) + document.cookie") == "{}"
    await page.ask("Page.reload")
    await page.wait_for_text("Topology")
    page.complaints.clear()  # the browser says that the first two were refused
