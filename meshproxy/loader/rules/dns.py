"""Rules for the DNS server of the Proxy document."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import Finding
from meshproxy.loader.rules import values
from meshproxy.loader.rules.values import finding
from meshproxy.resources.proxy import DNS, DNS_PORT

MAX_TTL = 3600
MAX_TIMEOUT = 10
MAX_UPSTREAMS = 8
MAX_DOMAIN = 120
"""Characters: a Service's and a namespace's names, of 63 each, must fit before it in 253."""


def check(dns: DNS) -> Iterator[Finding]:
    yield from finding("spec.dns.address", _parsed(dns.address)[1])
    yield from finding("spec.dns.domain", values.dns_subdomain(dns.domain))
    if len(dns.domain) > MAX_DOMAIN:
        message = f"is longer than {MAX_DOMAIN} characters, so that names of Services would not fit before it"
        yield Finding(field="spec.dns.domain", message=message)
    if not float(dns.ttl).is_integer() or dns.ttl > MAX_TTL:
        message = f"{dns.ttl} must be whole seconds, one hour at most: DNS knows no others"
        yield Finding(field="spec.dns.ttl", message=message)
    if not 0 < dns.timeout <= MAX_TIMEOUT:
        yield Finding(field="spec.dns.timeout", message=f"must be longer than 0s, {MAX_TIMEOUT}s at most")
    yield from _check_upstreams(dns)


def _check_upstreams(dns: DNS) -> Iterator[Finding]:
    if len(dns.upstreams) > MAX_UPSTREAMS:
        message = f"has {len(dns.upstreams)} resolvers; {MAX_UPSTREAMS} are the most that are of use"
        yield Finding(field="spec.dns.upstreams", message=message)
    known = set()
    for index, text in enumerate(dns.upstreams):
        field = f"spec.dns.upstreams[{index}]"
        upstream, problem = _parsed(text, DNS_PORT)
        yield from finding(field, problem)
        if upstream is None:
            continue
        yield from finding(field, values.unicast_address(upstream.host))
        if upstream == _parsed(dns.address)[0]:
            yield Finding(field=field, message=f"{upstream} is this server itself; name another resolver")
        if upstream in known:
            yield Finding(field=field, message=f"{upstream} is here twice")
        known.add(upstream)


def _parsed(text: str, default_port: int | None = None) -> tuple[SocketAddress | None, values.Problem]:
    """The address that `text` is, or what is wrong with it."""
    try:
        address = SocketAddress.parse(text, default_port)
    except ValueError as error:
        return None, str(error)
    problem = values.port_number(address.port)
    return (None if problem else address), problem
