"""A value that changes, and those who want its latest (Go's and tokio's watch channels)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Watch(Generic[T]):
    """Holds one value. Whoever follows it sees the newest, not all: a slow reader skips what was replaced meanwhile.

    Its owner calls `set`; everyone else only reads.
    """

    def __init__(self, value: T) -> None:
        self._value = value
        self._version = 0
        self._changed = asyncio.Event()

    @property
    def value(self) -> T:
        return self._value

    def set(self, value: T) -> None:
        """Replace the value; nothing happens when it is equal."""
        if value == self._value:
            return
        self._value = value
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def updates(self) -> AsyncIterator[T]:
        """The value as it is now, then each later one, until cancelled."""
        while True:
            version = self._version
            yield self._value
            while version == self._version:
                await self._changed.wait()
