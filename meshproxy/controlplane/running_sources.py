"""Which sources run: those given at the start, and the registries that a Proxy document names."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from meshproxy.aio.tasks import OwnedTasks
from meshproxy.controlplane.distrust import Distrust
from meshproxy.resources.intentions import ConsulIntentions
from meshproxy.resources.sources import SourceSpec
from meshproxy.resources.update import Source, SourceUpdate

RESTART_DELAY = 5.0
"""Seconds until a source that failed by a mistake of its own is run again."""

Registry = SourceSpec | ConsulIntentions
SourceFactory = Callable[[Registry], Sequence[Source]]
"""A registry may be read by several sources, each with its own state: its catalogue, its key-value store."""
Emit = Callable[[SourceUpdate], None]

_log = logging.getLogger(__name__)


def no_registries(spec: Registry) -> Sequence[Source]:
    """The factory of who has none."""
    return ()


class _Running:
    """A source, its task, and what it takes to believe that everything is gone."""

    def __init__(self, source: Source, spec: Registry | None) -> None:
        self.source = source
        self.spec = spec
        self.distrust = Distrust(float(spec.empty_confirmation) if spec is not None else 0.0)
        self.task: asyncio.Task[None] | None = None


class RunningSources:
    """Owns the tasks of sources. `emit` is called with what they say while they are wanted, and not after."""

    def __init__(self, fixed: Sequence[Source], factory: SourceFactory, emit: Emit) -> None:
        self._fixed = tuple(source.name for source in fixed)
        self._running = {source.name: _Running(source, None) for source in fixed}
        self._factory = factory
        self._emit = emit
        self._tasks = OwnedTasks()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._running)

    def is_fixed(self, name: str) -> bool:
        """Whether `name` is a source given at the start: only these say which registries there are."""
        return name in self._fixed

    def distrust(self, name: str) -> Distrust:
        return self._running[name].distrust

    def address(self, name: str) -> str:
        """Where the registry is that `name` reads; empty for files."""
        spec = self._running[name].spec
        return spec.address if spec is not None else ""

    def start(self) -> None:
        """Run the sources given at the start."""
        for running in self._running.values():
            self._start(running)

    def change(self, specs: Sequence[Registry]) -> tuple[list[str], list[str]]:
        """Run what `specs` name and nothing else of the kind: (what was begun or replaced, what was ended)."""
        wanted: dict[str, _Running] = {name: self._running[name] for name in self._fixed}
        begun: list[str] = []
        kept = {running.spec for running in self._running.values()} & set(specs)
        for spec in specs:
            if spec in kept:
                wanted |= {name: running for name, running in self._running.items() if running.spec == spec}
                continue
            for source in self._factory(spec):
                wanted[source.name] = _Running(source, spec)
                begun.append(source.name)
        ended = [name for name in self._running if name not in wanted]
        before, self._running = self._running, wanted
        for name, running in before.items():
            if wanted.get(name) is not running and running.task is not None:
                running.task.cancel()
        return begun, ended

    def begin(self, names: Sequence[str]) -> None:
        """Start what `change` said has begun."""
        for name in names:
            self._start(self._running[name])

    def refresh(self) -> None:
        for running in self._running.values():
            running.source.refresh()

    async def stop(self) -> None:
        await self._tasks.cancel()

    def _start(self, running: _Running) -> None:
        running.task = self._tasks.start(self._run(running), name=f"source {running.source.name}")

    async def _run(self, running: _Running) -> None:
        name = running.source.name

        def emit(update: SourceUpdate) -> None:
            if self._running.get(name) is running:
                self._emit(update)

        while True:
            try:
                await running.source.run(emit)
            except Exception as error:  # noqa: BLE001 a source's mistake must not end what it found, nor the others
                _log.exception("source %s failed; it is run again in %g s", name, RESTART_DELAY)
                emit(SourceUpdate(source=name, resources=None, problem=f"failed: {error!r}"))
            else:
                return
            await asyncio.sleep(RESTART_DELAY)
