from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.balancing.turns import Turns, WeightClass, class_weight


def make_turns(shares: dict[int, int], random: Random | None = None) -> Turns[WeightClass]:
    turns: Turns[WeightClass] = Turns(random.random if random else lambda: 0.5)
    for weight, share in shares.items():
        group = WeightClass(weight)
        turns.add(group)
        turns.set_share(group, share)
    return turns


def take(turns: Turns[WeightClass], count: int) -> list[int]:
    taken = [turns.next() for _ in range(count)]
    return [group.weight for group in taken if group is not None]


@given(st.integers(1, 65535))
def test_class_weights_are_exact_up_to_128_and_within_a_hundredth_beyond(weight: int) -> None:
    rounded = class_weight(weight)
    assert rounded == weight if weight <= 128 else abs(rounded - weight) <= 0.008 * weight
    assert class_weight(rounded) == rounded


def test_there_are_few_class_weights() -> None:
    assert len({class_weight(weight) for weight in range(1, 65536)}) <= 704


@pytest.mark.parametrize("weight", [100, 200, 250, 256, 400, 500, 1000, 1024, 2000, 32768])
def test_common_weights_are_exact(weight: int) -> None:
    assert class_weight(weight) == weight


def test_nobody_has_a_turn_where_there_is_no_class() -> None:
    assert make_turns({}).next() is None


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("shares", [{1: 5, 2: 2}, {1: 1, 2: 1}, {1: 3, 2: 2, 3: 7}, {1: 1, 2: 99}, {1: 1}])
def test_every_run_of_as_many_turns_as_shares_gives_each_its_share(shares: dict[int, int], seed: int) -> None:
    total = sum(shares.values())
    taken = take(make_turns(shares, Random(seed)), 5 * total)
    for start in range(4 * total):
        assert Counter(taken[start : start + total]) == Counter(shares)


@given(
    st.dictionaries(st.integers(1, 100), st.integers(1, 1000), min_size=1, max_size=12),
    st.integers(1, 300),
    st.randoms(use_true_random=False),
)
def test_nobody_is_ever_two_turns_ahead_or_behind(shares: dict[int, int], count: int, random: Random) -> None:
    taken = Counter(take(make_turns(shares, random), count))
    for weight, share in shares.items():
        assert abs(taken[weight] - count * share / sum(shares.values())) < 1 + len(shares) / 2


def test_lower_ranks_come_first_and_equal_ones_take_turns() -> None:
    turns = make_turns({1: 10, 2: 10, 3: 10})
    turns.set_rank(turns.classes[2], 0.5)
    assert Counter(take(turns, 10)) == {1: 5, 3: 5}
    turns.set_rank(turns.classes[1], 0.7)
    turns.set_rank(turns.classes[3], 0.7)
    assert Counter(take(turns, 10)) == {2: 10}


def test_one_that_could_not_be_picked_for_long_does_not_make_up_for_it() -> None:
    turns = make_turns({1: 10, 2: 10})
    turns.set_rank(turns.classes[2], 1.0)
    take(turns, 1000)
    turns.set_rank(turns.classes[2], 0.0)
    assert abs(take(turns, 20).count(2) - 10) <= 1


def test_a_share_that_grows_counts_at_once() -> None:
    turns = make_turns({1: 1, 2: 10_000})
    take(turns, 10)
    turns.set_share(turns.classes[1], 10_000)
    assert abs(take(turns, 100).count(1) - 50) <= 1


def test_a_newcomer_has_its_share_from_the_beginning() -> None:
    turns = make_turns({1: 10})
    take(turns, 1000)
    group = WeightClass(2)
    turns.add(group)
    turns.set_share(group, 10)
    assert abs(take(turns, 20).count(2) - 10) <= 1


def test_one_that_was_removed_has_no_turn() -> None:
    turns = make_turns({1: 1, 2: 1, 3: 1})
    turns.remove(turns.classes[2])
    assert set(take(turns, 10)) == {1, 3}
    turns.remove(turns.classes[1])
    assert set(take(turns, 10)) == {3}
    turns.remove(turns.classes[3])
    assert turns.next() is None


def test_outdated_entries_do_not_pile_up() -> None:
    turns = make_turns({1: 1, 2: 1})
    for number in range(10_000):
        turns.set_rank(turns.classes[2], float(number))
    assert len(turns._heap) < 100
    assert set(take(turns, 10)) == {1}
