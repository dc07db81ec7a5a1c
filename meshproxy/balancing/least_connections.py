"""Least connections: the member with the fewest connections for its weight.

Theory of operation. Members of one weight lie in buckets by their number of connections, and
each weight knows its lowest bucket that is not empty. A connection that begins or ends moves
one member to a neighbouring bucket, so the lowest moves by at most one: all of it is O(1).
Between weights, the one with the least connections for its weight is first, and equals take
turns by their shares. Within a bucket members take turns too, so that an idle Service spreads
its connections.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic

from meshproxy.balancing.api import M
from meshproxy.balancing.membership import Membership
from meshproxy.balancing.turns import Turns, WeightClass, class_weight


class _Buckets(WeightClass, Generic[M]):
    """The pickable members of one weight by `active`; `lowest` is the first bucket with a member."""

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
            if active < self.lowest or len(self.by_active) == 1:
                self.lowest = active
        bucket[member] = None

    def remove(self, member: M, active: int) -> None:
        by_active = self.by_active
        bucket = by_active[active]
        del bucket[member]
        if bucket:
            return
        del by_active[active]
        if active == self.lowest and by_active:
            # Only a lone member that becomes unavailable leaves no neighbour. c connections make
            # at most sqrt(2c) different counts, so looking through all of them is bearable.
            self.lowest = active + 1 if active + 1 in by_active else min(by_active)

    def next_member(self) -> M:
        bucket = self.by_active[self.lowest]
        member: M = next(iter(bucket))
        bucket.move_to_end(member)
        self.share = self.weight * len(bucket)
        return member


class LeastConnections(Membership[M]):
    """IPVS `lc` and `wlc`, nginx's `least_conn`: the lowest active per weight, ties in turn.

    `place` is a member's `_Buckets`. Weights above 128 count as `class_weight` rounds them.
    """

    __slots__ = ("_random", "_turns")

    def __init__(self, random: Callable[[], float]) -> None:
        super().__init__()
        self._random = random
        self._turns: Turns[_Buckets[M]] = Turns(random)

    def pick(self, key: int) -> M | None:
        buckets = self._turns.next()
        return buckets.next_member() if buckets is not None else None

    def acquire(self, member: M) -> None:
        active = member.active
        member.active = active + 1
        if member.place is not None:
            self._move(member, active, active + 1)

    def release(self, member: M) -> None:
        active = member.active
        member.active = active - 1
        if member.place is not None:
            self._move(member, active, active - 1)

    def _move(self, member: M, before: int, after: int) -> None:
        buckets: _Buckets[M] = member.place
        lowest = buckets.lowest
        buckets.add(member, after)
        buckets.remove(member, before)
        if buckets.lowest != lowest:
            self._turns.set_rank(buckets, buckets.lowest / buckets.weight)

    def _enter(self, member: M) -> None:
        weight = class_weight(member.weight)
        buckets = self._turns.classes.get(weight)
        if buckets is None:
            buckets = _Buckets(weight)
            self._turns.add(buckets)
        member.place = buckets
        buckets.add(member, member.active)
        bucket = buckets.by_active[member.active]
        if self._random() * len(bucket) < 1:
            # Everyone is first with the same probability, or all workers would begin with the same member.
            bucket.move_to_end(member, last=False)
        self._settle(buckets)

    def _leave(self, member: M) -> None:
        buckets: _Buckets[M] = member.place
        member.place = None
        buckets.remove(member, member.active)
        if buckets.by_active:
            self._settle(buckets)
        else:
            self._turns.remove(buckets)

    def _settle(self, buckets: _Buckets[M]) -> None:
        buckets.rank = buckets.lowest / buckets.weight
        self._turns.set_share(buckets, buckets.weight * len(buckets.by_active[buckets.lowest]))
