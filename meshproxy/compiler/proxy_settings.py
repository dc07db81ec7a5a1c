"""The Proxy document, with every default filled in."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from meshproxy.base.addresses import SocketAddress
from meshproxy.resources import ObjectMeta, Proxy
from meshproxy.snapshot.model import ProxySettings

DEFAULT_PROXY = Proxy(api_version="meshproxy.dev/v1", kind="Proxy", metadata=ObjectMeta(name="meshproxy"))
"""What is compiled with where no Proxy is written."""


class Environment(NamedTuple):
    """Where this proxy runs, and what it may give to Services."""

    node_name: str
    zone: str
    service_cidr: IPv4Network
    service_cidr6: IPv6Network | None
    node_port_addresses: tuple[str, ...]
    admin: SocketAddress
    ingress: SocketAddress


def settings_of(proxy: Proxy, hostname: str) -> ProxySettings:
    """`hostname` is the node's name where the document gives none."""
    spec = proxy.spec
    return ProxySettings(
        name=proxy.metadata.name,
        namespace=proxy.metadata.namespace,
        workers=0 if isinstance(spec.workers, str) else spec.workers,
        admin=SocketAddress.parse(spec.admin.address),
        admin_token_file=spec.admin.token_file or "",
        node_name=spec.node_name or hostname,
        zone=spec.zone or "",
        drain_timeout=float(spec.drain_timeout),
        buffer_size=int(spec.buffer_size),
        log_format=spec.log.format.value,
        log_level=spec.log.level,
    )


def environment_of(proxy: Proxy, settings: ProxySettings) -> Environment:
    spec = proxy.spec
    return Environment(
        node_name=settings.node_name,
        zone=settings.zone,
        service_cidr=IPv4Network(spec.service_cidr),
        service_cidr6=IPv6Network(spec.service_cidr6) if spec.service_cidr6 else None,
        node_port_addresses=spec.node_port_addresses,
        admin=settings.admin,
        ingress=SocketAddress.parse(spec.ingress.address),
    )
