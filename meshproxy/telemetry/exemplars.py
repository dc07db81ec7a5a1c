"""Traces that show what a bucket of a latency histogram is made of (OpenMetrics 1.0, "Exemplars")."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from meshproxy.snapshot.messages import TraceRecord
from meshproxy.telemetry.latency import BOUNDS

RuleOfListener = tuple[str, str]
"""(listener, rule), as an access record has them."""


class Exemplar(NamedTuple):
    """A traced request that took `seconds`; `timestamp` is the Unix time of its end."""

    trace_id: str
    seconds: float
    timestamp: float


class Exemplars:
    """Keeps the last traced request of each bucket of each rule."""

    def __init__(self) -> None:
        self._kept: dict[RuleOfListener, dict[int, Exemplar]] = {}

    def absorb(self, records: Iterable[TraceRecord]) -> None:
        for record in records:
            if record.rule:
                buckets = self._kept.setdefault((record.listener, record.rule), {})
                ended = record.wall + record.started + record.seconds
                exemplar = Exemplar(record.trace_id.decode(), record.seconds, ended)
                buckets[bisect_left(BOUNDS, record.seconds)] = exemplar

    def keep_only(self, listeners: Collection[str]) -> None:
        """Forget those of listeners that are gone."""
        for key in [key for key in self._kept if key[0] not in listeners]:
            del self._kept[key]

    def all(self) -> Mapping[RuleOfListener, Mapping[int, Exemplar]]:
        """By rule, then by the bucket's number."""
        return self._kept
