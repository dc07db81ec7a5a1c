"""Endpoints of Services."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from meshproxy.admin.documents.requests import RequestsRow, requests_row
from meshproxy.admin.documents.row import Row, owner_of
from meshproxy.admin.view import ProxyView
from meshproxy.health.states import Ejections
from meshproxy.snapshot.model import Cluster, Endpoint, ServiceView
from meshproxy.telemetry.request_totals import EndpointRequests
from meshproxy.telemetry.totals import EndpointTotals


class EndpointRow(Row, frozen=True, kw_only=True):
    """`age` is seconds in this status, None where nothing is known; bytes are payload.

    For HTTP, `active` are requests under way and `idle` connections without one; each try of a request is counted.
    `ejections` is how often outlier detection ever ejected it. `secure` is ``mTLS`` in the mesh, where it is reached at
    `mesh_port` and must prove to be one of `identities` (``namespace/name``), ``TLS``, or empty.
    """

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
    idle: int = 0
    ejections: int = 0
    requests: RequestsRow = RequestsRow()
    secure: str = ""
    mesh_port: int | None = None
    identities: tuple[str, ...] = ()


def rows(view: ProxyView) -> Iterator[EndpointRow]:
    """Each endpoint of each port of each Service; those that get no traffic by condition last."""
    snapshot, totals = view.snapshot(), view.endpoint_totals()
    requests, ejections = view.endpoint_requests(), view.ejections()
    clusters = {cluster.name: cluster for cluster in snapshot.clusters}
    for assignment in snapshot.assignments:
        cluster = clusters[assignment.cluster]
        for endpoint in assignment.endpoints:
            key = (assignment.cluster, endpoint.id)
            counts = _Counts(
                totals.get(key, EndpointTotals()),
                requests.get(key, EndpointRequests()),
                ejections.get(key, Ejections()),
            )
            yield _endpoint(view, cluster, endpoint, counts)
    for service in snapshot.services:
        for endpoint in service.not_ready:
            yield _not_ready(service, endpoint)


class _Counts(NamedTuple):
    totals: EndpointTotals
    requests: EndpointRequests
    ejections: Ejections


def _endpoint(view: ProxyView, cluster: Cluster, endpoint: Endpoint, counts: _Counts) -> EndpointRow:
    health = view.health(cluster.name, endpoint.id)
    namespace, service = owner_of(cluster.service)
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
        active=counts.totals.active,
        connections=counts.totals.connections,
        connect_failures=counts.totals.connect_failures,
        sent=counts.totals.sent,
        received=counts.totals.received,
        idle=counts.requests.idle,
        ejections=counts.ejections.times,
        requests=requests_row(counts.requests.requests),
        secure=_secure(cluster, endpoint),
        mesh_port=endpoint.mesh_port,
        identities=cluster.tls.service_accounts if cluster.tls is not None and endpoint.mesh_port is not None else (),
    )


def _secure(cluster: Cluster, endpoint: Endpoint) -> str:
    """How connections to it are secured."""
    if cluster.tls is None:
        return ""
    if not cluster.tls.mesh:
        return "TLS"
    return "mTLS" if endpoint.mesh_port is not None else ""


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
