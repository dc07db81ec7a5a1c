"""Field lines taken out of a head and put into it, on bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from meshproxy.protocols.http1 import syntax
from meshproxy.snapshot.routes import HeaderMutation


def without(*names: bytes) -> re.Pattern[bytes]:
    """A pattern whose matches in a head are the field lines called one of `names` (lower case)."""
    return syntax.named(*map(re.escape, names))


def field(name: str | bytes, value: str | bytes) -> bytes:
    """One field line, with the line break before it."""
    name = name.encode("latin-1") if isinstance(name, str) else name
    value = value.encode() if isinstance(value, str) else value
    return b"\r\n" + name + b": " + value


class HeaderEdit:
    """Gateway API `HTTPHeaderFilter` on the field lines of a head, each with the line break before it."""

    __slots__ = ("_added", "_taken")

    def __init__(self, mutation: HeaderMutation) -> None:
        names = [name.lower().encode() for name, _ in mutation.set] + [
            name.lower().encode() for name in mutation.remove
        ]
        self._taken = without(*names) if names else None
        self._added = b"".join(field(name, value) for name, value in (*mutation.set, *mutation.add))

    def apply(self, fields: bytes) -> bytes:
        """`fields` as the mutation wants them."""
        if self._taken is not None:
            fields = self._taken.sub(b"", fields)
        return fields + self._added


def edits(*mutations: HeaderMutation | None) -> tuple[HeaderEdit, ...]:
    """The edits that are any."""
    return tuple(HeaderEdit(each) for each in mutations if each is not None)


def apply_all(each: Iterable[HeaderEdit], fields: bytes) -> bytes:
    """`fields` after one edit after the other."""
    for edit in each:
        fields = edit.apply(fields)
    return fields
