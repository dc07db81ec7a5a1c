"""Counts of requests, as plain numbers."""

from __future__ import annotations

from typing import Final

from meshproxy.snapshot.messages import RequestCounts
from meshproxy.telemetry.latency import BOUNDS

_BOUNDS: Final = list(BOUNDS)
_LAST: Final[int] = len(BOUNDS)


class RequestCounters:
    """See `snapshot.messages.RequestCounts`; `reported` tells what the last report was made of."""

    __slots__ = ("latencies", "reported", "retries", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses = [0] * 6
        self.latencies = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0
        self.retries = 0
        self.reported: tuple[int, int] = (0, 0)

    def count(self, status: int, seconds: float) -> None:
        """A request ended with `status` (0: without a response) after `seconds`."""
        self.statuses[min(status // 100, 5)] += 1  # RFC 9110 §15: one beyond 599 is taken for a server's error
        bucket = 0
        while bucket < _LAST and seconds > _BOUNDS[bucket]:  # quicker than a bisection, as most requests are short
            bucket += 1
        self.latencies[bucket] += 1
        self.seconds += seconds

    def add(self, other: RequestCounters) -> None:
        """Take in what `other` counted."""
        self.statuses = [mine + its for mine, its in zip(self.statuses, other.statuses, strict=True)]
        self.latencies = [mine + its for mine, its in zip(self.latencies, other.latencies, strict=True)]
        self.seconds += other.seconds
        self.retries += other.retries

    @property
    def total(self) -> int:
        return sum(self.statuses) + self.retries

    def counts(self) -> RequestCounts:
        """The counts now, as they are reported to the supervisor."""
        none, informational, success, redirection, client, server = self.statuses
        statuses = (none, informational, success, redirection, client, server)
        return RequestCounts(statuses, tuple(self.latencies), self.seconds, self.retries)
