"""What every source does, whatever it reads: `resources.update.Source`."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from meshproxy.registry.consul.agent import ConsulAgent
from meshproxy.registry.consul.catalog import CatalogSource
from meshproxy.registry.consul.kv import KVSource
from meshproxy.registry.docker.source import DockerContainers
from meshproxy.registry.files import FilesSource
from meshproxy.registry.memory import MemorySource
from meshproxy.resources import ObjectMeta, Workload
from meshproxy.resources.sources import ConsulKV, ConsulSource, DockerSource
from meshproxy.resources.update import Source, SourceUpdate
from meshproxy.resources.workload import WorkloadSpec
from tests.support.consul import ConsulServer
from tests.support.docker import listed, make_container
from tests.support.docker_engine import ORDERS

DEADLINE = 10


def make_workload(name: str) -> Workload:
    return Workload(
        api_version="meshproxy.dev/v1",
        kind="Workload",
        metadata=ObjectMeta(name=name),
        spec=WorkloadSpec(address="10.0.0.1"),
    )


def manifest(*names: str) -> str:
    items = [msgspec.to_builtins(make_workload(name)) for name in names]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


class Registry(ABC):
    """Something that a source reads, which a test can change."""

    source: Source

    @abstractmethod
    def set(self, *names: str) -> None:
        """Hold exactly these workloads."""

    def called(self, workload: str) -> str:
        """What `set` called the workload that the source calls `workload`."""
        return workload


class FilesRegistry(Registry):
    def __init__(self, directory: Path) -> None:
        self._path = directory / "all.json"
        self.set()
        self.source = FilesSource([directory])

    def set(self, *names: str) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(manifest(*names))
        new.replace(self._path)


class MemoryRegistry(Registry):
    def __init__(self) -> None:
        self.source = self._memory = MemorySource()

    def set(self, *names: str) -> None:
        self._memory.set(make_workload(name) for name in names)


class ConsulRegistry(Registry):
    def __init__(self, server: ConsulServer) -> None:
        self._server = server
        self._held: set[str] = set()
        server.clear()
        spec = ConsulSource(address=server.address)
        self.source = CatalogSource("consul", spec, ConsulAgent(spec), random.Random(1).random)

    def set(self, *names: str) -> None:
        for name in set(names) - self._held:
            self._server.register("service", id=name)
        for name in self._held - set(names):
            self._server.deregister(name)
        self._held = set(names)

    def called(self, workload: str) -> str:
        return workload.removesuffix(".node-1")


class ConsulKVRegistry(Registry):
    def __init__(self, server: ConsulServer) -> None:
        self._server = server
        server.clear()
        spec = ConsulSource(address=server.address)
        kv = ConsulKV(prefix="mesh")
        self.source = KVSource("consul/kv", spec, kv, ConsulAgent(spec), random.Random(1).random)

    def set(self, *names: str) -> None:
        self._server.put("/v1/kv/mesh/all", manifest(*names).encode())


class DockerRegistry(Registry):
    """An engine in a process of its own: the sockets of its connections are not counted here."""

    def __init__(self, path: Path) -> None:
        self._path = path
        command = (sys.executable, "-m", "tests.support.docker_engine", str(path))
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        spec = DockerSource(endpoint=f"unix://{path}")
        self.source = DockerContainers("docker", spec, "", random.Random(1).random, time.monotonic)  # noqa: TID251

    def set(self, *names: str) -> None:
        body = json.dumps([listed(make_container(name, id=name)) for name in names])
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._path))
            head = f"PUT {ORDERS} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body.encode())
            assert connection.recv(12) == b"HTTP/1.1 200"

    def stop(self) -> None:
        self._process.communicate(timeout=DEADLINE)


@pytest.fixture
def docker_registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    made = DockerRegistry(tmp_path / "docker.sock")
    yield made
    made.stop()


@pytest.fixture(scope="session")
def consul_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulServer]:
    with ConsulServer(tmp_path_factory.mktemp("consul")) as server:
        yield server


MAKERS: dict[str, Callable[[pytest.FixtureRequest], Registry]] = {
    "files": lambda request: FilesRegistry(request.getfixturevalue("tmp_path")),
    "docker": lambda request: request.getfixturevalue("docker_registry"),
    "memory": lambda request: MemoryRegistry(),
    "consul": lambda request: ConsulRegistry(request.getfixturevalue("consul_server")),
    "consul/kv": lambda request: ConsulKVRegistry(request.getfixturevalue("consul_server")),
}


@pytest.fixture(params=MAKERS)
def registry(request: pytest.FixtureRequest) -> Registry:
    return MAKERS[request.param](request)


class Listener:
    """Runs a source and keeps what it emits."""

    def __init__(self, registry: Registry) -> None:
        self.updates: list[SourceUpdate] = []
        self._registry = registry
        self.task = asyncio.get_running_loop().create_task(registry.source.run(self._emit))
        self._emitted = asyncio.Event()

    def _emit(self, update: SourceUpdate) -> None:
        assert update.source == self._registry.source.name
        self.updates.append(update)
        self._emitted.set()

    async def until(self, *names: str) -> None:
        """Wait until the newest state holds exactly these workloads."""
        async with asyncio.timeout(DEADLINE):
            while self.latest() != sorted(names):
                self._emitted.clear()
                await self._emitted.wait()

    def latest(self) -> list[str] | None:
        if not self.updates or self.updates[-1].resources is None:
            return None
        return sorted(self._registry.called(resource.metadata.name) for resource in self.updates[-1].resources)


@pytest.fixture
async def listener(registry: Registry) -> AsyncIterator[Listener]:
    made = Listener(registry)
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_the_first_state_comes_unasked(registry: Registry, listener: Listener) -> None:
    await listener.until()


async def test_each_state_is_complete(registry: Registry, listener: Listener) -> None:
    registry.set("a", "b")
    await listener.until("a", "b")
    registry.set("b", "c")
    await listener.until("b", "c")
    registry.set()
    await listener.until()


async def test_the_latest_state_wins_in_a_burst(registry: Registry, listener: Listener) -> None:
    for number in range(50):
        registry.set(f"w{number}")
    await listener.until("w49")
    assert len(listener.updates) <= 52


async def test_refresh_says_it_again(registry: Registry, listener: Listener) -> None:
    registry.set("a")
    await listener.until("a")
    said = len(listener.updates)
    registry.source.refresh()
    async with asyncio.timeout(DEADLINE):
        while len(listener.updates) == said:
            await asyncio.sleep(0.001)
    assert listener.latest() == ["a"]


async def test_it_ends_when_it_is_cancelled_and_leaves_no_descriptor_open(registry: Registry) -> None:
    before = open_descriptors()
    running = Listener(registry)
    await running.until()
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert open_descriptors() == before
