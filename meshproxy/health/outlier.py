"""Passive ejection of a cluster's endpoints (Envoy's outlier detection), pure.

Workers count failures in a row and report an endpoint that reached the limit; here is decided
whether it is ejected, and for how long. As in Envoy, an endpoint returns at the first sweep after its
time is up. Unlike Envoy, a check that passes does not end an ejection: one that says "the port is open"
knows less than the connections that failed.
"""

from __future__ import annotations

from meshproxy.snapshot.model import OutlierDetection


class OutlierDetector:
    """Decides who is ejected. Owns the ejections of one cluster, by endpoint id."""

    def __init__(self, config: OutlierDetection) -> None:
        self.config = config
        self._until: dict[str, float] = {}
        self._times: dict[str, int] = {}

    def until(self, endpoint: str) -> float | None:
        """When the ejection of `endpoint` ends; None where it is not ejected."""
        return self._until.get(endpoint)

    def times(self, endpoint: str) -> int:
        """How often `endpoint` was ejected, less what it was forgiven."""
        return self._times.get(endpoint, 0)

    def eject(self, endpoint: str, endpoints: int, now: float) -> bool:
        """Eject `endpoint`, of a cluster of `endpoints`; whether it was (allowed, and not ejected already).

        Never more than the largest share, but one always, even the only one (Envoy's
        `max_ejection_percent`; panic mode has the rest). A share of 0 turns ejection off.
        """
        allowed = max(1, endpoints * self.config.max_ejection_percent // 100)
        if not self.config.max_ejection_percent or endpoint in self._until or len(self._until) >= allowed:
            return False
        times = self._times.get(endpoint, 0)
        if times * self.config.base_ejection_time < self.config.max_ejection_time:
            times += 1  # beyond the longest, counting on would only put off forgiveness
        self._times[endpoint] = times
        self._until[endpoint] = now + min(self.config.base_ejection_time * times, self.config.max_ejection_time)
        return True

    def sweep(self, now: float) -> tuple[str, ...]:
        """To be called every `interval`: the endpoints that return now.

        Those that were in since the last sweep are forgiven one ejection (Envoy's `ejectTimeBackoff`).
        """
        returned = tuple(endpoint for endpoint, until in self._until.items() if until <= now)
        for endpoint in [each for each in self._times if each not in self._until]:
            self._times[endpoint] -= 1
            if not self._times[endpoint]:
                del self._times[endpoint]
        for endpoint in returned:
            del self._until[endpoint]
        return returned

    def forget(self, endpoint: str) -> None:
        """`endpoint` left the cluster."""
        self._times.pop(endpoint, None)
        self._until.pop(endpoint, None)
