"""Rules for a proxy's identity."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding
from meshproxy.base.spiffe import trust_domain_problem
from meshproxy.loader.rules import values
from meshproxy.loader.rules.sources import url
from meshproxy.loader.rules.values import finding
from meshproxy.resources.authorization import ExistingConnections
from meshproxy.resources.identity import IdentityCA, IdentityConsul, ProxyIdentity

_SOURCES = ("files", "ca", "consul")


def check(identity: ProxyIdentity, field: str) -> Iterator[Finding]:
    """`field` is where `identity` stands."""
    chosen = [name for name in _SOURCES if getattr(identity, name) is not None]
    if len(chosen) != 1:
        has = " and ".join(chosen) or "none"
        yield Finding(field=field, message=f"must have exactly one of files, ca and consul, and has {has}")
    if identity.trust_domain is not None:
        yield from finding(f"{field}.trustDomain", trust_domain_problem(identity.trust_domain) or None)
    if identity.service_account is not None:
        yield from finding(f"{field}.serviceAccount", values.dns_subdomain(identity.service_account))
    elif chosen != ["files"]:
        message = "this field is required, since nothing else says whose certificate to ask for"
        yield Finding(field=f"{field}.serviceAccount", message=message)
    if identity.ca is not None:
        yield from _check_ca(identity.ca, f"{field}.ca")
    if identity.consul is not None:
        yield from _check_consul(identity.consul, f"{field}.consul")


def _check_ca(ca: IdentityCA, field: str) -> Iterator[Finding]:
    yield from finding(f"{field}.url", url(ca.url, ("https",)))
    if ca.lifetime is not None:
        yield from finding(f"{field}.lifetime", values.positive_duration(ca.lifetime))


def _check_consul(consul: IdentityConsul, field: str) -> Iterator[Finding]:
    yield from finding(f"{field}.address", url(consul.address, ("http", "https", "unix")))
    if consul.existing_connections is not ExistingConnections.KEEP and not consul.intentions:
        message = "is about connections that intentions refuse, and intentions is false; remove one of the two"
        yield Finding(field=f"{field}.existingConnections", message=message)
