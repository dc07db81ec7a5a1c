"""Query parameters (WHATWG URL §5.1, ``application/x-www-form-urlencoded``)."""

from __future__ import annotations

import re

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def query_value(query: bytes, name: bytes) -> bytes | None:
    """The first value of the parameter `name` in `query` (without ``?``), decoded; None without one."""
    if name not in query and b"%" not in query and b"+" not in query:
        return None
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if _decoded(key) == name:
            return _decoded(value)
    return None


def _decoded(text: bytes) -> bytes:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    return _ESCAPE.sub(_byte, text) if b"%" in text else text


def _byte(escape: re.Match[bytes]) -> bytes:
    return bytes((int(escape[1], 16),))
