"""Requests and connections a second, over the last few seconds: differences of counts that only grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from meshproxy.admin.documents.routes import RouteRow
from meshproxy.admin.live.callers import CallerRate, caller_rates
from meshproxy.admin.live.differences import ConnectionRate, RequestRate, a_second, difference, request_rate
from meshproxy.admin.live.mesh import Call, Mesh
from meshproxy.admin.view import ProxyView
from meshproxy.snapshot.messages import CallerStats, RequestCounts
from meshproxy.telemetry.caller_totals import CallerKey
from meshproxy.telemetry.request_totals import NO_REQUESTS, EndpointRequests, RuleKey, plus, sum_of
from meshproxy.telemetry.totals import EndpointKey, EndpointTotals

WINDOW = 5
"""Looks back that rates are taken over: workers report once a second, and not in step with who looks."""


_K = TypeVar("_K")


class Share(NamedTuple):
    """What one backend of a rule had: requests a second, and since the start."""

    rate: float
    total: int


class EndpointRate(msgspec.Struct, frozen=True, array_like=True):
    """Of one endpoint; each None where there was nothing."""

    cluster: str
    endpoint: str
    requests: RequestRate | None
    connections: ConnectionRate | None


class RatesDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`window` is the seconds that they are taken over. What had nothing is not there.

    `calls` are by their index in `MeshDocument.calls`, and `callers` who makes them; `routes` are by theirs in the
    routes' section: first what the rule answered itself, then its backends.
    """

    now: float
    window: float
    total: RequestRate | None
    connections: ConnectionRate
    entries: dict[str, RequestRate]
    services: dict[str, RequestRate]
    service_connections: dict[str, ConnectionRate]
    calls: dict[int, RequestRate]
    callers: list[CallerRate]
    routes: dict[int, tuple[Share, ...]]
    endpoints: list[EndpointRate]


class _Sample(NamedTuple):
    at: float
    rules: Mapping[RuleKey, RequestCounts]
    endpoints: Mapping[EndpointKey, EndpointRequests]
    totals: Mapping[EndpointKey, EndpointTotals]
    callers: Mapping[CallerKey, CallerStats]


class Rates:
    """Looks at the counts once in a while, and keeps the last few looks."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=WINDOW + 1)

    def look(self, view: ProxyView) -> None:
        """Take the counts of now."""
        self._samples.append(
            _Sample(view.now(), view.rule_requests(), view.endpoint_requests(), view.endpoint_totals(), view.callers())
        )

    def document(self, mesh: Mesh, routes: Iterable[RouteRow]) -> RatesDocument:
        """What happened between the first and the last look that is kept."""
        old, new = self._samples[0], self._samples[-1]
        window = new.at - old.at
        rules = dict(_differences(old.rules, new.rules))
        calls, entries, services = _by_call(rules, mesh)
        connections = dict(_connections(old.totals, new.totals, window))
        by_service = _by_service(connections, mesh)
        return RatesDocument(
            now=new.at,
            window=window,
            total=request_rate(sum_of(rules.values()), window),
            connections=_sum(by_service.values()),
            entries=_rates(entries, window),
            services=_rates(services, window),
            service_connections=by_service,
            calls={mesh.indexes[call]: rate for call, rate in _rates(calls, window).items() if call in mesh.indexes},
            callers=caller_rates(old.callers, new.callers, window, mesh),
            routes=dict(_routes(routes, rules, new.rules, window)),
            endpoints=list(_endpoints(old, new, connections, window)),
        )


def _differences(
    old: Mapping[RuleKey, RequestCounts], new: Mapping[RuleKey, RequestCounts]
) -> Iterator[tuple[RuleKey, RequestCounts]]:
    for key, counts in new.items():
        change = difference(old.get(key, NO_REQUESTS), counts)
        if change is not None:
            yield key, change


def _rates(counts: Mapping[_K, RequestCounts], window: float) -> dict[_K, RequestRate]:
    return {key: rate for key, each in counts.items() if (rate := request_rate(each, window)) is not None}


def _by_call(
    rules: Mapping[RuleKey, RequestCounts], mesh: Mesh
) -> tuple[dict[Call, RequestCounts], dict[str, RequestCounts], dict[str, RequestCounts]]:
    """The counts by call, by where they came in, and by the Service that was called."""
    calls: dict[Call, RequestCounts] = {}
    entries: dict[str, RequestCounts] = {}
    services: dict[str, RequestCounts] = {}
    names = {entry.id for entry in mesh.document.entries}
    for key, counts in rules.items():
        for call in mesh.calls.get(key, ()):
            _add(calls, call, counts)
            if call.source in names:
                _add(entries, call.source, counts)
            if call.target:
                _add(services, call.target, counts)
    return calls, entries, services


def _add(sums: dict[_K, RequestCounts], key: _K, counts: RequestCounts) -> None:
    sums[key] = plus(sums[key], counts) if key in sums else counts


# -- connections -------------------------------------------------------------------------


def _connections(
    old: Mapping[EndpointKey, EndpointTotals], new: Mapping[EndpointKey, EndpointTotals], window: float
) -> Iterator[tuple[EndpointKey, ConnectionRate]]:
    for key, totals in new.items():
        before = old.get(key, EndpointTotals())
        if totals.active or totals != before:
            yield key, _connection_rate(before, totals, window)


def _connection_rate(old: EndpointTotals, new: EndpointTotals, window: float) -> ConnectionRate:
    return ConnectionRate(
        active=new.active,
        opened=a_second(new.connections - old.connections, window),
        failed=a_second(new.connect_failures - old.connect_failures, window),
        sent=a_second(new.sent - old.sent, window),
        received=a_second(new.received - old.received, window),
    )


def _by_service(connections: Mapping[EndpointKey, ConnectionRate], mesh: Mesh) -> dict[str, ConnectionRate]:
    sums: dict[str, ConnectionRate] = {}
    for (cluster, _), rate in connections.items():
        service = mesh.service_of.get(cluster)
        if service is not None:
            sums[service] = sums[service].plus(rate) if service in sums else rate
    return sums


def _sum(rates: Iterable[ConnectionRate]) -> ConnectionRate:
    total = ConnectionRate(0, 0.0, 0.0, 0.0, 0.0)
    for rate in rates:
        total = total.plus(rate)
    return total


# -- endpoints and routes ----------------------------------------------------------------


def _endpoints(
    old: _Sample, new: _Sample, connections: Mapping[EndpointKey, ConnectionRate], window: float
) -> Iterator[EndpointRate]:
    nothing = EndpointRequests()
    requests: dict[EndpointKey, RequestRate] = {}
    for key, each in new.endpoints.items():
        change = difference(old.endpoints.get(key, nothing).requests, each.requests)
        rate = request_rate(change, window) if change is not None else None
        if rate is not None:
            requests[key] = rate
    for key in {**requests, **connections}:
        yield EndpointRate(*key, requests.get(key), connections.get(key))


def _routes(
    routes: Iterable[RouteRow],
    changes: Mapping[RuleKey, RequestCounts],
    totals: Mapping[RuleKey, RequestCounts],
    window: float,
) -> Iterator[tuple[int, tuple[Share, ...]]]:
    for index, row in enumerate(routes):
        keys = [RuleKey(row.table, row.rule, name) for name in ("", *(each.backend for each in row.backends))]
        if any(key in totals for key in keys):
            yield index, tuple(_share(key, changes, totals, window) for key in keys)


def _share(
    key: RuleKey, changes: Mapping[RuleKey, RequestCounts], totals: Mapping[RuleKey, RequestCounts], window: float
) -> Share:
    now = sum(changes[key].statuses) / window if key in changes and window else 0.0
    return Share(round(now, 2), sum(totals.get(key, NO_REQUESTS).statuses))
