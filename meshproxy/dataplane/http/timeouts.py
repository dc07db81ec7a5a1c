"""When a request has waited long enough, and for what."""

from __future__ import annotations

from math import inf


class Timeouts:
    """Times of the reactor's clock; ``inf`` for never.

    `request_due` is the whole exchange's, `try_due` the attempt's at hand (or that of waiting for a turn). `gone_at`
    is when a client that said it sends no more is taken to be gone. A stream may be idle for `idle_limit` seconds:
    whatever passes is told to `moved`.
    """

    __slots__ = ("_idle_since", "_moves", "_seen", "gone_at", "idle_limit", "request_due", "try_due")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A new request."""
        self.request_due = self.try_due = self.gone_at = inf
        self.idle_limit = self._idle_since = 0.0
        self._moves = self._seen = 0

    def limit_idleness(self, limit: float, now: float) -> None:
        """Allow `limit` seconds without a move, from `now` on."""
        self.idle_limit = limit
        self._idle_since = now

    def moved(self) -> None:
        self._moves += 1

    def next_due(self, now: float) -> float:
        """When to look next."""
        due = now + self.idle_limit
        if self.try_due < due:
            due = self.try_due
        if self.request_due < due:
            due = self.request_due
        if self.gone_at < due:
            due = self.gone_at
        return due

    def is_idle(self, now: float) -> bool:
        """Whether nothing moves: found one to two times the limit after the last move, as nobody looks at the clock."""
        if self._moves != self._seen:
            self._seen = self._moves
            self._idle_since = now
            return False
        return now >= self._idle_since + self.idle_limit
