"""The DNS server of a running proxy, asked by dig, beside a real dnsmasq."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import BACKENDS, SERVICES, free_address
from tests.integration.backends import Backend
from tests.integration.clients import Client
from tests.integration.conditions import wait_until
from tests.integration.manifests import Manifest, make_policy, make_service, make_workload
from tests.integration.programs import output_of, require, running
from tests.integration.proxy_process import ProxyProcess

HEADLESS: dict[str, Any] = {"clusterIP": "None", "ports": [{"name": "main", "port": 80, "targetPort": "main"}]}


@asynccontextmanager
async def dnsmasq(directory: Path, *options: str) -> AsyncIterator[SocketAddress]:
    """A resolver that knows example.test, and nothing else."""
    address = free_address(BACKENDS)
    command = (
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file", "--user=", "--bind-interfaces"),
        *("--no-resolv", "--no-hosts", "--except-interface=none"),
        *(f"--port={address.port}", f"--listen-address={address.host}", "--local=/test/"),
        *("--host-record=example.test,192.0.2.1,600", *options),
    )
    async with running(*command, directory=directory, listens=address):
        yield address


async def dig(server: SocketAddress, *question: str) -> str:
    return await output_of("dig", f"@{server.host}", "-p", str(server.port), "+time=5", "+tries=1", *question)


async def short(server: SocketAddress, *question: str) -> list[str]:
    return (await dig(server, "+short", *question)).split("\n")[:-1]


def configure(proxy: ProxyProcess, dns: SocketAddress, *documents: Manifest, **options: Any) -> None:
    proxy.configure(*documents, dns={"address": str(dns), **options})


async def test_dig(proxy: ProxyProcess, address: SocketAddress) -> None:
    """UDP, TCP, with and without EDNS, and an answer that is too large for some of them."""
    require("dig")
    dns = free_address(SERVICES)
    many = [make_workload(SocketAddress(f"127.90.1.{n}", 80), f"m-{n}", "many") for n in range(1, 61)]
    configure(proxy, dns, make_service(address), make_service(name="many", **HEADLESS), *many)
    await proxy.start()
    for options in ((), ("+tcp",), ("+noedns",), ("+bufsize=512",), ("+nocookie",), ("+nord",)):
        assert await short(dns, "backend.default.svc.cluster.local", *options) == [address.host]
    assert await short(dns, "-x", address.host) == ["backend.default.svc.cluster.local."]
    assert await short(dns, "_main._tcp.backend", "SRV") == [f"0 100 {address.port} backend.default.svc.cluster.local."]
    assert len(await short(dns, "many.default.svc")) == 60
    assert len(await short(dns, "many.default.svc", "+noedns")) == 60
    cut = await dig(dns, "many.default.svc", "+noedns", "+ignore")
    assert " tc" in cut.split("flags:")[1].split(";")[0]
    missing = await dig(dns, "backend.elsewhere.svc.cluster.local")
    assert "status: NXDOMAIN" in missing
    assert "\tSOA\tns.dns.cluster.local." in missing
    assert "status: BADVERS" in await dig(dns, "backend", "+edns=1", "+noednsnegotiation")
    assert "status: NOTIMP" in await dig(dns, "backend", "+opcode=STATUS")
    assert "Transfer failed" in await dig(dns, "cluster.local", "AXFR")


async def test_an_unhealthy_endpoint_leaves_its_name(proxy: ProxyProcess) -> None:
    require("dig")
    dns, here, gone = free_address(SERVICES), free_address(BACKENDS), free_address(BACKENDS)
    check = {"tcp": {}, "interval": "200ms", "timeout": "1s", "unhealthyThreshold": 1, "healthyThreshold": 1}
    async with Backend("here", here):
        configure(
            proxy,
            dns,
            make_service(**HEADLESS),
            make_workload(here, "here"),
            make_workload(gone, "gone"),
            make_policy(healthCheck=check),
        )
        await proxy.start()

        async def only(*hosts: str) -> bool:
            return sorted(await short(dns, "backend")) == sorted(hosts)

        await wait_until(lambda: only(here.host), "the dead endpoint leaves")
        async with Backend("gone", gone):
            await wait_until(lambda: only(here.host, gone.host), "it comes back")


async def test_names_follow_the_files(proxy: ProxyProcess, address: SocketAddress) -> None:
    require("dig")
    dns = free_address(SERVICES)
    configure(proxy, dns, make_service(address))
    await proxy.start()
    assert "status: NXDOMAIN" in await dig(dns, "other.default.svc")
    configure(proxy, dns, make_service(address, name="other"), domain="mesh.test")

    async def answers() -> bool:
        return await short(dns, "other.default.svc.mesh.test") == [address.host]

    await wait_until(answers, "the new name is answered")
    assert "status: NXDOMAIN" in await dig(dns, "backend.default.svc")


async def test_other_names_come_from_dnsmasq(proxy: ProxyProcess, address: SocketAddress, tmp_path: Path) -> None:
    require("dig", "dnsmasq")
    dns = free_address(SERVICES)
    external = make_service(name="outside", type="ExternalName", externalName="example.test")
    text = "--txt-record=long.test," + ",".join(["x" * 250] * 10)
    async with dnsmasq(tmp_path, text) as upstream:
        dead = free_address(BACKENDS)
        configure(proxy, dns, make_service(address), external, upstreams=[str(dead), str(upstream)], timeout="500ms")
        await proxy.start()
        assert await short(dns, "example.test") == ["192.0.2.1"]
        assert await short(dns, "example.test", "+tcp") == ["192.0.2.1"]
        assert await short(dns, "outside") == ["example.test.", "192.0.2.1"]
        assert "status: NXDOMAIN" in await dig(dns, "nothing.test")
        assert len((await short(dns, "long.test", "TXT"))[0]) > 2500  # over TCP, from there and to here
        report = await proxy.get("/api/v1/dns")
        answers = {each["address"]: (each["answers"] > 0, each["failures"] > 0) for each in report["upstreams"]}
        assert answers == {str(dead): (False, True), str(upstream): (True, False)}
    assert await short(dns, "example.test") == ["192.0.2.1"]  # what is known outlives dnsmasq
    assert "status: SERVFAIL" in await dig(dns, "unknown.test")
    assert await short(dns, "backend") == [address.host]


async def test_lookups_are_explained(proxy: ProxyProcess, address: SocketAddress, tmp_path: Path) -> None:
    require("dnsmasq")
    dns = free_address(SERVICES)
    async with dnsmasq(tmp_path) as upstream:
        configure(proxy, dns, make_service(address), upstreams=[str(upstream)])
        await proxy.start()
        status, text = await proxy.meshproxy("dns", "lookup", "backend")
        assert status == 0
        assert address.host in text
        assert "Service default/backend: its virtual IP" in text
        status, text = await proxy.meshproxy("dns", "lookup", "backnd.default.svc.cluster.local")
        assert status == 1
        assert "no Service backnd in namespace default (did you mean backend.default?)" in text
        status, text = await proxy.meshproxy("dns", "lookup", "example.test", "--tcp")
        assert status == 0
        assert f"{upstream} was asked" in text
        status, text = await proxy.meshproxy("dns", "lookup", address.host, "-o", "json")
        assert status == 0
        assert json.loads(text)["records"][0][3] == "backend.default.svc.cluster.local."
        status, text = await proxy.meshproxy("dns", "lookup", "backend", "NONSENSE")
        assert status == 2
        assert "no record type" in text
        status, text = await proxy.meshproxy("status")
        assert status == 0
        assert f"DNS: {dns}, for cluster.local" in text
        assert str(upstream) in text
        metrics = await proxy.text("/metrics")
        assert f'meshproxy_dns_up{{address="{dns}"}} 1' in metrics
        assert 'meshproxy_dns_queries_total{protocol="tcp",type="A",rcode="NOERROR"} 1' in metrics


async def test_without_a_dns_server(proxy: ProxyProcess, address: SocketAddress) -> None:
    proxy.configure(make_service(address))
    await proxy.start()
    status, text = await proxy.meshproxy("dns", "lookup", "backend")
    assert status == 1
    assert "no DNS server runs in this proxy" in text
    assert "meshproxy_dns_up{" not in await proxy.text("/metrics")


async def test_an_address_that_is_taken(proxy: ProxyProcess, address: SocketAddress) -> None:
    """It is said, the rest runs, and once the address is free it is used. The flag goes before the document."""
    require("dig")
    taken = free_address(SERVICES)
    configure(proxy, free_address(SERVICES), make_service(address))
    async with Backend("somebody", taken):
        await proxy.start("--dns", str(taken))
        status, text = await proxy.meshproxy("status")
        assert status == 1
        assert f"{taken} is in use by another program" in text
        status, text = await proxy.meshproxy("dns", "lookup", "backend")
        assert status == 1
        assert "does not listen" in text

    async def listens() -> bool:
        return bool((await proxy.get("/api/v1/dns"))["listening"])

    await wait_until(listens, "it is bound")
    assert await short(taken, "backend") == [address.host]


async def test_names_are_answered_until_connections_are_finished(proxy: ProxyProcess, address: SocketAddress) -> None:
    """A client that is being drained may have to look up names yet."""
    require("dig")
    dns, server = free_address(SERVICES), free_address(BACKENDS)
    async with Backend("here", server):
        configure(proxy, dns, make_service(address), make_workload(server, "here"))
        await proxy.start()
        client = await Client.connect(address)
        await proxy.meshproxy("drain")
        assert await short(dns, "backend") == [address.host]
        await client.close()
        assert await proxy.exit_status() == 0
