"""A machine whose resolv.conf names the proxy: what glibc, and so every program, makes of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.conditions import wait_until
from tests.integration.manifests import make_service, make_workload
from tests.integration.network_namespace import NodeProxy, resolv_conf, two_nodes
from tests.integration.programs import nginx, require, running

SERVICE = SocketAddress("127.96.0.10", 80)
RESOLV_CONF = """\
nameserver 127.0.0.1
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
"""
UPSTREAM = ("--host-record=example.test,192.0.2.1,2001:db8::1", "--local=/test/", "--local=/cluster.local/")


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[NodeProxy]:
    """A proxy with DNS at 127.0.0.1:53 of a machine; the other machine of its network has a dnsmasq."""
    require("nginx", "dnsmasq", "curl")
    async with two_nodes() as (here, there), AsyncExitStack() as stack:
        stack.enter_context(resolv_conf(here, RESOLV_CONF))
        upstream, web = SocketAddress(there.address, 53), SocketAddress("127.0.1.1", 8080)
        options = ("-k", "-C", "/dev/null", "-u", "", "-x", "", "-R", "-h", "-z", "-a", there.address)
        command = (*there.prefix, "dnsmasq", *options, *UPSTREAM)
        await stack.enter_async_context(running(*command, directory=tmp_path, listens=upstream, reached_by=here.prefix))
        command = (*here.prefix, *nginx("web-1", web, tmp_path))
        await stack.enter_async_context(running(*command, directory=tmp_path, listens=web, reached_by=here.prefix))
        proxy = NodeProxy(tmp_path / "node", here)
        proxy.configure(
            make_service(SERVICE, name="web"),
            make_service(name="db", clusterIP="None", ports=[{"port": 5432}]),
            make_service(name="outside", type="ExternalName", externalName="example.test"),
            make_workload(web, "web-1", "web"),
            make_workload(SocketAddress("127.0.2.1", 5432), "db-1", "db", hostname="db-1"),
            make_workload(SocketAddress("127.0.2.2", 5432), "db-2", "db"),
            dns={"address": "127.0.0.1:53", "upstreams": [there.address]},
        )
        stack.push_async_callback(proxy.stop)
        await proxy.start()
        yield proxy


async def _addresses(machine: NodeProxy, name: str) -> list[str]:
    """What getaddrinfo(3) says."""
    lines = (await machine.node.run("getent", "ahosts", name)).splitlines()
    return sorted({line.split()[0] for line in lines})


async def test_glibc_finds_services(machine: NodeProxy) -> None:
    for name in ("web", "web.default", "web.default.svc", "web.default.svc.cluster.local", "WEB.", "web.default.svc."):
        assert await _addresses(machine, name) == [SERVICE.host]
    assert await _addresses(machine, "db") == ["127.0.2.1", "127.0.2.2"]
    assert await _addresses(machine, "db-1.db") == ["127.0.2.1"]
    assert (await machine.node.run("getent", "hosts", SERVICE.host)).split()[1] == "web.default.svc.cluster.local"
    assert (await machine.node.run("curl", "-sS", "-m", "5", "http://web")).strip() == "web-1"


async def test_glibc_finds_other_names(machine: NodeProxy) -> None:
    assert await _addresses(machine, "example.test") == ["192.0.2.1", "2001:db8::1"]
    assert await _addresses(machine, "outside") == ["192.0.2.1", "2001:db8::1"]
    with pytest.raises(AssertionError):  # getent ends with 2
        await _addresses(machine, "nothing.test")


async def test_glibc_follows_changes(machine: NodeProxy) -> None:
    assert await _addresses(machine, "web") == [SERVICE.host]
    other = SocketAddress("127.96.0.11", 80)
    machine.configure(make_service(other, name="web"), dns={"address": "127.0.0.1:53", "upstreams": ["198.18.0.2"]})

    async def follows() -> bool:
        return await _addresses(machine, "web") == [other.host]

    await wait_until(follows, "the new address is found")
