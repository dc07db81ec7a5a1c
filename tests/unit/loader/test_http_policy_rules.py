# ruff: noqa: E501 a table reads best with a case on a line
"""What TrafficPolicies and the Proxy say about HTTP that is wrong, what is said about it, and what is right."""

from __future__ import annotations

import pytest

from meshproxy.compiler.http_policies import http_listener
from meshproxy.compiler.proxy_settings import DEFAULT_PROXY
from meshproxy.resources import TrafficPolicy
from meshproxy.resources.http_policy import PolicyHTTP
from meshproxy.snapshot.http import DEFAULT_HTTP
from meshproxy.snapshot.model import Cluster
from tests.support.loading import load_text, said

POLICY = "apiVersion: meshproxy.dev/v1\nkind: TrafficPolicy\nmetadata: {name: p}\nspec:\n  targetRefs: [{kind: Service, name: s}]\n  "
PROXY = "apiVersion: meshproxy.dev/v1\nkind: Proxy\nmetadata: {name: x}\nspec: "

WRONG: dict[str, tuple[str, str]] = {
    # http
    "trusted proxy": ("http: {trustedProxies: [10.0.0.0/8, proxy]}", "spec.http.trustedProxies[1]: 'proxy' is not a network; write it as 10.0.0.0/8"),
    "trusted proxy's host bits": ("http: {trustedProxies: [10.0.0.1/8]}", "did you mean 10.0.0.0/8?"),
    "header bytes": ("http: {maxHeaderBytes: 2Mi}", "spec.http.maxHeaderBytes: 2097152 is out of range; it must be between 1024 and 1048576"),
    "headers": ("http: {maxHeaders: 0}", "spec.http.maxHeaders: 0 is out of range"),
    "header time-out": ("http: {headerTimeout: 0s}", "spec.http.headerTimeout: must be longer than 0s"),
    "idle time-out": ("http: {idleTimeout: 60}", "spec.http.idleTimeout: 60 has no unit; write 60s if you mean seconds"),
    "stream idle time-out": ("http: {streamIdleTimeout: 0s}", "spec.http.streamIdleTimeout: must be longer than 0s"),
    "request time-out": ("http: {requestTimeout: 0s}", "spec.http.requestTimeout: must be longer than 0s"),
    "requests per connection": ("http: {maxRequestsPerConnection: 0}", "spec.http.maxRequestsPerConnection: 0 is out of range"),
    "requests per upstream connection": ("http: {maxRequestsPerUpstreamConnection: 0}", "spec.http.maxRequestsPerUpstreamConnection: 0 is out of range"),
    "upstream idle time-out": ("http: {upstreamIdleTimeout: 0s}", "spec.http.upstreamIdleTimeout: must be longer than 0s"),
    "body": ("http: {maxRequestBody: 1.5}", "spec.http.maxRequestBody: expected a quantity such as 500, 10k or 64Ki"),
    "unknown field": ("http: {maxHeaderByte: 1Ki}", "spec.http.maxHeaderByte: unknown field (did you mean maxHeaderBytes?)"),
    # retry
    "attempts": ("retry: {attempts: 101}", "spec.retry.attempts: 101 is out of range; it must be between 0 and 100"),
    "condition": ("retry: {conditions: [reset]}", "spec.retry.conditions[0]: the string 'reset' is none of ConnectFailure, Reset, Timeout, Status (did you mean Reset?)"),
    "condition twice": ("retry: {conditions: [Reset, Timeout, Reset]}", "spec.retry.conditions[2]: Reset is here twice"),
    "statuses without Status": ("retry: {statuses: [503]}", "spec.retry.statuses: needs Status among the conditions"),
    "no statuses": ("retry: {conditions: [Status], statuses: []}", "spec.retry.statuses: must hold one status at least"),
    "status": ("retry: {conditions: [Status], statuses: [503, 200]}", "spec.retry.statuses[1]: 200 is out of range; it must be between 400 and 599"),
    "backoff": ("retry: {backoff: 0s}", "spec.retry.backoff: must be longer than 0s"),
    "per try": ("retry: {perTryTimeout: 0s}", "spec.retry.perTryTimeout: must be longer than 0s"),
    "budget": ("retry: {budget: {percent: 100.5}}", "spec.retry.budget.percent: 100.5 is out of range; it must be between 0 and 100"),
    "budget without end": ("retry: {budget: {percent: 1e999}}", "spec.retry.budget.percent: inf is out of range"),
    "budget minimum": ("retry: {budget: {minConcurrency: -1}}", "spec.retry.budget.minConcurrency: -1 is out of range"),
    "budget and breaker": ("retry: {budget: {}}\n  circuitBreaker: {maxRetries: 3}", "spec.retry.budget: does not go with circuitBreaker.maxRetries"),
    # limits
    "requests": ("circuitBreaker: {maxRequests: 0}", "spec.circuitBreaker.maxRequests: 0 is out of range"),
    "retries": ("circuitBreaker: {maxRetries: -1}", "spec.circuitBreaker.maxRetries: -1 is out of range"),
    "rate": ("rateLimit: {}", "spec.rateLimit.requests: this field is required"),
    "rate of nothing": ("rateLimit: {requests: 0}", "spec.rateLimit.requests: 0 is out of range"),
    "rate's interval": ("rateLimit: {requests: 1, interval: 0s}", "spec.rateLimit.interval: must be longer than 0s"),
    "burst": ("rateLimit: {requests: 1, burst: 0}", "spec.rateLimit.burst: 0 is out of range"),
    # load balancing
    "hash on nothing": ("loadBalancing: {algorithm: Maglev, hashOn: [{}]}", "spec.loadBalancing.hashOn[0]: needs exactly one of header, cookie and queryParam"),
    "hash on two": ("loadBalancing: {algorithm: Maglev, hashOn: [{header: a, queryParam: b}]}", "hashOn[0]: needs exactly one of header, cookie and queryParam"),
    "hash on a header": ("loadBalancing: {algorithm: Maglev, hashOn: [{header: 'a b'}]}", "spec.loadBalancing.hashOn[0].header: 'a b' is no name"),
    "hash on a cookie": ("loadBalancing: {algorithm: sh, hashOn: [{cookie: {name: 'a;b'}}]}", "spec.loadBalancing.hashOn[0].cookie.name: 'a;b' is no name"),
    "hash on a parameter": ("loadBalancing: {algorithm: mh, hashOn: [{queryParam: ''}]}", "spec.loadBalancing.hashOn[0].queryParam: '' is no name"),
    "hash in turn": ("loadBalancing: {hashOn: [{header: a}]}", "spec.loadBalancing.hashOn: warning: RoundRobin does not hash"),
    "window": ("loadBalancing: {slowStart: {window: 0s}}", "spec.loadBalancing.slowStart.window: must be longer than 0s"),
    "no window": ("loadBalancing: {slowStart: {}}", "spec.loadBalancing.slowStart.window: this field is required"),
    "aggression": ("loadBalancing: {slowStart: {window: 1s, aggression: 0}}", "spec.loadBalancing.slowStart.aggression: 0 is out of range; it must be above 0"),
    "least weight": ("loadBalancing: {slowStart: {window: 1s, minWeightPercent: 101}}", "spec.loadBalancing.slowStart.minWeightPercent: 101 is out of range"),
    "slow start of a hash": ("loadBalancing: {algorithm: Maglev, slowStart: {window: 1s}}", "spec.loadBalancing.slowStart: warning: has no effect with Maglev"),
    # outliers
    "5xx": ("outlierDetection: {consecutive5xx: -1}", "spec.outlierDetection.consecutive5xx: -1 is out of range"),
    "gateway errors": ("outlierDetection: {consecutiveGatewayErrors: -1}", "spec.outlierDetection.consecutiveGatewayErrors: -1 is out of range"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_said(case: str) -> None:
    text, expected = WRONG[case]
    (message,) = said(POLICY + text + "\n")
    assert expected in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{http: {trustedProxies: ['::1/64']}}", "spec.http.trustedProxies[0]: '::1/64' has host bits set"),
        ("{http: {maxHeaders: 10001}}", "spec.http.maxHeaders: 10001 is out of range"),
        ("{http: {requestTimeout: 1s}}", "spec.http.requestTimeout: unknown field"),
    ],
)
def test_what_is_said_of_a_proxy(text: str, expected: str) -> None:
    (message,) = said(PROXY + text + "\n")
    assert expected in message


@pytest.mark.parametrize(
    "text",
    [
        "http: {trustedProxies: [10.0.0.1, '::/0'], maxHeaderBytes: 1Ki, maxHeaders: 1, requestTimeout: 1ms, maxRequestBody: 0}",
        "retry: {attempts: 0, budget: {percent: 0, minConcurrency: 0}}",
        "retry: {conditions: []}",
        "retry: {conditions: [Status]}",
        "circuitBreaker: {maxRequests: 1, maxRetries: 0}",
        "rateLimit: {requests: 1, interval: 1h, burst: 1}",
        "loadBalancing: {algorithm: sh, hashOn: [{header: X-User}, {cookie: {name: __Host-id, ttl: 0s}}, {queryParam: u}]}",
        "loadBalancing: {algorithm: LeastRequest, slowStart: {window: 1s, aggression: 0.5, minWeightPercent: 0}}",
        "outlierDetection: {consecutive5xx: 0, consecutiveGatewayErrors: 1}",
    ],
)
def test_what_is_right(text: str) -> None:
    assert said(POLICY + text + "\n") == []


def test_what_is_not_written_is_what_a_data_plane_does_unasked() -> None:
    """The defaults of resources and of the snapshot are the same."""
    assert http_listener(None, DEFAULT_PROXY) is DEFAULT_HTTP
    assert float(PolicyHTTP().upstream_idle_timeout) == Cluster(name="c", service="s").pool_idle_timeout


def test_each_thing_is_the_policys_own_or_else_the_proxys() -> None:
    (policy,) = load_text(POLICY + "http: {trustedProxies: [], maxHeaders: 7}\n").resources
    assert isinstance(policy, TrafficPolicy)
    (proxy,) = load_text(
        PROXY + "{http: {trustedProxies: [10.0.0.0/8], maxHeaders: 50, maxRequestsPerConnection: 9}}\n"
    ).resources
    listener = http_listener(policy, proxy)  # type: ignore[arg-type]
    assert (listener.trusted_proxies, listener.max_headers, listener.max_requests_per_connection) == ((), 7, 9)
