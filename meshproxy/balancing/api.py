"""The contract that every balancing algorithm keeps; `tests/conformance` proves each against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar


class Member:
    """An endpoint as a balancer sees it: mutable, owned by one balancer at a time.

    `key` is its stable identity (``10.0.0.1:8080``), which hashing algorithms use so that
    every proxy agrees. `weight`, 0 to 65535, is its share; 0 means never. `active` counts
    what `Balancer.acquire` began and `release` has not ended. `available` is false while it
    must not be picked. Once it is a member only `Balancer.set_available` changes that, and only
    `Balancer.set_weight` the weight. `place` belongs to the balancer.
    """

    __slots__ = ("active", "available", "key", "place", "weight")

    def __init__(self, key: str, weight: int) -> None:
        self.key = key
        self.weight = weight
        self.active = 0
        self.available = True
        self.place: Any = None


M = TypeVar("M", bound=Member)


class Balancer(Protocol[M]):
    """Picks members by their weights. Not thread-safe."""

    def replace(self, members: Sequence[M]) -> Iterator[None]:
        """Make `members` (unique keys) the whole membership, in steps of at most about a millisecond.

        The caller runs the iterator to its end and may pick between steps, which then sees
        the old membership, the new one or a mix, but never a member that is in neither, and
        never one that is in `members` no longer once the iterator ended. Members in both
        keep their `active` and `available`. A weight is changed by a new `Member` with the
        same key. Running one `replace` to its end before the next begins is the caller's duty.
        """
        ...

    def pick(self, key: int) -> M | None:
        """The member for the next connection, or None when none is available with a weight above 0.

        `key`, 0 to 2**64-1, is a hash of the client; algorithms that do not hash ignore it.
        Picking changes no counts: see `acquire`. O(1) in the number of members.
        """
        ...

    def acquire(self, member: M) -> None:
        """A connection to `member` begins (it may have been picked by someone else, or left the set)."""
        ...

    def release(self, member: M) -> None:
        """A connection to `member` ended (the member may have left the set meanwhile)."""
        ...

    def set_available(self, member: M, available: bool) -> None:
        """Let `member` be picked or not; O(1), and nothing when it is so already."""
        ...

    def set_weight(self, member: M, weight: int) -> None:
        """Change the weight of `member` from one above 0 to another; O(1) but for the number of weights.

        Algorithms that hash heed it at the next `replace`.
        """
        ...

    @property
    def available_count(self) -> int:
        """How many members are available with a weight above 0; O(1)."""
        ...
