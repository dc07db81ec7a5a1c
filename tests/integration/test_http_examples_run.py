"""The HTTP examples do what their READMEs say: nginx behind them, httpx before them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from meshproxy.base.addresses import SocketAddress
from tests.integration.examples import prepare_example
from tests.integration.programs import nginx, require, running
from tests.integration.proxy_process import ProxyProcess, run_meshproxy
from tests.support.collector import Collector, plain


@asynccontextmanager
async def _running(
    proxy: ProxyProcess,
    directory: Path,
    example: str,
    service: SocketAddress,
    *,
    changes: Mapping[str, str] = {},
    **servers: str,
) -> AsyncIterator[httpx.AsyncClient]:
    """The example with an nginx for each of `servers` (its name, and its address), and a client of `service`.

    `changes` are made in its manifests: what to replace, and by what.
    """
    require("nginx")
    addresses = {name: SocketAddress(host, 8080) for name, host in servers.items()}
    prepare_example(proxy, example, service, *addresses.values())
    for old, new in changes.items():
        proxy.write("manifests.yaml", (proxy.manifests / "manifests.yaml").read_text().replace(old, new))
    async with AsyncExitStack() as stack:
        for name, address in addresses.items():
            command = nginx(name, address, directory)
            await stack.enter_async_context(running(*command, directory=directory, listens=address))
        await proxy.start("--admin", str(proxy.admin))
        yield await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://{service}", trust_env=False))


async def test_canary(proxy: ProxyProcess, tmp_path: Path) -> None:
    service = SocketAddress("127.96.0.40", 8080)
    async with _running(proxy, tmp_path, "canary", service, v1="127.0.5.1", v2="127.0.5.2") as client:
        always = [(await client.get("/", headers={"Cookie": "a=b; canary=always"})).text for _ in range(20)]
        others = [(await client.get("/")).text for _ in range(400)]
    assert set(always) == {"v2\n"}
    assert 10 <= others.count("v2\n") <= 80  # 40 of 400, by chance: beyond this once in 10^7 runs
    assert len(others) == others.count("v1\n") + others.count("v2\n")


async def test_header_routing(proxy: ProxyProcess, tmp_path: Path) -> None:
    service = SocketAddress("127.96.0.41", 8080)
    async with _running(proxy, tmp_path, "header-routing", service, stable="127.0.6.1", beta="127.0.6.2") as client:
        assert (await client.get("/")).text == "stable\n"
        assert (await client.get("/", headers={"X-Beta": "1"})).text == "beta\n"
        assert (await client.get("/any?beta=1")).text == "beta\n"
        assert (await client.get("/v1/orders/7")).text == "stable\n"
        moved = await client.get("/v0/orders?page=2")
        assert (moved.status_code, moved.headers["location"]) == (301, f"http://{service}/v1/orders?page=2")
        question = ("--service", "api", "--path", "/v1/orders/7", "--admin", str(proxy.admin))
        status, explained = await run_meshproxy("route", "explain", *question)
    assert status == 0
    assert "default/api/orders" in explained
    assert "asks for:   /orders/7" in explained


async def test_vm_with_systemd(proxy: ProxyProcess, tmp_path: Path) -> None:
    service = SocketAddress("127.96.0.60", 8080)
    async with _running(proxy, tmp_path, "vm-systemd", service, one="127.0.16.1", two="127.0.16.2") as client:
        assert {(await client.get("/")).text for _ in range(40)} == {"one\n", "two\n"}


async def test_edge_gateway(proxy: ProxyProcess, tmp_path: Path) -> None:
    gateway = SocketAddress("127.0.0.1", 18080)
    async with _running(proxy, tmp_path, "edge-gateway", gateway, shop="127.0.7.1", blog="127.0.7.2") as client:
        shop = await client.get("/", headers={"Host": "shop.example.com"})
        assert (shop.text, shop.headers["x-frame-options"]) == ("shop\n", "DENY")
        assert (await client.get("/", headers={"Host": "blog.example.com"})).text == "blog\n"
        admin = await client.get("/admin/x", headers={"Host": "blog.example.com"})
        assert (admin.status_code, admin.headers["location"]) == (302, "http://shop.example.com:18080/admin/x")
        assert (await client.get("/", headers={"Host": "other.org"})).status_code == 404


async def test_tracing(proxy: ProxyProcess, tmp_path: Path) -> None:
    service = SocketAddress("127.96.0.70", 8080)
    trace = "0af7651916cd43dd8448eb211c80319c"
    servers = {"first": "127.0.10.1", "second": "127.0.10.2"}
    async with Collector() as collector:
        changes = {"http://127.0.0.1:4318": collector.url}
        async with _running(proxy, tmp_path, "tracing", service, changes=changes, **servers) as client:
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})).is_success
            await collector.wait_until(lambda: len(collector.spans) >= 2 and len(collector.logs) >= 2)
            status, text = await proxy.meshproxy("status")
    assert {span.trace_id.hex() for span in collector.spans} == {trace}  # none of the probe's
    assert plain(collector.spans[0].attributes)["url.path"] == "/"
    assert collector.resources[0]["deployment.environment.name"] == "example"
    assert (status, collector.url in text) == (0, True), text
