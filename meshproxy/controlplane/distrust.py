"""A registry that suddenly returns nothing is not believed at once. Pure and driven by the clock of its caller.

An agent that lost its state, a leader without data or a token that lost its rights answer "there is
nothing", and mean "I do not know". What would take the last endpoint from a Service, or all
of them from the source, is therefore held back until it was so for a while. Whatever else an
update says is taken at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from meshproxy.base.names import NamespacedName
from meshproxy.resources import Service, Workload
from meshproxy.resources.meta import Resource

Key = tuple[str, NamespacedName]


class Distrust:
    """Owns what one source's removals have to wait for: `confirmation` seconds, 0 for nothing."""

    def __init__(self, confirmation: float) -> None:
        self._confirmation = confirmation
        self._said: tuple[Resource, ...] = ()
        self._held: dict[Key, tuple[Resource, float]] = {}

    @property
    def held(self) -> int:
        """How many resources stay in force though the source no longer has them."""
        return len(self._held)

    @property
    def due(self) -> float | None:
        """When `confirm` may let something go; None while nothing is held."""
        return min((until for _, until in self._held.values()), default=None)

    def offer(
        self,
        resources: tuple[Resource, ...],
        services: Iterable[Service],
        now: float,
        ended: Collection[NamespacedName] = (),
    ) -> tuple[Resource, ...]:
        """The source has `resources` now; what is to be in force.

        `services` are those that others have, `ended` the Workloads that were seen to end.
        """
        before = self._said
        self._said = resources
        if not self._confirmation:
            return resources
        lost = _lost(before, resources)
        lost.update((key, resource) for key, (resource, _) in self._held.items())
        returned = {_key(resource) for resource in resources if lost}
        for key in lost.keys() & {*returned, *(("Workload", name) for name in ended)}:
            del lost[key]
        if ended and not any(kind == "Workload" for kind, _ in lost):
            lost.clear()  # what the last workload had for itself goes with it
        doubted = _doubted(lost, resources, services)
        self._held = {key: self._held.get(key, (lost[key], now + self._confirmation)) for key in lost if key in doubted}
        return self._in_force()

    def doubt(self, now: float) -> None:
        """The source itself is in trouble: what it said last is confirmed only after it is well again."""
        self._held = {key: (resource, now + self._confirmation) for key, (resource, _) in self._held.items()}

    def confirm(self, now: float) -> tuple[Resource, ...]:
        """Time has passed: what is to be in force."""
        self._held = {key: (resource, until) for key, (resource, until) in self._held.items() if until > now}
        return self._in_force()

    def _in_force(self) -> tuple[Resource, ...]:
        if not self._held:
            return self._said
        return (*self._said, *(resource for resource, _ in self._held.values()))


def _key(resource: Resource) -> Key:
    return resource.kind, resource.key


def _lost(before: Sequence[Resource], after: Sequence[Resource]) -> dict[Key, Resource]:
    """What is no longer there. Sources keep the objects that did not change, which makes this cheap."""
    same = set(map(id, after))
    gone = {_key(resource): resource for resource in before if id(resource) not in same}
    if gone:
        known = set(map(id, before))
        for resource in after:
            if id(resource) not in known:
                gone.pop(_key(resource), None)
    return gone


def _doubted(lost: Mapping[Key, Resource], left: Sequence[Resource], services: Iterable[Service]) -> set[Key]:
    """Which of the `lost` resources are too much to lose."""
    if not lost:
        return set()
    workloads = {key: resource for key, resource in lost.items() if isinstance(resource, Workload)}
    if not left or (workloads and not any(isinstance(resource, Workload) for resource in left)):
        return set(lost)
    doubted: set[Key] = set()
    own = (each for each in (*left, *lost.values()) if isinstance(each, Service))
    for service in (*services, *own):
        matching = {key for key, workload in workloads.items() if _selects(service, workload)}
        if matching and not any(isinstance(each, Workload) and _selects(service, each) for each in left):
            doubted |= matching
            doubted |= {_key(service)} & lost.keys()
    return doubted


def _selects(service: Service, workload: Workload) -> bool:
    selector = service.spec.selector
    return (
        bool(selector)
        and service.metadata.namespace == workload.metadata.namespace
        and selector.items() <= workload.metadata.labels.items()
    )
