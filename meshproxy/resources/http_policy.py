"""What a TrafficPolicy, and the Proxy document, say about HTTP.

Defaults are Envoy's where Envoy has the setting, and are named field by field. Limits count for each
worker process unless it is said otherwise.
"""

from __future__ import annotations

import enum

from meshproxy.base.durations import Duration, Quantity
from meshproxy.resources.meta import Shape, default_duration, default_quantity


class ProxyHTTP(Shape, frozen=True, kw_only=True):
    """What is asked of HTTP clients at Gateways, Ingresses, and Services without a policy of their own.

    `trusted_proxies` are CIDRs: only from these are `X-Forwarded-*` and `X-Request-Id` believed. A
    request's head must come within `header_timeout` of its first byte (nginx: 60 s, Envoy: no limit), with
    at most `max_header_bytes` (Envoy: 60 KiB) and `max_headers` (Envoy: 100). A connection without a
    request is closed after `idle_timeout` (nginx: 75 s, Envoy: 1 h), one whose body does not move after
    `stream_idle_timeout` (Envoy: 5 min), and one that had `max_requests_per_connection` after the last
    (Envoy: no limit).
    """

    trusted_proxies: tuple[str, ...] = ()
    max_header_bytes: Quantity = default_quantity("64Ki")
    max_headers: int = 100
    header_timeout: Duration = default_duration("10s")
    idle_timeout: Duration = default_duration("1m")
    stream_idle_timeout: Duration = default_duration("5m")
    max_requests_per_connection: int | None = None


class PolicyHTTP(Shape, frozen=True, kw_only=True):
    """The same for a Service, where what is not written is the Proxy's; and what its requests may take.

    A request, all its tries and both bodies included, may take `request_timeout` (Envoy: 15 s; here no
    limit, as with Envoy's 0) and have a body of `max_request_body`. A connection to an endpoint carries
    `max_requests_per_upstream_connection` (Envoy: no limit), and is closed when it was not used for
    `upstream_idle_timeout` (nginx: 60 s, Envoy: 1 h): less than endpoints wait themselves is better.
    """

    trusted_proxies: tuple[str, ...] | None = None
    max_header_bytes: Quantity | None = None
    max_headers: int | None = None
    header_timeout: Duration | None = None
    idle_timeout: Duration | None = None
    stream_idle_timeout: Duration | None = None
    max_requests_per_connection: int | None = None
    request_timeout: Duration | None = None
    max_request_body: Quantity | None = None
    max_requests_per_upstream_connection: int | None = None
    upstream_idle_timeout: Duration = default_duration("1m")


class RetryOn(enum.StrEnum):
    """Why a request is tried again; no byte of a response has reached the client by then.

    Envoy's `retry_on`: `connect-failure`, `reset`, a per-try timeout, `retriable-status-codes`.
    """

    CONNECT_FAILURE = "ConnectFailure"
    RESET = "Reset"
    TIMEOUT = "Timeout"
    STATUS = "Status"


class RetryBudget(Shape, frozen=True, kw_only=True):
    """At most `percent` of the requests under way may be retries, but `min_concurrency` always (Envoy: 20 %, 3)."""

    percent: float = 20.0
    min_concurrency: int = 3


class Retry(Shape, frozen=True, kw_only=True):
    """`attempts` beyond the first (Envoy `num_retries`: 1), for requests whose rule has no `retry` of its own.

    `statuses` count with the condition `Status`, where their default is 503 alone. The pause before the
    first retry is up to `backoff` (Envoy: 25 ms), and doubles. A try may take `per_try_timeout`. Requests
    that are not idempotent are tried again only where the endpoint cannot have seen them, or by status.
    """

    attempts: int = 1
    conditions: tuple[RetryOn, ...] = (RetryOn.CONNECT_FAILURE, RetryOn.RESET)
    statuses: tuple[int, ...] | None = None
    backoff: Duration = default_duration("25ms")
    per_try_timeout: Duration | None = None
    budget: RetryBudget | None = None


class CircuitBreaker(Shape, frozen=True, kw_only=True):
    """`max_requests` are under way at once; `connections.maxPending` more wait. `max_retries` of them are retries.

    Envoy `CircuitBreakers.Thresholds` (1024 and 3; here no limit, and the retry budget).
    """

    max_requests: int | None = None
    max_retries: int | None = None


class RateLimit(Shape, frozen=True, kw_only=True):
    """`requests` in `interval` in the long run, `burst` (as many as `requests`) at once; the rest get 429.

    For the proxy as a whole: each worker has its share (Envoy `local_ratelimit`, a token bucket).
    """

    requests: int
    interval: Duration = default_duration("1s")
    burst: int | None = None


class HashCookie(Shape, frozen=True, kw_only=True):
    """With `ttl` a client without the cookie is given one, for so long, or with ``0s`` for its session (Envoy)."""

    name: str
    ttl: Duration | None = None


class HashOn(Shape, frozen=True, kw_only=True):
    """Part of a request: exactly one of a header, a cookie, and a query parameter."""

    header: str | None = None
    cookie: HashCookie | None = None
    query_param: str | None = None


class SlowStart(Shape, frozen=True, kw_only=True):
    """Envoy `SlowStartConfig`: for `window` after an endpoint became usable its weight grows to its own.

    It is weight · max(`min_weight_percent` (Envoy: 10 %), (age / window) ^ (1 / `aggression`)).
    """

    window: Duration
    aggression: float = 1.0
    min_weight_percent: float = 10.0
