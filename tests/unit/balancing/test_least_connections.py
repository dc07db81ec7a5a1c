from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from meshproxy.balancing.api import Member
from meshproxy.balancing.least_connections import LeastConnections
from tests.support.balancing import make_members, owners, replace


def make_least_connections(members: list[Member], seed: int = 1) -> LeastConnections[Member]:
    balancer: LeastConnections[Member] = LeastConnections(Random(seed).random)
    replace(balancer, members)
    return balancer


def connect(balancer: LeastConnections[Member], times: int = 1) -> list[Member]:
    connected = []
    for _ in range(times):
        member = balancer.pick(0)
        assert member is not None
        balancer.acquire(member)
        connected.append(member)
    return connected


def test_connections_go_where_there_are_fewest() -> None:
    a, b, c = make_members([1, 1, 1])
    balancer = make_least_connections([a, b, c])
    for member, times in ((a, 3), (b, 1), (c, 2)):
        for _ in range(times):
            balancer.acquire(member)
    assert connect(balancer) == [b]
    assert set(connect(balancer, 2)) == {b, c}
    assert set(connect(balancer, 3)) == {a, b, c}


def test_weights_divide_the_number_of_connections() -> None:
    light, heavy = make_members([1, 4])
    balancer = make_least_connections([light, heavy])
    connect(balancer, 500)
    assert (light.active, heavy.active) == (100, 400)
    for _ in range(300):
        balancer.release(heavy)
    assert set(connect(balancer, 299)) == {heavy}


def test_an_idle_service_spreads_its_connections_in_turn() -> None:
    members = make_members([100] * 6)
    balancer = make_least_connections(members)
    picked = []
    for _ in range(60):
        (member,) = connect(balancer)
        balancer.release(member)
        picked.append(member.key)
    for start in range(54):
        assert len(set(picked[start : start + 6])) == 6


def test_an_idle_service_spreads_its_connections_by_weight() -> None:
    balancer = make_least_connections(make_members({"a": 5, "b": 1, "c": 1}))
    assert Counter(owners(balancer, 700)) == {"a": 500, "b": 100, "c": 100}


def test_the_idle_members_alone_share_what_a_busy_weight_leaves_them() -> None:
    """Two idle members, of weights 1 and 2: the 99 busy ones that have the first one's weight do not count."""
    *busy, light, heavy = make_members([1] * 100 + [2])
    balancer = make_least_connections([*busy, light, heavy])
    for member in busy:
        balancer.acquire(member)
    picked = Counter(owners(balancer, 300))
    assert picked[light.key] == pytest.approx(100, abs=2)
    assert picked[heavy.key] == pytest.approx(200, abs=2)


def test_workers_begin_with_different_members() -> None:
    first = Counter(owners(make_least_connections(make_members([100] * 10), seed), 1)[0] for seed in range(300))
    assert len(first) == 10
    assert max(first.values()) < 60


def test_the_idlest_may_leave_a_gap_between_the_numbers_of_connections() -> None:
    a, b, c = make_members([1, 1, 1])
    balancer = make_least_connections([a, b, c])
    for member, times in ((b, 5), (c, 9)):
        for _ in range(times):
            balancer.acquire(member)
    balancer.set_available(a, False)
    assert balancer.pick(0) is b
    balancer.set_available(b, False)
    assert balancer.pick(0) is c
    balancer.set_available(a, True)
    assert balancer.pick(0) is a


def test_connections_count_while_a_member_is_out() -> None:
    a, b = make_members([1, 1])
    balancer = make_least_connections([a, b])
    balancer.set_available(a, False)
    for _ in range(3):
        balancer.acquire(a)
    connect(balancer, 2)
    balancer.set_available(a, True)
    assert connect(balancer) == [b]
    balancer.set_available(a, False)
    for _ in range(3):
        balancer.release(a)
    balancer.set_available(a, True)
    assert connect(balancer, 2) == [a, a]
