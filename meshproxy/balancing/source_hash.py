"""Source hash: a consistent-hash ring (Karger et al., STOC 1997; ketama's many points a member)."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterator, Mapping, Sequence
from hashlib import blake2b
from struct import Struct

from meshproxy.balancing.api import M
from meshproxy.balancing.hashed import Building, Hashed

POINTS = 256
"""Points of a member whose weight is the highest and a power of two; n points make a share within 1/sqrt(n) of ideal.

libketama has 160; 10,000 members of weight 100 make 2 million points, 16 MB.
"""
_POINTS_IN_BUCKET = 32
_STEP_POINTS = 2048
_DIGEST = Struct("<16I")
_POSITION = 0xFFFFFFFF << 32
_OWNER = 0xFFFFFFFF


class SourceHash(Hashed[M]):
    """IPVS `sh`, Envoy's `RING_HASH`: the member whose point comes first at or after the hash.

    One of N members that comes or goes moves 1/N of the clients (by weight), the least there
    can be. Only a change of the highest power of two that a weight reaches moves more of them.
    """

    __slots__ = ()

    def _build(self, weights: Mapping[str, int]) -> Building:
        return build_ring(weights)


class Ring:
    """Sorted points, 32 bits of position over 32 bits of owner, in `1 << (64 - shift)` buckets by position.

    Points are spread evenly, so a bucket, found by the first bits of a hash, holds a handful
    of them: that makes looking up O(1) on average.
    """

    __slots__ = ("_keys", "_points", "_shift", "_starts")

    def __init__(self, keys: Sequence[str], points: array[int], starts: array[int], shift: int) -> None:
        self._keys = keys
        self._points = points
        self._starts = starts
        self._shift = shift

    def owner(self, key: int) -> str:
        points, starts, bucket = self._points, self._starts, key >> self._shift
        index = bisect_left(points, key & _POSITION, starts[bucket], starts[bucket + 1])
        return self._keys[points[index if index < len(points) else 0] & _OWNER]


def point_count(weight: int, heaviest: int) -> int:
    """The points of a member, which do not depend on other members while `heaviest` keeps its highest bit."""
    scale = 1 << (heaviest - 1).bit_length()
    return max(1, round(POINTS * weight / scale))


def build_ring(weights: Mapping[str, int]) -> Generator[None, None, Ring]:
    """A ring of at least one member, in steps of about a millisecond."""
    keys = sorted(weights)  # where two points coincide, all proxies must take the same one
    yield
    heaviest = max(weights.values())
    count_of = {weight: point_count(weight, heaviest) for weight in set(weights.values())}
    counts = [count_of[weights[key]] for key in keys]
    bits = max(1, (sum(counts) // _POINTS_IN_BUCKET).bit_length())
    shift = 64 - bits
    buckets: list[array[int]] = []
    while len(buckets) < 1 << bits:
        buckets.extend([array("Q") for _ in range(min(1 << bits, _STEP_POINTS))])
        yield
    yield from _scatter(keys, counts, buckets, shift)
    points, starts = yield from _gather(buckets)
    return Ring(keys, points, starts, shift)


def _scatter(keys: Sequence[str], counts: Sequence[int], buckets: list[array[int]], shift: int) -> Iterator[None]:
    """Throw every member's points into their buckets."""
    thrown = 0
    for owner, (key, count) in enumerate(zip(keys, counts, strict=True)):
        for position in _positions(key, count):
            point = position << 32 | owner
            buckets[point >> shift].append(point)
        thrown += count
        if thrown >= _STEP_POINTS:
            thrown = 0
            yield


def _gather(buckets: list[array[int]]) -> Generator[None, None, tuple[array[int], array[int]]]:
    """All points in order, and where each bucket starts in them; empties `buckets`."""
    points, starts = array("Q"), array("I", [0])
    buckets.reverse()
    gathered = 0
    while buckets:  # freed one by one: all at once takes 5 ms
        bucket = buckets.pop()
        points.extend(sorted(bucket))
        starts.append(len(points))
        gathered += len(bucket)
        if gathered >= _STEP_POINTS:
            gathered = 0
            yield
    return points, starts


def _positions(key: str, count: int) -> Sequence[int]:
    """The first `count` positions of a member, 32 bits each, which depend on nothing but its key."""
    positions: list[int] = []
    while len(positions) < count:
        digest = blake2b(f"{key}#{len(positions)}".encode(), digest_size=64).digest()
        positions.extend(_DIGEST.unpack(digest))
    return positions[:count]
