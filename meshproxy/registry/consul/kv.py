"""Consul's key-value store as a source of manifests: every value under a prefix is a text of YAML documents."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from meshproxy.base.errors import Finding, errors_in
from meshproxy.loader.load import Loaded, SourceText, load
from meshproxy.registry.consul.agent import ConsulAgent
from meshproxy.registry.consul.entries import KeyValue
from meshproxy.registry.consul.watch import Watch
from meshproxy.resources import Proxy
from meshproxy.resources.sources import ConsulKV, ConsulSource
from meshproxy.resources.update import SourceUpdate

Pairs = tuple[KeyValue, ...]


class KVSource:
    """Implements `resources.update.Source` for what is under `kv`'s prefix; findings name keys as they would files.

    As with files, all keys are one whole: while anything in them is wrong, the last good state stays in force.
    """

    def __init__(
        self, name: str, spec: ConsulSource, kv: ConsulKV, agent: ConsulAgent, random: Callable[[], float]
    ) -> None:
        self._name = name
        # A trailing slash keeps `prefix-of-another` out.
        self._prefix = kv.prefix.strip("/") + "/"
        self._agent = agent
        self._watch = Watch(float(spec.wait), random, self._tell_trouble)
        self._emit: Callable[[SourceUpdate], None] = lambda update: None
        self._said: SourceUpdate | None = None
        self._pairs: Pairs | None = None
        self._trouble = ""

    @property
    def name(self) -> str:
        return self._name

    def refresh(self) -> None:
        if self._said is not None:
            self._emit(self._said)

    async def run(self, emit: Callable[[SourceUpdate], None]) -> None:
        self._emit = emit
        try:
            await self._watch.run(self._ask, self._take)
        finally:
            await self._agent.close()

    def _ask(self, index: int, wait: str) -> Awaitable[tuple[int, Pairs]]:
        return self._agent.query(
            lambda consul: consul.kv.get(self._prefix, recurse=True, index=index, wait=wait), Pairs
        )

    async def _take(self, pairs: Pairs, changed: bool) -> None:
        if pairs != self._pairs:
            self._pairs = pairs
            self._say(await asyncio.to_thread(self._load, pairs))
        elif self._trouble and self._said is not None:
            self._emit(self._said)
        self._trouble = ""

    def _load(self, pairs: Pairs) -> SourceUpdate:
        loaded = load(SourceText(pair.key, pair.value) for pair in pairs if pair.value is not None)
        findings = (*loaded.findings, *_refused(loaded))
        good = not errors_in(findings)
        return SourceUpdate(
            source=self._name,
            resources=loaded.resources if good else None,
            findings=findings,
            places=loaded.places,
        )

    def _say(self, update: SourceUpdate) -> None:
        self._said = update
        self._emit(update)

    def _tell_trouble(self, problem: str) -> None:
        """What was said stays so; only the last word of the source is another one."""
        if problem and problem != self._trouble:
            self._trouble = problem
            self._emit(SourceUpdate(source=self._name, resources=None, problem=problem))


def _refused(loaded: Loaded) -> Iterator[Finding]:
    """A Proxy document says what this process does on this machine: whoever may write keys may not say that."""
    for resource in loaded.resources:
        if isinstance(resource, Proxy):
            place = loaded.places[resource.label]
            message = "a Proxy is read from files only; remove it from here"
            yield Finding(file=place.file, line=place.line, resource=resource.label, message=message)
