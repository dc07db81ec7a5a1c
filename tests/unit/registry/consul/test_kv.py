"""Manifests in the keys of a real agent."""

from __future__ import annotations

import asyncio
from pathlib import Path

from meshproxy.base.errors import errors_in
from meshproxy.registry.consul.agent import ConsulAgent
from meshproxy.registry.consul.kv import KVSource
from meshproxy.resources.sources import ConsulKV, ConsulSource
from tests.support.consul import ConsulServer
from tests.unit.registry.consul.conftest import Follow

PROXY = b"apiVersion: meshproxy.dev/v1\nkind: Proxy\nmetadata: {name: p}\n"


def workload(name: str) -> bytes:
    text = f"apiVersion: meshproxy.dev/v1\nkind: Workload\nmetadata: {{name: {name}}}\nspec: {{address: 10.0.0.1}}\n"
    return text.encode()


async def test_values_are_manifests(consul: ConsulServer, follow_kv: Follow) -> None:
    consul.put("/v1/kv/meshed/other", b"not: ours")
    heard = follow_kv(address=consul.address)
    await heard.until_workloads()
    consul.put("/v1/kv/mesh/", b"")
    consul.put("/v1/kv/mesh/a.yaml", workload("a") + b"---\n" + workload("b"))
    await heard.until_workloads("a", "b")
    consul.put("/v1/kv/mesh/deep/c", workload("c"))
    await heard.until_workloads("a", "b", "c")
    consul.put("/v1/kv/mesh/a.yaml", workload("a"))
    await heard.until_workloads("a", "c")
    consul.request("DELETE", "/v1/kv/mesh/deep/c")
    await heard.until_workloads("a")


async def test_a_mistake_changes_nothing_and_names_its_key(consul: ConsulServer, follow_kv: Follow) -> None:
    consul.put("/v1/kv/mesh/a.yaml", workload("a"))
    heard = follow_kv(address=consul.address)
    await heard.until_workloads("a")
    consul.put("/v1/kv/mesh/b.yaml", workload("b").replace(b"address", b"adress"))
    update = await heard.until(lambda update: update.findings)
    assert update.resources is None
    said = [str(finding) for finding in errors_in(update.findings)]
    assert said[0].startswith("mesh/b.yaml:4: Workload/b: spec.adress: unknown field (did you mean address?)")
    consul.put("/v1/kv/mesh/b.yaml", workload("b"))
    await heard.until_workloads("a", "b")
    consul.put("/v1/kv/mesh/c.yaml", b"\xff\x00")
    update = await heard.until(lambda update: update.findings)
    assert "mesh/c.yaml:1: byte 0 is not UTF-8" in str(update.findings[0])


async def test_keys_may_not_say_what_this_process_does(consul: ConsulServer, follow_kv: Follow) -> None:
    consul.put("/v1/kv/mesh/a.yaml", workload("a") + b"---\n" + PROXY)
    update = await follow_kv(address=consul.address).until(lambda update: True)
    assert update.resources is None
    assert [str(finding) for finding in update.findings] == [
        "mesh/a.yaml:6: Proxy/p: a Proxy is read from files only; remove it from here"
    ]


async def test_refresh_says_it_again(consul: ConsulServer, follow_kv: Follow) -> None:
    consul.put("/v1/kv/mesh/a.yaml", workload("a"))
    heard = follow_kv(address=consul.address)
    await heard.until_workloads("a")
    heard.source.refresh()
    assert len(heard.updates) == 2


async def test_an_agent_that_is_away_is_said_once_and_got_over(tmp_path: Path, follow_kv: Follow) -> None:
    with ConsulServer(tmp_path / "agent") as server:
        server.put("/v1/kv/mesh/a.yaml", workload("a"))
        heard = follow_kv(address=server.address)
        await heard.until_workloads("a")
        server.stop()
        update = await heard.until(lambda update: update.problem)
        assert update.resources is None
        await asyncio.to_thread(server.start)
        await heard.until_workloads("a")


def test_its_name_is_its_own() -> None:
    spec = ConsulSource()
    source = KVSource("consul/kv", spec, ConsulKV(prefix="/mesh/"), ConsulAgent(spec), lambda: 0.0)
    assert source.name == "consul/kv"
