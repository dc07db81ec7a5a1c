"""Containers of a real engine, started, scaled and stopped with docker compose, and requests to them all the while."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.registry.docker.client import DockerClient
from meshproxy.registry.docker.containers import decode_listing
from meshproxy.registry.docker.events import DockerEvent
from meshproxy.resources.sources import DockerSource
from tests.integration.addresses import free_address
from tests.integration.compose import IMAGE, SOCKET, Compose, SocketProxy, require_docker, server
from tests.integration.conditions import wait_until
from tests.integration.manifests import make_proxy, to_yaml
from tests.integration.proxy_process import ProxyProcess
from tests.support.docker import listed

Start = Callable[[Mapping[str, Mapping[str, Any]]], Any]
ROOT = Path(__file__).parent.parent.parent
LISTENS = {"test": ["CMD", "test", "-e", "/tmp/healthy"], "interval": "200ms", "timeout": "2s", "retries": 1}
"""A health check: without one a container is ready before its server listens."""


@pytest.fixture(autouse=True)
def _needs_an_engine() -> None:
    require_docker()


@pytest.fixture
def service() -> str:
    """A name that no other test's containers claim: the engine is everybody's."""
    return f"web-{uuid.uuid4().hex[:8]}"


@dataclass
class Mesh:
    """A proxy that follows an engine, as a client of one of its Services sees it."""

    proxy: ProxyProcess
    service: str
    failures: list[str] = field(default_factory=list)

    async def workloads(self) -> list[dict[str, Any]]:
        """Those of this test."""
        rows = await self.proxy.get("/api/v1/workloads")
        return [row for row in rows if row.get("labels", {}).get("meshproxy.dev/service") == self.service]

    async def ready(self, count: int) -> bool:
        usable = [row for row in await self.workloads() if row.get("ready", True) and not row.get("terminating")]
        return len(usable) == count

    async def until_ready(self, count: int) -> None:
        await wait_until(lambda: self.ready(count), f"{count} containers are ready")

    async def url(self) -> str:
        rows = [row for row in await self.proxy.get("/api/v1/services") if row["name"] == self.service]
        return f"http://{rows[0]['clusterIPs'][0]}:{rows[0]['ports'][0]['port']}"

    async def answers(self, count: int, **headers: str) -> Counter[str]:
        """Who answered `count` requests, each on its own connection."""
        url = await self.url()
        said: Counter[str] = Counter()
        for _ in range(count):
            async with httpx.AsyncClient(trust_env=False) as client:
                response = await client.get(url, headers=headers)
                said[response.text.strip() if response.status_code == 200 else str(response.status_code)] += 1
        return said

    async def until_answered_by(self, name: str) -> None:
        """Until that one answers."""

        async def answers() -> bool:
            return await self.answers(1) == {name: 1}

        await wait_until(answers, f"{name} answers")

    async def until_answered_by_all(self, count: int) -> None:
        """Until each of `count` answers, and no request fails any more."""

        async def answer() -> bool:
            said = await self.answers(2 * count)
            return len(said) == count and "503" not in said

        await wait_until(answer, f"all {count} answer")

    @asynccontextmanager
    async def under_load(self, path: str = "/") -> AsyncIterator[list[str]]:
        """Requests on kept connections, one after the other in four lines; the list has what went wrong."""
        wrong: list[str] = []
        ended = asyncio.Event()
        url = await self.url()

        async def ask() -> None:
            async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
                while not ended.is_set():
                    try:
                        response = await client.get(url + path)
                    except httpx.HTTPError as error:
                        wrong.append(repr(error))
                        continue
                    if response.status_code != 200:
                        wrong.append(f"{response.status_code} {response.text}")

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(ask())
            yield wrong
            ended.set()


@pytest.fixture
async def mesh(proxy: ProxyProcess, service: str) -> Mesh:
    proxy.configure(sources=[{"docker": {"endpoint": f"unix://{SOCKET}"}}])
    await proxy.start()
    return Mesh(proxy, service)


async def test_labels_alone_make_a_service_with_a_canary_and_testers(mesh: Mesh, tmp_path: Path) -> None:
    labels = {
        "stable": (),
        "canary": ("canary-weight=50",),
        "beta": ("header.x-beta=yes",),
        "shadow": ("mirror=true",),
    }
    services = {
        name: server(f"service={mesh.service}", "service-port=80", *more, says=name, healthcheck=LISTENS)
        for name, more in labels.items()
    }
    async with Compose.of(tmp_path, services) as compose:
        await compose.up("--scale", "stable=2")
        await mesh.until_ready(5)
        assert (await mesh.url()).endswith(":80")
        said = await mesh.answers(60)
        assert set(said) == {"stable", "canary"}
        assert 10 <= said["canary"] <= 50  # 30 of 60, by chance: beyond this once in 10^7 runs
        assert await mesh.answers(5, **{"x-beta": "yes"}) == {"beta": 5}
        rows = {row["labels"]["compose-service"]: row for row in await mesh.workloads()}
        assert rows["canary"]["services"] == [f"{mesh.service}-canary"]
        assert rows["canary"]["source"] == "docker"
    await wait_until(lambda: _is_empty(mesh), "what is down is gone")


async def _is_empty(mesh: Mesh) -> bool:
    return not await mesh.workloads()


async def test_scaling_and_stopping_lose_no_request(mesh: Mesh, tmp_path: Path) -> None:
    async with Compose.of(tmp_path, {"web": server(f"service={mesh.service}")}) as compose:
        await compose.up("--scale", "web=2")
        await mesh.until_ready(2)
        await mesh.until_answered_by_all(2)
        async with mesh.under_load() as wrong, mesh.under_load("/slow") as slow:
            await compose.up("--scale", "web=4")
            await mesh.until_ready(4)
            async with asyncio.TaskGroup() as group:
                group.create_task(compose.up("--scale", "web=1"))
                await wait_until(lambda: _some_terminating(mesh), "containers are terminating before they are gone")
            await mesh.until_ready(1)
        assert (wrong, slow) == ([], [])
        assert len(await mesh.workloads()) == 1


async def _some_terminating(mesh: Mesh) -> bool:
    return any(row.get("terminating") for row in await mesh.workloads())


async def test_health_and_pauses(mesh: Mesh, tmp_path: Path) -> None:
    async with Compose.of(tmp_path, {"web": server(f"service={mesh.service}", healthcheck=LISTENS)}) as compose:
        await compose.up("--scale", "web=2", "--wait")
        await mesh.until_ready(2)
        await compose("exec", "-T", "--index", "1", "web", "rm", "/tmp/healthy")
        await mesh.until_ready(1)
        assert len(await mesh.answers(6)) == 1
        await compose("exec", "-T", "--index", "1", "web", "touch", "/tmp/healthy")
        await mesh.until_ready(2)
        await compose("pause")
        await mesh.until_ready(0)
        await compose("unpause")
        await mesh.until_ready(2)
        await compose("kill", "--signal", "HUP")
        await compose("kill", "--signal", "KILL")
        await wait_until(lambda: _is_empty(mesh), "what was killed is gone")


async def test_a_restart_with_other_labels(mesh: Mesh, tmp_path: Path) -> None:
    async with Compose.of(tmp_path, {"web": server(f"service={mesh.service}", "service-port=8001")}) as compose:
        await compose.up()
        await mesh.until_ready(1)
        compose.write({"web": server(f"service={mesh.service}", "service-port=8002", "weigth=3")})
        await compose.up()
        await wait_until(lambda: _finds(mesh, "weigth: warning: is unknown (did you mean weight?)"), "it is said")
        compose.write({"web": server(f"service={mesh.service}", "service-port=8002", "weight=3")})
        await compose.up()
        await wait_until(lambda: _listens_on(mesh, ":8002"), "the new port")
        assert sum((await mesh.answers(3)).values()) == 3


async def _finds(mesh: Mesh, text: str) -> bool:
    return any(
        text in f"{row['field']}: warning: {row['message']}" for row in await mesh.proxy.get("/api/v1/diagnostics")
    )


async def _listens_on(mesh: Mesh, port: str) -> bool:
    return any(row["name"] == mesh.service for row in await mesh.proxy.get("/api/v1/services")) and (
        await mesh.url()
    ).endswith(port)


async def test_the_hosts_network_and_another_containers(mesh: Mesh, tmp_path: Path) -> None:
    port = free_address("127.0").port
    main = server(f"service={mesh.service}", f"port={port}", "service-port=80", network_mode="host", says="host")
    del main["expose"]
    main["environment"]["PORT"] = str(port)
    beside = server(
        f"service={mesh.service}-beside", "port=8080", "service-port=80", network_mode="service:web", says="b"
    )
    del beside["expose"]
    services = {"host": main, "web": server(says="web", environment={"PORT": "9999"}), "beside": beside}
    async with Compose.of(tmp_path, services) as compose:
        await compose.up()
        await mesh.until_ready(1)
        await mesh.until_answered_by("host")
        other = Mesh(mesh.proxy, f"{mesh.service}-beside")
        await other.until_ready(1)
        await other.until_answered_by("b")


# -- the way to the engine --------------------------------------------------------------


async def test_two_calls_are_enough_and_an_engine_that_goes_away_changes_nothing(
    proxy: ProxyProcess, service: str, tmp_path: Path
) -> None:
    way = SocketProxy(tmp_path / "docker.sock")
    proxy.configure(sources=[{"docker": {"endpoint": way.endpoint}, "emptyConfirmation": "0s"}])
    mesh = Mesh(proxy, service)
    async with Compose.of(tmp_path, {"web": server(f"service={service}")}) as compose, AsyncExitStack() as stack:
        async with way:
            await proxy.start()
            await compose.up("--scale", "web=2")
            await mesh.until_ready(2)
            await mesh.until_answered_by_all(2)
        await wait_until(lambda: _state(proxy, "Failing"), "the engine is missed")
        assert len(await mesh.answers(6)) == 2
        await compose.up("--scale", "web=3")
        await stack.enter_async_context(way)
        await mesh.until_ready(3)
        assert await _state(proxy, "Connected")
        await compose("down", "--timeout", "0")
        await wait_until(lambda: _is_empty(mesh), "what is down is gone")
    assert way.refused == []
    assert way.allowed > 0


async def _state(proxy: ProxyProcess, state: str) -> bool:
    return any(row["name"] == "docker" and row["state"] == state for row in await proxy.get("/api/v1/sources"))


async def test_a_proxy_in_a_container_uses_its_own_networks_and_names(service: str, tmp_path: Path) -> None:
    """It finds containers in the network that it shares with them, and others by Docker's own DNS server."""
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    named = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "named"}, "spec": NAMED_SPEC}
    workload = {
        "apiVersion": "meshproxy.dev/v1",
        "kind": "Workload",
        "metadata": {"name": "named", "labels": {"app": "named"}},
        "spec": {"address": "web", "ports": {"http": 8080}},
    }
    document = make_proxy(SocketAddress("127.0.0.1", 15000), sources=[{"docker": {}}])
    (manifests / "all.yaml").write_text(to_yaml(document, named, workload))
    mounts = {str(ROOT), sys.prefix, str(manifests), str(SOCKET)} | ({sys.base_prefix} - {"/usr"})
    proxy = {
        "image": IMAGE,
        "command": [sys.executable, "-m", "meshproxy", "run", "-c", str(manifests)],
        "environment": {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        "volumes": [f"{path}:{path}:ro" for path in sorted(mounts)],
        "networks": ["z-shared"],
        "depends_on": ["web"],
    }
    web = server(f"service={service}", "service-port=80", networks=["a-private", "z-shared"], says="web")
    async with Compose.of(tmp_path, {"proxy": proxy, "web": web}, "a-private", "z-shared") as compose:
        await compose.up("--scale", "web=2")
        if not await _asked(compose, "http://127.0.0.1:15000/readyz", retries=50):
            pytest.skip(f"this Python does not run in the image: {(await compose('logs', 'proxy'))[-300:]}")
        await wait_until(lambda: _asked_with(compose, "/api/v1/workloads", service, count=2), "both are found")
        assert "web" in await _asked(compose, "http://127.96.7.7:80/")
        await wait_until(lambda: _asked_with(compose, "/api/v1/endpoints", "named", count=2), "both addresses")
        rows = msgspec.json.decode(await _asked(compose, "http://127.0.0.1:15000/api/v1/services"))
        address = next(row["clusterIPs"][0] for row in rows if row["name"] == service)
        assert "web" in await _asked(compose, f"http://{address}:80/")


NAMED_SPEC = {"clusterIP": "127.96.7.7", "selector": {"app": "named"}, "ports": [{"port": 80, "targetPort": "http"}]}


async def _asked(compose: Compose, url: str, retries: int = 0) -> str:
    """What curl in the proxy's container gets; with retries, empty where nothing answers."""
    again = ("--retry", str(retries), "--retry-connrefused", "--retry-all-errors", "--retry-delay", "0")
    command = ("exec", "-T", "proxy", "curl", "-s", "-m", "10", *(again if retries else ()), url)
    try:
        return await compose(*command)
    except AssertionError:
        if retries:
            return ""
        raise


async def _asked_with(compose: Compose, path: str, text: str, count: int) -> bool:
    return (await _asked(compose, f"http://127.0.0.1:15000{path}")).count(f'"{text}"') >= count


# -- what a real engine says ------------------------------------------------------------


async def test_the_fake_engine_answers_as_a_real_one(tmp_path: Path) -> None:
    """What tests of faults rest on: a list of one container, and the events of its life."""
    source = DockerSource(endpoint=f"unix://{SOCKET}")
    events: list[DockerEvent] = []
    ended = asyncio.Event()
    services = {"web": server("app=web", "service=x", ports=["127.0.0.1::8080"])}
    async with Compose.of(tmp_path, services) as compose, DockerClient(source) as client:
        await compose("create")
        container_id = (await compose("ps", "-aq", "web")).strip()
        response = await client.events(0)

        async def listen() -> None:
            async for event in client.read_events(response):
                if event.id == container_id:
                    events.append(event)
                if event.has_ended:
                    ended.set()

        async with asyncio.TaskGroup() as group:
            listening = group.create_task(listen())
            await compose.up()
            (real,) = (await client.containers([container_id])).containers
            assert (real.name, real.labels["app"]) == (f"{compose.name}-web-1", "web")
            assert [(port.private, port.host) for port in real.ports] == [(8080, "127.0.0.1")]
            assert real.networks[0].name == f"{compose.name}_default"
            assert real.networks[0].gateway
            again = decode_listing(msgspec.json.encode([listed(real)]))
            assert again == ((real,), ())
            await wait_until(lambda: _heeds_signals(compose), "it would end when it is told to")
            await compose("stop")
            async with asyncio.timeout(10):
                await ended.wait()
            listening.cancel()
        response.close()
    actions = [event.action for event in events]
    assert [action for action in actions if action in ("start", "kill", "die")] == ["start", "kill", "die"]
    assert next(event for event in events if event.action == "kill").begins_to_stop


async def _heeds_signals(compose: Compose) -> bool:
    return "healthy" in await compose("exec", "-T", "web", "ls", "/tmp")
