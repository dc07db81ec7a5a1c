"""A source that is told its resources: for embedding, and for tests of what listens to sources."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from meshproxy.resources.meta import Resource
from meshproxy.resources.update import SourceUpdate


class MemorySource:
    """Emits what `set` says, latest first: a state that was replaced before it was seen is not emitted."""

    def __init__(self, name: str = "memory", resources: Iterable[Resource] = ()) -> None:
        self._name = name
        self._resources = tuple(resources)
        self._changed = asyncio.Event()
        self._changed.set()

    @property
    def name(self) -> str:
        return self._name

    def set(self, resources: Iterable[Resource]) -> None:
        """These are the resources from now on."""
        self._resources = tuple(resources)
        self._changed.set()

    def refresh(self) -> None:
        self._changed.set()

    async def run(self, emit: Callable[[SourceUpdate], None]) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            emit(SourceUpdate(source=self._name, resources=self._resources))
