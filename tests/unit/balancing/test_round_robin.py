from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.balancing.api import Member
from meshproxy.balancing.round_robin import RoundRobin
from tests.support.balancing import make_members, owners, replace


def make_round_robin(members: list[Member], start: float = 0.0) -> RoundRobin[Member]:
    """`start`, from 0 up to 1, is where the first round begins."""
    balancer: RoundRobin[Member] = RoundRobin(lambda: start)
    replace(balancer, members)
    return balancer


def sequence(balancer: RoundRobin[Member], picks: int) -> str:
    return "".join(key or "-" for key in owners(balancer, picks))


def test_equal_weights_take_turns_in_order() -> None:
    balancer = make_round_robin(make_members({"a": 100, "b": 100, "c": 100}))
    assert sequence(balancer, 7) == "abcabca"


@pytest.mark.parametrize(
    ("weights", "period"),
    [
        ({"a": 5, "b": 1, "c": 1}, "abaacaa"),
        ({"a": 2, "b": 1}, "aba"),
        ({"a": 3, "b": 2, "c": 1}, "abcaba"),
        ({"a": 4, "b": 4, "c": 1, "d": 1, "e": 2}, "acebabdeabab"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else value,
)
def test_weights_interleave_smoothly(weights: dict[str, int], period: str) -> None:
    assert sequence(make_round_robin(make_members(weights)), len(period)) == period


@pytest.mark.parametrize("seed", range(5))
def test_every_period_of_5_1_1_is_exact_and_no_run_is_longer_than_nginx_makes_it(seed: int) -> None:
    balancer: RoundRobin[Member] = RoundRobin(Random(seed).random)
    replace(balancer, make_members({"a": 5, "b": 1, "c": 1}))
    picked = sequence(balancer, 700)
    for start in range(len(picked) - 7):
        assert Counter(picked[start : start + 7]) == {"a": 5, "b": 1, "c": 1}
    assert "aaaaa" not in picked  # nginx: a a b a c a a, then a a again


def test_workers_begin_with_different_members() -> None:
    first = set()
    for seed in range(40):
        balancer: RoundRobin[Member] = RoundRobin(Random(seed).random)
        replace(balancer, make_members([100] * 10))
        first.update(owners(balancer, 1))
    assert len(first) == 10


def test_the_first_round_begins_at_the_offset_and_goes_on_with_everyone() -> None:
    balancer = make_round_robin(make_members({"a": 1, "b": 1, "c": 1, "d": 1}), start=0.5)
    assert sequence(balancer, 8) == "cdabcdab"


def test_nobody_else_loses_or_gains_a_turn_when_a_member_leaves() -> None:
    members = make_members({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1})
    balancer = make_round_robin(members)
    assert sequence(balancer, 3) == "abc"
    balancer.set_available(members[0], False)  # had its turn
    balancer.set_available(members[4], False)  # had not
    assert sequence(balancer, 1) == "d"
    assert sorted(sequence(balancer, 3)) == ["b", "c", "d"]


@given(st.lists(st.tuples(st.integers(0, 7), st.booleans(), st.integers(0, 4)), max_size=30))
def test_those_that_stay_have_equally_many_turns_whoever_comes_and_goes(events: list[tuple[int, bool, int]]) -> None:
    members = make_members([1] * 12)
    stay = Counter({member.key: 0 for member in members[8:]})
    balancer = make_round_robin(members)
    for number, available, picks in events:
        balancer.set_available(members[number], available)
        stay.update(key for key in owners(balancer, picks) if key is not None and key in stay)
        assert max(stay.values()) - min(stay.values()) <= 1


def test_many_weights_have_their_shares() -> None:
    random = Random(3)
    members = make_members(random.randint(1, 60_000) for _ in range(1500))
    balancer: RoundRobin[Member] = RoundRobin(random.random)
    replace(balancer, members)
    picks = 60_000
    counts = Counter(owners(balancer, picks))
    total = sum(member.weight for member in members)
    for member in members:
        assert counts[member.key] == pytest.approx(picks * member.weight / total, rel=0.01, abs=2.5)
