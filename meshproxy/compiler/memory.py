"""What the compilation before made of inputs that are the same now.

One of 5,000 instances changes, and most of a compilation would make again what it made a moment ago.
Whoever compiles again and again keeps a `CompileMemory`; what comes out is the same without one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Self, TypeVar

from meshproxy.compiler.proxy_settings import Environment

T = TypeVar("T")


class CompileMemory:
    """Owns what is remembered: that of one compilation, for the next."""

    def __init__(self) -> None:
        self._environment: Environment | None = None
        self._known: dict[Hashable, tuple[Sequence[Any], Any]] = {}
        self._next: dict[Hashable, tuple[Sequence[Any], Any]] = {}

    def begun(self, environment: Environment) -> Self:
        """A compilation begins. In another environment everything is another thing."""
        if environment != self._environment:
            self._known = {}
            self._environment = environment
        self._next = {}
        return self

    def end(self) -> None:
        """It has ended: what it did not ask for is forgotten."""
        self._known = self._next

    def recall(self, key: Hashable, inputs: Sequence[Any], make: Callable[[], tuple[T, bool]]) -> T:
        """What `make` gives, or gave when `inputs` were equal. Comparing is cheap where they are the same objects.

        `make` says too whether it may be remembered: not where there is something to say each time.
        """
        known = self._known.get(key)
        if known is None or known[0] != inputs:
            made, lasting = make()
            if lasting:
                self._next[key] = (inputs, made)
            return made
        self._next[key] = known
        remembered: T = known[1]
        return remembered
