"""`meshproxy.dev/v1` Proxy: this process."""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

from meshproxy.base.durations import Duration, Quantity
from meshproxy.resources.http_policy import ProxyHTTP
from meshproxy.resources.identity import ProxyIdentity
from meshproxy.resources.inbound import Inbound
from meshproxy.resources.meta import Resource, Shape, default_duration, default_quantity
from meshproxy.resources.policy_tls import CertificateSource
from meshproxy.resources.registration import Registration
from meshproxy.resources.sources import SourceSpec
from meshproxy.resources.telemetry import Telemetry

DEFAULT_ADMIN_ADDRESS = "127.0.0.1:15000"
DEFAULT_INGRESS_ADDRESS = "0.0.0.0:80"
DEFAULT_INGRESS_TLS_ADDRESS = "0.0.0.0:443"
DEFAULT_DNS_ADDRESS = "127.0.0.1:15053"
DEFAULT_DNS_DOMAIN = "cluster.local"
DNS_PORT = 53
"""Of an upstream without a port."""
DEFAULT_SERVICE_CIDR = "127.96.0.0/12"


class LogFormat(enum.StrEnum):
    TEXT = "text"
    JSON = "json"


class Admin(Shape, frozen=True, kw_only=True):
    """The admin API. An address that is not loopback needs `token_file`, a file that holds a bearer token."""

    address: str = DEFAULT_ADMIN_ADDRESS
    token_file: str | None = None


class Log(Shape, frozen=True, kw_only=True):
    format: LogFormat = LogFormat.TEXT
    level: Literal["debug", "info", "warning", "error"] = "info"


class AccessLog(Shape, frozen=True, kw_only=True):
    """A line for each HTTP request. `format` is ``text`` (Envoy's), ``json``, or Envoy's command operators.

    `path` is a file, or ``-`` for standard output. Logged are requests that took `min_duration`, have a status of
    `min_status` at least (or none), and one of `flags`, Envoy's response flags, if there are any: `sample_percent` of
    them, but every one that failed (5xx, no response, or a flag), unless `always_errors` is off.
    """

    format: str = "text"
    path: str = "-"
    sample_percent: float = 100.0
    min_status: int | None = None
    min_duration: Duration | None = None
    flags: tuple[str, ...] = ()
    always_errors: bool = True


class IngressListener(Shape, frozen=True, kw_only=True):
    """Where Ingresses are served, as ``IP:PORT``; nothing listens there without one.

    `tls_address` is for those with `tls`, and for all with `default_certificate`, which clients get whose server name
    no Ingress has a certificate for. With `https_redirect` plain requests are sent there if the Ingress has `tls` for
    their host.
    """

    address: str = DEFAULT_INGRESS_ADDRESS
    tls_address: str = DEFAULT_INGRESS_TLS_ADDRESS
    https_redirect: bool = True
    default_certificate: CertificateSource | None = None


class DNS(Shape, frozen=True, kw_only=True):
    """The DNS server: names of Services are answered, all others forwarded.

    `upstreams` are ``IP`` or ``IP:PORT``, asked in this order; without them those of ``/etc/resolv.conf``
    are. Each try has `timeout`. `ttl` is how long clients may remember a Service's address.
    """

    address: str = DEFAULT_DNS_ADDRESS
    domain: str = DEFAULT_DNS_DOMAIN
    ttl: Duration = default_duration("5s")
    upstreams: tuple[str, ...] = ()
    timeout: Duration = default_duration("1500ms")


class ProxySpec(Shape, frozen=True, kw_only=True):
    """Settings of the process.

    `workers`: data-plane processes, 1 to 256, or ``auto`` for one per CPU. `service_cidr` (and
    `service_cidr6` for IPv6) is where Services without `clusterIP` get their virtual IP;
    `node_name` and `zone` say where this proxy runs, for `internalTrafficPolicy: Local` and
    `trafficDistribution`. `node_port_addresses` are bound for NodePorts. `drain_timeout` bounds
    a graceful stop. `buffer_size`, 4Ki to 4Mi, is how much is read from a peer at once, and so
    what a direction of a connection may hold. `sources` are registries to find resources in, beside the files;
    `register` are services of this machine to write into one.
    Without `identity` there is no mutual TLS (peers come in by `inbound`), and without `dns` no DNS server.
    """

    workers: int | Literal["auto"] = 1
    admin: Admin = Admin()
    service_cidr: str = DEFAULT_SERVICE_CIDR
    service_cidr6: str | None = None
    node_name: str | None = None
    zone: str | None = None
    node_port_addresses: tuple[str, ...] = ("0.0.0.0",)
    ingress: IngressListener = IngressListener()
    dns: DNS | None = None
    drain_timeout: Duration = default_duration("30s")
    buffer_size: Quantity = default_quantity("256Ki")
    log: Log = Log()
    access_log: AccessLog | None = None
    telemetry: Telemetry | None = None
    http: ProxyHTTP = msgspec.field(default_factory=ProxyHTTP)
    sources: tuple[SourceSpec, ...] = ()
    register: tuple[Registration, ...] = ()
    identity: ProxyIdentity | None = None
    inbound: Inbound | None = None


class Proxy(Resource, frozen=True, kw_only=True):
    """At most one per configuration."""

    spec: ProxySpec = msgspec.field(default_factory=ProxySpec)
