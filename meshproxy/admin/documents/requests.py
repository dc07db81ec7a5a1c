"""Counts of requests, as people ask for them."""

from __future__ import annotations

from meshproxy.admin.documents.row import Row
from meshproxy.snapshot.messages import RequestCounts
from meshproxy.telemetry.latency import BOUNDS


class RequestsRow(Row, frozen=True, kw_only=True):
    """Counts since the start. `none` ended without a response; `errors` is the share of these and of 5xx.

    `p50` and `p99` are seconds, estimated within a histogram's bucket; None before the first request.
    """

    total: int = 0
    none: int = 0
    informational: int = 0
    success: int = 0
    redirect: int = 0
    client_error: int = 0
    server_error: int = 0
    errors: float = 0.0
    p50: float | None = None
    p99: float | None = None
    retries: int = 0


def requests_row(counts: RequestCounts) -> RequestsRow:
    total = sum(counts.statuses)
    none, informational, success, redirect, client_error, server_error = counts.statuses
    return RequestsRow(
        total=total,
        none=none,
        informational=informational,
        success=success,
        redirect=redirect,
        client_error=client_error,
        server_error=server_error,
        errors=(none + server_error) / total if total else 0.0,
        p50=quantile(counts.latencies, 0.5),
        p99=quantile(counts.latencies, 0.99),
        retries=counts.retries,
    )


def quantile(latencies: tuple[int, ...], share: float) -> float | None:
    """The time that `share` of the requests took at most, as if they were spread evenly in their bucket.

    Prometheus' `histogram_quantile`: beyond the last bound it is that bound.
    """
    total = sum(latencies)
    if not total:
        return None
    wanted, reached, below = share * total, 0, 0.0
    for bound, count in zip(BOUNDS, latencies, strict=False):
        reached += count
        if count and reached >= wanted:
            return below + (bound - below) * (1 - (reached - wanted) / count)
        below = bound
    return BOUNDS[-1]
