"""Passive ejection of a cluster's endpoints (Envoy's outlier detection), pure."""

from __future__ import annotations

from meshproxy.snapshot.model import OutlierDetection


class OutlierDetector:
    """Decides who is ejected, and for how long. Owns the ejections of one cluster, by endpoint id."""

    def __init__(self, config: OutlierDetection) -> None:
        self.config = config
        self._ejected: dict[str, float] = {}
        self._times: dict[str, int] = {}

    @property
    def ejected(self) -> frozenset[str]:
        return frozenset(self._ejected)

    def eject(self, endpoint: str, endpoints: int, now: float) -> float | None:
        """Eject `endpoint`, of a cluster of `endpoints`; until when, or None where it may not be.

        Never more than the largest share allowed, but always one (Envoy's rule). Each further
        ejection is longer by the base time, up to the longest.
        """
        if endpoint in self._ejected:
            return None
        allowed = max(1, endpoints * self.config.max_ejection_percent // 100)
        if self.config.max_ejection_percent == 0 or len(self._ejected) >= allowed:
            return None
        times = self._times.get(endpoint, 0) + 1
        self._times[endpoint] = times
        until = now + min(self.config.base_ejection_time * times, self.config.max_ejection_time)
        self._ejected[endpoint] = until
        return until

    def until(self, endpoint: str) -> float | None:
        """When the ejection of `endpoint` ends; None where it is not ejected."""
        return self._ejected.get(endpoint)

    def sweep(self, now: float) -> list[str]:
        """To be called every `interval`: the endpoints that return now. Those that stayed in are forgiven a little."""
        returned = [endpoint for endpoint, until in self._ejected.items() if until <= now]
        for endpoint in returned:
            del self._ejected[endpoint]
        for endpoint in list(self._times):
            if endpoint not in self._ejected and endpoint not in returned:
                self._times[endpoint] -= 1
                if not self._times[endpoint]:
                    del self._times[endpoint]
        return returned

    def keep_only(self, endpoints: frozenset[str]) -> None:
        """Forget those that left the cluster."""
        for endpoint in [each for each in self._times if each not in endpoints]:
            del self._times[endpoint]
            self._ejected.pop(endpoint, None)
