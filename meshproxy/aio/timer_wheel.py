"""Many timers at the price of one.

Theory of operation. Timers are kept in slots of one `tick` each (Varghese & Lauck 1987, scheme
6: a hashed wheel; a timer that is due in a later round stays in its slot). A loop timer exists
only while there are timers. Scheduling and cancelling cost one dictionary operation, whatever
their number; a timer fires at most one tick late and never early.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

SLOTS = 512

_log = logging.getLogger(__name__)


def _nothing() -> None:
    """What a timer does that has fired, or was cancelled."""


class Timer:
    """A scheduled callback. `cancel` is O(1), and nothing once it has fired.

    After either it holds its callback no longer, whose owner may hold it: nobody is to wait for the garbage collector.
    """

    __slots__ = ("_callback", "_slot", "due")

    def __init__(self, due: int, callback: Callable[[], None], slot: dict[Timer, None]) -> None:
        self.due = due
        self._callback = callback
        self._slot = slot

    def cancel(self) -> None:
        self._slot.pop(self, None)
        self._callback = _nothing

    def fire(self) -> None:
        callback = self._callback
        self.cancel()
        try:
            callback()
        except Exception:  # noqa: BLE001 one owner's mistake must not stop everyone's timers
            _log.exception("a timer's callback failed")


class TimerWheel:
    """Runs callbacks after delays, in the loop it was started on. `tick` is its resolution in seconds."""

    def __init__(self, clock: Callable[[], float], tick: float = 0.02) -> None:
        self._clock = clock
        self._tick = tick
        self._slots: tuple[dict[Timer, None], ...] = tuple({} for _ in range(SLOTS))
        self._done = self._ticks_at(clock())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake_up: asyncio.TimerHandle | None = None
        self._wake_up_tick = 0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Drive the wheel by `loop`'s own timers; without it, call `advance`."""
        self._loop = loop
        self._set_wake_up()

    def stop(self) -> None:
        """Fire nothing more."""
        if self._wake_up is not None:
            self._wake_up.cancel()
            self._wake_up = None
        self._loop = None

    def schedule(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` `delay` seconds from now, at most a tick later."""
        due = max(self._ticks_at(self._clock() + delay), self._done) + 1
        slot = self._slots[due % SLOTS]
        timer = Timer(due, callback, slot)
        slot[timer] = None
        if self._wake_up is None or due < self._wake_up_tick:
            self._wake_up_at(due)
        return timer

    def advance(self, now: float) -> None:
        """Fire what is due at `now`."""
        until = self._ticks_at(now)
        first = max(self._done + 1, until - SLOTS + 1)
        due = [
            timer
            for tick in range(first, until + 1)
            if (slot := self._slots[tick % SLOTS])
            for timer in slot
            if timer.due <= until
        ]
        self._done = max(self._done, until)
        for timer in sorted(due, key=_due) if len(due) > 1 else due:
            if timer in self._slots[timer.due % SLOTS]:  # an earlier one may have cancelled it
                timer.fire()

    def _ticks_at(self, now: float) -> int:
        return int(now / self._tick)

    def _set_wake_up(self) -> None:
        """Wake up at the next tick that has a timer in its slot, if there is one."""
        for tick in range(self._done + 1, self._done + SLOTS + 1):
            if self._slots[tick % SLOTS]:
                self._wake_up_at(tick)
                return

    def _wake_up_at(self, tick: int) -> None:
        if self._loop is None:
            return
        if self._wake_up is not None:
            self._wake_up.cancel()
        self._wake_up_tick = tick
        self._wake_up = self._loop.call_at(tick * self._tick, self._woken)

    def _woken(self) -> None:
        """Fire, then look once for the next wake-up: what a callback schedules is rarely what is due first."""
        self._wake_up_tick = self._done  # before every timer's: `schedule` leaves the wake-up alone
        self.advance(self._clock())
        self._wake_up = None
        self._set_wake_up()


def _due(timer: Timer) -> int:
    return timer.due
