"""An address that traffic comes in by from outside: one listener, one route table, a virtual host a hostname."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.names import NamespacedName
from meshproxy.snapshot.http import HTTPListener
from meshproxy.snapshot.model import FilterChain, Listener, ListenerRole, Protocol, Transport
from meshproxy.snapshot.routes import Backend, RouteTable, Rule, VirtualHost
from meshproxy.snapshot.tls import ServerTLS


class EdgeHost:
    """A virtual host that rules are being collected for, in order of precedence."""

    def __init__(self, name: str, hostname: str, authorization: str = "", tls: ServerTLS | None = None) -> None:
        """`tls` is how it is spoken with clients that mean this host; None: not at all."""
        self.name = name
        self.authorization = authorization
        self.hostname = hostname
        self.tls = tls
        self.rules: list[Rule] = []
        self._routes: set[tuple[str, NamespacedName]] = set()

    def copy(self) -> EdgeHost:
        """The same, without rules, for another address."""
        return EdgeHost(self.name, self.hostname, self.authorization, self.tls)

    def attach(self, kind: str, route: NamespacedName, rules: Iterable[Rule]) -> None:
        """Take the rules of a route, once."""
        if (kind, route) not in self._routes:
            self._routes.add((kind, route))
            self.rules.extend(self._guarded(rule) for rule in rules)

    def _guarded(self, rule: Rule) -> Rule:
        return msgspec.structs.replace(rule, authorization=self.authorization) if self.authorization else rule


class TLSHost:
    """A hostname whose connections go to backends as they are, or, with `tls`, as what is inside."""

    def __init__(self, name: str, hostname: str, authorization: str = "", tls: ServerTLS | None = None) -> None:
        self.name = name
        self.authorization = authorization
        self.hostname = hostname
        self.tls = tls
        self._chains: dict[str, FilterChain] = {}

    def copy(self) -> TLSHost:
        """The same, without backends, for another address."""
        return TLSHost(self.name, self.hostname, self.authorization, self.tls)

    def attach(self, route: NamespacedName, hostnames: Iterable[str], backends: tuple[Backend, ...]) -> None:
        """Take the connections for `hostnames`, which are within this one, but for those that a route has already."""
        taken = {name for chain in self._chains.values() for name in chain.server_names}
        names = tuple(name for name in hostnames if name not in taken)
        name = f"{self.name}/{route}"
        if names and name not in self._chains:
            self._chains[name] = FilterChain(
                name=name, server_names=names, tls=self.tls, backends=backends, authorization=self.authorization
            )

    def chains(self) -> tuple[FilterChain, ...]:
        return tuple(self._chains.values())


class Edge:
    """One bound address, where with `secure` only TLS is spoken.

    `owner` is the resource that it is there for, as `Listener.service` has it.
    """

    def __init__(self, address: SocketAddress, owner: str, role: ListenerRole, *, secure: bool = False) -> None:
        self.address = address
        self.owner = owner
        self.role = role
        self.secure = secure
        self.hosts: dict[str, EdgeHost] = {}
        self.tls_hosts: dict[str, TLSHost] = {}

    def add(self, host: EdgeHost | TLSHost) -> None:
        """Serve `host`, whose hostname nobody has."""
        if isinstance(host, TLSHost):
            self.tls_hosts[host.hostname] = host
        else:
            self.hosts[host.hostname] = host

    def listener(self, http: HTTPListener) -> Listener:
        """Its name says the address only: whoever comes or goes there, the socket stays."""
        return Listener(
            name=f"edge@{self.address}/{Transport.TCP}",
            address=self.address,
            transport=Transport.TCP,
            routes=str(self.address) if self.hosts else "",
            protocol=Protocol.HTTP,
            http=http,
            chains=tuple(sorted(self._chains(), key=lambda chain: chain.name)),
            service=self.owner,
            port_name=str(self.address.port),
            role=self.role,
        )

    def _chains(self) -> Iterator[FilterChain]:
        for hostname, host in self.hosts.items():
            if host.tls is not None:
                yield FilterChain(
                    name=host.name,
                    server_names=(hostname,),
                    tls=host.tls,
                    routes=str(self.address),
                    protocol=Protocol.HTTP,
                    checks_hosts=True,
                    authorization=host.authorization,
                )
        for tls_host in self.tls_hosts.values():
            yield from tls_host.chains()

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
