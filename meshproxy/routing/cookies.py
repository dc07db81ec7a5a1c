"""The Cookie header (RFC 6265 §4.2, §5.4)."""

from __future__ import annotations


def cookie_value(cookies: bytes, name: bytes) -> bytes | None:
    """The value of the first cookie called `name`, without the quotes it may stand in; None without one."""
    if name not in cookies:
        return None
    for pair in cookies.split(b";"):
        key, equals, value = pair.partition(b"=")
        if equals and key.strip(b" \t") == name:
            value = value.strip(b" \t")
            if len(value) > 1 and value[:1] == value[-1:] == b'"':
                value = value[1:-1]
            return value
    return None
