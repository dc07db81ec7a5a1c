"""Every kind of address that a Service has."""

from __future__ import annotations

import asyncio
import socket

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import BACKENDS, free_address, free_host, free_node_port
from tests.integration.backends import Backend, make_backends
from tests.integration.clients import Client, is_refused, shares, who_answers
from tests.integration.conditions import wait_until
from tests.integration.datagrams import UDPBackend, UDPClient
from tests.integration.manifests import make_service, make_slice, make_tcp_service, make_workload
from tests.integration.proxy_process import ProxyProcess


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
        return True


async def test_node_port_answers_on_every_address(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    port = free_node_port()
    ports = [{"name": "main", "port": address.port, "targetPort": "main", "nodePort": port}]
    async with backend:
        proxy.configure(
            make_service(address, type="NodePort", ports=ports), make_workload(backend.address, backend.name)
        )
        await proxy.start()
        for host in ("127.0.0.1", free_host()):
            assert await who_answers(SocketAddress(host, port)) == backend.name
        assert await who_answers(address) == backend.name


async def test_switching_the_type_opens_and_closes_the_node_port(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    port = free_node_port()
    ports = [{"name": "main", "port": address.port, "targetPort": "main", "nodePort": port}]
    public = SocketAddress("127.0.0.1", port)
    workload = make_workload(backend.address, backend.name)
    async with backend:
        proxy.configure(make_service(address), workload)
        await proxy.start()
        assert await is_refused(public)
        async with await Client.connect(address) as client:
            proxy.configure(make_service(address, type="NodePort", ports=ports), workload)
            await wait_until(lambda: _answers(public), "the NodePort is open")
            proxy.configure(make_service(address), workload)
            await wait_until(lambda: is_refused(public), "the NodePort is closed")
            assert await client.echo(b"undisturbed") == b"undisturbed"


async def _answers(address: SocketAddress) -> bool:
    return not await is_refused(address)


async def test_external_ips_and_load_balancer_ips_are_bound(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    external, balancer = free_host(), free_host()
    async with backend:
        proxy.configure(
            make_service(
                address,
                type="LoadBalancer",
                externalIPs=[external],
                loadBalancerIP=balancer,
                allocateLoadBalancerNodePorts=False,
            ),
            make_workload(backend.address, backend.name),
        )
        await proxy.start()
        for host in (external, balancer, address.host):
            assert await who_answers(SocketAddress(host, address.port)) == backend.name


async def test_load_balancer_source_ranges_turn_others_away(proxy: ProxyProcess, address: SocketAddress) -> None:
    (backend,) = make_backends(1)
    balancer, friend, stranger = SocketAddress(free_host(), address.port), free_host(), free_host()
    async with backend:
        proxy.configure(
            make_service(
                address,
                type="LoadBalancer",
                loadBalancerIP=balancer.host,
                loadBalancerSourceRanges=[f"{friend}/32"],
                allocateLoadBalancerNodePorts=False,
            ),
            make_workload(backend.address, backend.name),
        )
        await proxy.start()
        assert await who_answers(balancer, friend) == backend.name
        with pytest.raises(ConnectionError):
            await who_answers(balancer, stranger)


async def test_a_service_without_cluster_ip_gets_the_same_one_every_time(proxy: ProxyProcess) -> None:
    """The address comes from a hash of namespace and name: two proxies compute the same."""
    (backend,) = make_backends(1)
    port = free_address().port
    ports = [{"name": "main", "port": port, "targetPort": "main"}]
    documents = (make_service(ports=ports), make_workload(backend.address, backend.name))
    async with backend:
        proxy.configure(*documents)
        await proxy.start()
        status, output = await proxy.meshproxy("get", "services", "backend")
        assert status == 0
        host = next(word for word in output.split() if word.startswith("127."))
        assert await who_answers(SocketAddress(host, port)) == backend.name
        await proxy.stop()
        await proxy.start()
        assert await who_answers(SocketAddress(host, port)) == backend.name


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6: enable it on the loopback interface")
async def test_dual_stack(proxy: ProxyProcess, address: SocketAddress) -> None:
    six = SocketAddress("::1", _free_port6())
    service = make_service(
        SocketAddress(address.host, six.port),
        clusterIPs=[address.host, "::1"],
        ipFamilies=["IPv4", "IPv6"],
        ipFamilyPolicy="RequireDualStack",
    )
    async with Backend("four") as four, Backend("six", SocketAddress("::1", _free_port6())) as backend6:
        proxy.configure(
            service,
            make_workload(four.address, four.name),
            make_workload(backend6.address, backend6.name),
        )
        await proxy.start()
        assert set(await shares(six, 4)) == {"six"}
        assert set(await shares(SocketAddress(address.host, six.port), 4)) == {"four"}


def _free_port6() -> int:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_the_same_port_on_tcp_and_udp(proxy: ProxyProcess, address: SocketAddress) -> None:
    (tcp,) = make_backends(1)
    ports = [
        {"name": "tcp", "port": address.port, "targetPort": "main"},
        {"name": "udp", "port": address.port, "targetPort": "main", "protocol": "UDP"},
    ]
    async with tcp, UDPBackend("datagrams", tcp.address):
        proxy.configure(make_service(address, ports=ports), make_workload(tcp.address, tcp.name))
        await proxy.start()
        assert await who_answers(address) == tcp.name
        async with UDPClient(address) as client:
            assert await client.ask(b"hello") == b"datagrams:hello"


async def test_named_ports_resolve_for_each_workload(proxy: ProxyProcess, address: SocketAddress) -> None:
    one, other = make_backends(2)
    assert one.address.port != other.address.port
    async with one, other:
        proxy.configure(make_service(address), *(make_workload(each.address, each.name) for each in (one, other)))
        await proxy.start()
        assert await shares(address, 10) == {one.name: 5, other.name: 5}


async def test_slices_written_by_hand_are_merged(proxy: ProxyProcess, address: SocketAddress) -> None:
    one, other = make_backends(2)
    service = make_service(address, selector={})
    async with one, other:
        proxy.configure(
            service,
            *(
                make_slice(each.address.port, [{"addresses": [each.address.host]}], name=f"slice-{each.name}")
                for each in (one, other)
            ),
        )
        await proxy.start()
        assert await shares(address, 10) == {one.name: 5, other.name: 5}


async def test_terminating_endpoints_serve_only_when_no_other_is_ready(
    proxy: ProxyProcess, address: SocketAddress
) -> None:
    """Kubernetes: without a ready endpoint those that are serving and terminating are used (KEP-1669)."""
    ready = Backend("ready")
    leaving = Backend("leaving", free_address(BACKENDS, ready.address.port))
    conditions = {"ready": False, "serving": True, "terminating": True}
    terminating = {"addresses": [leaving.address.host], "conditions": conditions}
    service = make_service(address, selector={})
    async with ready, leaving:
        proxy.configure(service, make_slice(ready.address.port, [{"addresses": [ready.address.host]}, terminating]))
        await proxy.start()
        assert set(await shares(address, 8)) == {"ready"}
        proxy.configure(service, make_slice(ready.address.port, [terminating]))
        await wait_until(lambda: _answered_by(address, "leaving"), "the terminating endpoint is used")


async def _answered_by(address: SocketAddress, name: str) -> bool:
    try:
        return await who_answers(address) == name
    except ConnectionError:
        return False


async def test_affinity_holds_across_workers_and_can_be_switched(proxy: ProxyProcess, address: SocketAddress) -> None:
    backends = make_backends(3)
    workloads = [make_workload(each.address, each.name) for each in backends]
    sources = [free_host() for _ in range(12)]
    async with backends[0], backends[1], backends[2]:
        proxy.configure(make_tcp_service(address, sessionAffinity="ClientIP"), *workloads, workers=2)
        await proxy.start()
        for source in sources:
            counted = await shares(address, 8, source)
            assert len(counted) == 1, f"{source} was led to {counted}"
        proxy.configure(make_tcp_service(address), *workloads, workers=2)
        await wait_until(lambda: _spreads(address, sources[0]), "affinity is off")
        proxy.configure(make_tcp_service(address, sessionAffinity="ClientIP"), *workloads, workers=2)
        await wait_until(lambda: _sticks(address, sources[0]), "affinity is on again")


async def _spreads(address: SocketAddress, source: str) -> bool:
    return len(await shares(address, 9, source)) == 3


async def _sticks(address: SocketAddress, source: str) -> bool:
    return len(await shares(address, 9, source)) == 1


async def test_udp_clients_stay_with_their_endpoint(proxy: ProxyProcess, address: SocketAddress) -> None:
    ports = [{"name": "main", "port": address.port, "targetPort": "main", "protocol": "UDP"}]
    kind = socket.SOCK_DGRAM
    one = UDPBackend("one", free_address(BACKENDS, kind=kind))
    other = UDPBackend("other", free_address(BACKENDS, kind=kind))
    async with one, other:
        proxy.configure(
            make_service(address, ports=ports),
            *(make_workload(each.address, each.name) for each in (one, other)),
        )
        await proxy.start()
        names = [await _udp_name(address, 5) for _ in range(6)]
    assert sorted(names) == ["one"] * 3 + ["other"] * 3


async def _udp_name(address: SocketAddress, datagrams: int) -> str:
    async with UDPClient(address) as client:
        replies = [await client.ask(f"{index}".encode()) for index in range(datagrams)]
    (name,) = {reply.partition(b":")[0] for reply in replies}
    return name.decode()


async def test_udp_leaves_an_endpoint_that_was_removed(proxy: ProxyProcess, address: SocketAddress) -> None:
    ports = [{"name": "main", "port": address.port, "targetPort": "main", "protocol": "UDP"}]
    service = make_service(address, ports=ports)
    kind = socket.SOCK_DGRAM
    old = UDPBackend("old", free_address(BACKENDS, kind=kind))
    new = UDPBackend("new", free_address(BACKENDS, kind=kind))
    async with old, new, asyncio.timeout(20):
        proxy.configure(service, make_workload(old.address, "one"))
        await proxy.start()
        async with UDPClient(address) as client:
            assert await client.ask(b"a") == b"old:a"
            proxy.configure(service, make_workload(new.address, "one"))
            while not (await client.ask(b"b")).startswith(b"new:"):
                continue  # the bounded timeout above ends it
