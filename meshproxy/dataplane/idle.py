"""Notices that nothing moves any more, without a clock call for each byte."""

from __future__ import annotations

from collections.abc import Callable

from meshproxy.aio.timer_wheel import Timer, TimerWheel

CHECKS = 4
"""Looks in one timeout: who is idle is found after 1 to 1.25 times the timeout."""


def _no_progress() -> int:
    return 0


def _nothing() -> None:
    pass


class IdleTimer:
    """Calls `expired` once `progress()` gave the same number for `timeout` seconds."""

    __slots__ = ("_expired", "_period", "_progress", "_seen", "_timer", "_unchanged", "_wheel")

    def __init__(
        self, wheel: TimerWheel, timeout: float, progress: Callable[[], int], expired: Callable[[], None]
    ) -> None:
        self._wheel = wheel
        self._period = timeout / CHECKS
        self._progress = progress
        self._expired = expired
        self._seen = progress()
        self._unchanged = 0
        self._timer: Timer = wheel.schedule(self._period, self._look)

    def cancel(self) -> None:
        """For good: its owner is held no longer."""
        self._timer.cancel()
        self._progress, self._expired = _no_progress, _nothing

    def _look(self) -> None:
        progress = self._progress()
        self._unchanged = self._unchanged + 1 if progress == self._seen else 0
        self._seen = progress
        if self._unchanged >= CHECKS:
            self._expired()
        else:
            self._timer = self._wheel.schedule(self._period, self._look)
