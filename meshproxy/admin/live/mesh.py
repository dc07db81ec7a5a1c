"""The snapshot as a graph: entries (where clients come in) → Services → endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from meshproxy.admin.documents.row import Row
from meshproxy.admin.live.names import Names
from meshproxy.snapshot.model import Cluster, Endpoint, Listener, ListenerRole, ServiceView, Snapshot, Transport
from meshproxy.snapshot.routes import RouteTable, Rule, VirtualHost
from meshproxy.telemetry.request_totals import RuleKey

CLIENTS = "Clients"
"""The entry of those who call a Service by its own addresses."""
NOBODY = ""
"""The target of what the proxy answers itself."""
_NO_SERVICES = ("Ingress", "Inbound")
"""Owners of listeners that are neither Services nor Gateways."""


class EndpointNode(Row, frozen=True, kw_only=True):
    """`id` is its address. Of one that is not ready by its conditions there is nothing else to know."""

    id: str
    name: str
    zone: str
    weight: int
    secure: bool
    ready: bool = True


class ClusterNode(Row, frozen=True, kw_only=True):
    """One port of a Service; `name` is the cluster's."""

    name: str
    port: str
    transport: str
    endpoints: tuple[EndpointNode, ...]


class ServiceNode(Row, frozen=True, kw_only=True):
    """`secure` is ``mTLS``, ``TLS``, or empty; `local` what peers reach here, on this proxy's inbound listener."""

    id: str
    namespace: str
    name: str
    type: str
    addresses: tuple[str, ...]
    ports: tuple[str, ...]
    selector: Mapping[str, str]
    policy: str
    algorithm: str
    secure: str
    clusters: tuple[ClusterNode, ...]
    local: bool = False


class EntryNode(Row, frozen=True, kw_only=True):
    """`id` is `CLIENTS`, ``Gateway/namespace/name``, ``Ingress`` or ``Inbound``."""

    id: str
    addresses: tuple[str, ...]
    secure: str


class Call(NamedTuple):
    """Who calls whom: ids of an entry or a Service, and of a Service (or `NOBODY`)."""

    source: str
    target: str


class MeshDocument(Row, frozen=True, kw_only=True):
    """`calls` are those that the configuration allows for; `RatesDocument` tells which happen, by their index."""

    version: str
    entries: tuple[EntryNode, ...]
    services: tuple[ServiceNode, ...]
    calls: tuple[Call, ...]


class Mesh(NamedTuple):
    """The document, and whose counts are whose: `calls` by rule and backend, Services by cluster, callers by `names`.

    `indexes` are those of calls in the document.
    """

    document: MeshDocument
    calls: Mapping[RuleKey, tuple[Call, ...]]
    service_of: Mapping[str, str]
    indexes: Mapping[Call, int]
    names: Names

    def index_of_call(self, service: str, cluster: str) -> int | None:
        """Which call it is that a listener of `service` leads to `cluster`; None where nobody is called."""
        if service not in _NO_SERVICES and not service.startswith("Gateway/"):
            return self.indexes.get(Call(CLIENTS, service))
        target = self.service_of.get(cluster, NOBODY)
        own = self.indexes.get(Call(service, target))
        return own if own is not None else self._at_a_shared_address(target)

    def _at_a_shared_address(self, target: str) -> int | None:
        """The call of another Gateway, whose listener it is by name only that of the first one there."""
        for call, index in self.indexes.items():
            if call.target == target and call.source.startswith("Gateway/"):
                return index
        return None


def mesh_of(snapshot: Snapshot) -> Mesh:
    """Read a snapshot; some microseconds for each of its endpoints."""
    service_of = {cluster.name: _service_id(cluster) for cluster in snapshot.clusters}
    calls = dict(_calls(snapshot, service_of))
    distinct = {call: None for several in calls.values() for call in several if call.target}
    distinct |= dict.fromkeys(_plain_calls(snapshot, service_of))
    document = MeshDocument(
        version=snapshot.version,
        entries=tuple(_entries(snapshot)),
        services=(*_services(snapshot), *_local_services(snapshot)),
        calls=tuple(distinct),
    )
    indexes = {call: index for index, call in enumerate(document.calls)}
    return Mesh(document, calls, service_of, indexes, Names(snapshot))


# -- nodes -------------------------------------------------------------------------------


def entry_of(listener: Listener) -> str:
    """The entry that a listener belongs to."""
    if listener.role in (ListenerRole.GATEWAY, ListenerRole.INGRESS, ListenerRole.INBOUND):
        return listener.service
    return CLIENTS


def _entries(snapshot: Snapshot) -> Iterator[EntryNode]:
    listeners: dict[str, list[Listener]] = {}
    for listener in snapshot.listeners:
        listeners.setdefault(entry_of(listener), []).append(listener)
    for name, several in listeners.items():
        secure = "mTLS" if name == "Inbound" else "TLS"
        yield EntryNode(
            id=name,
            addresses=tuple(str(each.address) for each in several) if name != CLIENTS else (),
            secure=secure if any(chain.tls for each in several for chain in each.chains) else "",
        )


def _is_local(cluster: Cluster) -> bool:
    return cluster.name.startswith("inbound/")


def _service_id(cluster: Cluster) -> str:
    return cluster.name if _is_local(cluster) else cluster.service


def _services(snapshot: Snapshot) -> Iterator[ServiceNode]:
    clusters = {cluster.name: cluster for cluster in snapshot.clusters}
    endpoints = {assignment.cluster: assignment.endpoints for assignment in snapshot.assignments}
    for service in snapshot.services:
        ports = [clusters[port.cluster] for port in service.ports]
        yield ServiceNode(
            id=f"{service.namespace}/{service.name}",
            namespace=service.namespace,
            name=service.name,
            type=service.type,
            addresses=_addresses(service),
            ports=tuple(f"{port.port}/{port.transport.value}" for port in service.ports),
            selector=service.selector,
            policy=service.policy,
            algorithm=", ".join(sorted({cluster.algorithm.value for cluster in ports})),
            secure=_secure(ports),
            clusters=(*(_cluster(each, endpoints[each.name]) for each in ports), *_not_ready(service)),
        )


def _addresses(service: ServiceView) -> tuple[str, ...]:
    of_cluster = ("None",) if service.headless else service.cluster_ips
    return (*of_cluster, *service.external_ips, *filter(None, (service.external_name,)))


def _local_services(snapshot: Snapshot) -> Iterator[ServiceNode]:
    endpoints = {assignment.cluster: assignment.endpoints for assignment in snapshot.assignments}
    for cluster in filter(_is_local, snapshot.clusters):
        namespace, _, name = cluster.service.partition("/")
        yield ServiceNode(
            id=cluster.name,
            namespace=namespace,
            name=name,
            type="Inbound",
            addresses=(),
            ports=(cluster.port_name.removeprefix("inbound-"),),
            selector={},
            policy="",
            algorithm=cluster.algorithm.value,
            secure="",
            clusters=(_cluster(cluster, endpoints[cluster.name]),),
            local=True,
        )


def _secure(clusters: list[Cluster]) -> str:
    tls = [cluster.tls for cluster in clusters if cluster.tls is not None]
    if not tls:
        return ""
    return "mTLS" if any(each.mesh or each.certificate for each in tls) else "TLS"


def _cluster(cluster: Cluster, endpoints: tuple[Endpoint, ...]) -> ClusterNode:
    return ClusterNode(
        name=cluster.name,
        port=cluster.port_name,
        transport=cluster.transport.value,
        endpoints=tuple(
            EndpointNode(
                id=each.id,
                name=each.name,
                zone=each.zone,
                weight=each.weight,
                secure=cluster.tls is not None and (each.mesh_port is not None or not cluster.tls.mesh),
            )
            for each in endpoints
        ),
    )


def _not_ready(service: ServiceView) -> Iterator[ClusterNode]:
    if service.not_ready:
        endpoints = tuple(
            EndpointNode(id=each.id, name=each.name, zone=each.zone, weight=each.weight, secure=False, ready=False)
            for each in service.not_ready
        )
        yield ClusterNode(name="", port="", transport=Transport.TCP.value, endpoints=endpoints)


# -- calls -------------------------------------------------------------------------------


def _calls(snapshot: Snapshot, service_of: Mapping[str, str]) -> Iterator[tuple[RuleKey, tuple[Call, ...]]]:
    """Whose the counts of each rule and backend are."""
    owners: dict[str, str] = {}
    for listener in snapshot.listeners:
        for name in (listener.routes, *(chain.routes for chain in listener.chains)):
            owners.setdefault(name, entry_of(listener))
        for cluster in (listener.cluster, *(chain.cluster for chain in listener.chains)):
            if cluster:
                yield RuleKey("", cluster, ""), (Call(entry_of(listener), service_of[cluster]),)
    for table in snapshot.route_tables:
        entry = owners.get(table.name, CLIENTS)
        for virtual_host in table.virtual_hosts:
            at = _attached_to(table, virtual_host, entry)
            yield RuleKey(table.name, "", ""), (Call(entry, at.target),)
            for rule in virtual_host.rules:
                yield from _calls_of(rule, table, at, service_of)


def _attached_to(table: RouteTable, virtual_host: VirtualHost, entry: str) -> Call:
    """What every request of a virtual host is: a call of its Service, or of nobody yet."""
    if virtual_host.name == table.name:
        return Call(entry, table.name.rpartition(":")[0])
    return Call(f"Gateway/{virtual_host.name.rpartition('/')[0]}" if "/" in virtual_host.name else entry, NOBODY)


def _calls_of(
    rule: Rule, table: RouteTable, at: Call, service_of: Mapping[str, str]
) -> Iterator[tuple[RuleKey, tuple[Call, ...]]]:
    yield RuleKey(table.name, rule.name, ""), (at,)
    for backend in rule.backends:
        target = service_of.get(backend.cluster, NOBODY)
        key = RuleKey(table.name, rule.name, backend.name)
        if target in (NOBODY, at.target):
            yield key, (at,)
        elif at.target:
            yield key, (at, Call(at.target, target))
        else:
            yield key, (Call(at.source, target),)


def _plain_calls(snapshot: Snapshot, service_of: Mapping[str, str]) -> Iterator[Call]:
    """Those of listeners that route nothing, and of TLS that is passed through."""
    for listener in snapshot.listeners:
        chains = listener.chains
        passed = (backend.cluster for chain in chains for backend in chain.backends)
        for cluster in (listener.cluster, *(chain.cluster for chain in chains), *passed):
            if cluster in service_of:
                yield Call(entry_of(listener), service_of[cluster])
