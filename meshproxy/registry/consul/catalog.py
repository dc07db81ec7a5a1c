"""Consul's catalogue as a source: instances become Workloads, services Services.

Theory of operation. An agent accepts 200 connections of one client address, so that not every
service can have a blocking query of its own. Up to `MAX_WATCHED` services have: a change of one
of their instances is heard at once and costs what that service is large. All further ones are
fetched when something says that they may have changed: the list of services, which answers with
every registration, and the lists of warning and critical checks, which are short. What
changed is found by comparing those lists; where that does not tell, all of them are fetched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from meshproxy.aio.coalesce import Coalescer
from meshproxy.base.errors import Finding
from meshproxy.registry.consul.agent import ConsulAgent
from meshproxy.registry.consul.entries import Instance
from meshproxy.registry.consul.unwatched import Unwatched, ask_instances
from meshproxy.registry.consul.watch import Watch
from meshproxy.registry.consul.workloads import NOTHING, Found, convert, is_wanted
from meshproxy.resources import Service
from meshproxy.resources.sources import ConsulSource
from meshproxy.resources.update import SourceUpdate

MAX_WATCHED = 48
"""Services with a blocking query of their own."""
EMIT_INTERVAL = 0.02
"""Seconds between updates at least; the first one after a pause is not delayed."""
MAX_FINDINGS = 200
"""Said about all services together."""

Names = dict[str, tuple[str, ...] | None]
"""The tags of each service, by its name (``/v1/catalog/services``)."""


class _Service:
    """What is known of one service. `found` is None before the first answer; `task` is its own watch, if it has one."""

    def __init__(self, tags: tuple[str, ...]) -> None:
        self.tags = tags
        self.found: Found | None = None
        self.task: asyncio.Task[None] | None = None


class CatalogSource:
    """Implements `resources.update.Source` for one agent's catalogue."""

    def __init__(self, name: str, spec: ConsulSource, agent: ConsulAgent, random: Callable[[], float]) -> None:
        self._name = name
        self._spec = spec
        self._agent = agent
        self._random = random
        self._emit: Callable[[SourceUpdate], None] = lambda update: None
        self._emitter = Coalescer(self._say, delay=0.0, interval=EMIT_INTERVAL)
        self._know_nothing()

    def _know_nothing(self) -> None:
        self._services: dict[str, _Service] = {}
        self._listed = False
        self._complete = False
        self._trouble: dict[str, str] = {}
        self._said: SourceUpdate | None = None
        self._unwatched = Unwatched(self._agent, self._spec, self._random, self._take, self._tell_trouble)
        self._group: asyncio.TaskGroup | None = None

    @property
    def name(self) -> str:
        return self._name

    def refresh(self) -> None:
        self._said = None
        self._unwatched.mark_all()
        self._emitter.changed()

    async def run(self, emit: Callable[[SourceUpdate], None]) -> None:
        self._emit = emit
        self._know_nothing()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._emitter.run(), name="updates")
                names = self._watch("/v1/catalog/services")
                group.create_task(names.run(self._ask_names, self._take_names), name="list of services")
                group.create_task(self._unwatched.run(), name="unwatched services")
        finally:
            await self._agent.close()

    def _watch(self, what: str) -> Watch:
        def on_trouble(problem: str) -> None:
            self._tell_trouble(what, problem)

        return Watch(float(self._spec.wait), self._random, on_trouble)

    # -- which services there are --------------------------------------------------------

    def _ask_names(self, index: int, wait: str) -> Awaitable[tuple[int, Names]]:
        return self._agent.query(lambda consul: consul.catalog.services(index=index, wait=wait), Names)

    async def _take_names(self, answer: Names, changed: bool) -> None:
        assert self._group is not None
        names = {name: tags or () for name, tags in answer.items() if is_wanted(name, self._spec)}
        for name in self._services.keys() - names.keys():
            self._forget(name)
        known = {name: service.tags for name, service in self._services.items()}
        retagged = [name for name, tags in names.items() if known.get(name, tags) != tags]
        for name, tags in names.items():
            self._services.setdefault(name, _Service(tags)).tags = tags
        watched = sum(1 for service in self._services.values() if service.task is not None)
        for name, service in self._services.items():
            if service.task is None and watched < MAX_WATCHED:
                self._unwatched.remove(name)
                service.task = self._group.create_task(self._follow(name), name=f"consul service {name}")
                watched += 1
            elif service.task is None:
                self._unwatched.add(name)
        self._listed = True
        self._emitter.changed()
        await self._unwatched.names_answered(retagged, changed)

    def _forget(self, name: str) -> None:
        service = self._services.pop(name)
        if service.task is not None:
            service.task.cancel()
        self._unwatched.remove(name)
        self._trouble.pop(name, None)

    # -- what they are -------------------------------------------------------------------

    async def _follow(self, name: str) -> None:
        """Watch one service."""

        async def take(instances: tuple[Instance, ...], changed: bool) -> None:
            self._take(name, instances)

        await self._watch(name).run(lambda index, wait: ask_instances(self._agent, name, index, wait), take)

    def _take(self, name: str, instances: Iterable[Instance]) -> None:
        service = self._services.get(name)
        if service is None:
            return
        found = convert(name, instances, self._spec, service.found or NOTHING)
        if found != service.found:
            service.found = found
            self._emitter.changed()

    def _tell_trouble(self, what: str, problem: str) -> None:
        if self._trouble.get(what, "") == problem:
            return
        if problem:
            self._trouble[what] = problem
        else:
            del self._trouble[what]
        self._emitter.changed()

    # -- what is said --------------------------------------------------------------------

    async def _say(self) -> None:
        """Emit the state where it is another one, for the first time once all of it is known."""
        problem = next(iter(self._trouble.values()), "")
        found = [self._services[name].found for name in sorted(self._services)]
        self._complete = self._complete or (self._listed and all(found))
        if self._complete:
            update = self._update([each for each in found if each is not None], problem)
        elif problem:
            update = SourceUpdate(source=self._name, resources=None, problem=problem)
        else:
            return
        if update != self._said:
            self._said = update
            self._emit(update)

    def _update(self, found: list[Found], problem: str) -> SourceUpdate:
        services: dict[Any, Service] = {}
        findings: list[Finding] = []
        for each in found:
            findings += each.findings
            if each.service is not None:
                services.setdefault(each.service.key, each.service)
        workloads = (workload for each in found for workload in each.workloads)
        return SourceUpdate(
            source=self._name,
            resources=(*services.values(), *workloads),
            findings=tuple(findings[:MAX_FINDINGS]),
            problem=problem,
        )
