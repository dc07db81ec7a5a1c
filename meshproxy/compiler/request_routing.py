"""Everything that routes requests, in one: HTTPRoutes of the mesh and of Gateways, and Ingresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meshproxy.base.names import NamespacedName
from meshproxy.compiler.authorization import AuthorizationIndex
from meshproxy.compiler.backends import BackendIndex
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.edges import Edges
from meshproxy.compiler.gateway_routes import attach_http_routes, attach_tls_routes
from meshproxy.compiler.gateways import open_gateways
from meshproxy.compiler.http_routes import HTTPRouteRules
from meshproxy.compiler.ingresses import add_ingresses
from meshproxy.compiler.mesh_routes import PortKey, attach_to_services
from meshproxy.compiler.seniority import seniority
from meshproxy.compiler.tls_materials import MaterialIndex
from meshproxy.compiler.upstream_tls import UpstreamTLSIndex
from meshproxy.resources import Gateway, HTTPRoute, Ingress, IngressClass, Proxy, Service, TLSRoute
from meshproxy.resources.meta import Resource
from meshproxy.snapshot.http import HTTPListener
from meshproxy.snapshot.model import Listener
from meshproxy.snapshot.routes import RouteTable


class Indexes(NamedTuple):
    """What is looked up of other resources."""

    authorizations: AuthorizationIndex
    materials: MaterialIndex
    tls: UpstreamTLSIndex


class Routed(NamedTuple):
    """Route tables, those of Service ports by port and all of them by name, and the listeners that have no Service."""

    by_port: Mapping[PortKey, RouteTable]
    tables: tuple[RouteTable, ...]
    listeners: tuple[Listener, ...]


def route_requests(
    resources: Iterable[Resource],
    services: Mapping[NamespacedName, Service],
    *,
    proxy: Proxy,
    http: HTTPListener,
    indexes: Indexes,
    diagnostics: Diagnostics,
) -> Routed:
    """`proxy` says where Ingresses are served, and whose namespace consumer routes are for.

    `http` is what listeners that have no Service ask of their clients.
    """
    resources = tuple(resources)
    routes = sorted((each for each in resources if isinstance(each, HTTPRoute)), key=seniority)
    backends = BackendIndex(services, indexes.materials.grants, indexes.tls, diagnostics)
    rules = HTTPRouteRules(backends, diagnostics)
    by_port = attach_to_services(routes, services, proxy.metadata.namespace, rules, diagnostics)
    edges: Edges = {}
    opened = (each for each in resources if isinstance(each, Gateway))
    gateways = open_gateways(opened, edges, indexes.authorizations, indexes.materials, diagnostics)
    attach_http_routes(routes, gateways, rules, diagnostics)
    tls_routes = sorted((each for each in resources if isinstance(each, TLSRoute)), key=seniority)
    attach_tls_routes(tls_routes, gateways, backends, diagnostics)
    classes = {each.metadata.name: each for each in resources if isinstance(each, IngressClass)}
    ingresses = (each for each in resources if isinstance(each, Ingress))
    add_ingresses(ingresses, classes, proxy, edges, backends, indexes.materials, diagnostics)
    tables = (*by_port.values(), *(edge.table() for edge in edges.values() if edge.hosts))
    return Routed(
        by_port=by_port,
        tables=tuple(sorted(tables, key=lambda table: table.name)),
        listeners=tuple(edge.listener(http) for edge in edges.values()),
    )
