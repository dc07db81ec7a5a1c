"""Counts over all workers and their restarts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from operator import add
from typing import NamedTuple

from meshproxy.snapshot.messages import EndpointStats, ListenerStats, Stats


class EndpointTotals(NamedTuple):
    """`active` is a gauge, the others only grow; `sent` and `received` are bytes. See `EndpointStats`."""

    active: int = 0
    connections: int = 0
    connect_failures: int = 0
    connect_timeouts: int = 0
    sent: int = 0
    received: int = 0


class ListenerTotals(NamedTuple):
    """`active` is a gauge, the others only grow. See `ListenerStats`."""

    active: int = 0
    accepted: int = 0
    refused: int = 0
    denied: int = 0
    overflowed: int = 0
    malformed: int = 0
    dropped: int = 0


EndpointKey = tuple[str, str]
"""(cluster, endpoint id)."""


class Totals:
    """Adds what workers report, each cumulatively since its start; what a dead worker counted stays counted."""

    def __init__(self) -> None:
        self._endpoints: dict[int, dict[EndpointKey, EndpointTotals]] = {}
        self._listeners: dict[int, dict[str, ListenerTotals]] = {}
        self._past_endpoints: dict[EndpointKey, EndpointTotals] = {}
        self._past_listeners: dict[str, ListenerTotals] = {}
        self._shortages: dict[int, int] = {}
        self._past_shortages = 0

    def absorb(self, worker: int, stats: Stats) -> None:
        """Take a report of `worker`."""
        endpoints = self._endpoints.setdefault(worker, {})
        for endpoint in stats.endpoints:
            endpoints[endpoint.cluster, endpoint.endpoint] = _endpoint_totals(endpoint)
        listeners = self._listeners.setdefault(worker, {})
        for listener in stats.listeners:
            listeners[listener.listener] = _listener_totals(listener)
        self._shortages[worker] = stats.accept_errors

    def worker_left(self, worker: int) -> None:
        """`worker` died: its connections are gone, its counts stay."""
        for key, endpoint in self._endpoints.pop(worker, {}).items():
            before = self._past_endpoints.get(key, EndpointTotals())
            self._past_endpoints[key] = EndpointTotals(*map(add, before, endpoint))._replace(active=0)
        for name, listener in self._listeners.pop(worker, {}).items():
            past = self._past_listeners.get(name, ListenerTotals())
            self._past_listeners[name] = ListenerTotals(*map(add, past, listener))._replace(active=0)
        self._past_shortages += self._shortages.pop(worker, 0)

    def keep_only(self, endpoints: Collection[EndpointKey], listeners: Collection[str]) -> None:
        """Forget what is in the configuration no longer, and no longer open."""
        for counts in (*self._endpoints.values(), self._past_endpoints):
            for key in [key for key, each in counts.items() if key not in endpoints and not each.active]:
                del counts[key]
        for listener_counts in (*self._listeners.values(), self._past_listeners):
            for name in [name for name in listener_counts if name not in listeners]:
                del listener_counts[name]

    @property
    def shortages(self) -> int:
        """How often a worker had no descriptor for a connection."""
        return self._past_shortages + sum(self._shortages.values())

    def endpoints(self) -> Mapping[EndpointKey, EndpointTotals]:
        """The sums, by (cluster, endpoint id)."""
        sums = dict(self._past_endpoints)
        for counts in self._endpoints.values():
            for key, each in counts.items():
                before = sums.get(key)
                sums[key] = each if before is None else EndpointTotals(*map(add, before, each))
        return sums

    def listeners(self) -> Mapping[str, ListenerTotals]:
        """The sums, by listener name."""
        sums = dict(self._past_listeners)
        for counts in self._listeners.values():
            for name, each in counts.items():
                before = sums.get(name)
                sums[name] = each if before is None else ListenerTotals(*map(add, before, each))
        return sums


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
