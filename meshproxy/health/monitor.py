"""Owns the health of every endpoint: schedules probes, takes failures from workers, tells what changed."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from random import Random
from types import MappingProxyType

from meshproxy.aio.tasks import OwnedTasks
from meshproxy.base.durations import format_duration
from meshproxy.base.events import Event, EventSink, EventType
from meshproxy.health.outlier import OutlierDetector
from meshproxy.health.probes import ProbeNotPossible, probe
from meshproxy.health.states import UNCHECKED, EndpointHealth, HealthStatus
from meshproxy.health.thresholds import Thresholds
from meshproxy.snapshot.model import Cluster, Endpoint, HealthCheck, Snapshot

MAX_IN_FLIGHT = 100
"""Probes at once."""
FIRST_SPREAD = 0.1
"""Seconds over which the first probes are spread."""
JITTER = 0.1
"""The share by which an interval varies, so that many proxies do not probe together."""

Key = tuple[str, str]
"""(cluster name, endpoint id)."""
Changes = Sequence[tuple[str, str, bool]]
"""(cluster name, endpoint id, whether it may be used): `snapshot.messages.HealthChanges`."""

_log = logging.getLogger(__name__)


class _Checked:
    """An endpoint that is probed."""

    __slots__ = ("check", "endpoint", "key", "reason", "thresholds")

    def __init__(self, key: Key, endpoint: Endpoint, check: HealthCheck) -> None:
        self.key = key
        self.endpoint = endpoint
        self.check = check
        self.thresholds = Thresholds(check.healthy_threshold, check.unhealthy_threshold)
        self.reason = ""


class HealthMonitor:
    """Probes what the snapshot says, `MAX_IN_FLIGHT` at once, no endpoint twice at once."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        random: Random,
        on_changes: Callable[[Changes], None],
        on_event: EventSink,
    ) -> None:
        self._clock = clock
        self._random = random
        self._on_changes = on_changes
        self._on_event = on_event
        self._clusters: dict[str, Cluster] = {}
        self._endpoints: dict[str, dict[str, Endpoint]] = {}
        self._checked: dict[Key, _Checked] = {}
        self._health: dict[Key, EndpointHealth] = {}
        self._unusable: dict[str, set[str]] = {}
        self._detectors: dict[str, OutlierDetector] = {}
        self._sweeps: dict[str, float] = {}
        self._due: list[tuple[float, int, _Checked]] = []
        self._sequence = count()
        self._wake_up = asyncio.Event()
        self._tasks = OwnedTasks()
        self._complained_at = float("-inf")

    # -- what people and workers ask -----------------------------------------------------

    def health_of(self, cluster: str, endpoint_id: str) -> EndpointHealth:
        return self._health.get((cluster, endpoint_id), UNCHECKED)

    def all_health(self) -> Mapping[Key, EndpointHealth]:
        """What is known, by (cluster, endpoint id); the rest is `UNCHECKED`."""
        return MappingProxyType(self._health)

    def unusable(self) -> Changes:
        """Every endpoint that must not be used now: what a new worker has to know."""
        return tuple((cluster, each, False) for cluster, ids in self._unusable.items() for each in sorted(ids))

    # -- configuration -------------------------------------------------------------------

    def apply(self, snapshot: Snapshot) -> None:
        """Check what `snapshot` says from now on; endpoints that stay keep their state."""
        self._clusters = {cluster.name: cluster for cluster in snapshot.clusters}
        self._endpoints = {
            assignment.cluster: {endpoint.id: endpoint for endpoint in assignment.endpoints}
            for assignment in snapshot.assignments
        }
        self._forget_what_left()
        now = self._clock()
        for name, cluster in self._clusters.items():
            self._configure_detector(name, cluster, now)
            if cluster.health_check is not None:
                for endpoint_id, endpoint in self._endpoints.get(name, {}).items():
                    self._configure_check((name, endpoint_id), endpoint, cluster.health_check, now)
            else:
                self._stop_checking(name)
        self._wake_up.set()

    def _forget_what_left(self) -> None:
        for key in [key for key in self._checked if key[1] not in self._endpoints.get(key[0], ())]:
            del self._checked[key]
        for key in [key for key in self._health if key[1] not in self._endpoints.get(key[0], ())]:
            del self._health[key]
            self._unusable.get(key[0], set()).discard(key[1])
        for name in [name for name in self._unusable if name not in self._clusters]:
            del self._unusable[name]

    def _configure_check(self, key: Key, endpoint: Endpoint, check: HealthCheck, now: float) -> None:
        known = self._checked.get(key)
        if known is not None and known.check == check:
            known.endpoint = endpoint
            return
        checked = self._checked[key] = _Checked(key, endpoint, check)
        if known is not None:
            checked.thresholds.healthy = known.thresholds.healthy
        spread = min(FIRST_SPREAD, check.interval)
        self._schedule(checked, now + self._random.random() * spread)

    def _stop_checking(self, cluster: str) -> None:
        """The policy has no health check any more: its verdicts are void, ejections stay."""
        voided = [key for key in self._checked if key[0] == cluster]
        for key in voided:
            del self._checked[key]
        self._settle([(key, "no longer checked") for key in voided])

    def _configure_detector(self, name: str, cluster: Cluster, now: float) -> None:
        config = cluster.outlier_detection
        if config is None:
            if self._detectors.pop(name, None) is not None:
                self._sweeps.pop(name, None)
                self._settle([((name, each), "no longer ejected") for each in self._unusable.get(name, set()).copy()])
            return
        detector = self._detectors.get(name)
        if detector is None:
            detector = self._detectors[name] = OutlierDetector(config)
            self._sweeps[name] = now + config.interval
        detector.config = config
        detector.keep_only(frozenset(self._endpoints.get(name, ())))

    # -- passive -------------------------------------------------------------------------

    def endpoint_failing(self, cluster: str, endpoint_id: str, failures: int, reason: str) -> None:
        """A worker saw `failures` connections in a row fail, as many as the policy allows."""
        detector = self._detectors.get(cluster)
        endpoints = self._endpoints.get(cluster, {})
        if detector is None or endpoint_id not in endpoints:
            return
        if detector.eject(endpoint_id, len(endpoints), self._clock()) is not None:
            self._settle([((cluster, endpoint_id), f"{failures} connections failed in a row: {reason}")])

    def _sweep(self, now: float) -> None:
        for name, at in self._sweeps.items():
            if at <= now:
                detector = self._detectors[name]
                self._sweeps[name] = now + detector.config.interval
                self._settle([((name, each), "its ejection is over") for each in detector.sweep(now)])

    # -- active --------------------------------------------------------------------------

    async def run(self) -> None:
        """Probe and sweep until cancelled."""
        try:
            while True:
                now = self._clock()
                self._sweep(now)
                self._start_due(now)
                await self._wait(now)
        finally:
            await self._tasks.cancel()

    def _start_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now and len(self._tasks) < MAX_IN_FLIGHT:
            _, _, checked = heapq.heappop(self._due)
            if self._checked.get(checked.key) is checked:
                self._tasks.start(self._probe(checked), name=f"probe of {checked.key[1]}")

    async def _wait(self, now: float) -> None:
        times = list(self._sweeps.values())
        if self._due and len(self._tasks) < MAX_IN_FLIGHT:
            times.append(self._due[0][0])
        self._wake_up.clear()
        try:
            async with asyncio.timeout(max(0.0, min(times) - now) if times else None):
                await self._wake_up.wait()
        except TimeoutError:
            pass

    def _schedule(self, checked: _Checked, at: float) -> None:
        heapq.heappush(self._due, (at, next(self._sequence), checked))

    async def _probe(self, checked: _Checked) -> None:
        try:
            reason = await probe(checked.endpoint.address, checked.check)
        except ProbeNotPossible as trouble:
            self._complain(f"a health check was not possible: {trouble}")
        else:
            self._record(checked, reason)
        finally:
            jitter = 1 + JITTER * (2 * self._random.random() - 1)
            self._schedule(checked, self._clock() + checked.check.interval * jitter)
            self._wake_up.set()

    def _record(self, checked: _Checked, reason: str) -> None:
        if self._checked.get(checked.key) is not checked:
            return
        checked.reason = reason
        if checked.thresholds.record(not reason):
            self._settle([(checked.key, reason)])

    def _complain(self, message: str) -> None:
        now = self._clock()
        if now >= self._complained_at + 1:
            self._complained_at = now
            _log.warning("%s", message)

    # -- verdicts ------------------------------------------------------------------------

    def _settle(self, changed: Sequence[tuple[Key, str]]) -> None:
        """Work out the health of endpoints whose checks or ejections changed, and tell whoever must know."""
        changes: list[tuple[str, str, bool]] = []
        for key, reason in changed:
            if key[1] not in self._endpoints.get(key[0], ()):
                continue
            before, after = self.health_of(*key), self._verdict(key, reason)
            if before.status is after.status:
                continue
            self._health[key] = after
            self._on_event(self._event(key, before, after))
            if before.usable is not after.usable:
                changes.append((*key, after.usable))
                self._count_unusable(key, after.usable)
        if changes:
            self._on_changes(changes)

    def _verdict(self, key: Key, reason: str) -> EndpointHealth:
        now = self._clock()
        detector = self._detectors.get(key[0])
        if detector is not None and key[1] in detector.ejected:
            return EndpointHealth(
                status=HealthStatus.EJECTED, reason=reason, since=now, ejected_until=detector.until(key[1])
            )
        checked = self._checked.get(key)
        healthy = checked.thresholds.healthy if checked is not None else None
        if healthy is None:
            return EndpointHealth(status=HealthStatus.UNKNOWN, reason=reason, since=now)
        if healthy:
            return EndpointHealth(status=HealthStatus.HEALTHY, since=now)
        why = checked.reason if checked is not None else reason
        return EndpointHealth(status=HealthStatus.UNHEALTHY, reason=why or reason, since=now)

    def _count_unusable(self, key: Key, usable: bool) -> None:
        cluster, endpoint_id = key
        unusable = self._unusable.setdefault(cluster, set())
        total = len(self._endpoints[cluster])
        none_before = len(unusable) == total
        if usable:
            unusable.discard(endpoint_id)
        else:
            unusable.add(endpoint_id)
        config = self._clusters[cluster]
        if len(unusable) == total:
            what = "all of them are used" if config.use_all_when_none_healthy else "connections are refused"
            message = f"no endpoint of port {config.port_name} is healthy: {what}"
            self._on_event(_event(EventType.WARNING, "NoHealthyEndpoints", config.service, message))
        elif none_before:
            message = f"port {config.port_name} has a healthy endpoint again"
            self._on_event(_event(EventType.NORMAL, "HealthyEndpoints", config.service, message))

    def _event(self, key: Key, before: EndpointHealth, after: EndpointHealth) -> Event:
        endpoint = self._endpoints[key[0]][key[1]]
        who = f"endpoint {endpoint.name} ({key[1]})" if endpoint.name != key[1] else f"endpoint {key[1]}"
        service = self._clusters[key[0]].service
        match after.status:
            case HealthStatus.UNHEALTHY:
                message = f"{who} became unhealthy: {after.reason}"
                return _event(EventType.WARNING, "EndpointUnhealthy", service, message)
            case HealthStatus.EJECTED:
                seconds = (after.ejected_until or after.since) - after.since
                message = f"{who} is ejected for {format_duration(round(seconds, 3))}: {after.reason}"
                return _event(EventType.WARNING, "EndpointEjected", service, message)
            case _ if before.status is HealthStatus.EJECTED:
                message = f"{who} returned: {after.reason or 'healthy'}"
                return _event(EventType.NORMAL, "EndpointReturned", service, message)
            case HealthStatus.HEALTHY:
                return _event(EventType.NORMAL, "EndpointHealthy", service, f"{who} is healthy")
            case _:
                return _event(EventType.NORMAL, "EndpointUnchecked", service, f"{who} is no longer checked")


def _event(kind: EventType, reason: str, service: str, message: str) -> Event:
    return Event(type=kind, reason=reason, subject=f"Service/{service.removeprefix('default/')}", message=message)
