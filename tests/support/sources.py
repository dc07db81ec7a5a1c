"""A source that runs, and what it said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

from meshproxy.resources import Service, Workload
from meshproxy.resources.meta import Resource
from meshproxy.resources.update import Source, SourceUpdate

DEADLINE = 20
R = TypeVar("R", bound=Resource)


class Heard:
    """Runs `source` and keeps its updates."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.updates: list[SourceUpdate] = []
        self._new = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(source.run(self._emit))

    def _emit(self, update: SourceUpdate) -> None:
        self.updates.append(update)
        self._new.set()

    async def until(self, condition: Callable[[SourceUpdate], object]) -> SourceUpdate:
        """Wait until the newest update is as `condition` says."""
        try:
            async with asyncio.timeout(DEADLINE):
                while not self.updates or not condition(self.updates[-1]):
                    self._new.clear()
                    await self._new.wait()
        except TimeoutError:
            raise AssertionError(f"the last of {len(self.updates)} updates: {self.updates[-1:]}") from None
        return self.updates[-1]

    async def until_workloads(self, *names: str) -> Mapping[str, Workload]:
        """Wait until there are exactly these Workloads; they, by name."""
        await self.until(lambda update: sorted(self.workloads(update)) == sorted(names))
        return self.workloads(self.updates[-1])

    async def until_services(self, *names: str) -> Mapping[str, Service]:
        """The same for Services."""
        await self.until(lambda update: sorted(_by_name(update, Service)) == sorted(names))
        return _by_name(self.updates[-1], Service)

    @staticmethod
    def workloads(update: SourceUpdate) -> Mapping[str, Workload]:
        return _by_name(update, Workload)


def _by_name(update: SourceUpdate, kind: type[R]) -> dict[str, R]:
    return {each.metadata.name: each for each in update.resources or () if isinstance(each, kind)}
