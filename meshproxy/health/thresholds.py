"""From single results to a verdict."""

from __future__ import annotations


class Thresholds:
    """Counts results in a row. The first result decides at once (as Envoy's first check does).

    `healthy` is None before it.
    """

    __slots__ = ("_healthy_threshold", "_run", "_unhealthy_threshold", "healthy")

    def __init__(self, healthy_threshold: int, unhealthy_threshold: int) -> None:
        self._healthy_threshold = healthy_threshold
        self._unhealthy_threshold = unhealthy_threshold
        self._run = 0
        self.healthy: bool | None = None

    def record(self, passed: bool) -> bool:
        """Take a result; whether the verdict changed by it."""
        if self.healthy is passed:
            self._run = 0
            return False
        self._run += 1
        needed = self._healthy_threshold if passed else self._unhealthy_threshold
        if self.healthy is not None and self._run < needed:
            return False
        self.healthy = passed
        self._run = 0
        return True
