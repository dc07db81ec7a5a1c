"""The last good snapshot on disk, for a start while the configuration is broken."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from meshproxy.aio.sealed_file import SealedFile
from meshproxy.base.errors import SnapshotRejected
from meshproxy.snapshot.consistency import check_consistency
from meshproxy.snapshot.model import Snapshot

FILE_NAME = "last-good-snapshot"
_MAGIC = b"meshproxy snapshot 1\n"
"""The content is the snapshot in MessagePack."""

_log = logging.getLogger(__name__)


class LastGoodFile:
    """One file in the state directory."""

    def __init__(self, directory: Path) -> None:
        self._file = SealedFile(directory / FILE_NAME, _MAGIC, "the last good configuration")

    def save(self, snapshot: Snapshot) -> None:
        """Write `snapshot`; a directory that cannot be written is a warning, since traffic does not need it."""
        self._file.write(msgspec.msgpack.encode(snapshot))

    def load(self) -> Snapshot | None:
        """What was saved; None, and a warning where there is something, if it cannot be used."""
        encoded = self._file.read()
        if encoded is None:
            return None
        try:
            snapshot = msgspec.msgpack.decode(encoded, type=Snapshot)
            check_consistency(snapshot)
        except (msgspec.DecodeError, SnapshotRejected) as error:
            _log.warning("%s cannot be used: %s", self._file.path, error)
            return None
        return snapshot
