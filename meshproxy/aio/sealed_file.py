"""Files of the state directory: replaced atomically, readable by their owner only, and noticed when damaged."""

from __future__ import annotations

import logging
import os
from hashlib import blake2b
from pathlib import Path

_DIGEST_SIZE = 32

_log = logging.getLogger(__name__)


class SealedFile:
    """One file: the line `magic`, 32 bytes of BLAKE2b over the rest, the rest. `what` names it in warnings."""

    def __init__(self, path: Path, magic: bytes, what: str) -> None:
        self.path = path
        self._magic = magic
        self._what = what

    def write(self, content: bytes) -> None:
        """Replace the file; a directory that cannot be written is a warning, since traffic does not need it."""
        sealed = self._magic + blake2b(content, digest_size=_DIGEST_SIZE).digest() + content
        temporary = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(sealed)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(self.path)
        except OSError as error:
            _log.warning("%s is not kept: %s: %s", self._what, self.path, error.strerror)

    def read(self) -> bytes | None:
        """What was written; None, and a warning where there is something, if it cannot be used."""
        try:
            sealed = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("%s cannot be read: %s: %s", self._what, self.path, error.strerror)
            return None
        start = len(self._magic) + _DIGEST_SIZE
        content = sealed[start:]
        digest = blake2b(content, digest_size=_DIGEST_SIZE).digest()
        if not sealed.startswith(self._magic) or sealed[len(self._magic) : start] != digest:
            _log.warning("%s is damaged, or of another version, and is not used", self.path)
            return None
        return content
