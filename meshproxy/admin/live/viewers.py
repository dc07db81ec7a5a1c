"""Who watches. Nothing is computed while nobody does, and once a second for all of them otherwise.

A viewer that does not keep up is dropped: what it missed cannot be made up for, and on connecting anew it is told
everything again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from meshproxy.admin.live.feed import Feed
from meshproxy.admin.view import ProxyView
from meshproxy.aio.tasks import OwnedTasks

INTERVAL = 1.0
"""Seconds between updates."""
MAX_VIEWERS = 32
MAX_BEHIND = 8
"""Updates that wait for a viewer at the most."""
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class TooManyViewers(Exception):
    """`MAX_VIEWERS` watch already."""


class _Viewer:
    """One connection. `hang_up` ends it at once, whatever waits for it."""

    def __init__(self, hang_up: Callable[[], None]) -> None:
        self.updates: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_BEHIND)
        self._hang_up = hang_up

    def tell(self, update: bytes | None) -> None:
        """Send `update`; None is the end."""
        try:
            self.updates.put_nowait(update)
        except asyncio.QueueFull:
            self._hang_up()


class Viewers:
    """Owns the connections of those who watch `view`."""

    def __init__(self, view: ProxyView) -> None:
        self._view = view
        self._feed = Feed(view)
        self._viewers: set[_Viewer] = set()
        self._tasks = OwnedTasks()

    def __len__(self) -> int:
        return len(self._viewers)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Stream to one viewer until it leaves. Raises `TooManyViewers`."""
        if len(self._viewers) >= MAX_VIEWERS:
            raise TooManyViewers
        response = web.StreamResponse(headers=HEADERS)
        viewer = _Viewer(lambda: _abort(request))
        self._join(viewer)
        try:
            await response.prepare(request)
            while (update := await viewer.updates.get()) is not None:
                await response.write(update)
        except ConnectionError:
            pass  # it left, which is how all of this usually ends
        finally:
            self._viewers.discard(viewer)
        return response

    async def stop(self) -> None:
        """Tell everyone that this is the end."""
        await self._tasks.cancel()

    def _join(self, viewer: _Viewer) -> None:
        if not len(self._tasks):
            self._feed = Feed(self._view)
            self._feed.changes()
            self._tasks.start(self._run(), name="live view")
        viewer.tell(self._feed.everything())
        self._viewers.add(viewer)

    async def _run(self) -> None:
        """Look once a second while somebody watches. However this ends, nobody waits in vain for more."""
        try:
            while True:
                await asyncio.sleep(INTERVAL)
                if not self._viewers:
                    return
                self._tell(self._feed.changes())
        finally:
            self._tell(None)

    def _tell(self, update: bytes | None) -> None:
        for viewer in self._viewers:
            viewer.tell(update)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
