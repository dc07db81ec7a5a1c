"""nginx, redis and dnsmasq behind Services, used by curl, redis-cli and dig."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import BACKENDS, free_address
from tests.integration.conditions import wait_until
from tests.integration.manifests import make_policy, make_service, make_workload
from tests.integration.programs import nginx, output_of, require, running
from tests.integration.proxy_process import ProxyProcess


async def _curl(address: SocketAddress, path: str = "/") -> str:
    return (await output_of("curl", "-sS", "--max-time", "10", f"http://{address}{path}")).strip()


async def test_nginx_with_http_checks(proxy: ProxyProcess, address: SocketAddress, tmp_path: Path) -> None:
    """Of three servers one fails its health check, and gets nothing once that is known."""
    require("nginx", "curl")
    names = ("web-1", "web-2", "sick")
    addresses = {name: free_address(BACKENDS) for name in names}
    check = {"http": {"path": "/healthz"}, "interval": "200ms", "timeout": "1s", "unhealthyThreshold": 1}
    async with AsyncExitStack() as stack:
        for name in names:
            command = nginx(name, addresses[name], tmp_path, health=503 if name == "sick" else 200)
            await stack.enter_async_context(running(*command, directory=tmp_path, listens=addresses[name]))
        proxy.configure(
            make_service(address),
            *(make_workload(addresses[name], name) for name in names),
            make_policy(healthCheck=check),
        )
        await proxy.start()
        await wait_until(lambda: "503" in proxy.log_text(), "the sick server is found")
        answers = Counter([await _curl(address) for _ in range(12)])
        _, table = await proxy.meshproxy("get", "endpoints")
    assert answers == {"web-1": 6, "web-2": 6}
    assert "Unhealthy" in next(line for line in table.splitlines() if "sick" in line)


async def test_redis_commands_and_load(proxy: ProxyProcess, address: SocketAddress, tmp_path: Path) -> None:
    require("redis-server", "redis-cli", "redis-benchmark")
    server = free_address(BACKENDS)
    command = ("redis-server", "--bind", server.host, "--port", str(server.port), "--save", "", "--dir", str(tmp_path))
    async with running(*command, directory=tmp_path, listens=server):
        proxy.configure(make_service(address), make_workload(server, "redis-1"))
        await proxy.start()
        client = ("redis-cli", "-h", address.host, "-p", str(address.port))
        assert await output_of(*client, "set", "greeting", "hello") == "OK\n"
        assert await output_of(*client, "get", "greeting") == "hello\n"
        report = await output_of(
            *("redis-benchmark", "-h", address.host, "-p", str(address.port)),
            *("-t", "set,get", "-n", "4000", "-c", "50", "-P", "4", "-q"),
        )
    assert report.count("requests per second") == 2
    assert "rror" not in report


async def test_dns_over_udp_and_tcp(proxy: ProxyProcess, address: SocketAddress, tmp_path: Path) -> None:
    require("dnsmasq", "dig")
    servers = {f"192.0.2.{index}": free_address(BACKENDS) for index in (1, 2)}
    ports = [
        {"name": "udp", "port": address.port, "targetPort": "main", "protocol": "UDP"},
        {"name": "tcp", "port": address.port, "targetPort": "main"},
    ]
    async with AsyncExitStack() as stack:
        for answer, server in servers.items():
            command = _dnsmasq(server, answer)
            await stack.enter_async_context(running(*command, directory=tmp_path, listens=server))
        workloads = [make_workload(server, f"dns-{answer}") for answer, server in servers.items()]
        proxy.configure(make_service(address, ports=ports), *workloads)
        await proxy.start()
        over_udp = Counter(await asyncio.gather(*(_dig(address) for _ in range(8))))
        over_tcp = Counter([await _dig(address, "+tcp") for _ in range(8)])
    assert over_udp == {"192.0.2.1": 4, "192.0.2.2": 4}
    assert over_tcp == {"192.0.2.1": 4, "192.0.2.2": 4}


def _dnsmasq(server: SocketAddress, answer: str) -> tuple[str, ...]:
    options = (
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file",
        "--bind-interfaces",
        "--no-resolv",
        "--no-hosts",
    )
    where = (f"--port={server.port}", f"--listen-address={server.host}", "--except-interface=none")
    return ("dnsmasq", *options, *where, f"--address=/example.test/{answer}", "--user=")


async def _dig(address: SocketAddress, *options: str) -> str:
    question = ("dig", f"@{address.host}", "-p", str(address.port), "+short", "+time=5", "+tries=2", *options)
    return (await output_of(*question, "example.test")).strip()
