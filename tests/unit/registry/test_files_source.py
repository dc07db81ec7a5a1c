"""The files source on a real file system: whatever editors, mounts and accidents do to files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from meshproxy.base.errors import errors_in
from meshproxy.registry.files import FilesSource
from meshproxy.resources.update import SourceUpdate

DEADLINE = 10


def workload(name: str) -> str:
    return (
        f"apiVersion: meshproxy.dev/v1\nkind: Workload\nmetadata: {{name: {name}}}\nspec: {{address: 10.0.0.1}}\n---\n"
    )


class Watched:
    """A source that runs, and what it emitted."""

    def __init__(self, source: FilesSource) -> None:
        self.source = source
        self.updates: asyncio.Queue[SourceUpdate] = asyncio.Queue()
        self.task = asyncio.get_running_loop().create_task(source.run(self.updates.put_nowait))

    async def next(self) -> SourceUpdate:
        async with asyncio.timeout(DEADLINE):
            return await self.updates.get()

    async def names(self) -> list[str]:
        """The names of the resources of the next update; fails where it has errors."""
        update = await self.next()
        assert update.resources is not None, update.findings
        return sorted(resource.metadata.name for resource in update.resources)

    async def until(self, names: list[str]) -> None:
        """Take updates until one has exactly these."""
        async with asyncio.timeout(DEADLINE):
            while True:
                update = await self.updates.get()
                if update.resources is not None and sorted(each.metadata.name for each in update.resources) == names:
                    return


Watch = Callable[..., Awaitable[Watched]]


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    running: list[Watched] = []

    async def start(*paths: Path) -> Watched:
        watched = Watched(FilesSource(paths))
        running.append(watched)
        return watched

    yield start
    for each in running:
        each.task.cancel()
        await asyncio.gather(each.task, return_exceptions=True)


async def test_a_directory_is_read_and_watched(tmp_path: Path, watch: Watch) -> None:
    (tmp_path / "a.yaml").write_text(workload("a"))
    (tmp_path / "notes.txt").write_text("not a manifest")
    (tmp_path / ".hidden.yaml").write_text("not: [read")
    watched = await watch(tmp_path)
    assert await watched.names() == ["a"]
    (tmp_path / "b.yml").write_text(workload("b"))
    await watched.until(["a", "b"])
    (tmp_path / "a.yaml").unlink()
    await watched.until(["b"])


async def test_a_file_that_is_replaced_by_rename(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(workload("a"))
    watched = await watch(path)
    assert await watched.names() == ["a"]
    for name in ("b", "c"):
        new = tmp_path / "a.yaml.new"
        new.write_text(workload(name))
        new.replace(path)
        await watched.until([name])


async def test_a_mount_that_swaps_a_symbolic_link(tmp_path: Path, watch: Watch) -> None:
    """Kubernetes' ConfigMap volumes: a.yaml → ..data/a.yaml, ..data → ..1, then ..data → ..2."""
    for number, name in (("..1", "a"), ("..2", "b")):
        (tmp_path / number).mkdir()
        (tmp_path / number / "a.yaml").write_text(workload(name))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    for paths in ([tmp_path], [tmp_path / "a.yaml"]):
        (tmp_path / "..tmp").symlink_to("..1")
        (tmp_path / "..tmp").replace(tmp_path / "..data")
        watched = await watch(*paths)
        assert await watched.names() == ["a"]
        (tmp_path / "..tmp").symlink_to("..2")
        (tmp_path / "..tmp").replace(tmp_path / "..data")
        await watched.until(["b"])


async def test_bad_input_is_said_and_good_input_after_it_counts(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(workload("a"))
    watched = await watch(tmp_path)
    assert await watched.names() == ["a"]
    path.write_text("kind: [")
    update = await watched.next()
    assert update.resources is None
    assert ["not valid YAML" in finding.message for finding in errors_in(update.findings)] == [True]
    path.write_text(workload("b"))
    await watched.until(["b"])


async def test_a_directory_that_disappears_and_comes_back(tmp_path: Path, watch: Watch) -> None:
    directory = tmp_path / "conf"
    directory.mkdir()
    (directory / "a.yaml").write_text(workload("a"))
    watched = await watch(directory)
    assert await watched.names() == ["a"]
    directory.rename(tmp_path / "elsewhere")
    update = await watched.next()
    assert update.resources is None
    assert "cannot be read" in str(update.findings[0])
    directory.mkdir()
    (directory / "b.yaml").write_text(workload("b"))
    await watched.until(["b"])


async def test_a_path_that_is_not_there_yet(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "later.yaml"
    watched = await watch(path)
    assert (await watched.next()).resources is None
    path.write_text(workload("a"))
    await watched.until(["a"])


async def test_an_empty_directory_is_a_warning(tmp_path: Path, watch: Watch) -> None:
    update = await (await watch(tmp_path)).next()
    assert update.resources == ()
    assert "holds no" in update.findings[0].message


async def test_nothing_is_emitted_for_the_same_content_but_on_refresh(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(workload("a"))
    watched = await watch(path)
    assert await watched.names() == ["a"]
    path.write_text(workload("a"))
    watched.source.refresh()
    assert await watched.names() == ["a"]
    assert watched.updates.empty()


async def test_what_is_not_a_file_is_refused(watch: Watch) -> None:
    update = await (await watch(Path("/dev/null"))).next()
    assert update.resources is None
    assert "is not a regular file" in str(update.findings[0])
