"""The last good snapshot on disk, for a start while the configuration is broken or a registry is gone."""

from __future__ import annotations

import logging
import os
from hashlib import blake2b
from pathlib import Path

import msgspec

from meshproxy.base.errors import SnapshotRejected
from meshproxy.snapshot.consistency import check_consistency
from meshproxy.snapshot.model import Snapshot

FILE_NAME = "last-good-snapshot"
_MAGIC = b"meshproxy snapshot 1\n"
"""The format: this line, 32 bytes of BLAKE2b over the rest, the snapshot in MessagePack."""
_DIGEST_SIZE = 32

_log = logging.getLogger(__name__)


class LastGoodFile:
    """One file in the state directory, replaced atomically, readable by its owner only."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    def save(self, snapshot: Snapshot) -> None:
        """Write `snapshot`; a directory that cannot be written is a warning, since traffic does not need it."""
        encoded = msgspec.msgpack.encode(snapshot)
        content = _MAGIC + blake2b(encoded, digest_size=_DIGEST_SIZE).digest() + encoded
        temporary = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(self._path)
        except OSError as error:
            _log.warning("the last good configuration is not kept: %s: %s", self._path, error.strerror)

    def load(self) -> Snapshot | None:
        """What was saved; None, and a warning where there is something, if it cannot be used."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("the last good configuration cannot be read: %s: %s", self._path, error.strerror)
            return None
        start = len(_MAGIC) + _DIGEST_SIZE
        encoded = content[start:]
        digest = blake2b(encoded, digest_size=_DIGEST_SIZE).digest()
        if not content.startswith(_MAGIC) or content[len(_MAGIC) : start] != digest:
            _log.warning("%s is damaged, or of another version, and is not used", self._path)
            return None
        try:
            snapshot = msgspec.msgpack.decode(encoded, type=Snapshot)
            check_consistency(snapshot)
        except (msgspec.DecodeError, SnapshotRejected) as error:
            _log.warning("%s cannot be used: %s", self._path, error)
            return None
        return snapshot
