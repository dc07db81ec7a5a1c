"""The catalogue source and a real agent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from meshproxy.registry.consul import catalog
from meshproxy.resources.sources import ConsulImport
from tests.support.consul import ConsulServer
from tests.unit.registry.consul.conftest import Follow

ALL = ConsulImport(services="all")


async def blocking(call: Any, *arguments: Any, **fields: Any) -> None:
    """What takes time is done in a thread, so that the source goes on."""
    await asyncio.to_thread(call, *arguments, **fields)


async def test_instances_come_change_and_go(consul: ConsulServer, follow: Follow) -> None:
    heard = follow(address=consul.address, import_=ALL)
    await heard.until_workloads()
    consul.register("web", "web-1", Tags=["v1"], Meta={"version": "1"})
    workloads = await heard.until_workloads("web-1.node-1")
    assert workloads["web-1.node-1"].metadata.labels["version"] == "1"
    assert set(await heard.until_services("web")) == {"web"}
    consul.register("web", "web-2", Port=9090)
    assert (await heard.until_workloads("web-1.node-1", "web-2.node-1"))["web-2.node-1"].spec.ports["default"] == 9090
    consul.register("web", "web-2", Port=9091)
    await heard.until(lambda update: heard.workloads(update)["web-2.node-1"].spec.ports["default"] == 9091)
    consul.deregister("web-1")
    await heard.until_workloads("web-2.node-1")
    consul.deregister("web-2")
    await heard.until_workloads()
    assert await heard.until_services() == {}


async def test_checks_are_followed(consul: ConsulServer, follow: Follow) -> None:
    consul.register("web", Weights={"Passing": 10, "Warning": 1})
    heard = follow(address=consul.address)
    await heard.until_workloads("web.node-1")

    async def until(ready: bool, weight: int) -> None:
        def condition(update: Any) -> bool:
            spec = heard.workloads(update)["web.node-1"].spec
            return (spec.ready, spec.weight) == (ready, weight)

        await heard.until(condition)

    consul.check("web", "warn")
    await until(True, 100)
    consul.check("web", "fail")
    await until(False, 1000)
    consul.check("web", "pass")
    await until(True, 1000)
    consul.put("/v1/agent/service/maintenance/web?enable=true&reason=test")
    await heard.until(lambda update: heard.workloads(update)["web.node-1"].spec.terminating)


async def test_more_services_than_have_a_watch_of_their_own(
    consul: ConsulServer, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "MAX_WATCHED", 2)
    names = [f"s{number}" for number in range(6)]
    for name in names:
        consul.register(name)
    heard = follow(address=consul.address, import_=ALL)
    ids = [f"{name}.node-1" for name in names]
    await heard.until_workloads(*ids)
    # Each of these is heard by another way: a critical check, a warning, a registration, an edit, a leave.
    consul.check("s5", "fail")
    await heard.until(lambda update: not heard.workloads(update)["s5.node-1"].spec.ready)
    consul.check("s5", "pass")
    await heard.until(lambda update: heard.workloads(update)["s5.node-1"].spec.ready)
    consul.register("s4", "s4-b")
    await heard.until_workloads(*ids, "s4-b.node-1")
    consul.register("s3", "s3", Port=1234)
    await heard.until(lambda update: heard.workloads(update)["s3.node-1"].spec.ports["default"] == 1234)
    consul.register("s5", "s5-c", status="")
    await heard.until_workloads(*ids, "s4-b.node-1", "s5-c.node-1")
    for gone in ("s4-b", "s5-c", "s0", "s5"):
        consul.deregister(gone)
    await heard.until_workloads(*ids[1:5])
    assert heard.updates[-1].problem == ""


async def test_hundreds_of_services_take_few_connections(consul: ConsulServer, follow: Follow) -> None:
    services = 210
    far = ({"Node": "far", "Address": "10.0.0.1", "Service": {"Service": f"s{n}", "Port": 80}} for n in range(services))
    consul.put_all("/v1/catalog/register", far)
    try:
        heard = follow(address=consul.address, import_=ALL)
        await heard.until(lambda update: len(heard.workloads(update)) == services)
        assert _connections(consul.port) < 100
        consul.put(
            "/v1/catalog/register",
            {"Node": "far", "Address": "10.0.0.1", "Service": {"Service": "s209", "Port": 81}},
        )
        await heard.until(lambda update: heard.workloads(update)["s209.far"].spec.ports["default"] == 81)
    finally:
        consul.put("/v1/catalog/deregister", {"Node": "far"})


def _connections(port: int) -> int:
    """Established connections of this machine to `port` (``/proc/net/tcp``: remote port, state 01)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(1 for line in lines if line.split()[2].endswith(f":{port:04X}") and line.split()[3] == "01")


async def test_a_thousand_changes_are_few_updates(consul: ConsulServer, follow: Follow) -> None:
    consul.register("web")
    heard = follow(address=consul.address)
    await heard.until_workloads("web.node-1")

    changes = ({"Name": "web", "ID": "web", "Port": 1000 + number} for number in range(1000))
    await blocking(consul.put_all, "/v1/agent/service/register", changes)
    await heard.until(lambda update: heard.workloads(update)["web.node-1"].spec.ports["default"] == 1999)
    assert len(heard.updates) < 500


async def test_an_agent_that_is_restarted_is_found_again(tmp_path: Path, follow: Follow) -> None:
    with ConsulServer(tmp_path / "agent") as server:
        server.register("web")
        heard = follow(address=server.address)
        await heard.until_workloads("web.node-1")
        server.stop()
        update = await heard.until(lambda update: update.problem)
        assert "cannot be asked" in update.problem
        assert update.resources is None or len(update.resources) == 1, "nothing is lost by it"
        await blocking(server.start)
        await heard.until(lambda update: not update.problem and heard.workloads(update))
        # Without its state the agent counts its indexes from the beginning.
        server.stop(forget=True)
        await blocking(server.start)
        server.register("other")
        await heard.until_workloads("other.node-1")


async def test_an_agent_without_a_leader(tmp_path: Path, follow: Follow) -> None:
    with ConsulServer(
        tmp_path / "agent", bootstrap=False, bootstrap_expect=2, performance={"rpc_hold_timeout": "50ms"}
    ) as server:
        heard = follow(address=server.address)
        update = await heard.until(lambda update: update.problem)
        assert "No cluster leader" in update.problem
        assert update.resources is None
