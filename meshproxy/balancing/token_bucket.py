"""A rate limit: so many at once, so many in the long run."""

from __future__ import annotations

_ONE = 1.0 - 1e-6
"""What counts as a token: sums of a clock's differences are a little off. What was lent so is missing afterwards."""


class TokenBucket:
    """`burst` tokens at most, `requests` new ones every `interval` seconds; each `take` needs one.

    `share`, above 0 to 1, is this bucket's part of the whole: one of several processes that share the limit. A clock
    that jumps back changes nothing. O(1).
    """

    __slots__ = ("_burst", "_rate", "_tokens", "_updated")

    def __init__(self, requests: int, interval: float, burst: int, share: float = 1.0) -> None:
        self._rate = requests * share / interval
        self._burst = max(1.0, (burst or requests) * share)
        self._tokens = self._burst
        self._updated: float | None = None

    def take(self, now: float) -> float:
        """0.0 where there is a token, which is taken; else the seconds until there is one."""
        if self._updated is not None and now > self._updated:
            self._tokens = min(self._burst, self._tokens + (now - self._updated) * self._rate)
        if self._updated is None or now > self._updated:
            self._updated = now
        if self._tokens >= _ONE:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate
