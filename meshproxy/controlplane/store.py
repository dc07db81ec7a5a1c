"""The latest resources of each source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from meshproxy.base.errors import Finding, Severity, errors_in
from meshproxy.resources.meta import Resource
from meshproxy.resources.update import SourceUpdate


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a source does. Times are the store's clock's.

    `changed_at` is when its resources last changed, `good_at` when it last stood behind them; both are 0 before the
    first time. While `problem` is empty it still does. `counts` are its resources by kind, `held` those of them
    that it no longer has and that were not let go yet; `errors` counts the times that it said a problem.
    """

    name: str
    address: str = ""
    resources: int = 0
    counts: Mapping[str, int] = {}
    held: int = 0
    heard: bool = False
    changed_at: float = 0.0
    good_at: float = 0.0
    problem: str = ""
    errors: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def state(self) -> str:
        """One word for people."""
        if not self.heard:
            return "Connecting"
        return "Failing" if self.problem else "Connected"

    def stale(self, now: float) -> float | None:
        """Seconds since it last stood behind its resources; None while it does, and before it first did."""
        return now - self.good_at if self.good_at and self.state != "Connected" else None


class ResourceStore:
    """Owns what the sources said. Earlier sources go before later ones where both have a resource."""

    def __init__(self, sources: Sequence[str], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._status: dict[str, SourceStatus] = {}
        self._resources: dict[str, tuple[Resource, ...]] = {}
        self._places: dict[str, Mapping[str, Any]] = {}
        for name in sources:
            self.add(name)

    def add(self, name: str, address: str = "") -> None:
        """A source begins, after all others; one that is here already keeps its resources until it speaks again."""
        before = self._status.get(name, SourceStatus(name=name))
        self._status[name] = msgspec.structs.replace(before, address=address, heard=False, problem="", findings=())
        self._resources.setdefault(name, ())

    def arrange(self, names: Iterable[str]) -> None:
        """From now on sources go in this order; `names` are all there are."""
        self._status = {name: self._status[name] for name in names}
        self._resources = {name: self._resources[name] for name in self._status}

    def restore(self, name: str, resources: tuple[Resource, ...], good_at: float) -> None:
        """These were the resources of `name` when it last stood behind them, before this process was."""
        self._resources[name] = resources
        self._status[name] = msgspec.structs.replace(
            self._status[name], **_counted(resources), changed_at=good_at, good_at=good_at
        )

    def remove(self, name: str) -> None:
        """A source ends, and what it said with it."""
        del self._status[name]
        del self._resources[name]
        self._places.pop(name, None)

    def update(self, update: SourceUpdate, held: int = 0) -> bool:
        """Take what a source says; whether resources changed by it."""
        before = self._status[update.source]
        now = self._clock()
        good = update.resources is not None
        changed = good and (not before.heard or update.resources != self._resources[update.source])
        if good:
            self._resources[update.source] = update.resources or ()
            self._places[update.source] = update.places
        errors = len(errors_in(update.findings))
        problem = update.problem or ("" if good else f"{errors} error{'s' if errors != 1 else ''}")
        resources = self._resources[update.source]
        self._status[update.source] = msgspec.structs.replace(
            before,
            **(_counted(resources) if changed else {}),
            held=held,
            heard=True,
            changed_at=now if changed else before.changed_at,
            # A source stands behind what it said until it says that it does not.
            good_at=now if not problem or (before.heard and not before.problem) else before.good_at,
            problem=problem,
            errors=before.errors + (1 if problem else 0),
            findings=update.findings,
        )
        return changed

    def let_go(self, name: str, resources: tuple[Resource, ...], held: int) -> bool:
        """What `name` had and was held is let go; whether anything was."""
        changed = resources != self._resources[name]
        self._resources[name] = resources
        changes = {**_counted(resources), "changed_at": self._clock()} if changed else {}
        self._status[name] = msgspec.structs.replace(self._status[name], held=held, **changes)
        return changed

    @property
    def all_heard(self) -> bool:
        """Whether every source has said something."""
        return all(status.heard for status in self._status.values())

    @property
    def all_known(self) -> bool:
        """Whether of every source something is known: it has spoken, or what it said before this start was kept."""
        return all(status.heard or status.resources for status in self._status.values())

    def status(self, name: str) -> SourceStatus:
        return self._status[name]

    def statuses(self) -> tuple[SourceStatus, ...]:
        return tuple(self._status.values())

    def resources(self, name: str) -> tuple[Resource, ...]:
        """What `name` has in force."""
        return self._resources[name]

    def others(self, name: str) -> Iterable[Resource]:
        """What all sources but `name` have in force."""
        return (each for other, resources in self._resources.items() if other != name for each in resources)

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with what the sources last said."""
        return tuple(finding for status in self._status.values() for finding in status.findings)

    def places(self) -> Mapping[str, Any]:
        """Where resources stand, by label."""
        merged: dict[str, Any] = {}
        for name in reversed(list(self._status)):
            merged.update(self._places.get(name, {}))
        return MappingProxyType(merged)

    def merged(self) -> tuple[tuple[Resource, ...], dict[int, str], tuple[Finding, ...]]:
        """(all resources, the source of each by its `id`, warnings where two sources have the same)."""
        chosen: dict[tuple[str, str, str], Resource] = {}
        sources: dict[int, str] = {}
        findings: list[Finding] = []
        for name, resources in self._resources.items():
            for resource in resources:
                key = (resource.kind, resource.metadata.namespace, resource.metadata.name)
                if key in chosen:
                    message = f"from {name} is passed over: {sources[id(chosen[key])]} has one of this name"
                    findings.append(Finding(severity=Severity.WARNING, resource=resource.label, message=message))
                    continue
                chosen[key] = resource
                sources[id(resource)] = name
        return tuple(chosen.values()), sources, tuple(findings)


def _counted(resources: Sequence[Resource]) -> dict[str, Any]:
    counts = Counter(resource.kind for resource in resources)
    return {"resources": len(resources), "counts": dict(sorted(counts.items()))}
