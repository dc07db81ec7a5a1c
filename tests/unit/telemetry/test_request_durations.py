"""Durations over workers' lives."""

from __future__ import annotations

from meshproxy.snapshot.messages import DurationStats, RequestDurations
from meshproxy.telemetry.request_durations import DurationCounts, DurationKind, DurationTotals

KIND = DurationKind("l", "r", "GET", "http", 200)


def report(*buckets: int) -> RequestDurations:
    return RequestDurations((DurationStats(*KIND, buckets, float(sum(buckets))),))


def test_what_a_worker_counted_stays_counted() -> None:
    totals = DurationTotals()
    totals.absorb(0, report(1, 2))
    totals.absorb(1, report(0, 4))
    totals.absorb(0, report(2, 2))
    assert totals.sums() == {KIND: DurationCounts((2, 6), 8.0)}
    totals.worker_left(1)
    totals.absorb(1, report(1, 0))
    assert totals.sums() == {KIND: DurationCounts((3, 6), 9.0)}


def test_a_listener_that_went_and_came_back_counts_on() -> None:
    totals = DurationTotals()
    totals.absorb(0, report(5, 0))
    totals.absorb(0, report(0, 1))
    assert totals.sums() == {KIND: DurationCounts((5, 1), 6.0)}
    totals.keep_only(())
    assert totals.sums() == {}
