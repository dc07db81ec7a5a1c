"""Manifests in files and directories, watched.

Directories are watched, those of single files too: editors and mounts replace files by rename,
and Kubernetes' volumes by swapping a symbolic link. An event only means "look again". A
file is part of one whole: while anything in it is wrong, the last good state of all files
stays in force.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from meshproxy.aio.inotify import DirectoryWatch
from meshproxy.base.errors import Finding, errors_in
from meshproxy.loader.files import read_paths
from meshproxy.loader.load import SourceText, load
from meshproxy.resources.update import SourceUpdate

SETTLE = 0.05
"""Seconds without an event before files are read: an editor's several steps are one change."""
MAX_SETTLE = 0.5
"""Seconds after which they are read all the same."""
POLL = 2.0
"""Seconds between looks where a directory cannot be watched: it is missing, or the system's limits are reached."""

_log = logging.getLogger(__name__)


class FilesSource:
    """Implements `resources.update.Source` for ``-c PATH…``."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._event = asyncio.Event()
        self._digest = b""
        self._forced = False

    @property
    def name(self) -> str:
        return "files"

    def refresh(self) -> None:
        self._forced = True
        self._event.set()

    async def run(self, emit: Callable[[SourceUpdate], None]) -> None:
        watch = self._open_watch()
        try:
            while True:
                # Watch before reading: what changes while we read leads to another look.
                watched = self._watch(watch)
                self._event.clear()
                await self._read(emit)
                await self._wait_for_change(None if watched else POLL)
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

    async def _read(self, emit: Callable[[SourceUpdate], None]) -> None:
        """Read and parse in a thread, so that 10,000 documents do not stop the supervisor; emit what is new."""
        update, digest = await asyncio.to_thread(self._load, self._digest)
        if update is None and self._forced:
            update, digest = await asyncio.to_thread(self._load, b"")
        self._digest, self._forced = digest, False
        if update is not None:
            emit(update)

    def _load(self, known: bytes) -> tuple[SourceUpdate | None, bytes]:
        texts, findings = read_paths(self._paths)
        digest = _digest(texts, findings)
        if digest == known:
            return None, digest
        loaded = load(texts)
        everything = (*findings, *loaded.findings)
        good = not errors_in(everything)
        update = SourceUpdate(
            source=self.name,
            resources=loaded.resources if good else None,
            findings=everything,
            places=loaded.places,
        )
        return update, digest

    # -- watching ------------------------------------------------------------------------

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


def _digest(texts: Sequence[SourceText], findings: Sequence[Finding]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(f"{text.name}\0{len(text.data)}\0".encode())
        digest.update(text.data)
    for finding in findings:
        digest.update(f"{finding}\0".encode())
    return digest.digest()
