"""How the DNS server does, as plain values: for metrics, the admin API and people."""

from __future__ import annotations

import msgspec

from meshproxy.base.addresses import SocketAddress


class UpstreamReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A resolver that is asked. `seconds` is what its `answers` took together; `problem` is empty when all is well."""

    address: str
    answers: int = 0
    failures: int = 0
    seconds: float = 0.0
    problem: str = ""


class QueryCount(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Queries of one kind. `protocol` is ``udp`` or ``tcp``, `type` and `rcode` as dig prints them."""

    protocol: str
    type: str
    rcode: str
    count: int


class DNSReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`problem` says why it does not listen where it should, or whom it cannot ask; empty when all is well.

    `cache_hits` are queries that needed no upstream and no looking up; `stale` those of them whose answer was
    too old, since no upstream answered. `forwarding` questions are asked now, `dropped` were too many at once.
    """

    address: SocketAddress
    listening: bool
    domain: str
    problem: str = ""
    upstreams: tuple[UpstreamReport, ...] = ()
    queries: tuple[QueryCount, ...] = ()
    cache_hits: int = 0
    stale: int = 0
    cached_answers: int = 0
    forwarding: int = 0
    dropped: int = 0
    tcp_connections: int = 0


class DNSExplanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why a name has the answer that it has. `service` is ``namespace/name``, empty for names that are forwarded.

    `cached_for` is how many seconds an upstream's answer is kept yet, None where it is not.
    """

    name: str
    type: str
    reason: str
    exists: bool = True
    service: str = ""
    forwarded: bool = False
    upstream: str = ""
    cached_for: int | None = None
