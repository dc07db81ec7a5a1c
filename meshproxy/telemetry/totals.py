"""Counts over all workers and their restarts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from operator import add
from typing import NamedTuple

from meshproxy.snapshot.messages import EndpointStats, ListenerStats, Stats
from meshproxy.telemetry.per_worker import PerWorker


class EndpointTotals(NamedTuple):
    """`active` is a gauge, the others only grow; `sent` and `received` are bytes. See `EndpointStats`."""

    active: int = 0
    connections: int = 0
    connect_failures: int = 0
    connect_timeouts: int = 0
    sent: int = 0
    received: int = 0

    def plus(self, other: EndpointTotals) -> EndpointTotals:
        return EndpointTotals(*map(add, self, other))

    def settled(self) -> EndpointTotals:
        """Without what was open."""
        return self._replace(active=0)


class ListenerTotals(NamedTuple):
    """`active` is a gauge, the others only grow. See `ListenerStats`."""

    active: int = 0
    accepted: int = 0
    refused: int = 0
    denied: int = 0
    overflowed: int = 0
    malformed: int = 0
    dropped: int = 0

    def plus(self, other: ListenerTotals) -> ListenerTotals:
        return ListenerTotals(*map(add, self, other))

    def settled(self) -> ListenerTotals:
        """Without what was open."""
        return self._replace(active=0)


EndpointKey = tuple[str, str]
"""(cluster, endpoint id)."""


class Totals:
    """Adds what workers report, each cumulatively since its start; what a dead worker counted stays counted."""

    def __init__(self) -> None:
        self._endpoints: PerWorker[EndpointKey, EndpointTotals] = PerWorker(EndpointTotals.plus, EndpointTotals.settled)
        self._listeners: PerWorker[str, ListenerTotals] = PerWorker(ListenerTotals.plus, ListenerTotals.settled)
        self._shortages: dict[int, int] = {}
        self._past_shortages = 0

    def absorb(self, worker: int, stats: Stats) -> None:
        """Take a report of `worker`."""
        endpoints = self._endpoints.of(worker)
        for endpoint in stats.endpoints:
            endpoints[endpoint.cluster, endpoint.endpoint] = _endpoint_totals(endpoint)
        listeners = self._listeners.of(worker)
        for listener in stats.listeners:
            listeners[listener.listener] = _listener_totals(listener)
        self._shortages[worker] = stats.accept_errors

    def worker_left(self, worker: int) -> None:
        """`worker` died: its connections are gone, its counts stay."""
        self._endpoints.worker_left(worker)
        self._listeners.worker_left(worker)
        self._past_shortages += self._shortages.pop(worker, 0)

    def keep_only(self, endpoints: Collection[EndpointKey], listeners: Collection[str]) -> None:
        """Forget what is in the configuration no longer, and no longer open."""
        self._endpoints.keep_only(lambda key, each: key in endpoints or bool(each.active))
        self._listeners.keep_only(lambda name, _: name in listeners)

    @property
    def shortages(self) -> int:
        """How often a worker had no descriptor for a connection."""
        return self._past_shortages + sum(self._shortages.values())

    def endpoints(self) -> Mapping[EndpointKey, EndpointTotals]:
        """The sums, by (cluster, endpoint id)."""
        return self._endpoints.sums()

    def listeners(self) -> Mapping[str, ListenerTotals]:
        """The sums, by listener name."""
        return self._listeners.sums()


def _endpoint_totals(stats: EndpointStats) -> EndpointTotals:
    return EndpointTotals(
        stats.active,
        stats.connections,
        stats.connect_failures,
        stats.connect_timeouts,
        stats.sent,
        stats.received,
    )


def _listener_totals(stats: ListenerStats) -> ListenerTotals:
    return ListenerTotals(
        stats.active,
        stats.accepted,
        stats.refused,
        stats.denied,
        stats.overflowed,
        stats.malformed,
        stats.dropped,
    )
