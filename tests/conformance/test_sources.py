"""What every source does, whatever it reads: `resources.update.Source`."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from meshproxy.registry.files import FilesSource
from meshproxy.registry.memory import MemorySource
from meshproxy.resources import ObjectMeta, Workload
from meshproxy.resources.update import Source, SourceUpdate
from meshproxy.resources.workload import WorkloadSpec

DEADLINE = 10


def make_workload(name: str) -> Workload:
    return Workload(
        api_version="meshproxy.dev/v1",
        kind="Workload",
        metadata=ObjectMeta(name=name),
        spec=WorkloadSpec(address="10.0.0.1"),
    )


class Registry(ABC):
    """Something that a source reads, which a test can change."""

    source: Source

    @abstractmethod
    def set(self, *names: str) -> None:
        """Hold exactly these workloads."""


class FilesRegistry(Registry):
    def __init__(self, directory: Path) -> None:
        self._path = directory / "all.json"
        self.set()
        self.source = FilesSource([directory])

    def set(self, *names: str) -> None:
        items = [msgspec.to_builtins(make_workload(name)) for name in names]
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        new.replace(self._path)


class MemoryRegistry(Registry):
    def __init__(self) -> None:
        self.source = self._memory = MemorySource()

    def set(self, *names: str) -> None:
        self._memory.set(make_workload(name) for name in names)


@pytest.fixture(params=["files", "memory"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    return FilesRegistry(tmp_path) if request.param == "files" else MemoryRegistry()


class Listener:
    """Runs a source and keeps what it emits."""

    def __init__(self, source: Source) -> None:
        self.updates: list[SourceUpdate] = []
        self._source = source
        self.task = asyncio.get_running_loop().create_task(source.run(self._emit))
        self._emitted = asyncio.Event()

    def _emit(self, update: SourceUpdate) -> None:
        assert update.source == self._source.name
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
        return sorted(resource.metadata.name for resource in self.updates[-1].resources)


@pytest.fixture
async def listener(registry: Registry) -> AsyncIterator[Listener]:
    made = Listener(registry.source)
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
    running = Listener(registry.source)
    await running.until()
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert open_descriptors() == before
