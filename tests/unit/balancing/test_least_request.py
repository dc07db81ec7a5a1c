from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from meshproxy.balancing.api import Member
from meshproxy.balancing.least_request import LeastRequest
from tests.support.balancing import make_members, owners, replace


def make_least_request(members: list[Member]) -> LeastRequest[Member]:
    balancer: LeastRequest[Member] = LeastRequest(Random(2).random)
    replace(balancer, members)
    return balancer


def test_the_busiest_is_picked_only_when_it_was_drawn_twice() -> None:
    members = make_members([100] * 4)
    balancer = make_least_request(members)
    for _ in range(5):
        balancer.acquire(members[0])
    counts = Counter(owners(balancer, 16_000))
    assert counts["m0"] == pytest.approx(1000, rel=0.15)


def test_activity_is_compared_by_weight() -> None:
    light, heavy = make_members([1, 3])
    balancer = make_least_request([light, heavy])
    balancer.acquire(light)
    for _ in range(2):
        balancer.acquire(heavy)
    counts = Counter(owners(balancer, 16_000))
    assert counts["m0"] == pytest.approx(1000, rel=0.15)  # 2/3 is less than 1/1: only drawn twice, 1/4 * 1/4


def test_connections_that_stay_even_out_far_better_than_at_random() -> None:
    members = make_members([100] * 100)
    balancer = make_least_request(members)
    for _ in range(10_000):
        member = balancer.pick(0)
        assert member is not None
        balancer.acquire(member)
    assert max(member.active for member in members) <= 105  # at random, some have 125 and more
