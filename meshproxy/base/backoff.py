"""Exponential back-off with full jitter."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Delays that double from `initial` to at most `maximum` seconds, each drawn from its upper half.

    Half of the delay is fixed so that a retry is never immediate, half is random so that
    many clients do not come back together. `random` gives a float in [0, 1), as `random.random` does.
    """

    __slots__ = ("_attempt", "_initial", "_maximum", "_random")

    def __init__(self, initial: float, maximum: float, random: Callable[[], float]) -> None:
        self._initial = initial
        self._maximum = maximum
        self._random = random
        self._attempt = 0

    def next_delay(self) -> float:
        """The seconds to wait before the next attempt."""
        ceiling = min(self._maximum, self._initial * 2.0 ** min(self._attempt, 60))
        self._attempt += 1
        return ceiling * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        """Start again from `initial`: the attempt succeeded."""
        self._attempt = 0
