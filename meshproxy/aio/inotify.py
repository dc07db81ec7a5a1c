"""Linux inotify (inotify(7)) for directories, in asyncio."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

_MODIFY_END = 0x8  # IN_CLOSE_WRITE
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_ATTRIB, _DELETE_SELF, _MOVE_SELF = 0x4, 0x400, 0x800
_ONLY_DIRECTORY = 0x0100_0000
_MASK = _MODIFY_END | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _ATTRIB | _DELETE_SELF | _MOVE_SELF
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_READ_SIZE = 65536

_libc = ctypes.CDLL(None, use_errno=True)


class DirectoryWatch:
    """Calls `changed` when anything happens in the directories it watches, or to them.

    What happened is not said: a watcher looks again in any case, since the kernel may drop
    events (`IN_Q_OVERFLOW`, which is an event like any other here).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]) -> None:
        """Raises `OSError` where the system has no inotify instance left (fs.inotify.max_user_instances)."""
        self._loop = loop
        self._changed = changed
        self._descriptor: int = _libc.inotify_init1(_FLAGS)
        if self._descriptor < 0:
            raise _error("inotify_init1")
        self._watched: dict[Path, int] = {}
        loop.add_reader(self._descriptor, self._readable)

    def watch_only(self, directories: set[Path]) -> set[Path]:
        """Watch exactly `directories`; returns those that cannot be watched, because they are not there.

        Raises `OSError` where the system's limit of watches is reached (fs.inotify.max_user_watches).
        """
        for path in [path for path in self._watched if path not in directories]:
            _libc.inotify_rm_watch(self._descriptor, self._watched.pop(path))
        missing: set[Path] = set()
        for path in directories:
            # Adding again is how a directory that was replaced under its name is noticed.
            watch = _libc.inotify_add_watch(self._descriptor, os.fsencode(path), _MASK | _ONLY_DIRECTORY)
            if watch >= 0:
                self._watched[path] = watch
                continue
            error = _error(str(path))
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise error
            self._watched.pop(path, None)
            missing.add(path)
        return missing

    def close(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _readable(self) -> None:
        try:
            while os.read(self._descriptor, _READ_SIZE):
                pass
        except BlockingIOError:
            pass
        self._changed()


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
