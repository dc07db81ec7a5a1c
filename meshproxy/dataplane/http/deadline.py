"""One timer for everything that a connection waits for."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from meshproxy.aio.timer_wheel import Timer
from meshproxy.dataplane.reactor import Reactor


def _nothing() -> None:
    """What a closed deadline's time is for."""


class Deadline:
    """Calls `reached` once the time last set has come.

    Setting it to a later time costs nothing: the timer that is armed goes on, finds that it came too soon, and arms
    itself again. On a busy keep-alive connection that is one timer in several seconds, not one a request.
    """

    __slots__ = ("_armed", "_due", "_reached", "_reactor", "_timer")

    def __init__(self, reactor: Reactor, reached: Callable[[], None]) -> None:
        self._reactor = reactor
        self._reached = reached
        self._due = self._armed = inf
        self._timer: Timer | None = None

    def set(self, due: float) -> None:
        """Be reached at `due` (the reactor's clock; ``inf`` for never) and not at what was set before."""
        self._due = due
        if due < self._armed:
            self._arm(due)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = due
        self._timer = self._reactor.wheel.schedule(max(0.0, due - self._reactor.time), self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._armed = inf
        if self._due > self._reactor.look_at_clock():
            if self._due < inf:
                self._arm(self._due)
            return
        self._due = inf
        self._reached()

    def close(self) -> None:
        """Never be reached or set again; its owner is held no longer."""
        self.cancel()
        self._reached = _nothing

    def cancel(self) -> None:
        """Never be reached again."""
        self._due = self._armed = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
