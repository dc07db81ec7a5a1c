"""What came to be between two looks at counts that only grow, and how much of it a second."""

from __future__ import annotations

from operator import add, sub
from typing import NamedTuple

from meshproxy.admin.documents.requests import quantile
from meshproxy.snapshot.messages import RequestCounts


class RequestRate(NamedTuple):
    """Requests a second, the share without a 5xx or a missing response, and latencies in seconds (as in `quantile`)."""

    rate: float
    success: float
    p50: float | None
    p99: float | None


class ConnectionRate(NamedTuple):
    """Connections open now, and a second: opened, failed to open, bytes sent to endpoints and received from them."""

    active: int
    opened: float
    failed: float
    sent: float
    received: float

    def plus(self, other: ConnectionRate) -> ConnectionRate:
        opened, failed, sent, received = map(add, self[1:], other[1:])
        return ConnectionRate(self.active + other.active, opened, failed, sent, received)


def difference(old: RequestCounts, new: RequestCounts) -> RequestCounts | None:
    """What came to be between two looks; None for nothing, and where counting began anew."""
    if old is new or old.statuses == new.statuses:
        return None
    if not old.latencies:
        return new
    if sum(new.statuses) < sum(old.statuses):
        return None
    none, informational, success, redirection, client, server = map(sub, new.statuses, old.statuses)
    return RequestCounts(
        (none, informational, success, redirection, client, server), tuple(map(sub, new.latencies, old.latencies))
    )


def request_rate(counts: RequestCounts, window: float) -> RequestRate | None:
    """Of what came to be in `window` seconds; None for nothing."""
    total = sum(counts.statuses)
    if not total or not window:
        return None
    failed = counts.statuses[0] + counts.statuses[5]
    return RequestRate(
        round(total / window, 2),
        round(1 - failed / total, 4),
        quantile(counts.latencies, 0.5),
        quantile(counts.latencies, 0.99),
    )


def a_second(number: int, window: float) -> float:
    """Of what happened `number` times in `window` seconds; 0 where less than nothing did: counting began anew."""
    return round(max(0, number) / window, 2) if window else 0.0
