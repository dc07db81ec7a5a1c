"""One endpoint of a cluster, as a worker uses it."""

from __future__ import annotations

import socket
from typing import Protocol

from meshproxy.balancing.api import Member
from meshproxy.dataplane.http.counters import RequestCounters
from meshproxy.snapshot.messages import EndpointStats
from meshproxy.snapshot.model import Endpoint


class Attached(Protocol):
    """A connection, session or request that lives on an upstream, and counts as active there."""

    upstream: Upstream

    def settle(self) -> None:
        """Add the bytes moved since the last time to the upstream's counts."""
        ...

    def upstream_gone(self, now: float) -> None:
        """The upstream left the configuration (or, for datagrams, became unhealthy)."""
        ...


class Upstream(Member):
    """A balancer's member with an address, counters and what is under way to it: connections, sessions, requests.

    `sent` and `received` are payload bytes. `failures`, `server_errors` (5xx) and `gateway_errors` count
    what came in a row.
    """

    __slots__ = (
        "_attached",
        "address",
        "connect_failures",
        "connect_timeouts",
        "connections",
        "endpoint",
        "failures",
        "family",
        "gateway_errors",
        "healthy",
        "received",
        "removed",
        "reported",
        "requests",
        "sent",
        "server_errors",
        "sockaddr",
    )

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint.id, endpoint.weight)
        self._attached: set[Attached] = set()
        self.connections = self.connect_failures = self.connect_timeouts = 0
        self.sent = self.received = 0
        self.failures = self.server_errors = self.gateway_errors = 0
        self.healthy = True
        self.removed = False
        self.reported: EndpointStats | None = None
        self.requests: RequestCounters | None = None
        self.adopt(endpoint)

    def adopt(self, endpoint: Endpoint) -> None:
        """Take a changed configuration of the same address and weight."""
        self.endpoint = endpoint
        self.address = endpoint.address
        self.family = socket.AF_INET6 if endpoint.address.is_ipv6 else socket.AF_INET
        self.sockaddr = (endpoint.address.host, endpoint.mesh_port or endpoint.address.port)

    def take_over(self, old: Upstream) -> None:
        """Take the place of `old`, the same endpoint: its state, its counts and its connections."""
        self.active, self.available = old.active, old.available
        self.failures, self.server_errors, self.gateway_errors = old.failures, old.server_errors, old.gateway_errors
        self.healthy, self.reported = old.healthy, old.reported
        self.take_in(old)

    def take_in(self, old: Upstream) -> int:
        """Move counts and connections here from `old`; returns how many connections those were."""
        old.settle()
        self.connections += old.connections
        self.connect_failures += old.connect_failures
        self.connect_timeouts += old.connect_timeouts
        self.sent += old.sent
        self.received += old.received
        old.connections = old.connect_failures = old.connect_timeouts = old.sent = old.received = 0
        if old.requests is not None:
            if self.requests is None:
                self.requests = old.requests
            else:
                self.requests.add(old.requests)
            old.requests = None
        users, old._attached = old._attached, set()
        for user in users:
            user.upstream = self
        self._attached |= users
        return len(users)

    def request_ended(self, status: int, seconds: float) -> None:
        """A request was answered with `status`, or not (0), after `seconds`."""
        if self.requests is None:
            self.requests = RequestCounters()
        self.requests.count(status, seconds)

    def attach(self, user: Attached) -> None:
        self._attached.add(user)

    def detach(self, user: Attached) -> None:
        self._attached.discard(user)

    def tell_gone(self, now: float) -> None:
        """Tell everything that lives here that it has to leave."""
        for user in tuple(self._attached):
            user.upstream_gone(now)

    def settle(self) -> None:
        """Bring `sent` and `received` up to date with what is open."""
        for user in self._attached:
            user.settle()

    def statistics(self, cluster: str) -> EndpointStats:
        """The counts now, as they are reported to the supervisor."""
        return EndpointStats(
            cluster,
            self.key,
            self.active,
            self.connections,
            self.connect_failures,
            self.connect_timeouts,
            self.sent,
            self.received,
        )
