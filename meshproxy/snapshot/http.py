"""How listeners and clusters speak HTTP. Sizes are bytes, durations seconds."""

from __future__ import annotations

import enum

from meshproxy.snapshot.value import Value


class HTTPListener(Value, frozen=True, kw_only=True):
    """What a listener asks of its clients.

    `trusted_proxies` are CIDRs: only from these are `X-Forwarded-*`, `Forwarded` and `X-Request-Id` believed and
    extended; from others they are replaced. The client's address is then the rightmost one of `X-Forwarded-For` that
    is not trusted (Envoy's `xff_trusted_cidrs`).

    A request's head must arrive within `header_timeout` of its first byte and have at most `max_header_bytes` and
    `max_headers`; a connection without a request is closed after `idle_timeout`, one whose request or response body
    does not move after `stream_idle_timeout` (Envoy's: 5 min). After `max_requests_per_connection` the
    answer says ``Connection: close``.
    """

    trusted_proxies: tuple[str, ...] = ()
    max_header_bytes: int = 65536
    max_headers: int = 100
    header_timeout: float = 10.0
    idle_timeout: float = 60.0
    stream_idle_timeout: float = 300.0
    max_requests_per_connection: int | None = None


DEFAULT_HTTP = HTTPListener()


class HashSource(enum.StrEnum):
    HEADER = "Header"
    COOKIE = "Cookie"
    QUERY_PARAM = "QueryParam"


class HashOn(Value, frozen=True, kw_only=True):
    """Part of a request that is hashed to an endpoint; a header's `name` is lower case.

    A client without the cookie is given one where `cookie_ttl` is set: for that many seconds, or with 0 for its
    session (Envoy `RouteAction.HashPolicy.Cookie`).
    """

    source: HashSource
    name: str
    cookie_ttl: float | None = None


class SlowStart(Value, frozen=True, kw_only=True):
    """For `window` seconds after it became usable an endpoint's weight grows from `min_weight_percent` to its own.

    Envoy `SlowStartConfig`: weight · max(min, (age / window) ^ (1 / aggression)).
    """

    window: float
    aggression: float = 1.0
    min_weight_percent: float = 10.0


class RateLimit(Value, frozen=True, kw_only=True):
    """A token bucket: `burst` requests at once, `requests` in `interval` seconds in the long run; beyond, 429."""

    requests: int
    interval: float = 1.0
    burst: int = 0
