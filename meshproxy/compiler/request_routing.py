"""Everything that routes requests, in one: HTTPRoutes of the mesh and of Gateways, and Ingresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meshproxy.base.names import NamespacedName
from meshproxy.compiler.backends import BackendIndex
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.http_routes import HTTPRouteRules
from meshproxy.compiler.mesh_routes import PortKey, attach_to_services
from meshproxy.compiler.reference_grants import GrantIndex
from meshproxy.compiler.seniority import seniority
from meshproxy.resources import HTTPRoute, ReferenceGrant, Service
from meshproxy.resources.meta import Resource
from meshproxy.snapshot.routes import RouteTable


class Routed(NamedTuple):
    """Route tables: those of Service ports by port, and all of them by name."""

    by_port: Mapping[PortKey, RouteTable]
    tables: tuple[RouteTable, ...]


def route_requests(
    resources: Iterable[Resource],
    services: Mapping[NamespacedName, Service],
    namespace: str,
    diagnostics: Diagnostics,
) -> Routed:
    """`namespace` is the Proxy's, for consumer routes."""
    resources = tuple(resources)
    grants = GrantIndex(each for each in resources if isinstance(each, ReferenceGrant))
    routes = sorted((each for each in resources if isinstance(each, HTTPRoute)), key=seniority)
    rules = HTTPRouteRules(BackendIndex(services, grants, diagnostics), diagnostics)
    by_port = attach_to_services(routes, services, namespace, rules, diagnostics)
    return Routed(by_port, tuple(sorted(by_port.values(), key=lambda table: table.name)))
