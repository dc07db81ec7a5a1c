"""Counts of what happens too rarely, or of too many kinds, to have a field each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")


class Tally(Generic[K]):
    """Counts by key, cumulatively, and which of them changed: a report costs nothing for what did not."""

    __slots__ = ("_changed", "totals")

    def __init__(self) -> None:
        self.totals: dict[K, int] = {}
        self._changed: dict[K, int] = {}

    def count(self, key: K) -> None:
        total = self.totals.get(key, 0) + 1
        self.totals[key] = self._changed[key] = total

    def keep_only(self, is_kept: Callable[[K], bool]) -> None:
        """Forget all others."""
        for key in [key for key in self.totals if not is_kept(key)]:
            del self.totals[key]
            self._changed.pop(key, None)

    def take_changed(self) -> dict[K, int]:
        """The totals of what was counted since the last call."""
        changed, self._changed = self._changed, {}
        return changed
