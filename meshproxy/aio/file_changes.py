"""Knows when to look at files again, whatever editors, mounts and accidents do to them.

Directories are watched, those of single files too: editors and mounts replace files by rename,
and Kubernetes' volumes by swapping a symbolic link. An event only means "look again".
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from meshproxy.aio.inotify import DirectoryWatch

SETTLE = 0.05
"""Seconds without an event before files are read: an editor's several steps are one change."""
MAX_SETTLE = 0.5
"""Seconds after which they are read all the same."""
POLL = 2.0
"""Seconds between looks where a directory cannot be watched: it is missing, or the system's limits are reached."""

_log = logging.getLogger(__name__)


class FileChanges:
    """Watches `paths`, which need not be there."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._event = asyncio.Event()

    def look_again(self) -> None:
        """Look soon, changed or not."""
        self._event.set()

    async def run(self, look: Callable[[], Awaitable[float | None]]) -> None:
        """Call `look` now and after every change, until cancelled.

        It may answer with the seconds after which to call it again in any case.
        """
        watch = self._open_watch()
        try:
            while True:
                # Watch before reading: what changes while we read leads to another look.
                watched = self._watch(watch)
                self._event.clear()
                at_most = await look()
                delays = [delay for delay in (at_most, None if watched else POLL) if delay is not None]
                await self._wait_for_change(min(delays, default=None))
        finally:
            if watch is not None:
                watch.close()

    async def _wait_for_change(self, at_most: float | None) -> None:
        try:
            async with asyncio.timeout(at_most):
                await self._event.wait()
        except TimeoutError:
            return
        try:
            async with asyncio.timeout(MAX_SETTLE):
                while self._event.is_set():
                    self._event.clear()
                    await asyncio.sleep(SETTLE)
        except TimeoutError:
            pass

    def _open_watch(self) -> DirectoryWatch | None:
        try:
            return DirectoryWatch(asyncio.get_running_loop(), self._event.set)
        except OSError as error:
            _log.warning("files are looked at every %g s, since inotify is not to be had: %s", POLL, error.strerror)
            return None

    def _watch(self, watch: DirectoryWatch | None) -> bool:
        """Watch what the paths lead to now; False where something has to be looked at by the clock."""
        if watch is None:
            return False
        wanted = {directory for path in self._paths for directory in _directories(path)}
        try:
            return not watch.watch_only(wanted)
        except OSError as error:
            _log.warning("files are looked at every %g s, since they cannot be watched: %s", POLL, error.strerror)
            return False


def _directories(path: Path) -> set[Path]:
    """The directories in which a change can change what `path` holds: its own, and those its links lead through."""
    directories = {path.absolute().parent}
    if path.is_dir():
        directories.add(path.absolute())
    links = [path, *(_entries(path) if path.is_dir() else ())]
    for link in links:
        if link.is_symlink():
            target = Path(os.path.realpath(link))
            directories.add(target.parent)
    return {directory for directory in directories if directory.is_dir()} or {path.absolute().parent}


def _entries(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []
