"""What of a request's body is kept: until it is sent, and then so that it can be sent again."""

from __future__ import annotations

MAX_KEPT = 65536
"""Bytes. A longer body cannot be sent twice, nor mirrored (Envoy's `per_request_buffer_limit`, 1 MiB by default)."""


class KeptBody:
    """The body so far, as it came; once it `was_sent`, only while it is no longer than `MAX_KEPT`.

    `size` counts its bytes, `complete` says that its end came. `is_kept` says that all of it so far is here.
    """

    __slots__ = ("_pieces", "_sent", "complete", "is_kept", "size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._sent = False
        self.size = 0
        self.complete = self.is_kept = True

    def begin(self, first: bytes, complete: bool) -> None:
        """A new request."""
        if self.size:
            self._pieces = []
        self._sent = False
        self.is_kept = True
        self.complete = complete
        self.size = len(first)
        if first:
            self._pieces.append(first)

    def add(self, piece: bytes, complete: bool) -> None:
        self.complete = complete
        self.size += len(piece)
        if self.is_kept:
            self._pieces.append(piece)
            self._let_go()

    def was_sent(self) -> None:
        """An endpoint has what is here, and is sent the rest as it comes."""
        self._sent = True
        self._let_go()

    def keep(self) -> None:
        """It will have to be sent again: let nothing more go until it `was_sent`."""
        self._sent = False

    def _let_go(self) -> None:
        if self._sent and self.size > MAX_KEPT:
            self._pieces = []
            self.is_kept = False

    @property
    def is_short(self) -> bool:
        """Whether more of it may be read while nobody takes it."""
        return self.size <= MAX_KEPT

    def bytes(self) -> bytes:
        """Everything so far, where it `is_kept`."""
        return b"".join(self._pieces)
