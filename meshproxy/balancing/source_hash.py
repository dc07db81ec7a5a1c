"""Source hash: a consistent-hash ring (Karger et al., STOC 1997; ketama's many points a member)."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from meshproxy.balancing.api import M
from meshproxy.balancing.hashed import Hashed

POINTS, POINTS_OF_MANY = 256, 64
"""Points of the heaviest member: shares come out within about 6 %, and 12 % with many members."""
MANY = 1000
_DIGEST_POINTS = 8
_STEP_POINTS = 2000


class SourceHash(Hashed[M]):
    """IPVS `sh`, Envoy's `RING_HASH`: the member whose point comes first at or after the key."""

    def __init__(self) -> None:
        super().__init__()
        self._points = array("Q")
        self._owners = array("L")
        self._order: list[M] = []
        self._starts = array("L")
        self._shift = 64

    def _lookup(self, key: int) -> M | None:
        points = self._points
        if not points:
            return None
        # Points are spread evenly, so a prefix of the key leads to a handful of them: O(1).
        prefix = key >> self._shift
        index = bisect_left(points, key, self._starts[prefix], self._starts[prefix + 1])
        return self._order[self._owners[index if index < len(points) else 0]]

    def _adopt(self, members: dict[str, M]) -> None:
        self._order = [members[member.key] for member in self._order]

    def _build(self, members: Sequence[M]) -> Iterator[None]:
        heaviest = max((member.weight for member in members), default=1)
        most = POINTS if len(members) <= MANY else POINTS_OF_MANY
        counts = [max(1, round(most * member.weight / heaviest)) for member in members]
        bits = max(1, (sum(counts) // 8).bit_length())
        shift = 64 - bits
        buckets: list[list[tuple[int, int]]] = [[] for _ in range(1 << bits)]
        handled = 0
        for owner, (member, count) in enumerate(zip(members, counts, strict=True)):
            for point in _points(member.key, count):
                buckets[point >> shift].append((point, owner))
            handled += count
            if handled >= _STEP_POINTS:
                handled = 0
                yield
        points, owners, starts = array("Q"), array("L"), array("L", [0])
        for number, bucket in enumerate(buckets):
            bucket.sort()
            points.extend([point for point, _ in bucket])
            owners.extend([owner for _, owner in bucket])
            starts.append(len(points))
            if number % 500 == 0:
                yield
        self._points, self._owners, self._starts = points, owners, starts
        self._shift, self._order = shift, list(members)


def _points(key: str, count: int) -> Iterator[int]:
    """The first `count` points of a member, which depend on nothing but its key."""
    for block in range(0, count, _DIGEST_POINTS):
        digest = blake2b(f"{key}#{block}".encode(), digest_size=64).digest()
        for index in range(min(_DIGEST_POINTS, count - block)):
            yield int.from_bytes(digest[8 * index : 8 * index + 8], "little")
