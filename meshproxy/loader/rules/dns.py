"""Rules for the DNS server of the Proxy document."""

from __future__ import annotations

from collections.abc import Iterator

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
    yield from finding("spec.dns.address", values.socket_address(dns.address))
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
    own = values.socket_address_of(dns.address)
    known = set()
    for index, text in enumerate(dns.upstreams):
        field = f"spec.dns.upstreams[{index}]"
        upstream = values.socket_address_of(text, DNS_PORT)
        yield from finding(field, values.socket_address(text, DNS_PORT))
        if upstream is None:
            continue
        yield from finding(field, values.unicast_address(upstream.host))
        if upstream == own:
            yield Finding(field=field, message=f"{upstream} is this server itself; name another resolver")
        if upstream in known:
            yield Finding(field=field, message=f"{upstream} is here twice")
        known.add(upstream)
