"""Whose turn it is among classes of members that have the same weight.

Theory of operation. A class that deserves the share s of the picks (its weight times its
members) is due every 1/s of a virtual time, evenly; whoever is due first is next, so heavy and
light classes interleave smoothly (stride scheduling, Waldspurger & Weihl 1995; Envoy's EDF
scheduler). A heap finds it in the logarithm of the number of classes, and `class_weight` bounds
that number, so that a pick costs the same however many members there are. An entry of the heap
that no longer holds stays until it comes up, or until such entries prevail.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from typing import Generic, TypeVar

_SIGNIFICANT_BITS = 7
_SPARE_ENTRIES = 64


def class_weight(weight: int) -> int:
    """`weight` rounded to 7 significant bits: exact up to 128, within 0.8 % beyond (200 and 1000 are exact, too).

    So there are at most 704 classes, whatever weights people write.
    """
    excess = weight.bit_length() - _SIGNIFICANT_BITS
    if excess <= 0:
        return weight
    return (weight + (1 << (excess - 1))) >> excess << excess


class WeightClass:
    """Members of one weight. `share` (above 0), `due`, `rank` and `ticket` belong to `Turns`."""

    __slots__ = ("due", "rank", "share", "ticket", "weight")

    def __init__(self, weight: int) -> None:
        self.weight = weight
        self.share = 0
        self.due = 0.0
        self.rank = 0.0
        self.ticket = 0
        """The number of its valid entry among those that wait; 0 without one."""


C = TypeVar("C", bound=WeightClass)


class Turns(Generic[C]):
    """Owns the classes by weight, and says which is next: the lowest rank, and among equals the first due.

    `random` gives floats in [0, 1); it decides where a class begins, so that several proxies
    do not go in step.
    """

    __slots__ = ("_heap", "_now", "_random", "_serial", "_sole", "classes")

    def __init__(self, random: Callable[[], float]) -> None:
        self.classes: dict[int, C] = {}
        self._sole: C | None = None
        self._heap: list[tuple[float, float, int, C]] = []
        self._now = 0.0
        self._random = random
        self._serial = count(1)

    def next(self) -> C | None:
        """The class whose turn it is, which is due again after 1/share."""
        if self._sole is not None:
            return self._sole
        heap = self._heap
        while heap:
            entry = heap[0]
            group = entry[3]
            if group.ticket == entry[2]:
                # One that could not be picked for long must not make up for it in one burst.
                self._now = now = max(self._now, group.due)
                group.due = now + 1.0 / group.share
                group.ticket = ticket = next(self._serial)
                heapreplace(heap, (group.rank, group.due, ticket, group))
                return group
            heappop(heap)
        return None

    def add(self, group: C) -> None:
        """Let `group`, of a weight that has none yet, take turns from when its share is set."""
        alone, self._sole = self._sole, None
        if alone is not None:
            self._enter(alone)
        elif not self.classes:
            self._sole = group
        self.classes[group.weight] = group

    def remove(self, group: C) -> None:
        del self.classes[group.weight]
        group.ticket = 0
        if len(self.classes) == 1:
            (self._sole,) = self.classes.values()
            self._heap.clear()
        elif not self.classes:
            self._sole = None

    def set_share(self, group: C, share: int) -> None:
        """What is left of the wait for its next turn shrinks or grows as its share demands."""
        if group.share:
            group.due = self._now + max(0.0, group.due - self._now) * group.share / share
        else:
            group.due = self._now + self._random() / share
        group.share = share
        self._enter(group)

    def set_rank(self, group: C, rank: float) -> None:
        group.rank = rank
        self._enter(group)

    def _enter(self, group: C) -> None:
        if group is self._sole:
            return
        group.ticket = ticket = next(self._serial)
        heap = self._heap
        heappush(heap, (group.rank, group.due, ticket, group))
        if len(heap) > 2 * len(self.classes) + _SPARE_ENTRIES:
            heap[:] = [each for each in heap if each[3].ticket == each[2]]
            heapify(heap)
