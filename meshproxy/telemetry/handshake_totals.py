"""Counts of TLS handshakes over all workers and their restarts."""

from __future__ import annotations

from collections.abc import Mapping
from operator import add
from typing import NamedTuple

from meshproxy.snapshot.messages import TLSStats
from meshproxy.snapshot.model import Snapshot
from meshproxy.telemetry.per_worker import PerWorker

DOWNSTREAM, UPSTREAM = "downstream", "upstream"
FULL, RESUMED = SUCCESSES = ("full", "resumed")
"""How one succeeded; everything else that is counted is a failure's reason."""


class HandshakeKey(NamedTuple):
    """See `HandshakeStats`."""

    side: str
    name: str
    outcome: str


class HandshakeTotals:
    """Adds what workers report, each cumulatively since its start."""

    def __init__(self) -> None:
        self._counts: PerWorker[HandshakeKey, int] = PerWorker(add, int)

    def absorb(self, worker: int, stats: TLSStats) -> None:
        """Take a report of `worker`."""
        counts = self._counts.of(worker)
        for each in stats.handshakes:
            counts[HandshakeKey(each.side, each.name, each.outcome)] = each.count

    def worker_left(self, worker: int) -> None:
        """`worker` died; its counts stay."""
        self._counts.worker_left(worker)

    def keep_only(self, snapshot: Snapshot) -> None:
        """Forget listeners and clusters that `snapshot` does not have."""
        names = {
            DOWNSTREAM: {listener.name for listener in snapshot.listeners},
            UPSTREAM: {cluster.name for cluster in snapshot.clusters},
        }
        self._counts.keep_only(lambda key, _: key.name in names.get(key.side, ()))

    def sums(self) -> Mapping[HandshakeKey, int]:
        """How many handshakes there were."""
        return self._counts.sums()
