"""What a CA did and refused, as JSON lines: one for each certificate, so that nobody has one unknown to its owner."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

FILE_NAME = "audit.log"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`event` is ``issued``, ``refused``, ``token_reused``, ``token_created``, ``revoked``, ``rotated`` or
    ``root_dropped``; `how` is ``token``, ``certificate`` or ``command``; `remote` the client's address. Times are
    seconds since 1970.
    """

    event: str
    how: str
    ts: float = 0.0
    subject: str = ""
    serial: str = ""
    not_after: float = 0.0
    token: str = ""
    remote: str = ""
    reason: str = ""


class AuditLog:
    """Appends to a file that only this user can read. It is opened anew when it was moved away (logrotate)."""

    def __init__(self, path: Path, wall_clock: Callable[[], float]) -> None:
        self._path = path
        self._wall_clock = wall_clock
        self._descriptor = -1
        self._inode = (0, 0)

    def write(self, entry: AuditEntry) -> None:
        """Append one line, in one write. Raises `OSError`: what cannot be noted must not be done."""
        line = msgspec.json.encode(msgspec.structs.replace(entry, ts=round(self._wall_clock(), 3))) + b"\n"
        self._open()
        os.write(self._descriptor, line)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            status = None
        if self._descriptor >= 0 and status is not None and (status.st_dev, status.st_ino) == self._inode:
            return
        self.close()
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        status = os.fstat(self._descriptor)
        self._inode = (status.st_dev, status.st_ino)
