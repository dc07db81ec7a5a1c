"""Maglev hashing: an even table with little disruption (Eisenbud et al., NSDI 2016, §3.4)."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from meshproxy.balancing.api import M
from meshproxy.balancing.hashed import Hashed
from meshproxy.base.stable_hash import stable_hash

SMALL_TABLE, LARGE_TABLE = 65537, 655373
"""Primes; the first is Envoy's and the paper's. The second serves more than `SMALL_UP_TO` members."""
SMALL_UP_TO = 3000
_STEP = 2000
"""Probes of the table between two yields: about a millisecond."""
_FREE = 0xFFFFFFFF


class Maglev(Hashed[M]):
    """IPVS `mh`, Envoy's `MAGLEV`: table entries in proportion to weights, each member's in its own permutation."""

    def __init__(self) -> None:
        super().__init__()
        self._table = array("L")
        self._order: list[M] = []

    def _lookup(self, key: int) -> M | None:
        table = self._table
        return self._order[table[key % len(table)]] if table else None

    def _adopt(self, members: dict[str, M]) -> None:
        self._order = [members[member.key] for member in self._order]

    def _build(self, members: Sequence[M]) -> Iterator[None]:
        if not members:
            self._table, self._order = array("L"), []
            return
        size = SMALL_TABLE if len(members) <= SMALL_UP_TO else LARGE_TABLE
        # One row a member: the next entry of its permutation, the stride, its credit, its weight.
        rows: list[list[int]] = []
        for member in members:
            start = stable_hash(member.key, seed=1) % size
            stride = stable_hash(member.key, seed=2) % (size - 1) + 1
            rows.append([start, stride, 0, member.weight])
            if len(rows) % 500 == 0:
                yield
        table = array("L", bytes(array("L").itemsize * size))
        for index in range(size):
            table[index] = _FREE
            if index % 20_000 == 0:
                yield
        yield from _populate(table, rows)
        self._table, self._order = table, list(members)


def _populate(table: array[int], rows: list[list[int]]) -> Iterator[None]:
    """Let members claim entries in turn, the heaviest in each turn and the others as often as their weight allows."""
    size, heaviest = len(table), max(row[3] for row in rows)
    filled = probes = 0
    while True:
        for index, row in enumerate(rows):
            row[2] += row[3]
            if row[2] < heaviest:
                continue
            row[2] -= heaviest
            entry, stride = row[0], row[1]
            while table[entry] != _FREE:
                entry = (entry + stride) % size
                probes += 1
            table[entry] = index
            row[0] = (entry + stride) % size
            filled += 1
            probes += 1
            if filled == size:
                return
            if probes >= _STEP:
                probes = 0
                yield
