"""What of a request's body is kept, so that the request can be sent again."""

from __future__ import annotations

MAX_KEPT = 65536
"""Bytes. A longer body cannot be sent twice, nor mirrored (Envoy's `per_request_buffer_limit`, 1 MiB by default)."""


class KeptBody:
    """The body so far, as it came, while it is no longer than `MAX_KEPT`; `complete` once its end came."""

    __slots__ = ("_pieces", "_size", "complete", "size_of_all")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget everything: a new request."""
        self._pieces: list[bytes] | None = None
        self._size = 0
        self.size_of_all = 0
        self.complete = False

    def add(self, piece: bytes) -> None:
        self.size_of_all += len(piece)
        if self.size_of_all > MAX_KEPT:
            self._pieces = None
        elif self._pieces is None:
            self._pieces = [piece]
        else:
            self._pieces.append(piece)

    @property
    def is_kept(self) -> bool:
        """Whether everything so far is here."""
        return self.size_of_all <= MAX_KEPT

    def bytes(self) -> bytes:
        """Everything so far, where it `is_kept`."""
        return b"".join(self._pieces) if self._pieces else b""
