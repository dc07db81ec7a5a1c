"""Who called whom, over all workers: of callers that are there now, or were a moment ago."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import add
from typing import NamedTuple

from meshproxy.snapshot.messages import CallerStats
from meshproxy.telemetry.request_totals import plus


class CallerKey(NamedTuple):
    """See `CallerStats`."""

    caller: str
    service: str
    cluster: str


class CallerTotals:
    """Adds what workers report, each since it knows a caller. How many there are is theirs to bound."""

    def __init__(self) -> None:
        self._workers: dict[int, dict[CallerKey, CallerStats]] = {}

    def absorb(self, worker: int, callers: Iterable[CallerStats]) -> None:
        """Take a report of `worker`."""
        known = self._workers.setdefault(worker, {})
        for each in callers:
            key = CallerKey(each.caller, each.service, each.cluster)
            if each.known:
                known[key] = each
            else:
                known.pop(key, None)

    def worker_left(self, worker: int) -> None:
        """`worker` died, and nobody calls it any more."""
        self._workers.pop(worker, None)

    def sums(self) -> Mapping[CallerKey, CallerStats]:
        """What each did since it is known."""
        sums: dict[CallerKey, CallerStats] = {}
        for known in self._workers.values():
            for key, each in known.items():
                before = sums.get(key)
                sums[key] = each if before is None else _sum(key, before, each)
        return sums


def _sum(key: CallerKey, one: CallerStats, other: CallerStats) -> CallerStats:
    active, connections, failures, sent, received = map(add, _counts(one), _counts(other))
    return CallerStats(*key, active, connections, failures, sent, received, plus(one.requests, other.requests))


def _counts(stats: CallerStats) -> tuple[int, int, int, int, int]:
    return stats.active, stats.connections, stats.failures, stats.sent, stats.received
