"""Mutual TLS that a real Consul arranges: between two sidecars, and with Consul's own connect proxy at either end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import BACKENDS, free_address
from tests.integration.conditions import wait_until
from tests.integration.conftest import MakeProxy
from tests.integration.manifests import Manifest, make_service, make_workload
from tests.integration.programs import nginx, output_of, require, running
from tests.integration.proxy_process import ProxyProcess
from tests.support.consul import ConsulServer, consul_binary

HELLO = "hello-from-web"
DENY_CART = {
    "apiVersion": "meshproxy.dev/v1",
    "kind": "AuthorizationPolicy",
    "metadata": {"name": "no-cart"},
    "spec": {
        "targetRefs": [{"kind": "Service", "name": "web"}],
        "action": "Deny",
        "rules": [{"from": [{"serviceAccounts": ["default/cart"]}]}],
    },
}


class Site:
    """A Consul, and nginx as `program`, which is reached at an address that only its own sidecar knows."""

    def __init__(self, consul: ConsulServer, program: SocketAddress, directory: Path) -> None:
        self.consul = consul
        self.program = program
        self.directory = directory
        self.mesh = free_address(BACKENDS)
        """Where peers come to; nothing there listens on the program's port."""

    def identity(self, account: str) -> dict[str, Any]:
        return {"serviceAccount": account, "consul": {"address": self.consul.address}}

    def inbound(self) -> dict[str, Any]:
        service = {"name": "web", "port": self.program.port, "address": self.program.host}
        return {"address": str(self.mesh), "services": [service]}

    def workload(self) -> Manifest:
        """web, whose proxy takes mutual TLS."""
        address = SocketAddress(self.mesh.host, self.program.port)
        return make_workload(address, "web-1", "web", serviceAccount="web", mesh={"port": self.mesh.port})

    def connect_proxy(self, *options: str, listens: SocketAddress) -> AbstractAsyncContextManager[Any]:
        """Consul's built-in proxy."""
        command = (consul_binary(), "connect", "proxy", "-http-addr", self.consul.address, *options)
        return running(*command, directory=self.directory, listens=listens)

    def intend(self, source: str, action: str) -> None:
        """May `source` call web?"""
        intention = {"SourceName": source, "DestinationName": "web", "SourceType": "consul", "Action": action}
        for each in self.consul.get("/v1/connect/intentions"):
            if each["SourceName"] == source:
                self.consul.put(f"/v1/connect/intentions/{each['ID']}", intention)
                return
        status, answer = self.consul.request("POST", "/v1/connect/intentions", intention)
        assert status == 200, answer


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    require("nginx", "curl")
    consul = ConsulServer(tmp_path / "consul", connect={"enabled": True})
    program = free_address(BACKENDS)
    try:
        await asyncio.to_thread(consul.start)
        async with running(*nginx(HELLO, program, tmp_path), directory=tmp_path, listens=program):
            yield Site(consul, program, tmp_path)
    finally:
        consul.stop()


async def ask(address: SocketAddress) -> str:
    """What a plain program gets there, and the status."""
    return await output_of("sh", "-c", f"curl -sS -m 5 -w '%{{http_code}}' http://{address}/ || true")


async def answers(address: SocketAddress) -> bool:
    return await ask(address) == f"{HELLO}\n200"


async def is_forbidden(address: SocketAddress) -> bool:
    return (await ask(address)).endswith("403")


async def refused_by(proxy: ProxyProcess, policy: str) -> bool:
    (row,) = await proxy.get(f"/api/v1/authorizationpolicies?name={quote(policy)}")
    return bool(row["denied"])


async def is_failing(proxy: ProxyProcess, source: str) -> bool:
    rows = await proxy.get("/api/v1/sources")
    return any(row["name"] == source and row["state"] == "Failing" for row in rows)


async def is_refused(address: SocketAddress) -> bool:
    return (await ask(address)).endswith("503")


async def counted(proxy: ProxyProcess, side: str, what: str, text: str, ask_at: SocketAddress | None = None) -> bool:
    """Whether there were handshakes (or failures) of that side with `text` among their labels."""
    if ask_at is not None:
        await ask(ask_at)
    lines = (await proxy.text("/metrics")).splitlines()
    return any(line.startswith(f"meshproxy_{side}_tls_{what}_total") and text in line for line in lines)


async def test_a_sidecar_learns_from_a_registration_that_another_is_in_the_mesh(
    site: Site, make_proxy_process: MakeProxy
) -> None:
    server, client = make_proxy_process(), make_proxy_process()
    source = {"consul": {"address": site.consul.address}}
    here = {"name": "web", "id": "web", "port": site.program.port, "address": site.mesh.host}
    server.configure(identity=site.identity("web"), inbound=site.inbound(), sources=[source], register=[here])
    everything = {"consul": {"address": site.consul.address, "import": {"services": "all"}}}
    client.configure(identity=site.identity("cart"), sources=[everything])
    await server.start()
    await client.start()
    await wait_until(lambda: "web" in site.consul.services(), "web is registered")
    meta = {"meshproxy-mesh-port": str(site.mesh.port), "meshproxy-service-account": "web"}
    assert site.consul.services()["web"]["Meta"] == meta
    await wait_until(lambda: client.get("/api/v1/services?name=web"), "web is imported")
    (row,) = await client.get("/api/v1/services?name=web")
    address = SocketAddress(row["clusterIPs"][0], site.program.port)
    await wait_until(lambda: answers(address), "web is reached")
    assert await counted(client, "upstream", "handshakes", 'service="web"')
    assert await counted(server, "listener", "handshakes", 'kind="full"')
    said = [line.split() for line in (await client.meshproxy("describe", "service", "web"))[1].splitlines()]
    endpoint = SocketAddress(site.mesh.host, site.program.port)
    assert ["web.node-1", str(endpoint), "mTLS", str(site.mesh.port), "default/web"] in said
    await intentions_are_followed(site, server, address)


async def intentions_are_followed(site: Site, server: ProxyProcess, web: SocketAddress) -> None:
    """By the proxy in front of web: they are flipped while it runs, and stay what they were without an agent."""
    site.intend("cart", "deny")
    await wait_until(lambda: is_forbidden(web), "cart may not call web")
    await wait_until(lambda: refused_by(server, "cart => web"), "the refusal is seen")
    site.intend("cart", "allow")
    await wait_until(lambda: answers(web), "cart may call web")
    site.intend("*", "deny")
    assert await answers(web), "one that is about cart goes before"
    site.intend("cart", "deny")
    await wait_until(lambda: is_forbidden(web), "cart may not call web again")
    site.consul.stop()
    await wait_until(lambda: is_failing(server, "consul/intentions"), "the agent is missed")
    assert await is_forbidden(web), "what was known last holds"


async def test_a_sidecar_reaches_a_program_behind_consuls_proxy(site: Site, proxy: ProxyProcess) -> None:
    address = free_address()
    proxy.configure(make_service(address, "web"), site.workload(), identity=site.identity("cart"))
    options = ("-service", "web", "-service-addr", str(site.program), "-listen", str(site.mesh))
    async with site.connect_proxy(*options, listens=site.mesh):
        site.intend("cart", "deny")
        await proxy.start()
        await wait_until(lambda: counted(proxy, "upstream", "handshakes", 'service="web"', address), "TLS works")
        assert (await ask(address)).endswith("502"), "Consul's proxy asks whether cart may call web"
        site.intend("cart", "allow")
        await wait_until(lambda: answers(address), "web is reached")


async def test_consuls_proxy_of_another_service_is_not_taken_for_it(site: Site, proxy: ProxyProcess) -> None:
    address = free_address()
    proxy.configure(make_service(address, "web"), site.workload(), identity=site.identity("cart"))
    options = ("-service", "other", "-service-addr", str(site.program), "-listen", str(site.mesh))
    async with site.connect_proxy(*options, listens=site.mesh):
        await proxy.start()

        async def is_wrong() -> bool:
            refused = await is_refused(address)
            return refused and await counted(proxy, "upstream", "handshake_failures", "wrong_identity")

        await wait_until(is_wrong, "the wrong identity is refused")


async def test_consuls_proxy_reaches_a_program_behind_a_sidecar(site: Site, proxy: ProxyProcess) -> None:
    spec = {"identity": site.identity("web"), "inbound": site.inbound()}
    proxy.configure(**spec)
    await proxy.start()
    sidecar = {
        "Kind": "connect-proxy",
        "Name": "web-sidecar-proxy",
        "Address": site.mesh.host,
        "Port": site.mesh.port,
        "Proxy": {"DestinationServiceName": "web"},
    }
    site.consul.put("/v1/agent/service/register", sidecar)
    upstream = free_address(BACKENDS)
    options = ("-service", "cart", "-upstream", f"web:{upstream}")
    async with site.connect_proxy(*options, listens=upstream):
        await wait_until(lambda: answers(upstream), "web is reached")
        assert await counted(proxy, "listener", "handshakes", 'kind="full"')
        site.intend("*", "deny")
        await wait_until(lambda: is_forbidden(upstream), "no intention is about cart, and one about all denies")
        site.intend("cart", "allow")
        await wait_until(lambda: answers(upstream), "web is reached again")
        proxy.configure(DENY_CART, **spec)
        await wait_until(lambda: is_forbidden(upstream), "the policy knows who calls")
        await wait_until(lambda: refused_by(proxy, "no-cart"), "the refusal is seen")
