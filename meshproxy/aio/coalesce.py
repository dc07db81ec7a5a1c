"""Many changes, few runs (kube-proxy's `BoundedFrequencyRunner`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)


class Coalescer:
    """Runs `action` after changes: `delay` seconds after the first, and at most once in `interval` seconds.

    Changes during a run lead to one more run. Runs never overlap.
    """

    def __init__(self, action: Callable[[], Awaitable[None]], *, delay: float, interval: float) -> None:
        self._action = action
        self._delay = delay
        self._interval = interval
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Something changed: run soon."""
        self._changed.set()

    async def run(self) -> None:
        """Run the action whenever something changed, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._changed.wait()
            await asyncio.sleep(self._delay)
            self._changed.clear()
            started = loop.time()
            try:
                await self._action()
            except Exception:  # noqa: BLE001 one run's mistake must not keep the next change from being seen
                _log.exception("a run after changes failed")
            await asyncio.sleep(max(0.0, started + self._interval - loop.time()))
