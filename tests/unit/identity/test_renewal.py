"""A thousand proxies that started together do not renew together, and an outage does not bring them together."""

from __future__ import annotations

import heapq
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.backoff import Backoff
from meshproxy.identity.renewal import renew_at
from meshproxy.identity.sources.ca import RETRY

DAY = 86400.0
SIDECARS = 1000


@given(st.floats(0, 1, exclude_max=True), st.floats(60, 1e7))
def test_it_is_about_half_of_the_life(chance: float, lifetime: float) -> None:
    assert 0.4 * lifetime <= renew_at(0, lifetime, chance) <= 0.6 * lifetime


def test_a_thousand_sidecars_spread_their_renewals() -> None:
    """Started in one minute, over three days: the busiest minute has a few renewals, once a day has passed."""
    random = Random(1)
    due = [renew_at(start := random.uniform(0, 60), start + DAY, random.random()) for _ in range(SIDECARS)]
    heapq.heapify(due)
    minutes: Counter[int] = Counter()
    while due[0] < 3 * DAY:
        now = heapq.heappop(due)
        minutes[int(now // 60)] += 1
        heapq.heappush(due, renew_at(now, now + DAY, random.random()))
    assert max(minutes.values()) <= 15
    assert sum(minutes.values()) == pytest.approx(5 * SIDECARS, rel=0.1)


def test_after_an_outage_they_come_back_over_minutes() -> None:
    """The CA was away for the whole time in which everyone had to renew: all of them wait, and none is refused."""
    random = Random(2)
    returns = DAY * 0.7
    arrivals: Counter[int] = Counter()
    for _ in range(SIDECARS):
        now, backoff = renew_at(0, DAY, random.random()), Backoff(*RETRY, random.random)
        while now < returns:
            now += backoff.next_delay()
        arrivals[int(now - returns)] += 1
    assert max(arrivals) <= RETRY[1]
    assert max(arrivals.values()) <= 30, "a second's worth is far below the 500 that a CA can sign"
