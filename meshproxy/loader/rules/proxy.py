"""Rules for the Proxy document."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import Finding
from meshproxy.loader.rules import (
    access_log,
    dns,
    http_policy,
    identity,
    inbound,
    policy_tls,
    registration,
    sources,
    telemetry,
    values,
)
from meshproxy.loader.rules.values import finding
from meshproxy.resources.proxy import Admin, IngressListener, ProxySpec

MAX_WORKERS = 256
BUFFER_SIZES = (4 * 1024, 4 * 1024 * 1024)


def check(spec: ProxySpec) -> Iterator[Finding]:
    if isinstance(spec.workers, int):
        yield from finding("spec.workers", values.in_range(spec.workers, 1, MAX_WORKERS))
    yield from _check_admin(spec.admin)
    yield from _check_ingress(spec.ingress, "spec.ingress")
    yield from finding("spec.serviceCIDR", _network_problem(spec.service_cidr, 4))
    if spec.service_cidr6 is not None:
        yield from finding("spec.serviceCIDR6", _network_problem(spec.service_cidr6, 6))
    for index, address in enumerate(spec.node_port_addresses):
        yield from finding(f"spec.nodePortAddresses[{index}]", values.address(address))
    yield from finding("spec.bufferSize", values.in_range(spec.buffer_size, *BUFFER_SIZES))
    yield from http_policy.check_http(spec.http, "spec.http")
    yield from sources.check(spec.sources)
    yield from registration.check(spec.register, spec.sources)
    if spec.identity is not None:
        yield from identity.check(spec.identity, "spec.identity")
    if spec.inbound is not None:
        yield from inbound.check(spec.inbound, "spec.inbound")
    if spec.access_log is not None:
        yield from access_log.check(spec.access_log)
    yield from telemetry.check(spec)
    if spec.dns is not None:
        yield from dns.check(spec.dns)


def _network_problem(cidr: str, version: int) -> str | None:
    problem = values.network(cidr)
    parsed = values.network_of(cidr)
    if parsed is not None and parsed.version != version:
        return f"{cidr} is not an IPv{version} network"
    if parsed is not None and parsed.num_addresses < 2:
        return f"{cidr} has no room for a second Service; write a larger network"
    return problem


def _check_ingress(ingress: IngressListener, field: str) -> Iterator[Finding]:
    yield from finding(f"{field}.address", values.socket_address(ingress.address))
    yield from finding(f"{field}.tlsAddress", values.socket_address(ingress.tls_address))
    if ingress.address == ingress.tls_address:
        message = f"{ingress.address} is the address for plain HTTP already; TLS needs a port of its own"
        yield Finding(field=f"{field}.tlsAddress", message=message)
    if ingress.default_certificate is not None:
        yield from policy_tls.check_certificate(ingress.default_certificate, f"{field}.defaultCertificate")


def _check_admin(admin: Admin) -> Iterator[Finding]:
    try:
        address = SocketAddress.parse(admin.address)
    except ValueError as error:
        yield Finding(field="spec.admin.address", message=str(error))
        return
    if not ip_address(address.host).is_loopback and not admin.token_file:
        message = "an address that is not loopback needs tokenFile, or anyone could read and drain this proxy"
        yield Finding(field="spec.admin.address", message=message)
