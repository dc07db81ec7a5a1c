"""The Proxy document, with every default filled in."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.command_operators import JSON_FORMAT, TEXT_FORMAT, logged_fields, parse_format
from meshproxy.base.spiffe import DEFAULT_TRUST_DOMAIN
from meshproxy.compiler.telemetry import otlp_of, tracing_of
from meshproxy.resources import ObjectMeta, Proxy
from meshproxy.resources import proxy as resources
from meshproxy.resources.identity import IdentityConsul, ProxyIdentity
from meshproxy.snapshot.identity import FromCA, FromConsul, FromFiles, IdentitySettings
from meshproxy.snapshot.model import AccessLog, DNSSettings, ProxySettings

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
    dns: SocketAddress | None


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
        identity=_identity_of(spec.identity, proxy.metadata.namespace) if spec.identity is not None else None,
        access_log=_access_log(spec.access_log) if spec.access_log is not None else None,
        tracing=tracing_of(proxy),
        otlp=otlp_of(proxy, spec.node_name or hostname),
        dns=_dns_of(spec.dns) if spec.dns is not None else None,
    )


def _dns_of(dns: resources.DNS) -> DNSSettings:
    return DNSSettings(
        address=SocketAddress.parse(dns.address),
        domain=dns.domain,
        ttl=int(dns.ttl),
        upstreams=tuple(SocketAddress.parse(each, resources.DNS_PORT) for each in dns.upstreams),
        timeout=float(dns.timeout),
    )


def _access_log(log: resources.AccessLog) -> AccessLog:
    text = TEXT_FORMAT if log.format == "text" else log.format
    shown = "".join(JSON_FORMAT.values()) if text == "json" else text
    return AccessLog(
        format=text,
        fields=logged_fields(parse_format(shown)),
        path=log.path,
        sample=log.sample_percent / 100,
        min_status=log.min_status or 0,
        min_duration=float(log.min_duration or 0),
        flags=log.flags,
        always_errors=log.always_errors,
    )


def _identity_of(identity: ProxyIdentity, namespace: str) -> IdentitySettings:
    """Our own CA needs a trust domain to ask for; the other sources say what theirs is."""
    return IdentitySettings(
        trust_domain=identity.trust_domain or (DEFAULT_TRUST_DOMAIN if identity.ca is not None else ""),
        namespace=namespace,
        service_account=identity.service_account or "",
        source=_identity_source(identity),
    )


def _identity_source(identity: ProxyIdentity) -> FromFiles | FromCA | FromConsul:
    """The loader has seen to it that there is exactly one."""
    if identity.files is not None:
        files = identity.files
        return FromFiles(certificate=files.certificate, key=files.key, roots=files.roots, crl=files.crl or "")
    if identity.ca is not None:
        ca = identity.ca
        lifetime = float(ca.lifetime) if ca.lifetime is not None else None
        return FromCA(url=ca.url.rstrip("/"), roots=ca.roots, token_file=ca.token_file or "", lifetime=lifetime)
    consul = identity.consul or IdentityConsul()
    return FromConsul(address=consul.address.rstrip("/"), token_file=consul.token_file or "")


def environment_of(proxy: Proxy, settings: ProxySettings) -> Environment:
    spec = proxy.spec
    return Environment(
        node_name=settings.node_name,
        zone=settings.zone,
        service_cidr=IPv4Network(spec.service_cidr),
        service_cidr6=IPv6Network(spec.service_cidr6) if spec.service_cidr6 else None,
        node_port_addresses=spec.node_port_addresses,
        admin=settings.admin,
        dns=settings.dns.address if settings.dns is not None else None,
    )
