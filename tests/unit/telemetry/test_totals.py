"""Counts over workers' lives."""

from __future__ import annotations

from random import Random

from meshproxy.snapshot.messages import EndpointStats, ListenerStats, Stats
from meshproxy.telemetry.totals import EndpointTotals, ListenerTotals, Totals

KEY = ("c", "10.0.0.1:80")


def make_stats(active: int, connections: int, sent: int = 0) -> Stats:
    endpoint = EndpointStats(*KEY, active, connections, 0, 0, sent, 0)
    return Stats((ListenerStats("l", active, connections, 0, 0, 0, 0),), (endpoint,), accept_errors=connections)


def test_a_dead_worker_takes_its_connections_and_leaves_its_counts() -> None:
    totals = Totals()
    totals.absorb(0, make_stats(2, 10, sent=100))
    totals.absorb(1, make_stats(1, 5, sent=50))
    totals.absorb(0, make_stats(3, 12, sent=120))
    assert totals.endpoints()[KEY] == EndpointTotals(active=4, connections=17, sent=170)
    totals.worker_left(0)
    assert totals.endpoints()[KEY] == EndpointTotals(active=1, connections=17, sent=170)
    totals.absorb(0, make_stats(1, 1, sent=1))
    assert totals.endpoints()[KEY] == EndpointTotals(active=2, connections=18, sent=171)
    assert totals.listeners()["l"] == ListenerTotals(active=2, accepted=18)
    assert totals.shortages == 18


def test_a_report_says_only_what_changed() -> None:
    totals = Totals()
    totals.absorb(0, make_stats(2, 10))
    totals.absorb(0, Stats((), (), accept_errors=11))
    assert totals.endpoints()[KEY].connections == 10
    assert totals.listeners()["l"].accepted == 10
    assert totals.shortages == 11


def test_a_worker_that_never_reported_may_leave() -> None:
    totals = Totals()
    totals.worker_left(0)
    assert not totals.endpoints()
    assert totals.shortages == 0


def test_what_left_the_configuration_is_kept_while_it_is_open() -> None:
    totals = Totals()
    totals.absorb(0, make_stats(1, 1))
    totals.keep_only((), ())
    assert totals.endpoints()
    assert not totals.listeners()
    totals.absorb(0, make_stats(0, 1))
    totals.keep_only((), ())
    assert not totals.endpoints()


def test_what_dead_workers_counted_goes_with_the_configuration() -> None:
    totals = Totals()
    totals.absorb(0, make_stats(1, 1))
    totals.worker_left(0)
    totals.keep_only({KEY}, {"l"})
    assert totals.endpoints()[KEY].connections == 1
    assert totals.listeners()["l"].accepted == 1
    totals.keep_only((), ())
    assert not totals.endpoints()
    assert not totals.listeners()


def test_counters_never_go_down_whatever_happens_to_workers() -> None:
    random, totals = Random(1), Totals()
    counts = [0, 0, 0]
    before, everything = 0, 0
    for _ in range(500):
        worker = random.randrange(3)
        if random.random() < 0.1:
            totals.worker_left(worker)
            counts[worker] = 0
        else:
            opened = random.randrange(10)
            everything += opened
            counts[worker] += opened
            totals.absorb(worker, make_stats(0, counts[worker]))
        now = totals.endpoints().get(KEY, EndpointTotals()).connections
        assert now >= before
        before = now
    assert before == everything
