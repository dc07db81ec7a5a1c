"""What a TrafficPolicy and the Proxy document say about HTTP → listeners and clusters."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from meshproxy.base.durations import Duration
from meshproxy.resources import Proxy, TrafficPolicy
from meshproxy.resources import http_policy as resources
from meshproxy.resources.http_policy import PolicyHTTP, RetryBudget
from meshproxy.snapshot.http import DEFAULT_HTTP, HashOn, HashSource, HTTPListener, RateLimit, SlowStart
from meshproxy.snapshot.model import Algorithm, Cluster
from meshproxy.snapshot.routes import RetryCondition, RetryPolicy

T = TypeVar("T")
HASHING = (Algorithm.SOURCE_HASH, Algorithm.MAGLEV)
_OF_NO_POLICY = PolicyHTTP()


def http_listener(policy: TrafficPolicy | None, proxy: Proxy) -> HTTPListener:
    """What a listener asks of its clients: each thing as `policy` says, or else `proxy`."""
    own = policy.spec.http if policy is not None else _OF_NO_POLICY
    default = proxy.spec.http
    listener = HTTPListener(
        trusted_proxies=_first(own.trusted_proxies, default.trusted_proxies),
        max_header_bytes=int(_first(own.max_header_bytes, default.max_header_bytes)),
        max_headers=_first(own.max_headers, default.max_headers),
        header_timeout=float(_first(own.header_timeout, default.header_timeout)),
        idle_timeout=float(_first(own.idle_timeout, default.idle_timeout)),
        stream_idle_timeout=float(_first(own.stream_idle_timeout, default.stream_idle_timeout)),
        max_requests_per_connection=own.max_requests_per_connection or default.max_requests_per_connection,
    )
    return DEFAULT_HTTP if listener == DEFAULT_HTTP else listener  # which an encoder leaves out


def _first(own: T | None, default: T) -> T:
    return default if own is None else own


def with_http(cluster: Cluster, policy: TrafficPolicy) -> Cluster:
    """`cluster`, whose algorithm is settled, as `policy` wants it for HTTP."""
    spec = policy.spec
    http, retry, breaker = spec.http, spec.retry, spec.circuit_breaker
    budget = (retry.budget if retry is not None else None) or RetryBudget()
    hashes, bound = cluster.algorithm in HASHING, cluster.affinity_timeout is not None
    return msgspec.structs.replace(
        cluster,
        slow_start=None if hashes else _slow_start(spec.load_balancing.slow_start),
        hash_on=tuple(map(_hash_on, spec.load_balancing.hash_on)) if hashes and not bound else (),
        max_requests=breaker.max_requests,
        max_retries=breaker.max_retries,
        retry_budget_percent=budget.percent,
        retry_budget_min=budget.min_concurrency,
        retry=_retry(retry),
        request_timeout=_seconds(http.request_timeout),
        rate_limit=_rate_limit(spec.rate_limit),
        max_request_body=None if http.max_request_body is None else int(http.max_request_body),
        max_requests_per_connection=http.max_requests_per_upstream_connection,
        pool_idle_timeout=float(http.upstream_idle_timeout),
    )


def _seconds(duration: Duration | None) -> float | None:
    return None if duration is None else float(duration)


def _retry(retry: resources.Retry | None) -> RetryPolicy | None:
    if retry is None:
        return None
    conditions = tuple(RetryCondition(each.value) for each in retry.conditions)
    statuses: tuple[int, ...] = ()
    if RetryCondition.STATUS in conditions:
        statuses = (503,) if retry.statuses is None else tuple(sorted(set(retry.statuses)))
    return RetryPolicy(
        attempts=retry.attempts,
        conditions=conditions,
        statuses=statuses,
        backoff=float(retry.backoff),
        per_try_timeout=_seconds(retry.per_try_timeout),
    )


def _rate_limit(limit: resources.RateLimit | None) -> RateLimit | None:
    if limit is None:
        return None
    return RateLimit(requests=limit.requests, interval=float(limit.interval), burst=limit.burst or 0)


def _slow_start(slow_start: resources.SlowStart | None) -> SlowStart | None:
    if slow_start is None:
        return None
    return SlowStart(
        window=float(slow_start.window),
        aggression=slow_start.aggression,
        min_weight_percent=slow_start.min_weight_percent,
    )


def _hash_on(hash_on: resources.HashOn) -> HashOn:
    if hash_on.header is not None:
        return HashOn(source=HashSource.HEADER, name=hash_on.header.lower())
    if hash_on.cookie is not None:
        return HashOn(source=HashSource.COOKIE, name=hash_on.cookie.name, cookie_ttl=_seconds(hash_on.cookie.ttl))
    return HashOn(source=HashSource.QUERY_PARAM, name=hash_on.query_param or "")
