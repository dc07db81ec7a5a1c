"""The health of one cluster's endpoints, pure: results and `now` come in, verdicts and events go out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from meshproxy.base.events import EventSink
from meshproxy.health import announcements
from meshproxy.health.outlier import OutlierDetector
from meshproxy.health.results import CheckResults
from meshproxy.health.states import UNCHECKED, EndpointHealth, HealthStatus
from meshproxy.snapshot.model import Cluster, Endpoint


class ClusterHealth:
    """Owns what is known of a cluster's endpoints, by endpoint id.

    `on_usable` is told the id of an endpoint and whether it may be used now, whenever that changes. What
    left the cluster is forgotten without a word: whoever balances over it knows.
    """

    def __init__(self, config: Cluster, on_usable: Callable[[str, bool], None], on_event: EventSink) -> None:
        self.config = config
        self._on_usable = on_usable
        self._on_event = on_event
        self._endpoints: dict[str, Endpoint] = {}
        self._weightless = 0
        self._results: dict[str, CheckResults] = {}
        self._detector: OutlierDetector | None = None
        self._health: dict[str, EndpointHealth] = {}
        self._unusable: set[str] = set()
        self._none_usable = False
        self.times_ejected: dict[str, int] = {}
        """How often an endpoint was ever ejected; what was never is not there."""

    def health_of(self, endpoint_id: str) -> EndpointHealth:
        """What is known of an endpoint; `UNCHECKED` where that is nothing."""
        return self._health.get(endpoint_id, UNCHECKED)

    @property
    def health(self) -> Mapping[str, EndpointHealth]:
        """What is known; endpoints that are not in it are `UNCHECKED`."""
        return MappingProxyType(self._health)

    @property
    def endpoints(self) -> Iterable[str]:
        return self._endpoints.keys()

    @property
    def unusable(self) -> tuple[str, ...]:
        """The endpoints that must not be used now, in order."""
        return tuple(sorted(self._unusable))

    # -- configuration -------------------------------------------------------------------

    def configure(self, config: Cluster, endpoints: Iterable[Endpoint], now: float) -> None:
        """Take a configuration; endpoints that stay keep their state.

        Where checks or outlier detection are taken away their verdicts are void.
        """
        self.config = config
        self._endpoints = {endpoint.id: endpoint for endpoint in endpoints}
        self._weightless = sum(not endpoint.weight for endpoint in self._endpoints.values())
        for endpoint_id in [each for each in self._health if each not in self._endpoints]:
            self._forget(endpoint_id)
        if config.health_check is None:
            self._results.clear()
        self._configure_detector(config)
        for endpoint_id in tuple(self._health):
            self._settle(endpoint_id, now)
        self._tell_if_none_usable()

    def _configure_detector(self, config: Cluster) -> None:
        if config.outlier_detection is None:
            self._detector = None
        elif self._detector is None:
            self._detector = OutlierDetector(config.outlier_detection)
        else:
            self._detector.config = config.outlier_detection

    def _forget(self, endpoint_id: str) -> None:
        del self._health[endpoint_id]
        self._results.pop(endpoint_id, None)
        self._unusable.discard(endpoint_id)
        self.times_ejected.pop(endpoint_id, None)
        if self._detector is not None:
            self._detector.forget(endpoint_id)

    # -- what happens --------------------------------------------------------------------

    def record(self, endpoint_id: str, failure: str, now: float) -> None:
        """An endpoint was checked: why it failed, or an empty string where it passed."""
        if self.config.health_check is None or endpoint_id not in self._endpoints:
            return
        self._results.setdefault(endpoint_id, CheckResults()).record(failure, self.config.health_check)
        self._settle(endpoint_id, now)
        self._tell_if_none_usable()

    def failing(self, endpoint_id: str, failures: int, reason: str, now: float) -> None:
        """A worker saw `failures` of the kind that `reason` names in a row, as many as the policy allows."""
        if self._detector is None or endpoint_id not in self._endpoints:
            return
        if self._detector.eject(endpoint_id, len(self._endpoints), now):
            self.times_ejected[endpoint_id] = self.times_ejected.get(endpoint_id, 0) + 1
            self._settle(endpoint_id, now, f"{failures} {reason}")
            self._tell_if_none_usable()

    def sweep(self, now: float) -> None:
        """To be called every interval of the outlier detection: ends ejections whose time is up."""
        if self._detector is not None:
            for endpoint_id in self._detector.sweep(now):
                self._settle(endpoint_id, now)
            self._tell_if_none_usable()

    # -- verdicts ------------------------------------------------------------------------

    def _settle(self, endpoint_id: str, now: float, ejected_because: str = "") -> None:
        before = self.health_of(endpoint_id)
        after = self._health[endpoint_id] = self._verdict(endpoint_id, before, now, ejected_because)
        if after.status is before.status:
            return
        event = announcements.about_endpoint(self.config, self._endpoints[endpoint_id], before, after)
        if event is not None:
            self._on_event(event)
        if after.usable is not before.usable:
            (self._unusable.discard if after.usable else self._unusable.add)(endpoint_id)
            self._on_usable(endpoint_id, after.usable)

    def _verdict(self, endpoint_id: str, before: EndpointHealth, now: float, ejected_because: str) -> EndpointHealth:
        results = self._results.get(endpoint_id)
        until = self._detector.until(endpoint_id) if self._detector is not None else None
        if until is not None:
            status, reason = HealthStatus.EJECTED, ejected_because or before.reason
        elif results is None:
            status, reason = HealthStatus.UNKNOWN, ""
        elif results.healthy:
            status, reason = HealthStatus.HEALTHY, ""
        else:
            status, reason = HealthStatus.UNHEALTHY, results.failure
        return EndpointHealth(
            status=status,
            reason=reason,
            since=before.since if status is before.status else now,
            consecutive_successes=results.successes if results is not None else 0,
            consecutive_failures=results.failures if results is not None else 0,
            ejected_until=until,
            ejections=self._detector.times(endpoint_id) if self._detector is not None else 0,
        )

    def _tell_if_none_usable(self) -> None:
        none_usable = self._is_none_usable()
        if none_usable is self._none_usable:
            return
        self._none_usable = none_usable
        if none_usable:
            self._on_event(announcements.none_usable(self.config))
        elif self._endpoints:
            self._on_event(announcements.usable_again(self.config))

    def _is_none_usable(self) -> bool:
        """Whether there are endpoints with a weight, and none of them may be used."""
        weighted = len(self._endpoints) - self._weightless
        if not weighted or len(self._unusable) < weighted:
            return False
        return all(each in self._unusable for each, endpoint in self._endpoints.items() if endpoint.weight)
