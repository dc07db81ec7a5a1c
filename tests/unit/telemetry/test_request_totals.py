"""Counts of requests over workers' lives."""

from __future__ import annotations

from random import Random

from meshproxy.snapshot.messages import EndpointRequestStats, RequestCounts, RequestStats, RouteStats
from meshproxy.snapshot.model import EMPTY
from meshproxy.telemetry.request_totals import EndpointRequests, RequestTotals, RuleKey, sum_of
from tests.support.view import CLUSTER, ONE, make_counts, make_snapshot

RULE = RuleKey(CLUSTER, "default/shop/cart", "backend:80")
ENDPOINT = (CLUSTER, str(ONE))


def make_stats(counts: RequestCounts, idle: int = 0, flags: int = 0) -> RequestStats:
    return RequestStats(
        (RouteStats(*RULE, counts),), (EndpointRequestStats(*ENDPOINT, idle, counts),), (("l", "UF", flags),)
    )


def test_a_dead_worker_takes_its_connections_and_leaves_its_counts() -> None:
    totals = RequestTotals()
    totals.absorb(0, make_stats(make_counts(ok=3), idle=2, flags=1))
    totals.absorb(1, make_stats(make_counts(ok=4, failed=1, retries=2), idle=5, flags=2))
    totals.absorb(0, make_stats(make_counts(ok=5), idle=3, flags=1))
    everything = make_counts(ok=9, failed=1, retries=2)
    assert totals.rules() == {RULE: everything}
    assert totals.endpoints() == {ENDPOINT: EndpointRequests(8, everything)}
    assert totals.flags() == {("l", "UF"): 3}
    totals.worker_left(1)
    assert totals.rules() == {RULE: everything}
    assert totals.endpoints() == {ENDPOINT: EndpointRequests(3, everything)}
    totals.absorb(1, make_stats(make_counts(ok=1), idle=1, flags=1))
    assert totals.rules() == {RULE: make_counts(ok=10, failed=1, retries=2)}
    assert totals.flags() == {("l", "UF"): 4}


def test_what_the_configuration_names_is_kept() -> None:
    totals = RequestTotals()
    totals.absorb(0, make_stats(make_counts(ok=1), flags=1))
    unmatched = (RouteStats(CLUSTER, "", "", make_counts(missing=1)), RouteStats("", CLUSTER, "", make_counts(ok=1)))
    totals.absorb(1, RequestStats(unmatched))
    totals.worker_left(1)
    totals.keep_only(make_snapshot())
    assert len(totals.rules()) == 3
    assert (len(totals.endpoints()), len(totals.flags())) == (1, 1)
    totals.keep_only(EMPTY)
    assert not totals.rules()
    assert not totals.endpoints()
    assert not totals.flags()


def test_a_table_that_went_and_came_back_counts_on() -> None:
    totals = RequestTotals()
    totals.absorb(0, make_stats(make_counts(ok=5)))
    totals.absorb(0, make_stats(make_counts(ok=1)))
    totals.absorb(0, make_stats(make_counts(ok=2)))
    assert totals.rules() == {RULE: make_counts(ok=7)}


def test_a_worker_that_never_reported_may_leave() -> None:
    totals = RequestTotals()
    totals.worker_left(0)
    assert not totals.rules()


def test_sums() -> None:
    assert sum_of([]) == RequestCounts()
    one, other = make_counts(ok=1, retries=1), make_counts(failed=2)
    assert sum_of([one, RequestCounts(), other]) == make_counts(ok=1, failed=2, retries=1)


def test_counters_never_go_down_whatever_happens_to_workers() -> None:
    random, totals = Random(1), RequestTotals()
    counts, everything, before = [0, 0, 0], 0, 0
    for _ in range(300):
        worker = random.randrange(3)
        if random.random() < 0.1:
            totals.worker_left(worker)
            counts[worker] = 0
        else:
            ended = random.randrange(10)
            everything += ended
            counts[worker] += ended
            totals.absorb(worker, make_stats(make_counts(ok=counts[worker])))
        now = sum(sum(each.statuses) for each in totals.rules().values())
        assert now >= before
        before = now
    assert before == everything
