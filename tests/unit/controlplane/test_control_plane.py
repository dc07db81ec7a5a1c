"""The control plane between real sources and a recording worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from meshproxy.base.errors import ConfigError, Finding
from meshproxy.base.events import Event
from meshproxy.controlplane import control_plane
from meshproxy.controlplane.control_plane import ControlPlane
from meshproxy.controlplane.last_good import FILE_NAME, LastGoodFile
from meshproxy.controlplane.publisher import Publish
from meshproxy.controlplane.saved_sources import SavedSources
from meshproxy.loader.load import SourceText, load
from meshproxy.registry.files import FilesSource
from meshproxy.registry.memory import MemorySource
from meshproxy.resources.meta import Resource
from meshproxy.resources.update import Source, SourceUpdate
from meshproxy.snapshot.model import Snapshot

DEADLINE = 10
GOOD = (
    "apiVersion: v1\nkind: Service\nmetadata: {name: NAME}\nspec: {clusterIP: 127.96.0.NUMBER, ports: [{port: 80}]}\n"
)


def make_service(name: str, number: int) -> Resource:
    text = GOOD.replace("NAME", name).replace("NUMBER", str(number))
    return load([SourceText("t", text.encode())]).resources[0]


class Worker:
    """Worker 0: takes what is published, answers when the test says so."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self.control_plane = control_plane
        self.published: asyncio.Queue[Publish] = asyncio.Queue()
        control_plane.publish = self._publish
        control_plane.worker_joined(0)

    def _publish(self, publishes: Sequence[Publish]) -> None:
        for publish in publishes:
            self.published.put_nowait(publish)

    async def next(self) -> Snapshot:
        async with asyncio.timeout(DEADLINE):
            return (await self.published.get()).snapshot

    async def accept(self) -> Snapshot:
        snapshot = await self.next()
        self.control_plane.acknowledged(0, snapshot.version)
        return snapshot


class Plane:
    def __init__(self, sources: Sequence[Source], state_dir: Path | None = None, **more: Any) -> None:
        self.events: list[Event] = []
        self.control_plane = ControlPlane(
            sources,
            hostname="here",
            clock=asyncio.get_running_loop().time,
            last_good_file=LastGoodFile(state_dir) if state_dir else None,
            on_event=self.events.append,
            **more,
        )


@pytest.fixture
async def planes() -> AsyncIterator[list[Plane]]:
    made: list[Plane] = []
    yield made
    for plane in made:
        await plane.control_plane.stop()


def names(snapshot: Snapshot) -> list[str]:
    return [service.name for service in snapshot.services]


async def test_from_two_sources_to_a_worker_and_back(planes: list[Plane]) -> None:
    first, second = MemorySource("first", [make_service("a", 1)]), MemorySource("second", [make_service("b", 2)])
    planes.append(plane := Plane([first, second]))
    await plane.control_plane.start()
    worker = Worker(plane.control_plane)
    assert names(await worker.accept()) == ["a", "b"]
    assert plane.control_plane.is_settled
    second.set([make_service("c", 3)])
    assert names(await worker.accept()) == ["a", "c"]
    second.set([])
    assert names(await worker.accept()) == ["a"]
    assert plane.control_plane.state.rejection == ""


async def test_a_burst_is_few_compiles(planes: list[Plane]) -> None:
    source = MemorySource("memory", [])
    planes.append(plane := Plane([source]))
    await plane.control_plane.start()
    worker = Worker(plane.control_plane)
    await worker.accept()
    services = [make_service(f"s{number}", number) for number in range(1, 200)]
    for service in services:
        source.set([service])
        await asyncio.sleep(0)
    compiles = 1
    while names(await worker.accept()) != ["s199"]:
        compiles += 1
    assert compiles < 10


async def test_what_does_not_compile_never_replaces_what_works(planes: list[Plane]) -> None:
    source = MemorySource("memory", [make_service("a", 1)])
    planes.append(plane := Plane([source]))
    await plane.control_plane.start()
    worker = Worker(plane.control_plane)
    good = await worker.accept()
    source.set([make_service("a", 1), make_service("b", 1)])
    async with asyncio.timeout(DEADLINE):
        while not plane.control_plane.state.rejection:
            await asyncio.sleep(0.001)
    assert plane.control_plane.current is good
    assert "is taken by Service/a already" in plane.control_plane.state.rejection
    assert worker.published.empty()
    assert plane.events[-1].reason == "Rejected"
    source.set([make_service("a", 1), make_service("b", 2)])
    assert names(await worker.accept()) == ["a", "b"]
    assert plane.control_plane.state.rejection == ""
    assert plane.control_plane.state.rejections == 1


async def test_a_worker_that_refuses_gets_the_last_good_one_back(planes: list[Plane]) -> None:
    source = MemorySource("memory", [make_service("a", 1)])
    planes.append(plane := Plane([source]))
    await plane.control_plane.start()
    worker = Worker(plane.control_plane)
    good = await worker.accept()
    source.set([make_service("b", 2)])
    refused = await worker.next()
    plane.control_plane.rejected(0, refused.version, "I do not like it")
    assert await worker.accept() is good
    assert "worker 0" in plane.control_plane.state.rejection
    assert "I do not like it" in plane.control_plane.state.rejection


async def test_findings_of_the_compiler_have_file_and_line(tmp_path: Path, planes: list[Plane]) -> None:
    path = tmp_path / "m.yaml"
    first, second = (GOOD.replace("NAME", name).replace("NUMBER", "1") for name in ("a", "b"))
    path.write_text(first + "---\n" + second)
    planes.append(plane := Plane([FilesSource([path])]))
    with pytest.raises(ConfigError) as refused:
        await plane.control_plane.start()
    assert str(refused.value).startswith(f"{path}:9: Service/b: spec.ports: 127.96.0.1:80/TCP is taken by Service/a")


async def test_an_invalid_start_uses_the_last_good_configuration(tmp_path: Path, planes: list[Plane]) -> None:
    state, path = tmp_path / "state", tmp_path / "m.yaml"
    path.write_text(GOOD.replace("NAME", "a").replace("NUMBER", "1"))
    planes.append(plane := Plane([FilesSource([path])], state))
    await plane.control_plane.start()
    await Worker(plane.control_plane).accept()
    async with asyncio.timeout(DEADLINE):
        while not (state / FILE_NAME).exists():
            await asyncio.sleep(0.001)
    assert (state / FILE_NAME).stat().st_mode & 0o077 == 0
    path.write_text("broken: [")
    planes.append(second := Plane([FilesSource([path])], state))
    assert names(await second.control_plane.start()) == ["a"]
    assert "refused by source files" in second.control_plane.state.rejection
    planes.append(third := Plane([FilesSource([path])], tmp_path / "elsewhere"))
    with pytest.raises(ConfigError):
        await third.control_plane.start()


class Registry:
    """A registry that says `updates`, and nothing more."""

    name = "consul"

    def __init__(self, *updates: SourceUpdate) -> None:
        self._updates = updates

    def refresh(self) -> None:
        pass

    async def run(self, emit: Callable[[SourceUpdate], None]) -> None:
        for update in self._updates:
            emit(update)
        await asyncio.Event().wait()


def files_with_a_registry(*resources: Resource) -> MemorySource:
    text = "apiVersion: meshproxy.dev/v1\nkind: Proxy\nmetadata: {name: p}\nspec: {sources: [{consul: {}}]}\n"
    return MemorySource("files", (*load([SourceText("t", text.encode())]).resources, *resources))


async def test_a_registry_that_is_wrong_from_the_start_keeps_nothing_else_up(
    planes: list[Plane], caplog: pytest.LogCaptureFixture
) -> None:
    wrong = SourceUpdate(source="consul", resources=None, findings=(Finding(file="mesh/a", message="is wrong"),))
    files = files_with_a_registry(make_service("a", 1))
    planes.append(plane := Plane([files], registries=lambda spec: [Registry(wrong)]))
    assert names(await plane.control_plane.start()) == ["a"]
    assert "mesh/a: is wrong" in caplog.text
    assert "refused by source consul" in plane.control_plane.state.rejection


async def test_a_start_does_not_wait_long_for_a_silent_registry_of_which_something_is_kept(
    tmp_path: Path, planes: list[Plane], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(control_plane, "KEPT_UPDATE_TIMEOUT", 0.01)
    saved = SavedSources(tmp_path, lambda: 0.0)
    saved.save("consul", "http://127.0.0.1:8500", (make_service("kept", 1),))
    planes.append(plane := Plane([files_with_a_registry()], registries=lambda spec: [Registry()], saved=saved))
    async with asyncio.timeout(DEADLINE / 2):
        assert names(await plane.control_plane.start()) == ["kept"]
    assert "starting without a word of consul" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"rubbish", b"meshproxy snapshot 1\n" + b"\0" * 40])
def test_a_damaged_last_good_file_is_not_used(tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE_NAME).write_bytes(damage)
    assert LastGoodFile(tmp_path).load() is None
    assert "is damaged" in caplog.text


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    file = LastGoodFile(tmp_path)
    file.save(Snapshot(version="1"))
    assert file.load() == Snapshot(version="1")
    content = bytearray((tmp_path / FILE_NAME).read_bytes())
    content[-1] ^= 1
    (tmp_path / FILE_NAME).write_bytes(content)
    assert file.load() is None


def test_a_state_directory_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    LastGoodFile(tmp_path / "file").save(Snapshot(version="1"))
    assert "is not kept" in caplog.text
