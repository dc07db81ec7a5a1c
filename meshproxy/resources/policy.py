"""`meshproxy.dev/v1` TrafficPolicy: how traffic to a Service is balanced, checked and bounded.

Defaults are Envoy's where Envoy has the setting, and are named field by field.
"""

from __future__ import annotations

import enum

import msgspec

from meshproxy.base.durations import Duration
from meshproxy.resources.http_policy import CircuitBreaker, HashOn, PolicyHTTP, RateLimit, Retry, SlowStart
from meshproxy.resources.meta import Resource, Shape, default_duration
from meshproxy.resources.policy_tls import PolicyTLS


class Algorithm(enum.StrEnum):
    """Load-balancing algorithms; IPVS' spellings are read as these: `IPVS_ALIASES`."""

    ROUND_ROBIN = "RoundRobin"
    LEAST_CONNECTIONS = "LeastConnections"
    SOURCE_HASH = "SourceHash"
    RANDOM = "Random"
    LEAST_REQUEST = "LeastRequest"
    MAGLEV = "Maglev"

    @classmethod
    def _missing_(cls, value: object) -> Algorithm | None:
        return IPVS_ALIASES.get(value) if isinstance(value, str) else None


IPVS_ALIASES: dict[str, Algorithm] = {
    "rr": Algorithm.ROUND_ROBIN,
    "wrr": Algorithm.ROUND_ROBIN,
    "lc": Algorithm.LEAST_CONNECTIONS,
    "wlc": Algorithm.LEAST_CONNECTIONS,
    "sh": Algorithm.SOURCE_HASH,
    "mh": Algorithm.MAGLEV,
}


class PanicMode(enum.StrEnum):
    """What happens while no endpoint is healthy: use all of them (Envoy's default) or refuse."""

    USE_ALL = "UseAll"
    REFUSE = "Refuse"


class LoadBalancing(Shape, frozen=True, kw_only=True):
    """`when_none_healthy` is Envoy's panic mode at a threshold of "none at all".

    Of `hash_on` the first that a request has is what hashing algorithms hash; the client's address where
    it has none. `slow_start` is for the others.
    """

    algorithm: Algorithm = Algorithm.ROUND_ROBIN
    when_none_healthy: PanicMode = PanicMode.USE_ALL
    hash_on: tuple[HashOn, ...] = ()
    slow_start: SlowStart | None = None


class TCPHealthCheck(Shape, frozen=True, kw_only=True):
    """Healthy when a connection opens."""


class HTTPHealthCheck(Shape, frozen=True, kw_only=True):
    """Healthy when ``GET path`` answers with one of `expected_statuses` (``200`` or ``200-299``)."""

    path: str = "/"
    host: str | None = None
    expected_statuses: tuple[str, ...] = ("200-399",)


class HealthCheck(Shape, frozen=True, kw_only=True):
    """Active checks: exactly one of `tcp` and `http`. `port` checks another port than traffic uses.

    Defaults are a Kubernetes probe's (`periodSeconds` 10, `timeoutSeconds` 1,
    `failureThreshold` 3, `successThreshold` 1).
    """

    tcp: TCPHealthCheck | None = None
    http: HTTPHealthCheck | None = None
    port: int | None = None
    interval: Duration = default_duration("10s")
    timeout: Duration = default_duration("1s")
    unhealthy_threshold: int = 3
    healthy_threshold: int = 1


class OutlierDetection(Shape, frozen=True, kw_only=True):
    """Passive ejection, with Envoy's defaults.

    After `consecutive_failures` failed connections (or requests without a response), `consecutive_5xx`
    responses of 500 to 599, or `consecutive_gateway_errors` of 502, 503 and 504 in a row an endpoint is
    ejected for `base_ejection_time` times the number of times it was ejected, at most
    `max_ejection_time`; returns are looked at every `interval`. Never more than
    `max_ejection_percent` of a Service's endpoints, but always at least one may be ejected. Of the
    counts of responses, 0 is no limit (Envoy's gateway errors do not eject by default either).
    """

    consecutive_failures: int = 5
    consecutive_5xx: int = 5
    consecutive_gateway_errors: int = 0
    interval: Duration = default_duration("10s")
    base_ejection_time: Duration = default_duration("30s")
    max_ejection_time: Duration = default_duration("5m")
    max_ejection_percent: int = 10


class Connections(Shape, frozen=True, kw_only=True):
    """Limits of TCP connections, per worker process.

    `max` open connections (Envoy's circuit-breaker default, 1024, is for a cluster; without
    a policy there is no limit here); up to `max_pending` more wait for at most
    `pending_timeout`. A connection that does not open within `connect_timeout` (Envoy: 5 s)
    is tried on up to `connect_retries` other endpoints. A connection on which nothing moved
    for `idle_timeout` (Envoy: 1 h) is closed. Connections to an endpoint that was removed go on
    until they end, or, with `drain_timeout`, that long.
    """

    max: int | None = None
    max_pending: int = 1024
    pending_timeout: Duration = default_duration("5s")
    connect_timeout: Duration = default_duration("5s")
    connect_retries: int = 2
    idle_timeout: Duration = default_duration("1h")
    drain_timeout: Duration | None = None


class UDPSessions(Shape, frozen=True, kw_only=True):
    """A client's datagrams go to one endpoint until none moved for `timeout` (Envoy `udp_proxy`: 60 s)."""

    timeout: Duration = default_duration("1m")
    max: int = 65536


class ProxyProtocolVersion(enum.StrEnum):
    V1 = "V1"
    V2 = "V2"


class ProxyProtocol(Shape, frozen=True, kw_only=True):
    """HAProxy's PROXY protocol: `accept` requires a header from clients, `send` writes one to endpoints."""

    accept: bool = False
    send: ProxyProtocolVersion | None = None


class TargetRef(Shape, frozen=True, kw_only=True):
    """`gateway.networking.k8s.io` LocalPolicyTargetReferenceWithSectionName; `section_name` is a port's name."""

    kind: str
    name: str
    group: str = ""
    section_name: str | None = None


class TrafficPolicySpec(Shape, frozen=True, kw_only=True):
    target_refs: tuple[TargetRef, ...]
    load_balancing: LoadBalancing = LoadBalancing()
    health_check: HealthCheck | None = None
    outlier_detection: OutlierDetection | None = None
    connections: Connections = msgspec.field(default_factory=Connections)
    udp: UDPSessions = msgspec.field(default_factory=UDPSessions)
    proxy_protocol: ProxyProtocol = ProxyProtocol()
    http: PolicyHTTP = msgspec.field(default_factory=PolicyHTTP)
    retry: Retry | None = None
    circuit_breaker: CircuitBreaker = CircuitBreaker()
    rate_limit: RateLimit | None = None
    tls: PolicyTLS | None = None


class TrafficPolicy(Resource, frozen=True, kw_only=True):
    """Attached to Services of its own namespace."""

    spec: TrafficPolicySpec
