"""What is due when: ten thousand keys, one timer."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Hashable, Iterator
from itertools import count
from typing import Generic, TypeVar

from meshproxy.base.clock import Clock

K = TypeVar("K", bound=Hashable)

SPARE = 64
"""Heap entries that no longer hold, beyond as many as hold, until they are swept out."""


class Schedule(Generic[K]):
    """Keys and when each is due, in clock seconds; a key is in it once. For one waiter."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[K, float] = {}
        # Entries whose time is not the one in `_due` are stale: taking one out of a heap's middle is slow.
        self._heap: list[tuple[float, int, K]] = []
        self._sequence = count()
        self._head_changed = asyncio.Event()

    def __contains__(self, key: K) -> bool:
        return key in self._due

    def __len__(self) -> int:
        return len(self._due)

    def __iter__(self) -> Iterator[K]:
        return iter(tuple(self._due))

    def put(self, key: K, at: float) -> None:
        """Let `key` be due at `at`, whenever it was due before."""
        self._due[key] = at
        heapq.heappush(self._heap, (at, next(self._sequence), key))
        if self._heap[0][2] == key:
            self._head_changed.set()
        if len(self._heap) > 2 * len(self._due) + SPARE:
            self._heap = [entry for entry in self._heap if self._holds(entry)]
            heapq.heapify(self._heap)

    def remove(self, key: K) -> None:
        """Let `key` not be due; nothing where it is not in the schedule."""
        self._due.pop(key, None)

    async def next_due(self) -> K:
        """Wait until a key is due, and take it out."""
        while True:
            at, now = self._next_at(), self._clock()
            if at is not None and at <= now:
                _, _, key = heapq.heappop(self._heap)
                del self._due[key]
                return key
            self._head_changed.clear()
            try:
                async with asyncio.timeout(None if at is None else at - now):
                    await self._head_changed.wait()
            except TimeoutError:
                pass

    def _next_at(self) -> float | None:
        while self._heap and not self._holds(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _holds(self, entry: tuple[float, int, K]) -> bool:
        return self._due.get(entry[2]) == entry[0]
