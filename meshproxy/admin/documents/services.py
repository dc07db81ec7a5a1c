"""Services."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from meshproxy.admin.documents.row import Row
from meshproxy.admin.view import ProxyView
from meshproxy.snapshot.model import Assignment, Cluster, ServiceView


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


def rows(view: ProxyView) -> Iterator[ServiceRow]:
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
