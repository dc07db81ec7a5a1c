from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from meshproxy.balancing.api import Member
from meshproxy.balancing.random_choice import RandomChoice
from tests.support.balancing import make_members, owners, replace


def test_weights_of_all_magnitudes_count_exactly() -> None:
    members = make_members([1, 3, 129, 255, 256, 1001, 20_000, 65535])
    balancer: RandomChoice[Member] = RandomChoice(Random(5).random)
    replace(balancer, members)
    picks = 200_000
    counts = Counter(owners(balancer, picks))
    total = sum(member.weight for member in members)
    for member in members:
        ideal = picks * member.weight / total
        assert counts[member.key] == pytest.approx(ideal, abs=4 * ideal**0.5 + 4)


def test_shares_hold_after_the_heaviest_left_its_octave() -> None:
    heaviest, *members = make_members([127, 64, 96])
    balancer: RandomChoice[Member] = RandomChoice(Random(5).random)
    replace(balancer, [heaviest, *members])
    replace(balancer, members)
    counts = Counter(owners(balancer, 50_000))
    assert counts["m1"] / 50_000 == pytest.approx(0.4, abs=0.01)


def test_shares_hold_after_others_left_their_octaves() -> None:
    members = make_members([100, 1000, 120, 1020])
    balancer: RandomChoice[Member] = RandomChoice(Random(5).random)
    replace(balancer, members)
    for member in members[2:]:
        balancer.set_available(member, False)
    counts = Counter(owners(balancer, 50_000))
    assert counts["m0"] / 50_000 == pytest.approx(1 / 11, abs=0.01)


@pytest.mark.parametrize("constant", [0.0, 0.5, 1 - 2**-53])
def test_any_random_number_leads_to_a_member(constant: float) -> None:
    """Even one that refuses every draw, which a fair source gives once in 2**64 picks."""
    balancer: RandomChoice[Member] = RandomChoice(lambda: constant)
    replace(balancer, make_members([1, 2, 3, 64, 100, 127, 65535]))
    assert balancer.pick(0) is not None
