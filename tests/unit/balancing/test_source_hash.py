from __future__ import annotations

from hashlib import sha256

import pytest

from meshproxy.balancing.source_hash import POINTS, SourceHash, build_ring, point_count
from meshproxy.snapshot.model import Algorithm
from tests.support.balancing import finish, make_filled, make_members, owners, replace


@pytest.mark.parametrize(
    ("weight", "heaviest", "points"),
    [(1, 1, POINTS), (100, 100, 200), (100, 128, 200), (100, 129, 100), (128, 128, POINTS), (1, 65535, 1)],
)
def test_points_are_in_proportion_to_weight(weight: int, heaviest: int, points: int) -> None:
    assert point_count(weight, heaviest) == points


def test_the_whole_circle_has_an_owner() -> None:
    keys = {f"m{number}": 100 for number in range(3)}
    ring = finish(build_ring(keys))
    for hashed in (0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 2**32, 2**64 - 1):
        assert ring.owner(hashed) in keys
    assert ring.owner(2**64 - 1) == ring.owner(0)  # past the last point comes the first


def test_a_lighter_member_that_becomes_lighter_moves_nobody_else() -> None:
    members = make_members({"a": 100, "b": 100, "c": 80})
    balancer = make_filled(Algorithm.SOURCE_HASH, members)
    before = owners(balancer, 5000)
    replace(balancer, [*members[:2], *make_members({"c": 40})])
    moved = {then for then, now in zip(before, owners(balancer, 5000), strict=True) if then != now}
    assert moved == {"c"}


def test_the_heaviest_may_leave_without_moving_others() -> None:
    members = make_members({"a": 120, "b": 100, "c": 70})
    balancer = make_filled(Algorithm.SOURCE_HASH, members)
    before = owners(balancer, 5000)
    replace(balancer, members[1:])
    moved = {then for then, now in zip(before, owners(balancer, 5000), strict=True) if then != now}
    assert moved == {"a"}


def test_releases_of_this_program_agree() -> None:
    """A client's member must not change because one of several proxies was upgraded."""
    members = make_members({f"10.0.0.{number}:80": 100 + number for number in range(20)})
    found = ",".join(str(key) for key in owners(make_filled(Algorithm.SOURCE_HASH, members), 1000))
    assert sha256(found.encode()).hexdigest()[:16] == "99733827c0cbb613"


def test_nobody_owns_anything_without_members() -> None:
    assert SourceHash().pick(0) is None
