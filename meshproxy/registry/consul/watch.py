"""Blocking queries: ask, wait until something changed, ask again (Consul, "Blocking Queries")."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from meshproxy.base.backoff import Backoff
from meshproxy.registry.consul.agent import ConsulError

T = TypeVar("T")

FIRST_RETRY, LAST_RETRY = 0.1, 5.0
"""Seconds between tries while an agent does not answer."""
MIN_INTERVAL = 0.02
"""Seconds between two questions at least: a thousand changes a second are fifty answers."""
IDLE_INTERVAL = 1.0
"""The same where nothing changed: an agent that does not wait is not asked as fast as it answers."""


class Watch:
    """Follows one query. `on_trouble` is told what is wrong, and an empty string when it is well again."""

    def __init__(self, wait: float, random: Callable[[], float], on_trouble: Callable[[str], None]) -> None:
        self._wait = wait
        self._backoff = Backoff(FIRST_RETRY, LAST_RETRY, random)
        self._on_trouble = on_trouble

    async def run(
        self,
        query: Callable[[int, str], Awaitable[tuple[int, T]]],
        on_answer: Callable[[T, bool], Awaitable[None]],
    ) -> None:
        """Until cancelled, `query(index, wait)` and hand what it gives to `on_answer`, and whether it may be new."""
        loop = asyncio.get_running_loop()
        known = 0
        while True:
            started = loop.time()
            try:
                index, value = await query(known, f"{self._wait:g}s")
            except ConsulError as error:
                self._on_trouble(str(error))
                await asyncio.sleep(self._backoff.next_delay())
                # An agent that was away may have begun to count anew.
                known = 0
                continue
            self._backoff.reset()
            self._on_trouble("")
            changed = index != known or not index
            await on_answer(value, changed)
            # "Reset the index if it goes backwards": the agent's state was restored or lost.
            known = index if index >= known else 0
            pause = MIN_INTERVAL if changed and index else IDLE_INTERVAL
            await asyncio.sleep(max(0.0, started + pause - loop.time()))
