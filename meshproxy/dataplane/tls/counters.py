"""How handshakes ended."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.dataplane.tally import Tally
from meshproxy.snapshot.messages import HandshakeStats
from meshproxy.telemetry.handshake_totals import DOWNSTREAM


class HandshakeCounters:
    """Counts by (side, listener or cluster, outcome), cumulatively."""

    __slots__ = ("tally",)

    def __init__(self) -> None:
        self.tally: Tally[tuple[str, str, str]] = Tally()

    def count(self, side: str, name: str, outcome: str) -> None:
        self.tally.count((side, name, outcome))

    def keep_only(self, listeners: set[str], clusters: set[str]) -> None:
        """Forget listeners and clusters that are gone."""
        self.tally.keep_only(lambda key: key[1] in (listeners if key[0] == DOWNSTREAM else clusters))

    def take_changed(self) -> Iterator[HandshakeStats]:
        """Those that changed since the last call, with all of their counts."""
        return (HandshakeStats(*key, count) for key, count in self.tally.take_changed().items())
