"""A clock that goes when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime


class FakeWallClock:
    """Seconds since 1970, from now on (or `start`), so that certificates of the real CA fit."""

    def __init__(self, start: float | None = None) -> None:
        self.now = datetime.now(UTC).timestamp() if start is None else start

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
