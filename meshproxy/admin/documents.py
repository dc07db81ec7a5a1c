"""What the admin API answers: rows for `get`, made of the snapshot, health and totals."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from meshproxy import __version__
from meshproxy.admin.view import ConfigStatus, ProxyView, SourceState, WorkerStatus
from meshproxy.base.addresses import host_port
from meshproxy.base.errors import Finding
from meshproxy.snapshot.model import Assignment, Cluster, Endpoint, ServiceView, WorkloadView, open_listeners
from meshproxy.telemetry.totals import EndpointTotals, ListenerTotals


class Row(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of every answer: camelCase in JSON, as Kubernetes has it."""


class PortRow(Row, frozen=True, kw_only=True):
    name: str
    port: int
    protocol: str
    target_port: str
    node_port: int | None


class ServiceRow(Row, frozen=True, kw_only=True):
    """`ready` of `endpoints` get traffic (healthy or not checked); those not ready by condition count as endpoints."""

    namespace: str
    name: str
    type: str
    cluster_ips: tuple[str, ...] = msgspec.field(name="clusterIPs")
    external_ips: tuple[str, ...] = msgspec.field(name="externalIPs")
    external_name: str
    ports: tuple[PortRow, ...]
    selector: dict[str, str]
    session_affinity: str
    policy: str
    algorithm: str
    ready: int
    endpoints: int


class EndpointRow(Row, frozen=True, kw_only=True):
    """`age` is seconds in this status, None where nothing is known; bytes are payload."""

    namespace: str
    service: str
    port: str
    cluster: str
    name: str
    address: str
    status: str
    usable: bool
    reason: str
    age: float | None
    weight: int
    priority: int
    zone: str
    node: str
    active: int
    connections: int
    connect_failures: int
    sent: int
    received: int


class ListenerRow(Row, frozen=True, kw_only=True):
    namespace: str
    service: str
    port: str
    role: str
    address: str
    protocol: str
    cluster: str
    state: str
    problem: str
    active: int
    accepted: int
    refused: int
    denied: int
    overflowed: int
    malformed: int
    dropped: int


class ClusterRow(Row, frozen=True, kw_only=True):
    namespace: str
    service: str
    name: str
    protocol: str
    algorithm: str
    usable: int
    endpoints: int
    active: int
    config: Cluster


class StatusDocument(Row, frozen=True, kw_only=True):
    version: str
    name: str
    uptime: float
    ready: bool
    reason: str
    config: ConfigStatus
    workers: tuple[WorkerStatus, ...]
    sources: tuple[SourceState, ...]
    listeners: int
    failed_listeners: dict[str, str]
    diagnostics: tuple[Finding, ...]


def split(service: str) -> tuple[str, str]:
    """``namespace/name`` in two."""
    namespace, _, name = service.partition("/")
    return namespace, name


def services(view: ProxyView) -> Iterator[ServiceRow]:
    clusters = {cluster.name: cluster for cluster in view.snapshot().clusters}
    assignments = {assignment.cluster: assignment for assignment in view.snapshot().assignments}
    for service in view.snapshot().services:
        yield _service(view, service, clusters, assignments)


def _service(
    view: ProxyView, service: ServiceView, clusters: dict[str, Cluster], assignments: dict[str, Assignment]
) -> ServiceRow:
    used = [(port.cluster, each) for port in service.ports for each in assignments[port.cluster].endpoints]
    algorithms = {clusters[port.cluster].algorithm.value for port in service.ports}
    ready = {each.address for cluster, each in used if view.health(cluster, each.id).usable and each.weight}
    everything = {each.address for _, each in used} | {each.address for each in service.not_ready}
    return ServiceRow(
        namespace=service.namespace,
        name=service.name,
        type=service.type,
        cluster_ips=("None",) if service.headless else service.cluster_ips,
        external_ips=service.external_ips,
        external_name=service.external_name,
        ports=tuple(
            PortRow(
                name=port.name,
                port=port.port,
                protocol=port.transport.value,
                target_port=port.target_port,
                node_port=port.node_port,
            )
            for port in service.ports
        ),
        selector=service.selector,
        session_affinity=service.session_affinity,
        policy=service.policy,
        algorithm=", ".join(sorted(algorithms)),
        ready=len(ready),
        endpoints=len(everything),
    )


def endpoints(view: ProxyView) -> Iterator[EndpointRow]:
    """Each endpoint of each port of each Service; those that get no traffic by condition last."""
    snapshot, totals = view.snapshot(), view.endpoint_totals()
    clusters = {cluster.name: cluster for cluster in snapshot.clusters}
    for assignment in snapshot.assignments:
        cluster = clusters[assignment.cluster]
        for endpoint in assignment.endpoints:
            counts = totals.get((assignment.cluster, endpoint.id), EndpointTotals())
            yield _endpoint(view, cluster, endpoint, counts)
    for service in snapshot.services:
        for endpoint in service.not_ready:
            yield _not_ready(service, endpoint)


def _endpoint(view: ProxyView, cluster: Cluster, endpoint: Endpoint, counts: EndpointTotals) -> EndpointRow:
    health = view.health(cluster.name, endpoint.id)
    namespace, service = split(cluster.service)
    known = bool(health.since)
    return EndpointRow(
        namespace=namespace,
        service=service,
        port=cluster.port_name,
        cluster=cluster.name,
        name=endpoint.name,
        address=endpoint.id,
        status="Terminating" if endpoint.terminating else health.status.value,
        usable=health.usable,
        reason=health.reason,
        age=view.now() - health.since if known else None,
        weight=endpoint.weight,
        priority=endpoint.priority,
        zone=endpoint.zone,
        node=endpoint.node,
        active=counts.active,
        connections=counts.connections,
        connect_failures=counts.connect_failures,
        sent=counts.sent,
        received=counts.received,
    )


def _not_ready(service: ServiceView, endpoint: Endpoint) -> EndpointRow:
    return EndpointRow(
        namespace=service.namespace,
        service=service.name,
        port="",
        cluster="",
        name=endpoint.name,
        address=endpoint.id,
        status="NotReady",
        usable=False,
        reason="not ready by its conditions",
        age=None,
        weight=endpoint.weight,
        priority=endpoint.priority,
        zone=endpoint.zone,
        node=endpoint.node,
        active=0,
        connections=0,
        connect_failures=0,
        sent=0,
        received=0,
    )


def listeners(view: ProxyView) -> Iterator[ListenerRow]:
    problems, totals = view.listener_problems(), view.listener_totals()
    is_open = {listener.name for listener in open_listeners(view.snapshot())}
    for listener in view.snapshot().listeners:
        namespace, service = split(listener.service)
        counts = totals.get(listener.name, ListenerTotals())
        problem = problems.get(listener.name, "")
        yield ListenerRow(
            namespace=namespace,
            service=service,
            port=listener.port_name,
            role=listener.role.value,
            address=host_port(listener.address.host, listener.address.port),
            protocol=listener.transport.value,
            cluster=listener.cluster,
            state=_listener_state(problem, listener.name in is_open),
            problem=problem,
            **counts._asdict(),
        )


def _listener_state(problem: str, is_open: bool) -> str:
    """``NoEndpoints`` is UDP's: nobody is bound, so that the kernel refuses datagrams."""
    if problem:
        return "Failed"
    return "Listening" if is_open else "NoEndpoints"


def clusters(view: ProxyView) -> Iterator[ClusterRow]:
    snapshot, totals = view.snapshot(), view.endpoint_totals()
    assignments = {assignment.cluster: assignment.endpoints for assignment in snapshot.assignments}
    for cluster in snapshot.clusters:
        namespace, service = split(cluster.service)
        members = assignments[cluster.name]
        yield ClusterRow(
            namespace=namespace,
            service=service,
            name=cluster.name,
            protocol=cluster.transport.value,
            algorithm=cluster.algorithm.value,
            usable=sum(1 for each in members if view.health(cluster.name, each.id).usable and each.weight),
            endpoints=len(members),
            active=sum(totals.get((cluster.name, each.id), EndpointTotals()).active for each in members),
            config=cluster,
        )


def workloads(view: ProxyView) -> tuple[WorkloadView, ...]:
    return view.snapshot().workloads


def status(view: ProxyView) -> StatusDocument:
    snapshot = view.snapshot()
    reason = view.not_ready_reason()
    return StatusDocument(
        version=__version__,
        name=snapshot.settings.name,
        uptime=view.uptime(),
        ready=not reason,
        reason=reason,
        config=view.config(),
        workers=view.workers(),
        sources=view.sources(),
        listeners=len(snapshot.listeners),
        failed_listeners=dict(view.listener_problems()),
        diagnostics=view.diagnostics(),
    )
