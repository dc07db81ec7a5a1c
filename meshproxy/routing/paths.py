"""Paths, so that every spelling of one is matched, and sent on, alike."""

from __future__ import annotations

import re
from typing import Final

_DOT: Final = 0x2E
_PERCENT: Final = 0x25
"""One byte is found in a quarter of the time that two take, and that a pattern takes."""
_SLASHES = re.compile(rb"//+")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""RFC 3986 §2.3."""


def normalize_path(path: bytes) -> bytes | None:
    """`path` without dot segments, and with unreserved characters as they are (RFC 3986 §6.2.2).

    ``%2e`` is a dot and other escapes of unreserved characters are decoded; the rest are upper case. ``%2F`` is no
    slash, and ``//`` stays. What climbs above the root ends there, as in RFC 3986 §5.2.4 and Envoy's
    `normalize_path`. None where a ``%`` is not followed by two hexadecimal digits. The same object where there
    is nothing to do.
    """
    if _PERCENT in path:
        if any(not escape for escape in _ESCAPE.findall(path)):
            return None
        path = _ESCAPE.sub(_normal_escape, path)
    return _without_dots(path) if _DOT in path and b"/." in path else path


def _normal_escape(escape: re.Match[bytes]) -> bytes:
    code = int(escape[1], 16)
    return bytes((code,)) if code in _UNRESERVED else escape[0].upper()


def _without_dots(path: bytes) -> bytes:
    segments: list[bytes] = []
    parts = path.split(b"/")[1:]
    for part in parts:
        if part == b"..":
            if segments:
                segments.pop()
        elif part != b".":
            segments.append(part)
    if parts[-1] in (b".", b".."):
        segments.append(b"")
    return b"/" + b"/".join(segments)


def decoded_path(path: bytes) -> bytes:
    """`path`, in its normal form, as a server may understand it: escapes decoded, ``//`` taken for ``/``.

    That is, as those do who decode before they look for slashes and dot segments. The same object where there is
    nothing to do.
    """
    if b"%" in path:
        path = _without_dots(_ESCAPE.sub(_decoded_escape, path))
    return _SLASHES.sub(b"/", path) if b"//" in path else path


def _decoded_escape(escape: re.Match[bytes]) -> bytes:
    return bytes((int(escape[1], 16),))


def replace_prefix(path: bytes, prefix: bytes, replacement: bytes) -> bytes:
    """`path` with the `prefix` that a rule matched replaced (Gateway API `HTTPPathModifier.replacePrefixMatch`).

    A trailing slash of either does not count: ``/foo/bar`` with ``/foo`` or ``/foo/`` replaced by ``/xyz`` or ``/xyz/``
    is ``/xyz/bar``; the whole prefix alone becomes the replacement as it is written, or ``/``.
    """
    rest = path[len(prefix.rstrip(b"/")) :]
    if rest in (b"", b"/"):
        return _alone(rest, replacement)
    return replacement.rstrip(b"/") + rest


def _alone(rest: bytes, replacement: bytes) -> bytes:
    if not rest:
        return replacement or b"/"
    return replacement.rstrip(b"/") + b"/"
