"""The latest resources of each source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from meshproxy.base.errors import Finding, Severity
from meshproxy.base.names import NamespacedName
from meshproxy.resources.meta import Resource
from meshproxy.resources.update import SourceUpdate


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a source does. Times are the store's clock's; `changed_at` is when its resources last changed.

    `problem` is empty while the source stands behind what is in force.
    """

    name: str
    resources: int = 0
    heard: bool = False
    changed_at: float = 0.0
    heard_at: float = 0.0
    problem: str = ""
    findings: tuple[Finding, ...] = ()


class ResourceStore:
    """Owns what the sources said. Earlier sources go before later ones where both have a resource."""

    def __init__(self, sources: Sequence[str], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._status = {name: SourceStatus(name=name) for name in sources}
        self._resources: dict[str, tuple[Resource, ...]] = dict.fromkeys(sources, ())
        self._places: dict[str, Mapping[str, Any]] = {}

    def update(self, update: SourceUpdate) -> bool:
        """Take what a source says; whether resources changed by it."""
        before = self._status[update.source]
        now = self._clock()
        good = update.resources is not None
        changed = good and (not before.heard or update.resources != self._resources[update.source])
        if good:
            self._resources[update.source] = update.resources or ()
            self._places[update.source] = update.places
        errors = sum(1 for finding in update.findings if finding.severity is Severity.ERROR)
        problem = update.problem or ("" if good else f"{errors} error{'s' if errors != 1 else ''}")
        self._status[update.source] = SourceStatus(
            name=update.source,
            resources=len(self._resources[update.source]),
            heard=True,
            changed_at=now if changed else before.changed_at,
            heard_at=now,
            problem=problem,
            findings=update.findings,
        )
        return changed

    @property
    def all_heard(self) -> bool:
        """Whether every source has said something."""
        return all(status.heard for status in self._status.values())

    def statuses(self) -> tuple[SourceStatus, ...]:
        return tuple(self._status.values())

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
        chosen: dict[tuple[str, NamespacedName], Resource] = {}
        sources: dict[int, str] = {}
        findings: list[Finding] = []
        for name, resources in self._resources.items():
            for resource in resources:
                key = (resource.kind, resource.key)
                if key in chosen:
                    message = f"from {name} is passed over: {sources[id(chosen[key])]} has one of this name"
                    findings.append(Finding(severity=Severity.WARNING, resource=resource.label, message=message))
                    continue
                chosen[key] = resource
                sources[id(resource)] = name
        return tuple(chosen.values()), sources, tuple(findings)
