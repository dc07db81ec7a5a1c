"""A real proxy whose identity is that of a service of a real Consul."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conditions import wait_until
from tests.integration.proxy_process import ProxyProcess
from tests.support.consul import ConsulServer


@pytest.fixture
def consul(tmp_path: Path) -> Iterator[ConsulServer]:
    with ConsulServer(tmp_path / "consul", connect={"enabled": True}) as server:
        yield server


async def test_an_identity_outlives_its_agent(proxy: ProxyProcess, consul: ConsulServer) -> None:
    proxy.configure(identity={"serviceAccount": "web", "consul": {"address": consul.address}})
    await proxy.start()

    async def shows(text: str) -> bool:
        return text in (await proxy.meshproxy("status"))[1]

    await wait_until(lambda: shows("/ns/default/dc/dc1/svc/web, Valid"), "there is an identity")
    roots = consul.get("/v1/agent/connect/ca/roots")
    shown = (await proxy.meshproxy("get", "certificates"))[1]
    assert f"spiffe://{roots['TrustDomain']}/ns/default/dc/dc1/svc/web" in shown
    consul.stop()
    await wait_until(lambda: shows("PROBLEM:     the Consul agent at"), "the outage is said")
    assert await shows("/svc/web, Valid")
    consul.start()
    await wait_until(lambda: _lacks(proxy, "PROBLEM:"), "the outage is over")


async def _lacks(proxy: ProxyProcess, text: str) -> bool:
    return text not in (await proxy.meshproxy("status"))[1]
