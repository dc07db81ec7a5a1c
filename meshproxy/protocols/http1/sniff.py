"""Is it HTTP/1? Told from a client's first bytes."""

from __future__ import annotations

_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE")
_BEGINNINGS = tuple(method + b" " + target for method in _METHODS for target in (b"/", b"http://", b"*"))
"""A known method and a target: other protocols have lines that begin with such a word, too (Redis: ``GET key``)."""


def looks_like_http(data: bytes) -> bool | None:
    """Whether `data` begins an HTTP/1 request; None while more bytes are needed to tell."""
    if data.startswith(_BEGINNINGS):
        return True
    if any(beginning.startswith(data) for beginning in _BEGINNINGS):
        return None
    return False
