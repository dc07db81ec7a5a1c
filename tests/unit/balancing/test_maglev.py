from __future__ import annotations

from collections import Counter
from hashlib import sha256
from math import isqrt

import pytest

from meshproxy.balancing.maglev import LARGE_TABLE, SMALL_TABLE, SMALL_UP_TO, build_table
from meshproxy.snapshot.model import Algorithm
from tests.support.balancing import finish, make_filled, make_members, owners


def entries(weights: dict[str, int], size: int = SMALL_TABLE) -> Counter[str]:
    table = finish(build_table(weights))
    return Counter(table.owner(number) for number in range(size))


@pytest.mark.parametrize("size", [SMALL_TABLE, LARGE_TABLE])
def test_sizes_are_prime_so_that_every_stride_comes_by_every_entry(size: int) -> None:
    assert all(size % divisor for divisor in range(2, isqrt(size) + 1))


def test_equal_weights_own_equally_many_entries_but_for_one() -> None:
    owned = entries({f"m{number}": 100 for number in range(300)})
    assert set(owned.values()) == {SMALL_TABLE // 300, SMALL_TABLE // 300 + 1}


def test_weights_count() -> None:
    owned = entries({"a": 1, "b": 2, "c": 5})
    for key, weight in (("a", 1), ("b", 2), ("c", 5)):
        assert owned[key] == pytest.approx(SMALL_TABLE * weight / 8, abs=2)


def test_one_heavy_among_many_light_members() -> None:
    """The light ones claim an entry once in 65,535 rounds, and cost nothing in between."""
    weights = {"heavy": 65535} | {f"light{number}": 1 for number in range(3000)}
    assert sum(1 for _ in build_table(weights)) < 2000
    assert entries(weights)["heavy"] > 0.95 * SMALL_TABLE


def test_many_members_have_a_larger_table() -> None:
    owned = entries({f"m{number}": 1 for number in range(SMALL_UP_TO + 1)}, LARGE_TABLE)
    assert sum(owned.values()) == LARGE_TABLE
    assert max(owned.values()) - min(owned.values()) == 1


def test_a_member_too_light_for_an_entry_serves_when_all_others_are_out() -> None:
    members = make_members({f"m{number}": 65535 for number in range(50)} | {"light": 1})
    balancer = make_filled(Algorithm.MAGLEV, members)
    assert "light" not in owners(balancer, 2000)
    for member in members[:-1]:
        balancer.set_available(member, False)
    assert set(owners(balancer, 100)) == {"light"}


def test_releases_of_this_program_agree() -> None:
    """A client's member must not change because one of several proxies was upgraded."""
    members = make_members({f"10.0.0.{number}:80": 100 + number for number in range(20)})
    found = ",".join(str(key) for key in owners(make_filled(Algorithm.MAGLEV, members), 1000))
    assert sha256(found.encode()).hexdigest()[:16] == "5594fcee365f9b13"
