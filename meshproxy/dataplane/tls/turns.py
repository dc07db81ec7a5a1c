"""Handshakes take turns: each costs as much as a dozen requests, and a thousand of them must not stop those."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

TURNS = 4
"""Steps of handshakes computed before the loop looks at everything else: some 2 ms."""
MAX_WAITING = 4096
"""Handshakes that wait for their turn, at most."""


class Turns:
    """Calls back at once while few ask; in order, a few at a time, while many do. `soon` is the loop's `call_soon`."""

    __slots__ = ("_is_set", "_left", "_soon", "_waiting")

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self._soon = soon
        self._left = TURNS
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_set = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self, step: Callable[[], None]) -> bool | None:
        """Run `step` now (True), soon (False), or not at all since too many wait (None)."""
        if self._left:
            self._left -= 1
            self._come_back()
            step()
            return True
        if len(self._waiting) >= MAX_WAITING:
            return None
        self._waiting.append(step)
        return False

    def _come_back(self) -> None:
        if not self._is_set:
            self._is_set = True
            self._soon(self._next_round)

    def _next_round(self) -> None:
        self._is_set = False
        self._left = TURNS
        while self._waiting and self._left:
            self._left -= 1
            self._come_back()
            self._waiting.popleft()()
