"""An identity in files, as cert-manager, step and openssl lay them, watched.

Files that are replaced one after the other do not fit together for a moment: such a state is a trouble that
is over at the next look, and never replaces what is in force. So with files that are half-written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from meshproxy.aio.file_changes import FileChanges
from meshproxy.identity.revocation import with_lists
from meshproxy.identity.sources.api import Emit, Trouble
from meshproxy.identity.svid import IdentityError, Wanted, make_identity
from meshproxy.snapshot.identity import FromFiles, Identity

MAX_FILE = 1024 * 1024
"""Bytes. A bundle of every public root there is has 250 kB."""
LOOK_AGAIN = 10.0
"""Seconds between looks while something is wrong: a certificate may become valid by itself."""


class FilesIdentitySource:
    """Implements `sources.api.IdentitySource`. `wall_clock` tells seconds since 1970."""

    def __init__(self, files: FromFiles, wanted: Wanted, wall_clock: Callable[[], float]) -> None:
        self._certificate, self._key, self._roots = map(Path, (files.certificate, files.key, files.roots))
        self._crl = Path(files.crl) if files.crl else None
        self._wanted = wanted
        self._wall_clock = wall_clock
        crl = (self._crl,) if self._crl is not None else ()
        self._changes = FileChanges((self._certificate, self._key, self._roots, *crl))

    @property
    def name(self) -> str:
        return "files"

    def refresh(self) -> None:
        self._changes.look_again()

    def at_hand(self) -> Identity | None:
        found = self._read()
        return found if isinstance(found, Identity) else None

    async def run(self, emit: Emit) -> None:
        async def look() -> float | None:
            found = await asyncio.to_thread(self._read)
            emit(found)
            return LOOK_AGAIN if isinstance(found, Trouble) else None

        await self._changes.run(look)

    def _read(self) -> Identity | Trouble:
        try:
            chain, key, roots = (read_file(path) for path in (self._certificate, self._key, self._roots))
            identity = make_identity(chain, key, roots, self._wall_clock(), self._wanted)
            return identity if self._crl is None else with_lists(identity, read_file(self._crl), str(self._crl))
        except IdentityError as error:
            return Trouble(f"{self._certificate}: {error}")


def read_file(path: Path) -> bytes:
    """The contents of a file of sensible size; raises `IdentityError`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise IdentityError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise IdentityError(f"{path} is larger than {MAX_FILE} bytes: this is no certificate, key or bundle")
    return data
