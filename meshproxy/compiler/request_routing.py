"""Everything that routes requests, in one: HTTPRoutes of the mesh and of Gateways, and Ingresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.names import NamespacedName
from meshproxy.compiler.authorization import AuthorizationIndex
from meshproxy.compiler.backends import BackendIndex
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.edges import Edges
from meshproxy.compiler.gateway_routes import attach_to_gateways
from meshproxy.compiler.gateways import open_gateways
from meshproxy.compiler.http_routes import HTTPRouteRules
from meshproxy.compiler.ingresses import add_ingresses
from meshproxy.compiler.mesh_routes import PortKey, attach_to_services
from meshproxy.compiler.reference_grants import GrantIndex
from meshproxy.compiler.seniority import seniority
from meshproxy.resources import Gateway, HTTPRoute, Ingress, IngressClass, ReferenceGrant, Service
from meshproxy.resources.meta import Resource
from meshproxy.snapshot.http import HTTPListener
from meshproxy.snapshot.model import Listener
from meshproxy.snapshot.routes import RouteTable


class Routed(NamedTuple):
    """Route tables, those of Service ports by port and all of them by name, and the listeners that have no Service."""

    by_port: Mapping[PortKey, RouteTable]
    tables: tuple[RouteTable, ...]
    listeners: tuple[Listener, ...]


def route_requests(
    resources: Iterable[Resource],
    services: Mapping[NamespacedName, Service],
    *,
    namespace: str,
    ingress: SocketAddress,
    http: HTTPListener,
    authorizations: AuthorizationIndex,
    diagnostics: Diagnostics,
) -> Routed:
    """`namespace` is the Proxy's, for consumer routes; `ingress` is where Ingresses are served.

    `http` is what listeners that have no Service ask of their clients.
    """
    resources = tuple(resources)
    grants = GrantIndex(each for each in resources if isinstance(each, ReferenceGrant))
    routes = sorted((each for each in resources if isinstance(each, HTTPRoute)), key=seniority)
    backends = BackendIndex(services, grants, diagnostics)
    rules = HTTPRouteRules(backends, diagnostics)
    by_port = attach_to_services(routes, services, namespace, rules, diagnostics)
    edges: Edges = {}
    gateways = open_gateways(
        (each for each in resources if isinstance(each, Gateway)), edges, authorizations, diagnostics
    )
    attach_to_gateways(routes, gateways, rules, diagnostics)
    classes = {each.metadata.name: each for each in resources if isinstance(each, IngressClass)}
    ingresses = (each for each in resources if isinstance(each, Ingress))
    add_ingresses(ingresses, classes, ingress, edges, backends, diagnostics)
    tables = (*by_port.values(), *(edge.table() for edge in edges.values()))
    return Routed(
        by_port=by_port,
        tables=tuple(sorted(tables, key=lambda table: table.name)),
        listeners=tuple(edge.listener(http) for edge in edges.values()),
    )
