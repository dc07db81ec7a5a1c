"""Which clients are bound to which endpoints, over all workers and their deaths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from meshproxy.dataplane.affinity import Entry

MAX_ENTRIES = 262_144
PART = 1000
"""Entries in one message, which must fit a socket packet."""


class AffinityBook:
    """Keeps what workers learned so that a new one can be told; the oldest go when it is full."""

    def __init__(self) -> None:
        self._bound: dict[tuple[str, str], tuple[str, float]] = {}

    def learn(self, entries: Sequence[Entry], now: float) -> None:
        """Take entries whose seconds are counted from `now`."""
        for cluster, client, endpoint, seconds_left in entries:
            self._bound.pop((cluster, client), None)
            self._bound[cluster, client] = (endpoint, now + seconds_left)
        excess = len(self._bound) - MAX_ENTRIES
        if excess > 0:
            for key in list(islice(self._bound, excess)):
                del self._bound[key]

    def entries(self, now: float) -> Iterator[tuple[Entry, ...]]:
        """Everything that is still bound at `now`, in parts; what is not is forgotten."""
        self._bound = {key: bound for key, bound in self._bound.items() if bound[1] > now}
        remaining = (
            (cluster, client, endpoint, until - now) for (cluster, client), (endpoint, until) in self._bound.items()
        )
        while part := tuple(islice(remaining, PART)):
            yield part
