"""File descriptors as a budget, so that a worker never runs out of them in mid-connection.

HAProxy derives `maxconn` from the descriptor limit; the same idea here: a listener that
would exceed the budget stops accepting, its clients wait in the kernel's queue, and the
first connection that ends lets the next one in.
"""

from __future__ import annotations

from collections.abc import Callable

RESERVE = 64
"""Descriptors kept for the control channel, the loop, logs and imports."""


class DescriptorBudget:
    """Counts the descriptors that connections hold; `limit` of them may be held."""

    __slots__ = ("_held", "_waiting", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held = 0
        self._waiting: list[Callable[[], None]] = []

    @property
    def held(self) -> int:
        return self._held

    def has_room(self, count: int) -> bool:
        """Whether `count` more descriptors may be taken."""
        return self._held + count <= self.limit

    def take(self, count: int) -> None:
        """Hold `count` more descriptors."""
        self._held += count

    def give_back(self, count: int) -> None:
        """`count` descriptors were closed; who waits for room is called, once each."""
        self._held -= count
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for resume in waiting:
                resume()

    def when_room(self, resume: Callable[[], None]) -> None:
        """Call `resume` when descriptors were given back."""
        self._waiting.append(resume)
