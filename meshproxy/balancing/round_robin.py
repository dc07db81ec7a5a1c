"""Round robin: members in turn, in proportion to their weights, smoothly interleaved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from meshproxy.balancing.api import M
from meshproxy.balancing.membership import Membership
from meshproxy.balancing.turns import Turns, WeightClass, class_weight

_NOT_STARTED = 1 << 60


class _Rotation(WeightClass, Generic[M]):
    """The pickable members of one weight; those before `cursor` have had their turn in this round.

    Owns the `place` of its members: (the rotation, the index in it).
    """

    __slots__ = ("cursor", "members", "start")

    def __init__(self, weight: int, start: float) -> None:
        super().__init__(weight)
        self.members: list[M] = []
        self.cursor = _NOT_STARTED
        self.start = start

    def next_member(self) -> M:
        members, cursor = self.members, self.cursor
        if cursor >= len(members):
            # The first round begins anywhere, or all workers would begin with the same member.
            cursor = int(self.start * len(members))
            self.start = 0.0
        self.cursor = cursor + 1
        return members[cursor]

    def append(self, member: M) -> None:
        member.place = (self, len(self.members))
        self.members.append(member)

    def remove(self, index: int) -> None:
        """Fill the gap so that nobody else loses a turn in this round or gets a second one."""
        members = self.members
        if index < self.cursor <= len(members):
            self.cursor -= 1
            self._move(self.cursor, index)
            index = self.cursor
        self._move(len(members) - 1, index)
        members.pop()

    def _move(self, source: int, target: int) -> None:
        if source != target:
            member = self.members[target] = self.members[source]
            member.place = (self, target)


class RoundRobin(Membership[M]):
    """IPVS `rr` and `wrr`: classes of equal weight take turns by their shares, members within one class in order.

    As smooth as nginx: weights 5, 1, 1 give a b a a c a a over and over, beginning anywhere in it.
    """

    __slots__ = ("_random", "_turns")

    def __init__(self, random: Callable[[], float]) -> None:
        super().__init__()
        self._random = random
        self._turns: Turns[_Rotation[M]] = Turns(random)

    def pick(self, key: int) -> M | None:
        rotation = self._turns.next()
        return rotation.next_member() if rotation is not None else None

    def _enter(self, member: M) -> None:
        weight = class_weight(member.weight)
        rotation = self._turns.classes.get(weight)
        if rotation is None:
            rotation = _Rotation(weight, self._random())
            self._turns.add(rotation)
        rotation.append(member)
        self._turns.set_share(rotation, weight * len(rotation.members))

    def _leave(self, member: M) -> None:
        rotation, index = member.place
        member.place = None
        rotation.remove(index)
        if rotation.members:
            self._turns.set_share(rotation, rotation.weight * len(rotation.members))
        else:
            self._turns.remove(rotation)
