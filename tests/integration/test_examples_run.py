"""Every example does what its README says, with real servers at the addresses that it names."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from meshproxy.base.addresses import SocketAddress
from tests.integration.backends import Backend
from tests.integration.clients import shares
from tests.integration.conditions import wait_until
from tests.integration.examples import prepare_example
from tests.integration.programs import output_of, require, running
from tests.integration.proxy_process import ProxyProcess
from tests.support.consul import ConsulServer


async def _start(proxy: ProxyProcess) -> None:
    await proxy.start("--admin", str(proxy.admin))


async def _serve(stack: AsyncExitStack, *addresses: SocketAddress) -> None:
    for address in addresses:
        await stack.enter_async_context(Backend(address.host, address))


async def test_basic(proxy: ProxyProcess) -> None:
    service = SocketAddress("127.96.0.10", 8080)
    servers = [SocketAddress(f"127.0.1.{index}", 8080) for index in (1, 2, 3)]
    prepare_example(proxy, "basic", service, *servers)
    async with AsyncExitStack() as stack:
        await _serve(stack, *servers)
        await _start(proxy)
        assert set(await shares(service, 12)) <= {server.host for server in servers}


async def test_manual_endpoints(proxy: ProxyProcess) -> None:
    service = SocketAddress("127.96.0.30", 8080)
    servers = [SocketAddress("127.0.4.1", 8080), SocketAddress("127.0.4.2", 8080), SocketAddress("127.0.4.3", 9090)]
    prepare_example(proxy, "manual-endpoints", service, *servers)
    async with AsyncExitStack() as stack:
        await _serve(stack, *servers)
        await _start(proxy)
        assert await shares(service, 10) == {"127.0.4.1": 5, "127.0.4.3": 5}


async def test_consul(proxy: ProxyProcess, tmp_path: Path) -> None:
    agent, service = SocketAddress("127.0.0.1", 8500), SocketAddress("127.99.53.99", 8080)
    servers = [SocketAddress("127.0.7.1", 8080), SocketAddress("127.0.7.2", 8080)]
    prepare_example(proxy, "consul", service, agent, *servers)
    with ConsulServer(tmp_path / "consul", http_port=agent.port) as consul:
        async with AsyncExitStack() as stack:
            await _serve(stack, *servers)
            await _start(proxy)
            for number, server in enumerate(servers, start=1):
                consul.register("web", f"web-{number}", Address=server.host, Port=server.port)

            async def ready() -> bool:
                return len(await proxy.get("/api/v1/endpoints?service=web")) == 2

            await wait_until(ready, "both servers are endpoints")
            assert await shares(service, 4) == {"127.0.7.1": 2, "127.0.7.2": 2}
            await wait_until(
                lambda: any(each["Service"] == "front" for each in consul.services().values()), "front is registered"
            )
            await proxy.stop()


async def test_redis(proxy: ProxyProcess, tmp_path: Path) -> None:
    require("redis-server", "redis-cli")
    service, server = SocketAddress("127.96.0.20", 6379), SocketAddress("127.0.2.1", 6379)
    prepare_example(proxy, "redis", service, server)
    command = ("redis-server", "--bind", server.host, "--port", "6379", "--save", "", "--dir", str(tmp_path))
    async with running(*command, directory=tmp_path, listens=server):
        await _start(proxy)
        assert await output_of("redis-cli", "-h", service.host, "ping") == "PONG\n"


async def test_dns(proxy: ProxyProcess) -> None:
    require("dig")
    server, service = SocketAddress("127.0.0.1", 15053), SocketAddress("127.96.0.60", 8080)
    prepare_example(proxy, "dns", service, server)
    await _start(proxy)
    question = ("dig", f"@{server.host}", "-p", str(server.port), "+short", "+time=5")
    assert await output_of(*question, "web.default.svc.cluster.local") == "127.96.0.60\n"
    assert await output_of(*question, "search") == "web.default.svc.cluster.local.\n127.96.0.60\n"
    ports = await output_of(*question, "_postgres._tcp.db.prod.svc.cluster.local", "SRV")
    assert sorted(ports.splitlines()) == [f"0 100 5432 db-{number}.db.prod.svc.cluster.local." for number in (0, 1)]
    status, text = await proxy.meshproxy("dns", "lookup", "web")
    assert (status, "Service default/web: its virtual IP" in text) == (0, True)


async def test_dns_udp(proxy: ProxyProcess, tmp_path: Path) -> None:
    require("dnsmasq", "dig")
    service = SocketAddress("127.96.0.53", 5353)
    servers = [SocketAddress(f"127.0.3.{index}", 5353) for index in (1, 2)]
    prepare_example(proxy, "dns-udp", service, *servers)
    async with AsyncExitStack() as stack:
        for index, server in enumerate(servers, start=1):
            answer = f"--address=/example.test/192.0.2.{index}"
            options = ("-k", "-C", "/dev/null", "-p", "5353", "-a", server.host, "-z", "-R", "-x", "", "-u", "")
            await stack.enter_async_context(running("dnsmasq", *options, answer, directory=tmp_path, listens=server))
        await _start(proxy)
        question = ("dig", f"@{service.host}", "-p", "5353", "+short", "+time=5", "example.test")
        over_udp = Counter([await output_of(*question) for _ in range(6)])
        over_tcp = Counter([await output_of(*question, "+tcp") for _ in range(6)])
    assert over_udp == over_tcp == {"192.0.2.1\n": 3, "192.0.2.2\n": 3}
