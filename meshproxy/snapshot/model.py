"""Listener → Cluster → Endpoint: the compiled configuration.

A `Snapshot` is immutable and holds no callables, sockets, locks or tasks. Durations are
seconds (float). ``None`` in an optional limit means "no limit".
"""

from __future__ import annotations

import enum

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.command_operators import TEXT_FORMAT
from meshproxy.snapshot.authorization import Authorization
from meshproxy.snapshot.http import DEFAULT_HTTP, HashOn, HTTPListener, RateLimit, SlowStart
from meshproxy.snapshot.identity import IdentitySettings
from meshproxy.snapshot.routes import Backend, RetryPolicy, RouteTable
from meshproxy.snapshot.telemetry import OTLPSettings
from meshproxy.snapshot.tls import ServerTLS, TLSFiles, UpstreamTLS
from meshproxy.snapshot.tracing import Tracing
from meshproxy.snapshot.value import Value


class Transport(enum.StrEnum):
    TCP = "TCP"
    UDP = "UDP"


class Algorithm(enum.StrEnum):
    """How a cluster picks an endpoint; `meshproxy.balancing` has one file for each."""

    ROUND_ROBIN = "RoundRobin"
    LEAST_CONNECTIONS = "LeastConnections"
    SOURCE_HASH = "SourceHash"
    RANDOM = "Random"
    LEAST_REQUEST = "LeastRequest"
    MAGLEV = "Maglev"


class Endpoint(Value, frozen=True, kw_only=True):
    """One upstream address of a cluster.

    `priority` is xDS's: the lowest number with an available endpoint is used, 0 first. `weight`
    0 means no traffic. `name` is the workload's (or the address where there is none). With a
    `mesh_port` it is reached there, by mutual TLS.
    """

    address: SocketAddress
    weight: int = 100
    priority: int = 0
    name: str = ""
    zone: str = ""
    node: str = ""
    hostname: str = ""
    service_account: str = ""
    terminating: bool = False
    mesh_port: int | None = None

    @property
    def id(self) -> str:
        """The endpoint's identity within its cluster: ``10.0.0.1:8080``."""
        return str(self.address)


class HealthCheck(Value, frozen=True, kw_only=True):
    """Active checks of a cluster's endpoints. `http_path` is None for a plain TCP connect."""

    interval: float
    timeout: float
    unhealthy_threshold: int
    healthy_threshold: int
    port: int | None = None
    http_path: str | None = None
    http_host: str = ""
    expected_statuses: tuple[tuple[int, int], ...] = ((200, 399),)


class OutlierDetection(Value, frozen=True, kw_only=True):
    """Passive ejection of a cluster's endpoints (Envoy `cluster.v3.OutlierDetection`).

    `consecutive_failures` counts connections that did not open and requests without a response;
    `consecutive_5xx` responses of 500 to 599 as well, `consecutive_gateway_errors` those of 502, 503
    and 504. None of a kind's is no limit.
    """

    consecutive_failures: int
    consecutive_5xx: int | None = None
    consecutive_gateway_errors: int | None = None
    interval: float
    base_ejection_time: float
    max_ejection_time: float
    max_ejection_percent: int


class Cluster(Value, frozen=True, kw_only=True):
    """A group of endpoints and how to use them (Envoy `cluster.v3.Cluster`).

    `affinity_timeout` is `sessionAffinity: ClientIP`'s, in seconds. `send_proxy_protocol` is 0
    (none), 1 or 2. `use_all_when_none_healthy` is panic mode.

    For HTTP: of `hash_on` the first that a request has is what hashing algorithms hash (the client's
    address where it has none). `max_requests` may be under way at once, `max_pending` more wait for
    `pending_timeout`; `max_retries` of them may be retries, or, where that is None, the larger of
    `retry_budget_min` and `retry_budget_percent` of the requests under way (Envoy's retry budget).
    `retry` and `request_timeout` hold where the rule has none of its own. `max_request_body` is in
    bytes. An upstream connection that is not used for `pool_idle_timeout`, or carried
    `max_requests_per_connection`, is closed. `tls` is how connections are secured; None: not at all.
    """

    name: str
    service: str
    port_name: str = ""
    transport: Transport = Transport.TCP
    algorithm: Algorithm = Algorithm.ROUND_ROBIN
    use_all_when_none_healthy: bool = True
    affinity_timeout: float | None = None
    health_check: HealthCheck | None = None
    outlier_detection: OutlierDetection | None = None
    max_connections: int | None = None
    max_pending: int = 1024
    pending_timeout: float = 5.0
    connect_timeout: float = 5.0
    connect_retries: int = 2
    idle_timeout: float = 3600.0
    drain_timeout: float | None = None
    udp_session_timeout: float = 60.0
    udp_max_sessions: int = 65536
    send_proxy_protocol: int = 0
    slow_start: SlowStart | None = None
    hash_on: tuple[HashOn, ...] = ()
    max_requests: int | None = None
    max_retries: int | None = None
    retry_budget_percent: float = 20.0
    retry_budget_min: int = 3
    retry: RetryPolicy | None = None
    request_timeout: float | None = None
    rate_limit: RateLimit | None = None
    max_request_body: int | None = None
    max_requests_per_connection: int | None = None
    pool_idle_timeout: float = 60.0
    tls: UpstreamTLS | None = None


class Protocol(enum.StrEnum):
    """What a TCP listener's bytes are; with `AUTO` the first of them decide."""

    TCP = "TCP"
    HTTP = "HTTP"
    AUTO = "Auto"


class ListenerRole(enum.StrEnum):
    """Which of a Service's addresses a listener is."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    EXTERNAL_IP = "ExternalIP"
    LOAD_BALANCER = "LoadBalancer"
    GATEWAY = "Gateway"
    INGRESS = "Ingress"
    INBOUND = "Inbound"


NO_SERVER_NAME = "(none)"
"""In the place of a server name: no host is called so."""


class FilterChain(Value, frozen=True, kw_only=True):
    """What becomes of the TLS connections for some server names (Envoy `listener.v3.FilterChain`).

    `server_names` are exact, or begin with ``*.``, or end with ``*``; `NO_SERVER_NAME` stands for clients that name
    none, and an empty one for every other, those among them. With `tls` it is ended here, and what is
    inside goes by `routes`, or to `cluster`; without, the bytes go as they are to one of `backends`. `checks_hosts`
    refuses requests for hosts that another chain serves. `authorization` counts in place of the listener's.
    """

    name: str
    server_names: tuple[str, ...]
    tls: ServerTLS | None = None
    cluster: str = ""
    routes: str = ""
    backends: tuple[Backend, ...] = ()
    protocol: Protocol = Protocol.TCP
    checks_hosts: bool = False
    authorization: str = ""


class Listener(Value, frozen=True, kw_only=True):
    """A bound address whose connections or datagrams go to one cluster, or whose requests are routed.

    Envoy `listener.v3.Listener`. `allowed_sources` are CIDRs (`loadBalancerSourceRanges`); empty means
    everyone; `authorization` names an `Authorization`. `routes` names a `RouteTable` for HTTP; without one, HTTP
    requests go to `cluster`, too. A listener without a `cluster` (a Gateway's) has `routes`. `service` is the
    Service's ``namespace/name``, or ``Gateway/namespace/name``, or ``Ingress``, or ``Inbound``. With `chains`
    clients speak TLS; with `permits_plain` they may do without, and then go by the listener's own `cluster` or
    `routes`.
    """

    name: str
    address: SocketAddress
    transport: Transport
    cluster: str = ""
    routes: str = ""
    protocol: Protocol = Protocol.TCP
    http: HTTPListener = DEFAULT_HTTP
    service: str
    port_name: str = ""
    role: ListenerRole = ListenerRole.CLUSTER_IP
    accept_proxy_protocol: bool = False
    allowed_sources: tuple[str, ...] = ()
    chains: tuple[FilterChain, ...] = ()
    permits_plain: bool = False
    authorization: str = ""


class Assignment(Value, frozen=True, kw_only=True):
    """The endpoints of one cluster (Envoy `endpoint.v3.ClusterLoadAssignment`)."""

    cluster: str
    endpoints: tuple[Endpoint, ...] = ()


class ServicePortView(Value, frozen=True, kw_only=True):
    """One port of a Service as people see it. `target_port` is as written: ``8080`` or ``http``."""

    name: str
    port: int
    transport: Transport
    cluster: str
    target_port: str = ""
    node_port: int | None = None


class ServiceView(Value, frozen=True, kw_only=True):
    """A Service as names and people need it: for `get services`, `describe service` and DNS.

    `not_ready` lists endpoints that get no traffic because a condition says so. `hosts` are the endpoints of a
    headless Service that has no ports, which no cluster holds; their port is 0.
    """

    namespace: str
    name: str
    type: str
    cluster_ips: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()
    external_name: str = ""
    headless: bool = False
    ports: tuple[ServicePortView, ...] = ()
    selector: dict[str, str] = {}
    session_affinity: str = "None"
    policy: str = ""
    not_ready: tuple[Endpoint, ...] = ()
    hosts: tuple[Endpoint, ...] = ()


class WorkloadView(Value, frozen=True, kw_only=True):
    """A Workload as people see it."""

    namespace: str
    name: str
    addresses: tuple[str, ...]
    source: str = ""
    labels: dict[str, str] = {}
    ports: dict[str, int] = {}
    weight: int = 100
    zone: str = ""
    node: str = ""
    service_account: str = ""
    ready: bool = True
    terminating: bool = False
    services: tuple[str, ...] = ()


class AccessLog(Value, frozen=True, kw_only=True):
    """Which requests are written down, and how.

    `format` is a format string (`base.command_operators`) or ``json``, `fields` are those of requests that it shows,
    and `path` a file, or ``-`` for standard output. Written are requests that took `min_duration` seconds at least,
    have a status of `min_status` at least (or none), and one of `flags` where there are any: a share of `sample`
    (0 to 1) of them, and with `always_errors` every one with a status of 5xx, none, or a response flag.
    """

    format: str = TEXT_FORMAT
    fields: tuple[str, ...] = ()
    path: str = "-"
    sample: float = 1.0
    min_status: int = 0
    min_duration: float = 0.0
    flags: tuple[str, ...] = ()
    always_errors: bool = True


class DNSSettings(Value, frozen=True, kw_only=True):
    """The DNS server. No `upstreams` are those of the system; `ttl` and `timeout` are in seconds."""

    address: SocketAddress
    domain: str = "cluster.local"
    ttl: int = 5
    upstreams: tuple[SocketAddress, ...] = ()
    timeout: float = 1.5


class ProxySettings(Value, frozen=True, kw_only=True):
    """What the Proxy document says, with every default filled in."""

    name: str = "meshproxy"
    namespace: str = "default"
    workers: int = 0
    admin: SocketAddress = SocketAddress("127.0.0.1", 15000)
    admin_token_file: str = ""
    node_name: str = ""
    zone: str = ""
    drain_timeout: float = 30.0
    buffer_size: int = 262144
    log_format: str = "text"
    log_level: str = "info"
    access_log: AccessLog | None = None
    tracing: Tracing | None = None
    otlp: OTLPSettings | None = None
    identity: IdentitySettings | None = None
    dns: DNSSettings | None = None


class Snapshot(Value, frozen=True, kw_only=True):
    """Everything a data plane needs, and what people ask about it. `version` is by content.

    Tuples are sorted by name, so that equal configurations encode to equal bytes.
    `settings.workers` 0 means one for each CPU. `tls_files` is where TLS material is that is in files.
    """

    version: str
    settings: ProxySettings = ProxySettings()
    listeners: tuple[Listener, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    route_tables: tuple[RouteTable, ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    tls_files: tuple[TLSFiles, ...] = ()
    services: tuple[ServiceView, ...] = ()
    workloads: tuple[WorkloadView, ...] = ()


def open_listeners(snapshot: Snapshot) -> tuple[Listener, ...]:
    """The listeners that are to be bound: all but those of UDP without an endpoint.

    A TCP client without an endpoint is accepted and reset. A datagram can only be refused by
    the kernel, with an ICMP error for a port that nobody is bound to; so nobody is.
    """
    served = {assignment.cluster for assignment in snapshot.assignments if assignment.endpoints}
    return tuple(each for each in snapshot.listeners if each.transport is Transport.TCP or each.cluster in served)


EMPTY = Snapshot(version="")
"""What is in force before anything was published."""
