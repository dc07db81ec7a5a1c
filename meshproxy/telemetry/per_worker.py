"""Counts that each worker keeps since its start, over all workers and their restarts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class PerWorker(Generic[K, V]):
    """Values by worker and key. `add` makes one of two, `settle` what is left of a dead worker's: not its gauges."""

    def __init__(self, add: Callable[[V, V], V], settle: Callable[[V], V]) -> None:
        self._add = add
        self._settle = settle
        self._now: dict[int, dict[K, V]] = {}
        self._past: dict[K, V] = {}

    def of(self, worker: int) -> dict[K, V]:
        """The values of `worker`, to be changed as it reports."""
        return self._now.setdefault(worker, {})

    def worker_left(self, worker: int) -> None:
        """`worker` died: what it counted stays."""
        for key, value in self._now.pop(worker, {}).items():
            self.keep(key, value)

    def keep(self, key: K, value: V) -> None:
        """Whoever counted `value` begins anew."""
        settled, before = self._settle(value), self._past.get(key)
        self._past[key] = settled if before is None else self._add(before, settled)

    def keep_only(self, wanted: Callable[[K, V], bool]) -> None:
        """Forget what is not wanted."""
        for values in (*self._now.values(), self._past):
            for key in [key for key, value in values.items() if not wanted(key, value)]:
                del values[key]

    def sums(self) -> Mapping[K, V]:
        """Over everything that was counted, by key."""
        sums = dict(self._past)
        for values in self._now.values():
            for key, value in values.items():
                before = sums.get(key)
                sums[key] = value if before is None else self._add(before, value)
        return sums
