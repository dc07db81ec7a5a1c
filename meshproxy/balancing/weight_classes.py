"""Members grouped by weight, so that picking costs the number of weights, not of members."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic

from meshproxy.balancing.api import M

_SIGNIFICANT_BITS = 7


def class_weight(weight: int) -> int:
    """`weight` rounded to 7 significant bits: exact up to 127 and for most round numbers, within 0.8 % beyond.

    It bounds the number of classes, whatever weights people write: at most 704.
    """
    excess = weight.bit_length() - _SIGNIFICANT_BITS
    if excess <= 0:
        return weight
    return (weight + (1 << (excess - 1))) >> excess << excess


class WeightClass(Generic[M]):
    """The available members of one weight; `credit` is the class's state in smooth weighted round robin."""

    __slots__ = ("credit", "cursor", "members", "weight")

    def __init__(self, weight: int) -> None:
        self.weight = weight
        self.members: list[M] = []
        self.credit = 0
        self.cursor = 0

    def next_member(self) -> M:
        """The members in turn."""
        if self.cursor >= len(self.members):
            self.cursor = 0
        member = self.members[self.cursor]
        self.cursor += 1
        return member


class WeightClasses(Generic[M]):
    """Owns the `place` of its members: (their class, their index in it), or None while they are not in."""

    __slots__ = ("_classes", "_random", "count")

    def __init__(self, random: Callable[[], float]) -> None:
        self._classes: dict[int, WeightClass[M]] = {}
        self._random = random
        self.count = 0

    def __iter__(self) -> Iterator[WeightClass[M]]:
        return iter(self._classes.values())

    def add(self, member: M) -> None:
        weight = class_weight(member.weight)
        group = self._classes.get(weight)
        if group is None:
            group = self._classes[weight] = WeightClass(weight)
            # Workers start at different members, or the first ones would get all first connections.
            group.cursor = int(self._random() * 0x10000)
        member.place = (group, len(group.members))
        group.members.append(member)
        if group.cursor >= len(group.members):
            group.cursor = int(self._random() * len(group.members))
        self.count += 1

    def remove(self, member: M) -> None:
        """Take `member` out; the last of its class fills the gap."""
        group, index = member.place
        member.place = None
        last = group.members.pop()
        if last is not member:
            group.members[index] = last
            last.place = (group, index)
        if not group.members:
            del self._classes[group.weight]
        self.count -= 1

    def next_smooth(self) -> WeightClass[M] | None:
        """The class whose turn it is in smooth weighted round robin (nginx's algorithm), over classes."""
        if len(self._classes) == 1:
            return next(iter(self._classes.values()))
        return smooth_turn((group, group.weight * len(group.members)) for group in self._classes.values())

    def random_member(self) -> M | None:
        """A member drawn with probability proportional to its weight."""
        classes = self._classes.values()
        if len(self._classes) == 1:
            members = next(iter(classes)).members
            return members[int(self._random() * len(members))]
        point = self._random() * sum(group.weight * len(group.members) for group in classes)
        for group in classes:
            share = group.weight * len(group.members)
            if point < share:
                return group.members[int(point / group.weight)]
            point -= share
        return None


def smooth_turn(shares: Iterator[tuple[WeightClass[M], int]]) -> WeightClass[M] | None:
    """One round of smooth weighted round robin: all gain their share, the richest pays the total."""
    best: WeightClass[M] | None = None
    total = 0
    for group, share in shares:
        group.credit += share
        total += share
        if best is None or group.credit > best.credit:
            best = group
    if best is not None:
        best.credit -= total
    return best
