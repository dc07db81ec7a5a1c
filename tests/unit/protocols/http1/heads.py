"""Heads for tests, from lines."""

from __future__ import annotations


def head(*lines: bytes) -> bytes:
    """A head of `lines`: each is followed by CRLF, and the last one by an empty line."""
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n"
