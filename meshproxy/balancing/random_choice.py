"""Random: drawn with probability proportional to the weight.

Theory of operation. Members lie in octaves, by the highest bit of their weight. An octave is
drawn by the sum of its weights, a member of it evenly, and the member is accepted with its
weight divided by the octave's heaviest: more than 1/2, so two draws do on average. There are at
most 16 octaves, and weights count exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from meshproxy.balancing.api import M
from meshproxy.balancing.membership import Membership

_MAX_DRAWS = 64
"""All of them refused has a probability below 2**-64; then the last one drawn is taken."""


class _Octave(Generic[M]):
    """The pickable members whose weights have the same highest bit; none is heavier than `ceiling`.

    Owns the `place` of its members: the index in it.
    """

    __slots__ = ("ceiling", "members", "total")

    def __init__(self) -> None:
        self.members: list[M] = []
        self.ceiling = 0
        self.total = 0

    def append(self, member: M) -> None:
        member.place = len(self.members)
        self.members.append(member)
        self.ceiling = max(self.ceiling, member.weight)
        self.total += member.weight

    def remove(self, member: M) -> None:
        """Take `member` out; the last one fills the gap."""
        last = self.members.pop()
        if last is not member:
            self.members[member.place] = last
            last.place = member.place
        member.place = None
        self.total -= member.weight

    def draw(self, random: Callable[[], float]) -> M:
        members, ceiling = self.members, self.ceiling
        count = len(members)
        for _ in range(_MAX_DRAWS):
            point = random() * count
            index = int(point)
            member = members[index]
            if (point - index) * ceiling < member.weight:
                break
        return member


class RandomChoice(Membership[M]):
    """Envoy's `RANDOM`, with weights. `random` gives floats in [0, 1)."""

    __slots__ = ("_octaves", "_random", "_total")

    def __init__(self, random: Callable[[], float]) -> None:
        super().__init__()
        self._random = random
        self._octaves: dict[int, _Octave[M]] = {}
        self._total = 0

    def pick(self, key: int) -> M | None:
        return self._draw() if self._pickable else None

    def _draw(self) -> M:
        """A member drawn by weight; there must be one."""
        random, octaves = self._random, self._octaves
        point = random() * self._total if len(octaves) > 1 else 0.0
        for octave in octaves.values():
            if point < octave.total:
                break
            point -= octave.total
        return octave.draw(random)

    def _enter(self, member: M) -> None:
        octave = self._octaves.get(member.weight.bit_length())
        if octave is None:
            octave = self._octaves[member.weight.bit_length()] = _Octave()
        octave.append(member)
        self._total += member.weight

    def _leave(self, member: M) -> None:
        octave = self._octaves[member.weight.bit_length()]
        octave.remove(member)
        if not octave.members:
            del self._octaves[member.weight.bit_length()]
        self._total -= member.weight
