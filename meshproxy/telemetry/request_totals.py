"""Counts of HTTP requests over all workers and their restarts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import add
from typing import NamedTuple

from meshproxy.snapshot.messages import RequestCounts, RequestStats
from meshproxy.snapshot.model import Snapshot
from meshproxy.telemetry.per_worker import PerWorker
from meshproxy.telemetry.totals import EndpointKey

NO_REQUESTS = RequestCounts()


class RuleKey(NamedTuple):
    """Whose requests: see `RouteStats`."""

    table: str
    rule: str
    backend: str


class EndpointRequests(NamedTuple):
    """See `EndpointRequestStats`; `idle` is a gauge."""

    idle: int = 0
    requests: RequestCounts = NO_REQUESTS

    def plus(self, other: EndpointRequests) -> EndpointRequests:
        return EndpointRequests(self.idle + other.idle, plus(self.requests, other.requests))

    def settled(self) -> EndpointRequests:
        """Without the connections, which are closed."""
        return self._replace(idle=0)


FlagKey = tuple[str, str]
"""(listener, response flag)."""


class DecisionKey(NamedTuple):
    """What authorizations decided: see `DecisionCount`."""

    authorization: str
    policy: str
    decision: str


def plus(one: RequestCounts, other: RequestCounts) -> RequestCounts:
    """The counts of both."""
    if not one.latencies or not other.latencies:
        return one if one.latencies else other  # whoever counts has them
    none, informational, success, redirection, client, server = map(add, one.statuses, other.statuses)
    return RequestCounts(
        (none, informational, success, redirection, client, server),
        tuple(map(add, one.latencies, other.latencies)),
        one.seconds + other.seconds,
        one.retries + other.retries,
    )


def sum_of(counts: Iterable[RequestCounts]) -> RequestCounts:
    """The counts of all."""
    return reduce(plus, counts, NO_REQUESTS)


class RequestTotals:
    """Adds what workers report, each cumulatively since its start; what a dead worker counted stays counted."""

    def __init__(self) -> None:
        self._rules: PerWorker[RuleKey, RequestCounts] = PerWorker(plus, lambda counts: counts)
        self._endpoints: PerWorker[EndpointKey, EndpointRequests] = PerWorker(
            EndpointRequests.plus, EndpointRequests.settled
        )
        self._flags: PerWorker[FlagKey, int] = PerWorker(add, int)
        self._decisions: PerWorker[DecisionKey, int] = PerWorker(add, int)

    def absorb(self, worker: int, stats: RequestStats) -> None:
        """Take a report of `worker`."""
        rules = self._rules.of(worker)
        for each in stats.routes:
            key = RuleKey(each.table, each.rule, each.backend)
            before = rules.get(key)
            if before is not None and sum(each.requests.statuses) < sum(before.statuses):
                self._rules.keep(key, before)  # the table went and came back: the worker counts anew
            rules[key] = each.requests
        endpoints = self._endpoints.of(worker)
        for endpoint in stats.endpoints:
            endpoints[endpoint.cluster, endpoint.endpoint] = EndpointRequests(endpoint.idle, endpoint.requests)
        flags = self._flags.of(worker)
        for listener, flag, count in stats.flags:
            flags[listener, flag] = count
        decisions = self._decisions.of(worker)
        for made in stats.decisions:
            decisions[DecisionKey(made.authorization, made.policy, made.decision)] = made.count

    def worker_left(self, worker: int) -> None:
        """`worker` died: its connections are gone, its counts stay."""
        self._rules.worker_left(worker)
        self._endpoints.worker_left(worker)
        self._flags.worker_left(worker)
        self._decisions.worker_left(worker)

    def keep_only(self, snapshot: Snapshot) -> None:
        """Forget what `snapshot` does not have."""
        rules = set(_rule_keys(snapshot))
        endpoints = {(each.cluster, endpoint.id) for each in snapshot.assignments for endpoint in each.endpoints}
        listeners = {listener.name for listener in snapshot.listeners}
        self._rules.keep_only(lambda key, _: key in rules)
        self._endpoints.keep_only(lambda key, _: key in endpoints)
        self._flags.keep_only(lambda key, _: key[0] in listeners)
        authorizations = {each.name for each in snapshot.authorizations}
        self._decisions.keep_only(lambda key, _: key.authorization in authorizations)

    def rules(self) -> Mapping[RuleKey, RequestCounts]:
        """The sums, by rule and backend."""
        return self._rules.sums()

    def endpoints(self) -> Mapping[EndpointKey, EndpointRequests]:
        """The sums, by (cluster, endpoint id); what had no request yet is not there."""
        return self._endpoints.sums()

    def flags(self) -> Mapping[FlagKey, int]:
        """How many requests ended with a flag, by (listener, flag)."""
        return self._flags.sums()

    def decisions(self) -> Mapping[DecisionKey, int]:
        """How many calls were refused, or would have been, by whom."""
        return self._decisions.sums()


def _rule_keys(snapshot: Snapshot) -> Iterator[RuleKey]:
    """Everything that `snapshot` may count."""
    for cluster in snapshot.clusters:
        yield RuleKey("", cluster.name, "")
    for table in snapshot.route_tables:
        yield RuleKey(table.name, "", "")
        for host in table.virtual_hosts:
            for rule in host.rules:
                yield RuleKey(table.name, rule.name, "")
                for backend in rule.backends:
                    yield RuleKey(table.name, rule.name, backend.name)
