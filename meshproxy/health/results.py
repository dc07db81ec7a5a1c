"""From the results of checks to a verdict, pure."""

from __future__ import annotations

from meshproxy.snapshot.model import HealthCheck


class CheckResults:
    """The results of one endpoint's checks, in a row.

    `healthy` is the verdict, None before the first result, which decides alone, as Envoy's first
    check does; after it the check's thresholds count. `failure` says why the last check that
    failed did.
    """

    __slots__ = ("failure", "failures", "healthy", "successes")

    def __init__(self) -> None:
        self.healthy: bool | None = None
        self.successes = 0
        self.failures = 0
        self.failure = ""

    def record(self, failure: str, check: HealthCheck) -> None:
        """Take a result: why the check failed, or an empty string where it passed."""
        if failure:
            self.failure = failure
            self.failures += 1
            self.successes = 0
            decided = self.failures >= check.unhealthy_threshold
        else:
            self.successes += 1
            self.failures = 0
            decided = self.successes >= check.healthy_threshold
        if decided or self.healthy is None:
            self.healthy = not failure
