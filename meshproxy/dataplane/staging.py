"""A configuration on its way in: collected from `Begin` to `Commit`, checked, then applied whole."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from meshproxy.base.errors import SnapshotRejected
from meshproxy.snapshot import model
from meshproxy.snapshot.authorization import PARTS_OF_AUTHORIZATIONS, Authorization
from meshproxy.snapshot.consistency import dangling_of_listener, dangling_of_table
from meshproxy.snapshot.messages import (
    Begin,
    PutAuthorization,
    PutClusters,
    PutEndpoints,
    PutListeners,
    PutRoutes,
    Remove,
    RemoveEndpoints,
)
from meshproxy.snapshot.routes import RouteTable, Rule, VirtualHost

Part = PutClusters | PutEndpoints | PutListeners | PutRoutes | PutAuthorization | Remove | RemoveEndpoints


class Staged:
    """What changes; with `begin.reset`, everything there is to be.

    Owns the sockets that came with it until they are applied.
    """

    def __init__(self, begin: Begin) -> None:
        self.begin = begin
        self.clusters: dict[str, model.Cluster] = {}
        self.listeners: dict[str, tuple[model.Listener, socket.socket]] = {}
        self._endpoints: dict[str, dict[str, model.Endpoint]] = {}
        self._gone_endpoints: dict[str, set[str]] = {}
        self._gone_listeners: set[str] = set()
        self._gone_clusters: set[str] = set()
        self._gone_tables: set[str] = set()
        self.authorizations: dict[str, Authorization] = {}
        self._gone_authorizations: set[str] = set()
        self._hosts: dict[str, dict[str, _Host]] = {}
        self._tables: dict[str, RouteTable] | None = None

    def add(self, part: Part, sockets: list[socket.socket]) -> None:
        """Take one message and the descriptors that came with it."""
        match part:
            case PutClusters(clusters):
                self.clusters.update((cluster.name, cluster) for cluster in clusters)
            case PutEndpoints(cluster, endpoints):
                self._endpoints.setdefault(cluster, {}).update((each.id, each) for each in endpoints)
            case RemoveEndpoints(cluster, ids):
                self._gone_endpoints.setdefault(cluster, set()).update(ids)
            case PutListeners(listeners):
                self._add_listeners(listeners, sockets)
            case PutRoutes(table, virtual_hosts):
                self._add_routes(table, virtual_hosts)
            case PutAuthorization(authorization):
                self._add_authorization(authorization)
            case Remove(gone_listeners, gone_clusters, gone_tables, gone_authorizations):
                self._gone_authorizations.update(gone_authorizations)
                self._gone_listeners.update(gone_listeners)
                self._gone_clusters.update(gone_clusters)
                self._gone_tables.update(gone_tables)

    def _add_listeners(self, listeners: tuple[model.Listener, ...], sockets: list[socket.socket]) -> None:
        if len(listeners) != len(sockets):
            for each in sockets:
                each.close()
            counts = f"{len(listeners)} listeners came with {len(sockets)} sockets"
            raise SnapshotRejected(self.begin.version, [counts])
        for listener, sock in zip(listeners, sockets, strict=True):
            self.listeners[listener.name] = (listener, sock)

    def _add_routes(self, table: str, virtual_hosts: tuple[VirtualHost, ...]) -> None:
        hosts = self._hosts.setdefault(table, {})
        for each in virtual_hosts:
            hosts.setdefault(each.name, _Host(each.hostname)).rules.extend(each.rules)
        self._tables = None

    def _add_authorization(self, part: Authorization) -> None:
        before = self.authorizations.get(part.name)
        if before is not None:
            grown = {field: getattr(before, field) + getattr(part, field) for field in PARTS_OF_AUTHORIZATIONS}
            part = msgspec.structs.replace(part, **grown)
        self.authorizations[part.name] = part

    @property
    def route_tables(self) -> Mapping[str, RouteTable]:
        """New and changed route tables, put together from their parts."""
        if self._tables is None:
            self._tables = {
                name: RouteTable(name=name, virtual_hosts=tuple(host.whole(each) for each, host in hosts.items()))
                for name, hosts in self._hosts.items()
            }
        return self._tables

    def check(
        self,
        known_clusters: Collection[str],
        known_tables: Collection[str] = (),
        known_authorizations: Collection[str] = (),
    ) -> None:
        """Raise `SnapshotRejected` where a reference would dangle once this is applied to what is known.

        What refers to something that goes without being mentioned itself is the supervisor's to find
        (`check_consistency`); here everything that comes is checked.
        """
        known = self._remaining(known_clusters, self._gone_clusters, self.clusters)
        tables = self._remaining(known_tables, self._gone_tables, self.route_tables)
        authorizations = self._remaining(known_authorizations, self._gone_authorizations, self.authorizations)
        reasons: list[str] = []
        for listener, _ in self.listeners.values():
            reasons.extend(dangling_of_listener(listener, known, tables, authorizations))
        for table in self.route_tables.values():
            reasons.extend(dangling_of_table(table, known, authorizations))
        reasons += [
            f"endpoints of cluster {cluster}, which does not exist"
            for cluster in self._endpoints
            if cluster not in known
        ]
        if reasons:
            raise SnapshotRejected(self.begin.version, reasons)

    def _remaining(self, known: Collection[str], gone: set[str], put: Iterable[str]) -> set[str]:
        return (set() if self.begin.reset else set(known) - gone).union(put)

    def discard(self) -> None:
        """Close what came with a configuration that is not applied."""
        for _, sock in self.listeners.values():
            sock.close()

    def endpoint_changes(
        self, known: Mapping[str, Collection[str]]
    ) -> Iterator[tuple[str, tuple[tuple[model.Endpoint, ...], frozenset[str]]]]:
        """For each cluster that changes: (its name, (endpoints to put, ids to remove)).

        `known` holds the endpoint ids in force by cluster, which a reset is compared with.
        """
        changed = set(self._endpoints) | set(self._gone_endpoints)
        if self.begin.reset:
            changed |= set(self.clusters) & set(known)
        for cluster in sorted(changed & (set(known) | set(self.clusters))):
            put = self._endpoints.get(cluster, {})
            removed = self._gone_endpoints.get(cluster, set())
            if self.begin.reset:
                removed = set(known.get(cluster, ())) - set(put)
            yield cluster, (tuple(put.values()), frozenset(removed))

    def removed_listeners(self, known: Iterable[str]) -> list[str]:
        """Those of `known` that go."""
        return self._removed(known, self._gone_listeners, self.listeners)

    def removed_clusters(self, known: Iterable[str]) -> list[str]:
        """Those of `known` that go."""
        return self._removed(known, self._gone_clusters, self.clusters)

    def removed_route_tables(self, known: Iterable[str]) -> list[str]:
        """Those of `known` that go."""
        return self._removed(known, self._gone_tables, self.route_tables)

    def removed_authorizations(self, known: Iterable[str]) -> list[str]:
        """Those of `known` that go."""
        return self._removed(known, self._gone_authorizations, self.authorizations)

    def _removed(self, known: Iterable[str], gone: Collection[str], put: Collection[str]) -> list[str]:
        if self.begin.reset:
            return [name for name in known if name not in put]
        return [name for name in known if name in gone]


class _Host:
    """A virtual host whose rules are still coming in."""

    __slots__ = ("hostname", "rules")

    def __init__(self, hostname: str) -> None:
        self.hostname = hostname
        self.rules: list[Rule] = []

    def whole(self, name: str) -> VirtualHost:
        return VirtualHost(name=name, hostname=self.hostname, rules=tuple(self.rules))
