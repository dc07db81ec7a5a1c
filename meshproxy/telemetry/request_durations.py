"""How long requests took, over all workers and their restarts: OpenTelemetry's ``http.server.request.duration``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from operator import add
from typing import NamedTuple

from meshproxy.snapshot.messages import DurationStats, RequestDurations
from meshproxy.telemetry.per_worker import PerWorker


class DurationKind(NamedTuple):
    """Whose requests: see `DurationStats`."""

    listener: str
    rule: str
    method: str
    scheme: str
    status: int


class DurationCounts(NamedTuple):
    """How many took how long, by `semantics.DURATION_BOUNDS` and beyond, and what they took together."""

    buckets: tuple[int, ...]
    seconds: float

    def plus(self, other: DurationCounts) -> DurationCounts:
        return DurationCounts(tuple(map(add, self.buckets, other.buckets)), self.seconds + other.seconds)


class DurationTotals:
    """Adds what workers report, each cumulatively since its start; what a dead worker counted stays counted."""

    def __init__(self) -> None:
        self._counts: PerWorker[DurationKind, DurationCounts] = PerWorker(DurationCounts.plus, lambda counts: counts)

    def absorb(self, worker: int, report: RequestDurations) -> None:
        """Take a report of `worker`."""
        counts = self._counts.of(worker)
        for each in report.durations:
            kind, now = _of(each)
            before = counts.get(kind)
            if before is not None and sum(now.buckets) < sum(before.buckets):
                self._counts.keep(kind, before)  # the listener went and came back: the worker counts anew
            counts[kind] = now

    def worker_left(self, worker: int) -> None:
        """`worker` died; its counts stay."""
        self._counts.worker_left(worker)

    def keep_only(self, listeners: Collection[str]) -> None:
        """Forget other listeners' requests."""
        self._counts.keep_only(lambda kind, _: kind.listener in listeners)

    def sums(self) -> Mapping[DurationKind, DurationCounts]:
        """By what is told apart."""
        return self._counts.sums()


def _of(stats: DurationStats) -> tuple[DurationKind, DurationCounts]:
    kind = DurationKind(stats.listener, stats.rule, stats.method, stats.scheme, stats.status)
    return kind, DurationCounts(stats.buckets, stats.seconds)
