"""A response on its way to the client."""

from __future__ import annotations

from typing import Final

from meshproxy.dataplane.http import forwarding
from meshproxy.dataplane.http.header_edits import HeaderEdit
from meshproxy.dataplane.http.upstream_connection import Bytes
from meshproxy.protocols.http1.chunked import ChunkedReader
from meshproxy.protocols.http1.request import CHUNKED
from meshproxy.protocols.http1.response import UNTIL_CLOSE, ResponseHead

_CLOSE: Final = b"\r\nconnection: close"
_KEEP_ALIVE: Final = b"\r\nconnection: keep-alive"


def ends_with_connection(head: ResponseHead, client_minor: int) -> bool:
    """Whether a client of HTTP/1.`client_minor` finds the end of the body by the end of the connection."""
    return head.length == UNTIL_CLOSE or (head.length == CHUNKED and not client_minor)


class ResponseWriter:
    """Heads and bodies as a client of this version understands them: HTTP/1.0 knows no chunks (RFC 9112 §7)."""

    __slots__ = ("_chunks",)

    def __init__(self) -> None:
        self._chunks: ChunkedReader | None = None

    def begin(
        self, head: ResponseHead, client_minor: int, closing: bool, edits: tuple[HeaderEdit, ...], added: bytes
    ) -> bytes:
        """The head for the client; where `closing`, it says so."""
        self._chunks = None
        if client_minor:
            return forwarding.response_head(head, _CLOSE if closing else b"", edits, added)
        if head.length == CHUNKED:
            self._chunks = ChunkedReader()
        data = forwarding.response_head(head, _CLOSE if closing else _KEEP_ALIVE, edits, added)
        return forwarding.TAKE_CHUNKED.sub(b"", data)  # which answers to HEAD and 304 may have, too

    def body(self, piece: Bytes) -> Bytes:
        """A piece of the body for the client."""
        if self._chunks is None:
            return piece
        slices: list[bytes] = []
        self._chunks.feed(bytes(piece), slices)
        return b"".join(slices)
