"""Workers, endpoints and ports that fail while traffic flows."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import BACKENDS, free_address, free_host
from tests.integration.backends import make_backends
from tests.integration.clients import PATIENCE, Client, is_refused, shares, traffic, who_answers
from tests.integration.conditions import wait_until
from tests.integration.conftest import MakeProxy
from tests.integration.datagrams import UDPBackend, UDPClient
from tests.integration.manifests import make_policy, make_service, make_workload
from tests.integration.programs import require
from tests.integration.proxy_process import ProxyProcess

PRIVILEGED = 81
QUICK_CHECK = {"tcp": {}, "interval": "200ms", "timeout": "200ms", "unhealthyThreshold": 2, "healthyThreshold": 1}


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_killed_worker_fails_no_new_connection(
    proxy: ProxyProcess, address: SocketAddress, workers: int
) -> None:
    """What the worker had accepted dies with it; who connects then waits in the kernel's queue and is served."""
    concurrency, kills = 4, 3
    backends = make_backends(2)
    killed_at: list[float] = []
    async with backends[0], backends[1]:
        proxy.configure(
            make_service(address), *(make_workload(each.address, each.name) for each in backends), workers=workers
        )
        await proxy.start()
        async with traffic(address, concurrency) as load:
            for _ in range(kills):
                await wait_until(lambda: len(proxy.worker_pids()) == workers, "all workers run")
                await load.flow(50)
                killed_at.append(asyncio.get_running_loop().time())
                os.kill(proxy.worker_pids()[0], signal.SIGKILL)
                await load.flow(50)
    assert [each for each in load.failures if each.refused] == [], "no connection was refused"
    assert len(load.failures) <= concurrency * kills
    assert all(any(each.began <= when for when in killed_at) for each in load.failures)
    assert proxy.log_text().count("SIGKILL") == kills


async def test_a_killed_endpoint_fails_no_new_connection(proxy: ProxyProcess, address: SocketAddress) -> None:
    """Connects that are refused are tried elsewhere, until the health check takes the endpoint out."""
    backends = make_backends(3)
    async with backends[0], backends[1], backends[2]:
        proxy.configure(
            make_service(address),
            *(make_workload(each.address, each.name) for each in backends),
            make_policy(healthCheck=QUICK_CHECK),
        )
        await proxy.start()
        async with traffic(address) as load:
            await load.flow(50)
            await backends[2].stop()
            dead_at = asyncio.get_running_loop().time()
            await wait_until(lambda: "became unhealthy" in proxy.log_text(), "the death is noticed")
            await load.flow(50)
        assert set(await shares(address, 12)) == {"backend-1", "backend-2"}
    cut = [each for each in load.failures if each.began <= dead_at]
    assert load.failures == cut, "only connections that the dead endpoint had may fail"
    assert not any(each.refused for each in cut)


async def test_an_endpoint_that_comes_back_gets_traffic_again(proxy: ProxyProcess, address: SocketAddress) -> None:
    staying, leaving = make_backends(2)
    async with staying, leaving:
        proxy.configure(
            make_service(address),
            *(make_workload(each.address, each.name) for each in (staying, leaving)),
            make_policy(healthCheck=QUICK_CHECK),
        )
        await proxy.start()
        await leaving.stop()
        await wait_until(lambda: "became unhealthy" in proxy.log_text(), "the death is noticed")
        assert set(await shares(address, 8)) == {staying.name}
        await leaving.start()
        await wait_until(lambda: _reaches(address, leaving.name), "traffic comes back")


async def _reaches(address: SocketAddress, name: str) -> bool:
    return name in await shares(address, 4)


async def test_outlier_detection_ejects_without_active_checks(proxy: ProxyProcess, address: SocketAddress) -> None:
    (living,) = make_backends(1)
    dead = free_address(BACKENDS)
    async with living:
        proxy.configure(
            make_service(address),
            make_workload(living.address, living.name),
            make_workload(dead, "dead"),
            make_policy(outlierDetection={"consecutiveFailures": 3, "maxEjectionPercent": 50}),
        )
        await proxy.start()
        assert await shares(address, 20) == {living.name: 20}
        await wait_until(lambda: "EndpointEjected" in proxy.log_text(), "the ejection is told")


async def test_a_service_without_endpoints_refuses_at_once(proxy: ProxyProcess, address: SocketAddress) -> None:
    proxy.configure(make_service(address))
    await proxy.start()
    assert await is_refused(address)


async def test_a_udp_service_without_endpoints_refuses_at_once(proxy: ProxyProcess, address: SocketAddress) -> None:
    """By an ICMP error, until an endpoint comes, and again when it goes."""
    service = make_service(ports=[{"port": address.port, "protocol": "UDP"}], clusterIP=address.host)
    backend_address = free_address(BACKENDS, kind=socket.SOCK_DGRAM)
    workload = make_workload(backend_address, "udp-1")
    service["spec"]["ports"][0]["targetPort"] = backend_address.port
    proxy.configure(service)
    await proxy.start()
    for _ in range(2):
        await wait_until(lambda: _datagram_is_refused(address), "datagrams are refused")
        _, output = await proxy.meshproxy("get", "listeners")
        assert "NoEndpoints" in output
        proxy.configure(service, workload)
        async with UDPBackend("udp-1", backend_address):
            await wait_until(lambda: not _datagram_is_refused(address), "the endpoint is there")
            async with UDPClient(address) as client:
                assert await client.ask(b"hello") == b"udp-1:hello"
        proxy.configure(service)


def _datagram_is_refused(address: SocketAddress) -> bool:
    """Whether the kernel answers with "port unreachable", which on loopback it does before `send` returns."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((address.host, address.port))
        client.setblocking(False)
        client.send(b"?")
        try:
            client.recv(1)
        except ConnectionRefusedError:
            return True
        except BlockingIOError:
            return False
    return False


async def test_dead_endpoints_only_refuse_at_once(proxy: ProxyProcess, address: SocketAddress) -> None:
    proxy.configure(make_service(address), make_workload(free_address(BACKENDS), "dead"))
    await proxy.start()
    assert await is_refused(address)


@pytest.mark.parametrize(("mode", "answered"), [("UseAll", True), ("Refuse", False)])
async def test_panic_mode_does_as_the_policy_says(
    proxy: ProxyProcess, address: SocketAddress, mode: str, answered: bool
) -> None:
    """The check asks a port on which nothing listens, so no endpoint is ever healthy."""
    (backend,) = make_backends(1)
    nobody = free_address(BACKENDS)
    async with backend:
        proxy.configure(
            make_service(address),
            make_workload(backend.address, backend.name),
            make_policy(
                healthCheck=QUICK_CHECK | {"port": nobody.port},
                loadBalancing={"whenNoneHealthy": mode},
            ),
        )
        await proxy.start()
        await wait_until(lambda: "became unhealthy" in proxy.log_text(), "the check fails")
        await wait_until(lambda: _is_answered(address, answered), f"{mode} is in force")


async def _is_answered(address: SocketAddress, wanted: bool) -> bool:
    return await is_refused(address) is not wanted


async def test_a_port_in_use_fails_alone_and_joins_when_it_is_free(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    taken = free_address()
    with socket.socket() as squatter:
        squatter.bind((taken.host, taken.port))
        squatter.listen()
        async with backend:
            proxy.expected_errors.append(str(taken.port))
            unlucky = make_service(taken, name="unlucky", selector={"app": "backend"})
            proxy.configure(make_service(address), unlucky, make_workload(backend.address, backend.name))
            await proxy.start()
            assert await who_answers(address) == backend.name
            status, output = await proxy.meshproxy("get", "listeners")
            assert status == 0
            assert "in use" in next(line for line in output.splitlines() if str(taken) in line)
            squatter.close()
            await wait_until(lambda: _is_answered(taken, True), "the listener that had failed serves")


def _first_unprivileged_port() -> int:
    return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())


async def test_a_privileged_port_without_rights_fails_alone(
    make_proxy_process: MakeProxy, address: SocketAddress
) -> None:
    require("setpriv")
    if _first_unprivileged_port() <= PRIVILEGED:
        pytest.skip(f"port {PRIVILEGED} is not privileged here (net.ipv4.ip_unprivileged_port_start)")
    without_rights = ("setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service")
    proxy = make_proxy_process(*(without_rights if os.geteuid() == 0 else ()))
    (backend,) = make_backends(1)
    privileged = SocketAddress(free_host(), PRIVILEGED)
    async with backend:
        proxy.expected_errors.append(str(privileged))
        documents = (make_service(address), make_service(privileged, name="privileged", selector={"app": "backend"}))
        proxy.configure(*documents, make_workload(backend.address, backend.name))
        await proxy.start()
        assert await who_answers(address) == backend.name
        _, output = await proxy.meshproxy("get", "listeners")
    row = next(line for line in output.splitlines() if str(privileged) in line)
    assert "CAP_NET_BIND_SERVICE" in row


async def test_silent_clients_do_not_hinder_others(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    async with backend:
        proxy.configure(make_service(address), make_workload(backend.address, backend.name))
        await proxy.start()
        silent = [socket.create_connection((address.host, address.port)) for _ in range(100)]
        try:
            assert await shares(address, 20) == {backend.name: 20}
        finally:
            for each in silent:
                each.close()


async def test_idle_connections_are_closed(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    async with backend:
        proxy.configure(
            make_service(address),
            make_workload(backend.address, backend.name),
            make_policy(connections={"idleTimeout": "400ms"}),
        )
        await proxy.start()
        async with await Client.connect(address) as client:
            assert await client.ended() == b""
        await wait_until(lambda: backend.connections == 0, "the backend's side is closed, too")


async def test_running_out_of_descriptors_makes_clients_wait(proxy: ProxyProcess, address: SocketAddress) -> None:
    """A worker that may open 128 files holds a few dozen connections; the others are served when those end."""
    (backend,) = make_backends(1)
    async with backend:
        proxy.configure(make_service(address), make_workload(backend.address, backend.name))
        await proxy.start()
        await _restart_worker_with_limit(proxy, 128)
        held = await _connect_until_full(address, 100)
        try:
            assert 10 <= len(held) < 100, "the limit is felt"
            reader, writer = await asyncio.open_connection(address.host, address.port)
            await wait_until(lambda: "descriptors" in proxy.log_text(), "the shortage is said")
            for client in held:
                await client.close()
            async with asyncio.timeout(PATIENCE), Client(reader, writer, "") as client:
                assert await reader.readline() == b"backend-1\n"
                assert await client.echo(b"at last") == b"at last"
        finally:
            for client in held:
                await client.close()
        assert await shares(address, 20) == {backend.name: 20}


async def _restart_worker_with_limit(proxy: ProxyProcess, limit: int) -> None:
    """Lower the supervisor's limit, which the next worker inherits."""
    import resource

    old = proxy.worker_pids()
    resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (limit, limit))
    os.kill(old[0], signal.SIGKILL)
    await wait_until(lambda: proxy.worker_pids() and proxy.worker_pids() != old, "a new worker runs")


async def _connect_until_full(address: SocketAddress, most: int) -> list[Client]:
    held: list[Client] = []
    while len(held) < most:
        try:
            async with asyncio.timeout(1.0 if held else 10.0):
                held.append(await Client.connect(address))
        except TimeoutError:
            break
    return held


async def test_the_connection_limit_queues_then_refuses(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    async with backend:
        proxy.configure(
            make_service(address),
            make_workload(backend.address, backend.name),
            make_policy(connections={"max": 2, "maxPending": 1, "pendingTimeout": "10s"}),
        )
        await proxy.start()
        first, second = await Client.connect(address), await Client.connect(address)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        async with first, second, Client(reader, writer, "") as queued, asyncio.timeout(PATIENCE):
            assert await is_refused(address), "the queue is full"
            await first.close()
            assert await reader.readline() == b"backend-1\n"
            assert await queued.echo(b"my turn") == b"my turn"
