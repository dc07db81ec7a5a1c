"""Rules for what TrafficPolicies and the Proxy document say about HTTP."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.rules import http_values, values
from meshproxy.loader.rules.values import Problem, finding
from meshproxy.resources.http_policy import (
    CircuitBreaker,
    HashOn,
    PolicyHTTP,
    ProxyHTTP,
    RateLimit,
    Retry,
    RetryOn,
    SlowStart,
)
from meshproxy.resources.policy import Algorithm, LoadBalancing, TrafficPolicySpec

HEADER_BYTES = (1024, 1024 * 1024)
"""A head is kept as a whole until it ended; Envoy allows 8 MiB at most."""
MAX_HEADERS = 10_000
MAX_REQUESTS = 1_000_000_000
MAX_RETRIES = 100
HASHING = (Algorithm.SOURCE_HASH, Algorithm.MAGLEV)


def check(spec: TrafficPolicySpec) -> Iterator[Finding]:
    """What is wrong with a policy's fields for HTTP."""
    yield from check_http(spec.http, "spec.http")
    if spec.retry is not None:
        yield from _check_retry(spec.retry, spec.circuit_breaker)
    yield from _check_circuit_breaker(spec.circuit_breaker)
    if spec.rate_limit is not None:
        yield from _check_rate_limit(spec.rate_limit)
    yield from _check_load_balancing(spec.load_balancing)


def check_http(http: ProxyHTTP | PolicyHTTP, field: str) -> Iterator[Finding]:
    for index, network in enumerate(http.trusted_proxies or ()):
        yield from finding(f"{field}.trustedProxies[{index}]", values.network(network))
    yield from finding(f"{field}.maxHeaderBytes", _in_range(http.max_header_bytes, *HEADER_BYTES))
    yield from finding(f"{field}.maxHeaders", _in_range(http.max_headers, 1, MAX_HEADERS))
    yield from finding(f"{field}.headerTimeout", _positive(http.header_timeout))
    yield from finding(f"{field}.idleTimeout", _positive(http.idle_timeout))
    yield from finding(f"{field}.streamIdleTimeout", _positive(http.stream_idle_timeout))
    most = http.max_requests_per_connection
    yield from finding(f"{field}.maxRequestsPerConnection", _in_range(most, 1, MAX_REQUESTS))
    if isinstance(http, PolicyHTTP):
        yield from finding(f"{field}.requestTimeout", _positive(http.request_timeout))
        yield from finding(f"{field}.upstreamIdleTimeout", _positive(http.upstream_idle_timeout))
        most = http.max_requests_per_upstream_connection
        yield from finding(f"{field}.maxRequestsPerUpstreamConnection", _in_range(most, 1, MAX_REQUESTS))


def _check_retry(retry: Retry, breaker: CircuitBreaker) -> Iterator[Finding]:
    field = "spec.retry"
    yield from finding(f"{field}.attempts", values.in_range(retry.attempts, 0, MAX_RETRIES))
    yield from finding(f"{field}.backoff", values.positive_duration(retry.backoff))
    yield from finding(f"{field}.perTryTimeout", _positive(retry.per_try_timeout))
    for index, condition in values.repeated(retry.conditions):
        yield Finding(field=f"{field}.conditions[{index}]", message=f"{condition} is here twice")
    yield from _check_statuses(retry)
    if retry.budget is None:
        return
    if breaker.max_retries is not None:
        message = "does not go with circuitBreaker.maxRetries: one or the other says how many retries there may be"
        yield Finding(field=f"{field}.budget", message=message)
    yield from finding(f"{field}.budget.percent", values.percentage(retry.budget.percent))
    yield from finding(f"{field}.budget.minConcurrency", values.in_range(retry.budget.min_concurrency, 0, MAX_REQUESTS))


def _check_statuses(retry: Retry) -> Iterator[Finding]:
    field = "spec.retry.statuses"
    if retry.statuses is None:
        return
    if RetryOn.STATUS not in retry.conditions:
        yield Finding(field=field, message="needs Status among the conditions")
    elif not retry.statuses:
        yield Finding(field=field, message="must hold one status at least, as Status is among the conditions")
    for index, status in enumerate(retry.statuses):
        yield from finding(f"{field}[{index}]", values.in_range(status, 400, 599))


def _check_circuit_breaker(breaker: CircuitBreaker) -> Iterator[Finding]:
    field = "spec.circuitBreaker"
    yield from finding(f"{field}.maxRequests", _in_range(breaker.max_requests, 1, MAX_REQUESTS))
    yield from finding(f"{field}.maxRetries", _in_range(breaker.max_retries, 0, MAX_REQUESTS))


def _check_rate_limit(limit: RateLimit) -> Iterator[Finding]:
    field = "spec.rateLimit"
    yield from finding(f"{field}.requests", values.in_range(limit.requests, 1, MAX_REQUESTS))
    yield from finding(f"{field}.interval", values.positive_duration(limit.interval))
    yield from finding(f"{field}.burst", _in_range(limit.burst, 1, MAX_REQUESTS))


def _check_load_balancing(balancing: LoadBalancing) -> Iterator[Finding]:
    field = "spec.loadBalancing"
    for index, hash_on in enumerate(balancing.hash_on):
        yield from _check_hash_on(hash_on, f"{field}.hashOn[{index}]")
    if balancing.slow_start is not None:
        yield from _check_slow_start(balancing.slow_start, f"{field}.slowStart")
    hashing = balancing.algorithm in HASHING
    if balancing.hash_on and not hashing:
        message = f"{balancing.algorithm} does not hash; this has no effect without SourceHash or Maglev"
        yield Finding(severity=Severity.WARNING, field=f"{field}.hashOn", message=message)
    if balancing.slow_start is not None and hashing:
        message = f"has no effect with {balancing.algorithm}, where a weight that changes would move clients"
        yield Finding(severity=Severity.WARNING, field=f"{field}.slowStart", message=message)


def _check_hash_on(hash_on: HashOn, field: str) -> Iterator[Finding]:
    if sum(each is not None for each in (hash_on.header, hash_on.cookie, hash_on.query_param)) != 1:
        yield Finding(field=field, message="needs exactly one of header, cookie and queryParam")
    if hash_on.header is not None:
        yield from finding(f"{field}.header", http_values.token(hash_on.header))
    if hash_on.cookie is not None:
        yield from finding(f"{field}.cookie.name", http_values.token(hash_on.cookie.name))
    if hash_on.query_param is not None:
        yield from finding(f"{field}.queryParam", http_values.token(hash_on.query_param))


def _check_slow_start(slow_start: SlowStart, field: str) -> Iterator[Finding]:
    yield from finding(f"{field}.window", values.positive_duration(slow_start.window))
    if not 0 < slow_start.aggression <= 100:
        message = f"{slow_start.aggression:g} is out of range; it must be above 0, and 100 at most"
        yield Finding(field=f"{field}.aggression", message=message)
    yield from finding(f"{field}.minWeightPercent", values.percentage(slow_start.min_weight_percent))


def _in_range(value: int | None, low: int, high: int) -> Problem:
    return None if value is None else values.in_range(value, low, high)


def _positive(value: float | None) -> Problem:
    return None if value is None else values.positive_duration(value)
