"""Who is told which snapshot, and what follows from their answers. Pure: it returns what to do.

A snapshot is offered to all workers. When all have acknowledged it, it is the last good one.
When one refuses, all are led back to the last good one, and the refused version is not
offered again until the configuration changes.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from meshproxy.snapshot.model import EMPTY, Snapshot


class Publish(NamedTuple):
    """Tell `worker` to go to `snapshot`; with `reset`, from whatever it has."""

    worker: int
    snapshot: Snapshot
    reset: bool


class Outcome(enum.Enum):
    """What an answer led to."""

    NOTHING = enum.auto()
    PROMOTED = enum.auto()
    ROLLED_BACK = enum.auto()


class Publisher:
    """Owns the current snapshot (on its way to the workers) and the last good one (which all have)."""

    def __init__(self, last_good: Snapshot = EMPTY) -> None:
        self.current = last_good
        self.last_good = EMPTY
        self._rejected = ""
        self._acknowledged: dict[int, str] = {}

    @property
    def is_settled(self) -> bool:
        """Whether all workers have the current snapshot."""
        return self.last_good is self.current

    def offer(self, snapshot: Snapshot) -> list[Publish]:
        """Make `snapshot` the current one, unless it is already, or was refused before."""
        if snapshot.version in (self.current.version, self._rejected):
            return []
        self._rejected = ""
        self.current = snapshot
        return [Publish(worker, snapshot, reset=False) for worker in self._acknowledged]

    def worker_joined(self, worker: int) -> list[Publish]:
        """A worker that knows nothing yet."""
        self._acknowledged[worker] = ""
        return [Publish(worker, self.current, reset=True)] if self.current is not EMPTY else []

    def worker_left(self, worker: int) -> None:
        self._acknowledged.pop(worker, None)

    def acknowledged(self, worker: int, version: str) -> Outcome:
        """`worker` has `version` in force."""
        if worker not in self._acknowledged:
            return Outcome.NOTHING
        self._acknowledged[worker] = version
        if version != self.current.version or self.is_settled:
            return Outcome.NOTHING
        if any(each != version for each in self._acknowledged.values()):
            return Outcome.NOTHING
        self.last_good = self.current
        return Outcome.PROMOTED

    def rejected(self, worker: int, version: str) -> tuple[Outcome, list[Publish]]:
        """`worker` refused `version`; everyone goes back."""
        if version != self.current.version or self.is_settled:
            return Outcome.NOTHING, []
        self._rejected = version
        self.current = self.last_good
        if self.current is EMPTY:
            return Outcome.ROLLED_BACK, []
        back = [Publish(each, self.current, reset=True) for each in self._acknowledged]
        return Outcome.ROLLED_BACK, back
