"""Maglev hashing: an even table with little disruption (Eisenbud et al., NSDI 2016, §3.4)."""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator, Mapping, Sequence

from meshproxy.balancing.api import M
from meshproxy.balancing.hashed import Building, Hashed
from meshproxy.base.stable_hash import stable_hash

SMALL_TABLE, LARGE_TABLE = 65537, 655373
"""Primes; the first is the paper's and Envoy's, the second serves more members than `SMALL_UP_TO`."""
SMALL_UP_TO = 3000
"""Members of equal weight then own 21 entries or 22: shares within 5 %."""
_STEP_MEMBERS = 500
_STEP_WORK = 6000
"""Entries looked at between two yields; a claim costs as much as `_CLAIM_WORK` of them."""
_CLAIM_WORK = 6
_FREE_SMALL, _FREE_LARGE = 0xFFFF, 0xFFFFFFFF


class Maglev(Hashed[M]):
    """IPVS `mh`, Envoy's `MAGLEV`: entries of a table in proportion to weights, more even than a ring's points.

    One of N members that comes or goes moves a little more than 1/N of the clients; going
    past `SMALL_UP_TO` members, and changing the highest weight, moves more of them.
    """

    __slots__ = ()

    def _build(self, weights: Mapping[str, int]) -> Building:
        return build_table(weights)


class MaglevTable:
    """The index of the owner for every hash modulo the table's size."""

    __slots__ = ("_entries", "_keys", "_size")

    def __init__(self, keys: Sequence[str], entries: array[int]) -> None:
        self._keys = keys
        self._entries = entries
        self._size = len(entries)

    def owner(self, key: int) -> str:
        return self._keys[self._entries[key % self._size]]


def build_table(weights: Mapping[str, int]) -> Generator[None, None, MaglevTable]:
    """A table of at least one member, in steps of about a millisecond."""
    keys = sorted(weights)
    yield
    if len(keys) <= SMALL_UP_TO:
        entries, free = array("H", [_FREE_SMALL]) * SMALL_TABLE, _FREE_SMALL
    else:
        entries, free = array("I", [_FREE_LARGE]) * LARGE_TABLE, _FREE_LARGE
    permutations: list[tuple[int, int]] = []
    for key in keys:
        permutations.append(_permutation(key, len(entries)))
        if not len(permutations) % _STEP_MEMBERS:
            yield
    yield from _fill(entries, free, permutations, [weights[key] for key in keys])
    return MaglevTable(keys, entries)


def _permutation(key: str, size: int) -> tuple[int, int]:
    """A member's first entry and its stride: with a prime size, it comes by every entry once."""
    hashed = stable_hash(key)
    return hashed % size, (hashed >> 32) % (size - 1) + 1


def _fill(
    entries: array[int], free: int, permutations: Sequence[tuple[int, int]], weights: Sequence[int]
) -> Iterator[None]:
    """Let members claim entries in turn, each the next free one of its permutation."""
    size = len(entries)
    upcoming = [first for first, _ in permutations]
    work = filled = 0
    for index in _claims(weights):
        if index is not None:
            entry, stride = upcoming[index], permutations[index][1]
            while entries[entry] != free:
                entry = (entry + stride) % size
                work += 1
                if work >= _STEP_WORK:  # the last free entries take long to find
                    work = 0
                    yield
            entries[entry] = index
            upcoming[index] = (entry + stride) % size
            filled += 1
            if filled == size:
                return
        work += _CLAIM_WORK
        if work >= _STEP_WORK:
            work = 0
            yield


def _claims(weights: Sequence[int]) -> Iterator[int | None]:
    """Whose claim is next, without end: the heaviest claims in every round, the others as their weights allow.

    A member's nth claim is in round n * heaviest / weight, rounded up. Each waits in the
    list of that round, so that light members cost nothing in between; None is an empty round.
    """
    heaviest = max(weights)
    due = {1: [index for index, weight in enumerate(weights) if weight == heaviest]}
    for index, weight in enumerate(weights):
        if weight != heaviest:
            due.setdefault(-(-heaviest // weight), []).append(index)
    claims = [0] * len(weights)
    number = 1
    while True:
        indexes = due.pop(number, None)
        if indexes is None:
            yield None
        else:
            for index in sorted(indexes):
                yield index
                claims[index] = claimed = claims[index] + 1
                due.setdefault(-(-(claimed + 1) * heaviest // weights[index]), []).append(index)
        number += 1
