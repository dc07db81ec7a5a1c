"""Least connections: the member with the fewest connections for its weight.

Theory of operation. Members of one weight lie in buckets by their number of connections, and
each weight knows its lowest bucket that is not empty. A connection that begins or ends moves
one member to a neighbouring bucket, so the lowest moves by at most one: all of it is O(1).
Within a bucket members take turns, so that an idle Service spreads its connections too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic

from meshproxy.balancing.api import M
from meshproxy.balancing.membership import Membership
from meshproxy.balancing.weight_classes import WeightClass, class_weight, smooth_turn


class _Buckets(WeightClass[M], Generic[M]):
    """The available members of one weight by `active`; `lowest` is the first bucket with a member."""

    __slots__ = ("by_active", "lowest")

    def __init__(self, weight: int) -> None:
        super().__init__(weight)
        # OrderedDict, not dict: its first key is found in O(1) after deletions at the front, too.
        self.by_active: dict[int, OrderedDict[M, None]] = {}
        self.lowest = 0

    def add(self, member: M, active: int) -> None:
        bucket = self.by_active.get(active)
        if bucket is None:
            bucket = self.by_active[active] = OrderedDict()
        bucket[member] = None
        if active < self.lowest or self.lowest not in self.by_active:
            self.lowest = active

    def remove(self, member: M, active: int) -> None:
        bucket = self.by_active[active]
        del bucket[member]
        if not bucket:
            del self.by_active[active]
            if active == self.lowest and self.by_active:
                self.lowest = active + 1 if active + 1 in self.by_active else min(self.by_active)

    def move(self, member: M, before: int, after: int) -> None:
        self.add(member, after)
        self.remove(member, before)

    def idlest(self) -> OrderedDict[M, None]:
        return self.by_active[self.lowest]


class LeastConnections(Membership[M]):
    """IPVS `lc` and `wlc`, nginx's `least_conn`: lowest active per weight, ties by smooth weighted round robin."""

    def __init__(self, random: Callable[[], float]) -> None:
        super().__init__()
        self._random = random
        self._classes: dict[int, _Buckets[M]] = {}

    def pick(self, key: int) -> M | None:
        classes = self._classes
        if not classes:
            return None
        group: WeightClass[M] | None
        if len(classes) == 1:
            group = next(iter(classes.values()))
        else:
            group = smooth_turn(self._least_busy())
        assert isinstance(group, _Buckets)
        bucket = group.idlest()
        member: M = next(iter(bucket))
        bucket.move_to_end(member)
        return member

    def _least_busy(self) -> Iterator[tuple[WeightClass[M], int]]:
        """The classes whose idlest members have the least connections for their weight, with their shares."""
        least = min(self._classes.values(), key=lambda group: group.lowest / group.weight)
        for group in self._classes.values():
            if group.lowest * least.weight == least.lowest * group.weight:
                yield group, group.weight * len(group.idlest())

    def acquire(self, member: M) -> None:
        active = member.active
        member.active = active + 1
        if member.place is not None:
            member.place.move(member, active, active + 1)

    def release(self, member: M) -> None:
        active = member.active
        member.active = active - 1
        if member.place is not None:
            member.place.move(member, active, active - 1)

    def _enter(self, member: M) -> None:
        weight = class_weight(member.weight)
        group = self._classes.get(weight)
        if group is None:
            group = self._classes[weight] = _Buckets(weight)
        group.add(member, member.active)
        member.place = group

    def _leave(self, member: M) -> None:
        group = member.place
        member.place = None
        group.remove(member, member.active)
        if not group.by_active:
            del self._classes[group.weight]
