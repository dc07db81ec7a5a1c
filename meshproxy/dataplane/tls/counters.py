"""How handshakes ended."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.snapshot.messages import HandshakeStats
from meshproxy.telemetry.handshake_totals import DOWNSTREAM, SUCCESSES

FULL, RESUMED = SUCCESSES
"""How one succeeded; everything else that is counted is a failure's reason."""


class HandshakeCounters:
    """Counts by (side, listener or cluster, outcome), cumulatively."""

    __slots__ = ("_counts", "_reported")

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], int] = {}
        self._reported: dict[tuple[str, str, str], int] = {}

    def count(self, side: str, name: str, outcome: str) -> None:
        key = (side, name, outcome)
        self._counts[key] = self._counts.get(key, 0) + 1

    def keep_only(self, listeners: set[str], clusters: set[str]) -> None:
        """Forget listeners and clusters that are gone."""
        for side, name, outcome in list(self._counts):
            if name not in (listeners if side == DOWNSTREAM else clusters):
                del self._counts[side, name, outcome]

    def take_changed(self) -> Iterator[HandshakeStats]:
        """Those that changed since the last call, with all of their counts."""
        before, self._reported = self._reported, dict(self._counts)
        return (HandshakeStats(*key, count) for key, count in self._counts.items() if before.get(key) != count)
