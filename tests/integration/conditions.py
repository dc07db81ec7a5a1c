"""Waiting for what a test needs to be true, never for a time to pass."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

WITHIN = 15.0
"""Seconds: generous, for two noisy cores; a condition that holds is seen within `POLL`."""
POLL = 0.01


async def wait_until(condition: Callable[[], object | Awaitable[object]], what: str, within: float = WITHIN) -> None:
    """Return once `condition()` is true; fails the test with `what` it waited for."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not await _value(condition):
        if loop.time() >= deadline:
            raise AssertionError(f"waited {within:g} s in vain: {what}")
        await asyncio.sleep(POLL)  # the world outside this process has no event to await


async def _value(condition: Callable[[], object | Awaitable[object]]) -> object:
    value = condition()
    return await value if inspect.isawaitable(value) else value
