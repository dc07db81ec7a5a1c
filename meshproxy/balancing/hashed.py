"""What the hashing algorithms share: a table that is built in steps, and where to go when its owner is out.

Theory of operation. A table leads from a hash to a member's key and depends on nothing but the
members' keys and weights, so every proxy that knows the same members agrees. While a member is
out, each of its clients follows a chain of further hashes to the first member that is not;
everyone else's clients stay, and its own come back with it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from meshproxy.balancing.api import M
from meshproxy.balancing.membership import Membership

MAX_PROBES = 64
"""Owners looked up before a table of whoever is left is made: with half of them out, once in 2**64 picks."""
_MASK = 2**64 - 1


class HashTable(Protocol):
    """Who owns which hashes. Immutable."""

    def owner(self, key: int) -> str:
        """The key of the member that owns `key`, 0 to 2**64-1; O(1) on average."""
        ...


Building = Generator[None, None, HashTable]
"""Makes a table in steps of about a millisecond."""


class Hashed(Membership[M]):
    """Finds members by a table from a hash to the owner's key. Their `place` is not used."""

    __slots__ = ("_built_for", "_remnant", "_table")

    def __init__(self) -> None:
        super().__init__()
        self._table: HashTable | None = None
        self._built_for: dict[str, int] = {}
        """The weights by key that the table was made of."""
        self._remnant: HashTable | None = None

    def replace(self, members: Sequence[M]) -> Iterator[None]:
        wanted = _weights(members)
        yield
        table = self._table
        if wanted != self._built_for:
            yield
            table = (yield from self._build(wanted)) if wanted else None
        if self._table is None:
            self._table = table
        yield from self._admit(members)
        self._table = table
        self._built_for = wanted
        self._remnant = None
        yield from self._dismiss_others({member.key for member in members})

    def pick(self, key: int) -> M | None:
        table = self._table
        if not self._pickable or table is None:
            return None
        members, probe = self._members, key
        for _ in range(MAX_PROBES):
            member = members.get(table.owner(probe))
            if member is not None and member.available and member.weight:
                return member
            probe = next_probe(probe)
        return self._pick_remnant(key)

    def _pick_remnant(self, key: int) -> M:
        """Nearly all are out: find the member by a table of the others alone."""
        if self._remnant is None:
            building = self._build(_weights(each for each in self._members.values() if each.available))
            self._remnant = _finished(building)
        return self._members[self._remnant.owner(key)]

    def _enter(self, member: M) -> None:
        self._remnant = None

    def _leave(self, member: M) -> None:
        self._remnant = None

    @abstractmethod
    def _build(self, weights: Mapping[str, int]) -> Building:
        """Make the table of at least one member, weights above 0, in whatever order they come."""


def next_probe(key: int) -> int:
    """Another 64-bit hash, from a hash (splitmix64, Steele et al., OOPSLA 2014)."""
    key = (key + 0x9E3779B97F4A7C15) & _MASK
    key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & _MASK
    return key ^ (key >> 31)


def _weights(members: Iterable[M]) -> dict[str, int]:
    return {member.key: member.weight for member in members if member.weight}


def _finished(building: Building) -> HashTable:
    """Run all steps at once."""
    while True:
        try:
            next(building)
        except StopIteration as finished:
            table: HashTable = finished.value
            return table
