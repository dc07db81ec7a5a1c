"""What the hashing algorithms share: a table that is built in steps, and where to go when its member is out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence

from meshproxy.balancing.api import M
from meshproxy.balancing.membership import Membership

MAX_PROBES = 64
"""Table entries looked at before any available member is taken: more than 9 of 10 members are out then."""
_MASK = 2**64 - 1


def next_probe(key: int) -> int:
    """Another 64-bit hash, from a hash (splitmix64, Steele et al., OOPSLA 2014)."""
    key = (key + 0x9E3779B97F4A7C15) & _MASK
    key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & _MASK
    return key ^ (key >> 31)


class Hashed(Membership[M]):
    """Keys lead to members by a table that depends on nothing but the members' keys and weights.

    While a member is out, its keys follow their own chain of further hashes; everyone else's
    stay, and its own come back with it. `place` is the member's index among the available.
    """

    def __init__(self) -> None:
        super().__init__()
        self._available: list[M] = []

    def replace(self, members: Sequence[M]) -> Iterator[None]:
        unchanged = _weights(self._members.values()) == _weights(members)
        yield from super().replace(members)
        if unchanged:
            self._adopt(self._members)
        else:
            yield from self._build(sorted((each for each in members if each.weight), key=_key))

    def pick(self, key: int) -> M | None:
        if not self._available:
            return None
        probe = key
        for _ in range(MAX_PROBES):
            member = self._lookup(probe)
            if member is not None and member.place is not None:
                return member
            probe = next_probe(probe)
        return self._available[probe % len(self._available)]

    def _enter(self, member: M) -> None:
        member.place = len(self._available)
        self._available.append(member)

    def _leave(self, member: M) -> None:
        index, member.place = member.place, None
        last = self._available.pop()
        if last is not member:
            self._available[index] = last
            last.place = index

    @abstractmethod
    def _lookup(self, key: int) -> M | None:
        """The member that `key` belongs to, available or not."""

    @abstractmethod
    def _build(self, members: Sequence[M]) -> Iterator[None]:
        """Make a new table of `members`, sorted by key, in steps; the old one serves until then."""

    @abstractmethod
    def _adopt(self, members: dict[str, M]) -> None:
        """The same keys and weights, perhaps as new objects."""


def _key(member: M) -> str:
    return member.key


def _weights(members: Iterable[M]) -> dict[str, int]:
    return {member.key: member.weight for member in members}
