"""What identity sources take from the process that they run in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple


async def wait_at_most(event: asyncio.Event, seconds: float) -> None:
    """Until `event` is set, or that much time has passed."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


class Surroundings(NamedTuple):
    """`wall_clock` tells seconds since 1970, `random` is `random.random`; `wait` is real, but in tests."""

    wall_clock: Callable[[], float]
    random: Callable[[], float]
    wait: Callable[[asyncio.Event, float], Awaitable[None]] = wait_at_most
