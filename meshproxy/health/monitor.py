"""Who is talked to about health: takes snapshots and failures, tells what changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from itertools import islice
from random import Random

import msgspec

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.clock import Clock
from meshproxy.base.events import EventSink
from meshproxy.health.cluster_health import ClusterHealth
from meshproxy.health.prober import Prober, Target
from meshproxy.health.schedule import Schedule
from meshproxy.health.states import UNCHECKED, Ejections, EndpointHealth, HealthStatus
from meshproxy.snapshot.model import Cluster, Endpoint, HealthCheck, Snapshot

MAX_IN_FLIGHT = 100
"""Checks at once."""
MAX_LEFT = 10_000
"""Unusable endpoints that left the configuration and are remembered, should they come back."""

Key = tuple[str, str]
"""(cluster name, endpoint id)."""
Changes = Sequence[tuple[str, str, bool]]
"""(cluster name, endpoint id, whether it may be used): `snapshot.messages.HealthChanges`."""


class HealthMonitor:
    """Checks what the snapshot says and ejects what workers report.

    `on_changes` is called with the endpoints that may, or may not, be used from now on. Each endpoint
    that is new, or is checked in a new way, is checked soon. The cost of `apply` is linear in the endpoints.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        random: Random,
        on_changes: Callable[[Changes], None],
        on_event: EventSink,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._clock = clock
        self._on_changes = on_changes
        self._on_event = on_event
        self._clusters: dict[str, ClusterHealth] = {}
        self._assigned: Mapping[str, Sequence[Endpoint]] = {}
        self._target_of: dict[Key, Target] = {}
        self._keys_of: dict[Target, list[Key]] = {}
        self._sweeps: Schedule[str] = Schedule(clock)
        self._prober = Prober(clock=clock, random=random, on_result=self._checked, max_in_flight=max_in_flight)
        self._changes: list[tuple[str, str, bool]] = []
        self._left_unusable: dict[Key, None] = {}

    # -- what people and workers ask -----------------------------------------------------

    def health_of(self, cluster: str, endpoint_id: str) -> EndpointHealth:
        """What is known of an endpoint; `UNCHECKED` where that is nothing."""
        known = self._clusters.get(cluster)
        return known.health_of(endpoint_id) if known is not None else UNCHECKED

    def all_health(self) -> Mapping[Key, EndpointHealth]:
        """What is known, by (cluster, endpoint id); the rest is `UNCHECKED`."""
        return {
            (name, each): health for name, cluster in self._clusters.items() for each, health in cluster.health.items()
        }

    def ejections(self) -> Mapping[Key, Ejections]:
        """For each endpoint of clusters with outlier detection, by (cluster, endpoint id)."""
        return {
            (name, each): Ejections(
                cluster.times_ejected.get(each, 0), cluster.health_of(each).status is HealthStatus.EJECTED
            )
            for name, cluster in self._clusters.items()
            if cluster.config.outlier_detection is not None
            for each in cluster.endpoints
        }

    def unusable(self) -> Changes:
        """Every endpoint that must not be used now: what a new worker has to know."""
        return tuple((name, each, False) for name, cluster in self._clusters.items() for each in cluster.unusable)

    def _unusable_keys(self) -> frozenset[Key]:
        return frozenset((cluster, endpoint_id) for cluster, endpoint_id, _ in self.unusable())

    # -- what happens --------------------------------------------------------------------

    def apply(self, snapshot: Snapshot) -> None:
        """Check what `snapshot` says from now on; endpoints that stay keep their state."""
        now = self._clock()
        unusable_before = self._unusable_keys()
        endpoints = {assignment.cluster: assignment.endpoints for assignment in snapshot.assignments}
        for name in self._clusters.keys() - {cluster.name for cluster in snapshot.clusters}:
            del self._clusters[name]
            self._sweeps.remove(name)
        for cluster in snapshot.clusters:
            known, assigned = self._clusters.get(cluster.name), endpoints.get(cluster.name, ())
            # Of thousands of endpoints few change, and the tuples of the others are the same objects.
            if known is None or known.config != cluster or self._assigned.get(cluster.name) is not assigned:
                self._configure(cluster, assigned, now)
        self._assigned = endpoints
        self._settle_comers_and_goers(snapshot, unusable_before)
        self._retarget(_targets(snapshot))
        self._tell_changes()

    def endpoint_failing(self, cluster: str, endpoint_id: str, failures: int, reason: str) -> None:
        """A worker saw `failures` of the kind that `reason` names in a row, as many as the policy allows."""
        known = self._clusters.get(cluster)
        if known is not None:
            known.failing(endpoint_id, failures, reason, self._clock())
            self._tell_changes()

    async def run(self) -> None:
        """Check endpoints and end ejections until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._prober.run(), name="health checks")
            tasks.create_task(self._sweep_outliers(), name="outlier sweeps")

    async def _sweep_outliers(self) -> None:
        while True:
            name = await self._sweeps.next_due()
            cluster = self._clusters[name]
            if cluster.config.outlier_detection is not None:
                self._sweeps.put(name, self._clock() + cluster.config.outlier_detection.interval)
                cluster.sweep(self._clock())
                self._tell_changes()

    def _checked(self, target: Target, failure: str) -> None:
        now = self._clock()
        for name, endpoint_id in self._keys_of.get(target, ()):
            self._clusters[name].record(endpoint_id, failure, now)
        self._tell_changes()

    def _tell_changes(self) -> None:
        if self._changes:
            changes, self._changes = tuple(self._changes), []
            self._on_changes(changes)

    # -- configuration -------------------------------------------------------------------

    def _configure(self, config: Cluster, endpoints: Sequence[Endpoint], now: float) -> None:
        cluster = self._clusters.get(config.name)
        if cluster is None:
            on_usable = partial(self._note_change, config.name)
            cluster = self._clusters[config.name] = ClusterHealth(config, on_usable, self._on_event)
            before = None
        else:
            before = cluster.config.outlier_detection
        cluster.configure(config, endpoints, now)
        outlier = config.outlier_detection
        if outlier is None:
            self._sweeps.remove(config.name)
        elif before is None or before.interval != outlier.interval:
            self._sweeps.put(config.name, now + outlier.interval)

    def _settle_comers_and_goers(self, snapshot: Snapshot, unusable_before: Set[Key]) -> None:
        """Say that an endpoint may be used which left while it was unusable, and is back.

        It is unchecked now, but a worker that never let go of it (it refused the snapshot without
        it) would wait for ever to hear so. Said at the return and not at the leave, so that nobody
        uses it just before it goes.
        """
        if not self._left_unusable and not unusable_before:
            return
        there = {(each.cluster, endpoint.id) for each in snapshot.assignments for endpoint in each.endpoints}
        for key in sorted(self._left_unusable.keys() & there):
            del self._left_unusable[key]
            self._note_change(*key, usable=True)
        self._left_unusable.update(dict.fromkeys(sorted(unusable_before - there)))
        for key in list(islice(self._left_unusable, max(0, len(self._left_unusable) - MAX_LEFT))):
            del self._left_unusable[key]

    def _note_change(self, cluster: str, endpoint_id: str, usable: bool) -> None:
        self._changes.append((cluster, endpoint_id, usable))

    def _retarget(self, targets: dict[Key, Target]) -> None:
        before, self._target_of = self._target_of, targets
        keys_of: defaultdict[Target, list[Key]] = defaultdict(list)
        for key, target in targets.items():
            keys_of[target].append(key)
        self._keys_of = dict(keys_of)
        self._prober.keep_only(self._keys_of.keys())
        for key, target in targets.items():
            if before.get(key) != target:
                self._prober.check(target)


def _targets(snapshot: Snapshot) -> dict[Key, Target]:
    """What is to be checked for each endpoint that has a check."""
    checks = {cluster.name: cluster.health_check for cluster in snapshot.clusters}
    targets = {}
    for assignment in snapshot.assignments:
        check = checks[assignment.cluster]
        if check is not None:
            for endpoint in assignment.endpoints:
                targets[assignment.cluster, endpoint.id] = _target(endpoint, check)
    return targets


def _target(endpoint: Endpoint, check: HealthCheck) -> Target:
    """What is in the mesh cannot be asked in clear; a program there may listen on its loopback only."""
    if check.port is not None:
        return Target(SocketAddress(endpoint.address.host, check.port), check)
    if endpoint.mesh_port is not None:
        port = SocketAddress(endpoint.address.host, endpoint.mesh_port)
        return Target(port, msgspec.structs.replace(check, http_path=None))
    return Target(endpoint.address, check)
