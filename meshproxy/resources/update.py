"""What a source says: its resources now, or what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from meshproxy.base.errors import Finding
from meshproxy.base.names import NamespacedName
from meshproxy.resources.meta import Resource


class SourceUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """The complete state of one source.

    `resources` is None where the source has nothing it can stand behind (its files do not
    parse, its registry is gone): the last good resources stay in force and `findings` or
    `problem` says why. With resources, a `problem` is about a part of them. `places` says where a
    resource stands, by its label, for findings that come later (`meshproxy.loader.places.Place`).
    An object that did not change is best the one of the update before: that makes what follows
    cheap. `ended` are Workloads that the source saw end: they are gone for certain, and not just
    no longer spoken of.
    """

    source: str
    resources: tuple[Resource, ...] | None
    findings: tuple[Finding, ...] = ()
    problem: str = ""
    places: Mapping[str, Any] = {}
    ended: frozenset[NamespacedName] = frozenset()


class Source(Protocol):
    """Where resources come from. Emits complete states, and knows nothing of who listens."""

    @property
    def name(self) -> str:
        """The source's identity, such as ``files``; unique in a process."""
        ...

    async def run(self, emit: Callable[[SourceUpdate], None]) -> None:
        """Emit the first state as soon as it is known, then one after every change, until cancelled."""
        ...

    def refresh(self) -> None:
        """Look again now (SIGHUP); emits even where nothing changed."""
        ...
