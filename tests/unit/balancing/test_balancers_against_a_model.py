"""Every algorithm beside a naive model, through any order of changes, picks and connections."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from meshproxy.balancing.api import Balancer, Member
from meshproxy.balancing.factory import make_balancer
from meshproxy.balancing.turns import class_weight
from meshproxy.snapshot.model import Algorithm

KEYS = [f"10.0.0.{number}:80" for number in range(8)]
WEIGHTS = st.sampled_from([0, 1, 1, 1, 2, 3, 100, 100, 127, 129, 1000, 65535])


class Comparison(RuleBasedStateMachine):
    """`members` and `connections` are the model: who is in by key, and to whom connections are open.

    While a change is under way, `leaving` holds who was in before it. The state of a member of
    another weight went to the new one; what is counted for the old one until the end is lost.
    """

    algorithm: Algorithm

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.balancer: Balancer[Any] = make_balancer(self.algorithm, Random(seed).random)
        self.members: dict[str, Member] = {}
        self.leaving: dict[str, Member] = {}
        self.connections: list[Member] = []
        self.steps: Iterator[None] | None = None

    def known(self) -> list[Member]:
        return list({**dict.fromkeys(self.members.values()), **dict.fromkeys(self.leaving.values())})

    def pickable(self) -> list[Member]:
        return [each for each in self.known() if each.available and each.weight]

    # -- what happens ------------------------------------------------------------------------

    @precondition(lambda self: self.steps is None)
    @rule(wanted=st.dictionaries(st.sampled_from(KEYS), WEIGHTS), order=st.randoms(use_true_random=False))
    def replace(self, wanted: dict[str, int], order: Any) -> None:
        """Begin a change; weights that change come as new members that take over the old one's state."""
        self.leaving, self.members = self.members, {}
        for key, weight in wanted.items():
            old = self.leaving.get(key)
            if old is not None and old.weight == weight:
                self.members[key] = old
                continue
            new = self.members[key] = Member(key, weight)
            if old is not None:
                new.active, new.available = old.active, old.available
                self.connections = [new if each is old else each for each in self.connections]
        members = list(self.members.values())
        order.shuffle(members)
        self.steps = iter(self.balancer.replace(members))

    @precondition(lambda self: self.steps is not None)
    @rule()
    def advance(self) -> None:
        assert self.steps is not None
        if next(self.steps, "ended") == "ended":
            self.ended()

    @precondition(lambda self: self.steps is not None)
    @rule()
    def finish(self) -> None:
        assert self.steps is not None
        for _ in self.steps:
            pass
        self.ended()

    def ended(self) -> None:
        self.steps = None
        self.leaving = {}

    @rule(key=st.sampled_from(KEYS), available=st.booleans())
    def set_available(self, key: str, available: bool) -> None:
        if key in self.members:
            self.balancer.set_available(self.members[key], available)

    @rule(key=st.sampled_from(KEYS), weight=WEIGHTS.filter(bool))
    def set_weight(self, key: str, weight: int) -> None:
        if key in self.members and self.members[key].weight:
            self.balancer.set_weight(self.members[key], weight)

    @rule(client=st.integers(0, 2**64 - 1))
    def connect(self, client: int) -> None:
        member = self.balancer.pick(client)
        if member is None:
            assert self.steps is not None or not self.pickable()
            return
        assert member in self.pickable()
        if self.algorithm is Algorithm.LEAST_CONNECTIONS and self.steps is None:
            load = min(Fraction(each.active, class_weight(each.weight)) for each in self.pickable())
            assert Fraction(member.active, class_weight(member.weight)) == load
        self.balancer.acquire(member)
        self.connections.append(member)

    @precondition(lambda self: self.connections)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.connections) - 1))
        self.balancer.release(self.connections.pop(index))

    # -- what must hold ----------------------------------------------------------------------

    @invariant()
    def counts_are_right(self) -> None:
        if self.steps is None:
            assert self.balancer.available_count == len(self.pickable())
        for member in self.members.values():
            assert member.active == self.connections.count(member)

    @invariant()
    def those_that_left_have_no_place(self) -> None:
        if self.steps is None:
            assert all(each.place is None for each in self.connections if each not in self.members.values())


@pytest.mark.parametrize("algorithm", list(Algorithm), ids=lambda each: each.value)
def test_any_order_of_events_agrees_with_the_model(algorithm: Algorithm) -> None:
    class Compared(Comparison):
        pass

    Compared.algorithm = algorithm
    examples = 10 if algorithm is Algorithm.MAGLEV else 60  # a Maglev table takes 0.1 s
    run_state_machine_as_test(Compared, settings=settings(max_examples=examples, stateful_step_count=40))
