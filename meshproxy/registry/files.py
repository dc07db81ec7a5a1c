"""Manifests in files and directories, watched.

A file is part of one whole: while anything in it is wrong, the last good state of all files
stays in force.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from meshproxy.aio.file_changes import FileChanges
from meshproxy.base.errors import Finding, errors_in
from meshproxy.loader.files import read_paths
from meshproxy.loader.load import SourceText, load
from meshproxy.resources.update import SourceUpdate


class FilesSource:
    """Implements `resources.update.Source` for ``-c PATH…``."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._changes = FileChanges(self._paths)
        self._digest = b""
        self._forced = False

    @property
    def name(self) -> str:
        return "files"

    def refresh(self) -> None:
        self._forced = True
        self._changes.look_again()

    async def run(self, emit: Callable[[SourceUpdate], None]) -> None:
        async def look() -> None:
            await self._read(emit)

        await self._changes.run(look)

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


def _digest(texts: Sequence[SourceText], findings: Sequence[Finding]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(f"{text.name}\0{len(text.data)}\0".encode())
        digest.update(text.data)
    for finding in findings:
        digest.update(f"{finding}\0".encode())
    return digest.digest()
