"""Where the time comes from. Pure code takes `now`; owners of loops are given a `Clock`."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Tells monotonic seconds; `asyncio`'s ``loop.time`` is one, and tests use a fake."""

    def __call__(self) -> float: ...
