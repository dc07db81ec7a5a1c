"""Texts with a ``*`` at one end, kept so that finding those that match does not depend on how many there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


def matches(patterns: Iterable[str], text: str) -> bool:
    """Whether one of `patterns` is `text`, or stands for it."""
    return any(_matches(pattern, text) for pattern in patterns)


def _matches(pattern: str, text: str) -> bool:
    if pattern == "*":
        return bool(text)
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    if pattern.startswith("*"):
        return text.endswith(pattern[1:])
    return text == pattern


class WildcardMap(Generic[T]):
    """Values by pattern: an exact text, ``begins*``, ``*ends`` or ``*``.

    A look-up takes a step for each length that a pattern has, and none for each pattern.
    """

    __slots__ = ("_exact", "_prefixes", "_suffixes")

    def __init__(self) -> None:
        self._exact: dict[str, list[T]] = {}
        self._prefixes: dict[int, dict[str, list[T]]] = {}
        self._suffixes: dict[int, dict[str, list[T]]] = {}

    def add(self, pattern: str, value: T) -> None:
        if pattern.endswith("*"):
            by_text = self._prefixes.setdefault(len(pattern) - 1, {})
            by_text.setdefault(pattern[:-1], []).append(value)
        elif pattern.startswith("*"):
            by_text = self._suffixes.setdefault(len(pattern) - 1, {})
            by_text.setdefault(pattern[1:], []).append(value)
        else:
            self._exact.setdefault(pattern, []).append(value)

    def find(self, text: str) -> Iterator[T]:
        """The values of every pattern that stands for `text`; nothing stands for an empty one."""
        if not text:
            return
        yield from self._exact.get(text, ())
        for length, by_text in self._prefixes.items():
            if length <= len(text):
                yield from by_text.get(text[:length], ())
        for length, by_text in self._suffixes.items():
            if length <= len(text):
                yield from by_text.get(text[-length:], ())
