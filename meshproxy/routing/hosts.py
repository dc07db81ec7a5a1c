"""Values by hostname, and which of them a request's host means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class HostMap(Generic[T]):
    """Values by hostname: exact ones, ``*.suffix``, and one for any host; looked up by dictionaries only.

    A ``*`` is one label or more (Gateway API), or, with `single_label`, exactly one (Ingress), which is the more
    specific of two for the same suffix.
    """

    __slots__ = ("_any", "_exact", "_single", "_wild")

    def __init__(self) -> None:
        self._exact: dict[bytes, T] = {}
        self._wild: dict[bytes, T] = {}
        self._single: dict[bytes, T] = {}
        self._any: T | None = None

    def setdefault(self, hostname: str, single_label: bool, make: Callable[[], T]) -> T:
        """The value of `hostname`, made where there is none."""
        if not hostname:
            if self._any is None:
                self._any = make()
            return self._any
        if not hostname.startswith("*."):
            names, key = self._exact, hostname.encode()
        else:
            names, key = (self._single if single_label else self._wild), hostname[1:].encode()
        found = names.get(key)
        if found is None:
            found = names[key] = make()
        return found

    def best(self, host: bytes) -> T | None:
        """The value of the most specific hostname that `host` matches."""
        if self._exact:
            found = self._exact.get(host)
            if found is not None:
                return found
        if self._wild or self._single:
            for found in self._wildcards(host):
                return found
        return self._any

    def all(self, host: bytes) -> Iterator[T]:
        """The values of all hostnames that `host` matches, the most specific first."""
        found = self._exact.get(host)
        if found is not None:
            yield found
        if self._wild or self._single:
            yield from self._wildcards(host)
        if self._any is not None:
            yield self._any

    @property
    def only_any(self) -> T | None:
        """The value for any host where there is no other hostname."""
        return None if self._exact or self._wild or self._single else self._any

    def _wildcards(self, host: bytes) -> Iterator[T]:
        dot = host.find(b".")
        if dot <= 0:
            return
        single = self._single.get(host[dot:])
        if single is not None:
            yield single
        while dot > 0:
            found = self._wild.get(host[dot:])
            if found is not None:
                yield found
            dot = host.find(b".", dot + 1)
