"""Clusters."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.admin.documents.row import Row, owner_of
from meshproxy.admin.documents.tls import HandshakesRow, handshakes_by_name
from meshproxy.admin.view import ProxyView
from meshproxy.snapshot.model import Cluster
from meshproxy.telemetry.totals import EndpointTotals


class ClusterRow(Row, frozen=True, kw_only=True):
    namespace: str
    service: str
    name: str
    protocol: str
    algorithm: str
    usable: int
    endpoints: int
    active: int
    handshakes: HandshakesRow
    config: Cluster


def rows(view: ProxyView) -> Iterator[ClusterRow]:
    snapshot, totals, handshakes = view.snapshot(), view.endpoint_totals(), handshakes_by_name(view)
    assignments = {assignment.cluster: assignment.endpoints for assignment in snapshot.assignments}
    for cluster in snapshot.clusters:
        namespace, service = owner_of(cluster.service)
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
            handshakes=handshakes.get(cluster.name, HandshakesRow()),
            config=cluster,
        )
