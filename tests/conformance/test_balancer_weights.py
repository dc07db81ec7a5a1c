"""What every balancing algorithm must do when a member's weight changes."""

from __future__ import annotations

from functools import partial

import pytest

from meshproxy.snapshot.model import Algorithm
from tests.support.balancing import lines_run, make_filled, make_members, owners, pick_counts, replace

HASHING = (Algorithm.SOURCE_HASH, Algorithm.MAGLEV)
every_algorithm = pytest.mark.parametrize("algorithm", list(Algorithm), ids=lambda each: each.value)


@every_algorithm
def test_a_changed_weight_counts_at_once_or_where_it_hashes_at_the_next_replace(algorithm: Algorithm) -> None:
    members = make_members([100, 100, 100])
    balancer = make_filled(algorithm, members)
    balancer.set_available(members[2], False)
    before = owners(balancer, 5000)
    balancer.set_weight(members[0], 300)
    balancer.set_weight(members[2], 300)
    if algorithm in HASHING:
        assert owners(balancer, 5000) == before
        replace(balancer, members)
    assert pick_counts(balancer, 5000)["m0"] / 5000 == pytest.approx(0.75, abs=0.08)
    balancer.set_available(members[2], True)
    assert pick_counts(balancer, 5000)["m2"] / 5000 == pytest.approx(3 / 7, abs=0.08)
    assert [each.weight for each in members] == [300, 100, 300]
    assert balancer.available_count == 3


@every_algorithm
def test_a_changed_weight_keeps_what_is_open(algorithm: Algorithm) -> None:
    members = make_members([100, 100])
    balancer = make_filled(algorithm, members)
    balancer.acquire(members[0])
    balancer.set_weight(members[0], 7)
    assert members[0].active == 1
    balancer.release(members[0])
    assert members[0].active == 0
    assert set(owners(balancer, 1000)) == {"m0", "m1"}


@every_algorithm
def test_the_weight_of_one_that_is_no_member_is_its_own_affair(algorithm: Algorithm) -> None:
    members = make_members([1, 1])
    balancer = make_filled(algorithm, members[1:])
    balancer.set_weight(members[0], 50)
    assert members[0].weight == 50
    assert balancer.available_count == 1
    assert set(owners(balancer, 50)) == {"m1"}


@every_algorithm
def test_a_change_of_weight_costs_the_same_with_2500_members_as_with_10(algorithm: Algorithm) -> None:
    def cost(count: int) -> int:
        members = make_members([100] * count)
        balancer = make_filled(algorithm, members)
        return max(lines_run(partial(balancer.set_weight, member, 7)) for member in members[:5])

    assert cost(2500) <= cost(10) + 5
