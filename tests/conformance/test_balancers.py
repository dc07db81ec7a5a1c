"""What every balancing algorithm must do, whatever it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from math import sqrt
from random import Random

import pytest

from meshproxy.balancing.api import Member
from meshproxy.balancing.factory import make_balancer
from meshproxy.balancing.source_hash import point_count
from meshproxy.snapshot.model import Algorithm
from tests.support.balancing import client, lines_run, make_filled, make_members, owners, pick_counts, replace

HASHING = (Algorithm.SOURCE_HASH, Algorithm.MAGLEV)
every_algorithm = pytest.mark.parametrize("algorithm", list(Algorithm), ids=lambda each: each.value)
every_hashing = pytest.mark.parametrize("algorithm", HASHING, ids=lambda each: each.value)

TOLERANCE = {
    Algorithm.ROUND_ROBIN: 0.001,
    Algorithm.LEAST_CONNECTIONS: 0.001,
    Algorithm.RANDOM: 0.05,
    Algorithm.LEAST_REQUEST: 0.05,
    Algorithm.MAGLEV: 0.05,
}
"""How far a share may be from the ideal one."""


def tolerance(algorithm: Algorithm, weight: int, heaviest: int) -> float:
    """A ring's shares depend on where its points fall: three standard deviations."""
    if algorithm is Algorithm.SOURCE_HASH:
        return 3 / sqrt(point_count(weight, heaviest))
    return TOLERANCE[algorithm]


# -- shares ----------------------------------------------------------------------------------


@every_algorithm
@pytest.mark.parametrize(
    "weights",
    [[1], [100] * 10, [1, 2, 3, 4], [5, 1, 1], [200, 100, 100, 50], [60000, 30000]],
    ids=lambda weights: "-".join(map(str, weights)) if len(weights) < 10 else f"{len(weights)}x{weights[0]}",
)
def test_shares_are_in_proportion_to_weights(algorithm: Algorithm, weights: list[int]) -> None:
    picks = 20_000
    counts = pick_counts(make_filled(algorithm, make_members(weights)), picks)
    for number, weight in enumerate(weights):
        ideal = picks * weight / sum(weights)
        assert counts[f"m{number}"] == pytest.approx(ideal, rel=tolerance(algorithm, weight, max(weights)), abs=1)


@every_algorithm
def test_connections_that_stay_are_in_proportion_to_weights(algorithm: Algorithm) -> None:
    members = make_members([1, 2, 3, 4])
    balancer = make_filled(algorithm, members)
    for number in range(10_000):
        balancer.acquire(balancer.pick(client(number)))
    for member in members:
        assert member.active == pytest.approx(1000 * member.weight, rel=tolerance(algorithm, member.weight, 4), abs=1)


@every_algorithm
def test_weight_0_gets_nothing(algorithm: Algorithm) -> None:
    balancer = make_filled(algorithm, make_members({"none": 0, "a": 1, "b": 65535}))
    assert "none" not in pick_counts(balancer, 1000)
    assert balancer.available_count == 2


@every_algorithm
def test_only_a_weight_of_0_is_nobody(algorithm: Algorithm) -> None:
    balancer = make_filled(algorithm, make_members([0, 0]))
    assert balancer.pick(client(0)) is None
    assert balancer.available_count == 0


@every_algorithm
def test_nobody_can_be_picked_before_the_first_replace(algorithm: Algorithm) -> None:
    balancer = make_balancer(algorithm, Random(1).random)
    assert balancer.pick(client(0)) is None
    assert balancer.available_count == 0


@every_algorithm
def test_every_member_of_many_gets_its_turn(algorithm: Algorithm) -> None:
    members = make_members([100] * 50)
    assert len(pick_counts(make_filled(algorithm, members), 5000)) == 50


# -- availability ----------------------------------------------------------------------------


@every_algorithm
def test_one_that_is_unavailable_is_not_picked_until_it_is_back(algorithm: Algorithm) -> None:
    members = make_members([1, 1, 2])
    balancer = make_filled(algorithm, members)
    balancer.set_available(members[2], False)
    assert set(owners(balancer, 500)) == {"m0", "m1"}
    balancer.set_available(members[2], True)
    assert set(owners(balancer, 500)) == {"m0", "m1", "m2"}


@every_algorithm
def test_setting_availability_twice_changes_nothing(algorithm: Algorithm) -> None:
    members = make_members([1, 1, 0])
    balancer = make_filled(algorithm, members)
    for available, count in ((False, 1), (False, 1), (True, 2), (True, 2)):
        balancer.set_available(members[0], available)
        assert balancer.available_count == count
    balancer.set_available(members[2], False)
    assert balancer.available_count == 2


@every_algorithm
def test_all_unavailable_is_nobody(algorithm: Algorithm) -> None:
    members = make_members([1, 2, 3])
    balancer = make_filled(algorithm, members)
    for member in members:
        balancer.set_available(member, False)
    assert balancer.pick(client(0)) is None
    assert balancer.available_count == 0
    balancer.set_available(members[1], True)
    assert set(owners(balancer, 10)) == {"m1"}


@every_algorithm
def test_the_only_one_left_of_many_is_found(algorithm: Algorithm) -> None:
    members = make_members([100] * 2000)
    balancer = make_filled(algorithm, members)
    for member in members[1:]:
        balancer.set_available(member, False)
    assert set(owners(balancer, 100)) == {"m0"}


@every_algorithm
def test_a_newcomer_that_is_unavailable_waits(algorithm: Algorithm) -> None:
    members = make_members([1, 1])
    members[0].available = False
    balancer = make_filled(algorithm, members)
    assert set(owners(balancer, 50)) == {"m1"}
    balancer.set_available(members[0], True)
    assert set(owners(balancer, 50)) == {"m0", "m1"}


@every_algorithm
def test_the_availability_of_one_that_left_matters_no_more(algorithm: Algorithm) -> None:
    members = make_members([1, 1])
    balancer = make_filled(algorithm, members)
    replace(balancer, members[1:])
    balancer.set_available(members[0], False)
    balancer.set_available(members[0], True)
    assert balancer.available_count == 1
    assert set(owners(balancer, 50)) == {"m1"}


# -- replacing -------------------------------------------------------------------------------


@every_algorithm
def test_replacing_keeps_counts_and_availability(algorithm: Algorithm) -> None:
    a, b, c = make_members({"a": 1, "b": 1, "c": 1})
    balancer = make_filled(algorithm, [a, b])
    balancer.acquire(a)
    balancer.set_available(b, False)
    replace(balancer, [c, b, a])
    assert (a.active, b.available) == (1, False)
    assert balancer.available_count == 2
    balancer.release(a)
    assert set(owners(balancer, 200)) == {"a", "c"}


@every_algorithm
def test_a_new_object_takes_the_place_of_the_one_with_its_key(algorithm: Algorithm) -> None:
    old, other = make_members({"a": 1, "b": 3})
    balancer = make_filled(algorithm, [old, other])
    new = Member("a", 9)
    replace(balancer, [new, other])
    picked = [balancer.pick(client(number)) for number in range(6000)]
    assert old not in picked
    assert picked.count(new) / len(picked) == pytest.approx(0.75, abs=0.07)
    balancer.set_available(old, False)
    assert balancer.available_count == 2


@every_algorithm
def test_a_weight_that_becomes_0_ends_the_traffic(algorithm: Algorithm) -> None:
    old, other = make_members({"a": 1, "b": 3})
    balancer = make_filled(algorithm, [old, other])
    replace(balancer, [Member("a", 0), other])
    assert set(owners(balancer, 100)) == {"b"}
    replace(balancer, [Member("a", 5), other])
    assert set(owners(balancer, 100)) == {"a", "b"}


@every_algorithm
def test_weights_that_become_0_count_as_soon_as_they_are_in(algorithm: Algorithm) -> None:
    balancer = make_filled(algorithm, make_members([1] * 600))
    for step, _ in enumerate(balancer.replace(make_members([0] * 590 + [1] * 10))):
        for number in range(20):
            picked = balancer.pick(client(20 * step + number))
            assert picked is not None
            assert picked.weight == 1


@every_algorithm
def test_whoever_is_counted_as_available_can_be_picked_from_the_first_step_on(algorithm: Algorithm) -> None:
    balancer = make_balancer(algorithm, Random(1).random)
    for step, _ in enumerate(balancer.replace(make_members([1] * 600))):
        assert (balancer.pick(client(step)) is not None) == (balancer.available_count > 0)


@every_algorithm
def test_an_empty_set_is_nobody(algorithm: Algorithm) -> None:
    members = make_members([1] * 5)
    balancer = make_filled(algorithm, members)
    replace(balancer, [])
    assert balancer.pick(client(0)) is None
    assert balancer.available_count == 0
    replace(balancer, members)
    assert set(owners(balancer, 500)) == {member.key for member in members}


@every_algorithm
def test_somebody_valid_can_be_picked_at_every_step_of_a_complete_change(algorithm: Algorithm) -> None:
    before = make_members({f"old{number}": 100 for number in range(1000)})
    after = make_members({f"new{number}": 100 for number in range(1000)})
    balancer = make_filled(algorithm, before)
    valid = set(before) | set(after)
    for step, _ in enumerate(balancer.replace(after)):
        assert balancer.pick(client(step)) in valid
    assert {balancer.pick(client(number)) for number in range(1000)} <= set(after)


@every_algorithm
def test_availability_and_connections_may_change_between_steps(algorithm: Algorithm) -> None:
    before = make_members({f"old{number}": 1 + number % 7 for number in range(700)})
    after = before[350:] + make_members({f"new{number}": 1 + number % 5 for number in range(700)})
    balancer = make_filled(algorithm, before)
    random = Random(4)
    for step, _ in enumerate(balancer.replace(after)):
        for member in random.sample(before + after, 20):
            balancer.set_available(member, not member.available)
        picked = balancer.pick(client(step))
        assert picked is not None
        assert picked.available
        balancer.acquire(picked)
    assert balancer.available_count == sum(each.available for each in after)
    assert all(each in after and each.available for each in (balancer.pick(client(n)) for n in range(500)))


@every_algorithm
def test_counts_of_members_that_left_go_on(algorithm: Algorithm) -> None:
    members = make_members([1, 1])
    balancer = make_filled(algorithm, members)
    balancer.acquire(members[0])
    balancer.acquire(members[0])
    replace(balancer, members[1:])
    balancer.release(members[0])
    assert members[0].active == 1
    replace(balancer, members)
    balancer.release(members[0])
    assert members[0].active == 0


@every_algorithm
def test_a_stranger_can_be_counted(algorithm: Algorithm) -> None:
    balancer = make_filled(algorithm, make_members([1]))
    stranger = Member("stranger", 1)
    balancer.acquire(stranger)
    assert stranger.active == 1
    assert set(owners(balancer, 10)) == {"m0"}


# -- cost ------------------------------------------------------------------------------------


def dearest(actions: Iterable[Callable[[], object]]) -> int:
    return max(lines_run(action) for action in actions)


def cost_of_picks(algorithm: Algorithm, members: list[Member]) -> int:
    """The most lines that one of many picks runs, connections coming and going."""
    balancer = make_filled(algorithm, members)
    for number in range(len(members)):
        balancer.acquire(balancer.pick(client(number)))

    def connect(number: int) -> None:
        member = balancer.pick(client(number))
        balancer.acquire(member)
        if number % 3:
            balancer.release(member)

    return dearest(partial(connect, number) for number in range(300))


@every_algorithm
@pytest.mark.parametrize("weight", [lambda n: 100, lambda n: 1 + n % 100], ids=["equal", "weighted"])
def test_a_connection_costs_the_same_with_2500_members_as_with_10(
    algorithm: Algorithm, weight: Callable[[int], int]
) -> None:
    few = cost_of_picks(algorithm, make_members(weight(number) for number in range(10)))
    many = cost_of_picks(algorithm, make_members(weight(number) for number in range(2500)))
    # A heap of 100 weights drops outdated entries now and then, and Random may draw a few times more.
    assert many < few + 250


@every_algorithm
def test_a_change_of_availability_costs_the_same_with_2500_members_as_with_10(algorithm: Algorithm) -> None:
    def cost(count: int) -> int:
        members = make_members([100] * count)
        balancer = make_filled(algorithm, members)
        changed = Random(1).sample(members, 10)
        off = dearest(partial(balancer.set_available, member, False) for member in changed)
        on = dearest(partial(balancer.set_available, member, True) for member in changed)
        return off + on

    assert cost(2500) <= cost(10) + 5


@every_algorithm
def test_picking_costs_the_same_when_most_members_are_out(algorithm: Algorithm) -> None:
    members = make_members([100] * 2500)
    balancer = make_filled(algorithm, members)
    for member in members[50:]:
        balancer.set_available(member, False)
    for number in range(100):
        balancer.pick(client(number))  # the first of them may have to find out who is left
    assert (
        dearest(partial(balancer.pick, client(number)) for number in range(200)) < 12 * 64 + 50
    )  # 64 probes, whatever the number of members


@every_algorithm
def test_replacing_is_done_in_small_steps(algorithm: Algorithm) -> None:
    balancer = make_balancer(algorithm, Random(1).random)
    steps = balancer.replace(make_members([100] * 1000))
    costs = []
    finished = object()
    ended: object = None
    while ended is not finished:

        def step() -> None:
            nonlocal ended
            ended = next(steps, finished)

        costs.append(lines_run(step))
    assert len(costs) > 5
    assert max(costs) < 25_000  # a line takes some 40 nanoseconds


# -- hashing ---------------------------------------------------------------------------------


@every_hashing
def test_a_client_always_gets_the_same_member(algorithm: Algorithm) -> None:
    balancer = make_filled(algorithm, make_members([100] * 20))
    assert owners(balancer, 500) == owners(balancer, 500)


@every_hashing
def test_proxies_agree_however_they_came_to_their_members(algorithm: Algorithm) -> None:
    weights = {f"10.0.0.{number}:80": 1 + number % 5 for number in range(40)}
    one = make_filled(algorithm, make_members(weights), seed=1)
    members = make_members(weights)
    Random(9).shuffle(members)
    other = make_filled(algorithm, members[:13], seed=2)
    replace(other, members[7:])
    replace(other, members)
    assert owners(one, 1000) == owners(other, 1000)


@every_hashing
@pytest.mark.parametrize("out", [1, 20, 38, 39])
def test_proxies_agree_while_members_are_out(algorithm: Algorithm, out: int) -> None:
    def make(seed: int) -> list[str | None]:
        members = make_members([100] * 40)
        balancer = make_filled(algorithm, members, seed)
        for member in Random(seed).sample(members[:out], out):
            balancer.set_available(member, False)
        return owners(balancer, 500)

    assert make(1) == make(2)


@every_hashing
def test_only_clients_of_a_member_that_is_out_move_and_they_come_back(algorithm: Algorithm) -> None:
    members = make_members([100] * 20)
    balancer = make_filled(algorithm, members)
    before = owners(balancer, 4000)
    balancer.set_available(members[3], False)
    meanwhile = owners(balancer, 4000)
    moved = {now for then, now in zip(before, meanwhile, strict=True) if then == "m3"}
    assert all(now == then for then, now in zip(before, meanwhile, strict=True) if then != "m3")
    assert len(moved) > 15  # all over the others
    balancer.set_available(members[3], True)
    assert owners(balancer, 4000) == before


@every_hashing
def test_clients_stay_when_even_more_go_out(algorithm: Algorithm) -> None:
    """Also where so many are out that a table of the others is made."""
    members = make_members([100] * 500)
    balancer = make_filled(algorithm, members)
    for member in members[10:]:
        balancer.set_available(member, False)
    before = owners(balancer, 3000)
    assert len(set(before)) == 10
    balancer.set_available(members[4], False)
    after = owners(balancer, 3000)
    moved = sum(1 for then, now in zip(before, after, strict=True) if then not in (now, "m4"))
    assert moved / len(before) < 0.06
    assert "m4" not in after
    balancer.set_available(members[4], True)
    assert owners(balancer, 3000) == before


@every_hashing
@pytest.mark.parametrize("count", [5, 20, 100])
def test_adding_one_of_n_moves_about_one_nth_of_the_clients(algorithm: Algorithm, count: int) -> None:
    members = make_members([100] * count)
    balancer = make_filled(algorithm, members[:-1])
    before = owners(balancer, 10_000)
    replace(balancer, members)
    after = owners(balancer, 10_000)
    moved = [(then, now) for then, now in zip(before, after, strict=True) if then != now]
    assert 0.6 / count < len(moved) / 10_000 < 1.6 / count + 0.01
    if algorithm is Algorithm.SOURCE_HASH:
        assert {now for _, now in moved} == {f"m{count - 1}"}
    replace(balancer, members[:-1])
    assert owners(balancer, 10_000) == before


@every_hashing
def test_the_table_is_kept_where_only_objects_change(algorithm: Algorithm) -> None:
    members = make_members([100] * 20)
    balancer = make_filled(algorithm, members)
    before = owners(balancer, 500)
    fresh = make_members([100] * 20)
    assert replace(balancer, fresh) < 5
    assert owners(balancer, 500) == before
    assert all(balancer.pick(client(number)) in fresh for number in range(500))


@every_hashing
def test_the_old_table_serves_until_the_new_one_is_complete(algorithm: Algorithm) -> None:
    members = make_members([100] * 50)
    balancer = make_filled(algorithm, members[:-1])
    before = owners(balancer, 300)
    steps = balancer.replace(members)
    next(steps)
    while next(steps, "end") != "end" and "m49" not in (now := owners(balancer, 300)):
        assert now == before
