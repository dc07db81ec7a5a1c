"""An address that requests come in by from outside: one listener, one route table, a virtual host a hostname."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.names import NamespacedName
from meshproxy.snapshot.http import HTTPListener
from meshproxy.snapshot.model import Listener, ListenerRole, Protocol, Transport
from meshproxy.snapshot.routes import RouteTable, Rule, VirtualHost


class EdgeHost:
    """A virtual host that rules are being collected for, in order of precedence."""

    def __init__(self, name: str, hostname: str, authorization: str = "") -> None:
        self.name = name
        self.authorization = authorization
        self.hostname = hostname
        self.rules: list[Rule] = []
        self._routes: set[tuple[str, NamespacedName]] = set()

    def attach(self, kind: str, route: NamespacedName, rules: Iterable[Rule]) -> None:
        """Take the rules of a route, once."""
        if (kind, route) not in self._routes:
            self._routes.add((kind, route))
            self.rules.extend(self._guarded(rule) for rule in rules)

    def _guarded(self, rule: Rule) -> Rule:
        return msgspec.structs.replace(rule, authorization=self.authorization) if self.authorization else rule


class Edge:
    """One bound address. `owner` is the resource that it is there for, as `Listener.service` has it."""

    def __init__(self, address: SocketAddress, owner: str, role: ListenerRole) -> None:
        self.address = address
        self.owner = owner
        self.role = role
        self.hosts: dict[str, EdgeHost] = {}

    def listener(self, http: HTTPListener) -> Listener:
        """Its name says the address only: whoever comes or goes there, the socket stays."""
        return Listener(
            name=f"edge@{self.address}/{Transport.TCP}",
            address=self.address,
            transport=Transport.TCP,
            routes=str(self.address),
            protocol=Protocol.HTTP,
            http=http,
            service=self.owner,
            port_name=str(self.address.port),
            role=self.role,
        )

    def table(self) -> RouteTable:
        """With a name for each rule: one that is in several virtual hosts has theirs in its name."""
        counts = Counter(rule.name for host in self.hosts.values() for rule in host.rules)
        hosts = (
            VirtualHost(
                name=host.name,
                hostname=hostname,
                rules=tuple(_named(rule, host.name) if counts[rule.name] > 1 else rule for rule in host.rules),
            )
            for hostname, host in sorted(self.hosts.items())
        )
        return RouteTable(name=str(self.address), virtual_hosts=tuple(hosts))


Edges = dict[SocketAddress, Edge]


def _named(rule: Rule, host: str) -> Rule:
    return msgspec.structs.replace(rule, name=f"{rule.name}@{host}")
