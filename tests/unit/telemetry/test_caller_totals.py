"""Callers over workers' lives."""

from __future__ import annotations

from meshproxy.snapshot.messages import CallerStats
from meshproxy.telemetry.caller_totals import CallerKey, CallerTotals
from tests.support.view import make_counts

KEY = CallerKey("spiffe://mesh.local/ns/shop/sa/web", "default/backend", "c")


def test_workers_are_summed() -> None:
    totals = CallerTotals()
    totals.absorb(0, [CallerStats(*KEY, 1, 2, 3, 4, 5, make_counts(ok=3))])
    totals.absorb(1, [CallerStats(*KEY, 10, 20, 30, 40, 50, make_counts(ok=4, failed=1))])
    assert totals.sums() == {KEY: CallerStats(*KEY, 11, 22, 33, 44, 55, make_counts(ok=7, failed=1))}
    totals.absorb(0, [CallerStats(*KEY, 2, 3)])
    assert totals.sums()[KEY].active == 12


def test_who_is_forgotten_is_gone_and_so_are_those_of_a_dead_worker() -> None:
    totals = CallerTotals()
    totals.absorb(0, [CallerStats(*KEY, 1, 2)])
    totals.absorb(1, [CallerStats(*KEY, 5, 6)])
    totals.absorb(0, [CallerStats(*KEY, 0, 2, known=False)])
    assert totals.sums() == {KEY: CallerStats(*KEY, 5, 6)}
    totals.worker_left(1)
    assert totals.sums() == {}
