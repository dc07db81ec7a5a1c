"""HTTPRoutes whose parent is a Service: the mesh's routes (GEP-1426).

A route in the Service's own namespace is a *producer* route and holds for every client. One in another
namespace is a *consumer* route and holds for clients of its own namespace, that is, where the Proxy's is the
same. Where a Service has consumer routes they replace the producer's: routes merge among their own kind only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from meshproxy.base.names import NamespacedName
from meshproxy.compiler.app_protocols import is_unspoken
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.http_routes import HTTPRouteRules
from meshproxy.compiler.services import cluster_name
from meshproxy.compiler.virtual_ips import is_headless
from meshproxy.resources import HTTPRoute, Service
from meshproxy.resources.http_route import ParentReference
from meshproxy.resources.service import Protocol, ServicePort, ServiceType
from meshproxy.snapshot.routes import RouteTable, VirtualHost

PortKey = tuple[NamespacedName, int]
"""A Service and the index of its port."""

_PASSED_OVER = "the route does nothing for it"


class _Attached(NamedTuple):
    """The routes of one port, in order of precedence; each once."""

    producers: dict[NamespacedName, HTTPRoute]
    consumers: dict[NamespacedName, HTTPRoute]


def attach_to_services(
    routes: Iterable[HTTPRoute],
    services: Mapping[NamespacedName, Service],
    namespace: str,
    rules: HTTPRouteRules,
    diagnostics: Diagnostics,
) -> dict[PortKey, RouteTable]:
    """The table of each Service port that has one. `routes` come in order of precedence; `namespace` is the Proxy's."""
    attached: dict[PortKey, _Attached] = defaultdict(lambda: _Attached({}, {}))
    for route in routes:
        for service, index in _parent_ports(route, services, rules, diagnostics):
            port = attached[service.key, index]
            if route.metadata.namespace == service.metadata.namespace:
                port.producers[route.key] = route
            elif route.metadata.namespace == namespace:
                port.consumers[route.key] = route
    tables = {}
    for (key, index), found in attached.items():
        in_force = found.consumers or found.producers
        if in_force:
            name = cluster_name(services[key], services[key].spec.ports[index])
            every = tuple(rule for route in in_force.values() for rule in rules.of(route, with_grants=False))
            tables[key, index] = RouteTable(name=name, virtual_hosts=(VirtualHost(name=name, rules=every),))
    return tables


def _parent_ports(
    route: HTTPRoute, services: Mapping[NamespacedName, Service], rules: HTTPRouteRules, diagnostics: Diagnostics
) -> Iterator[tuple[Service, int]]:
    for number, parent in enumerate(route.spec.parent_refs):
        if not parent.is_service:
            continue
        field = f"spec.parentRefs[{number}]"
        key = NamespacedName(parent.namespace or route.metadata.namespace, parent.name)
        service = services.get(key)
        if service is None:
            names = [each.name for each in services if each.namespace == key.namespace]
            message = f"there is no Service {key.name} in namespace {key.namespace}{diagnostics.hint(key.name, names)}"
            diagnostics.warning(route, f"{field}.name", f"{message}; {_PASSED_OVER}")
            continue
        problem = _no_parent(service)
        if problem:
            diagnostics.warning(route, f"{field}.name", f"{problem}; {_PASSED_OVER}")
            continue
        ports = list(_ports(service, parent))
        if not ports:
            _say_what_is_wrong(route, field, service, parent, diagnostics)
        for index in ports:
            port = service.spec.ports[index]
            if is_unspoken(port, secured=rules.secures(service, port)):
                message = (
                    f"port {port.port} of {service.label} speaks {port.app_protocol}: no request can be read there"
                )
                diagnostics.warning(route, field, message)
            yield service, index


def _no_parent(service: Service) -> str:
    """Why requests to `service` do not come here (GEP-1426, "Allowed service types")."""
    if service.spec.type is ServiceType.EXTERNAL_NAME:
        return f"{service.label} is an ExternalName: its clients do not come through this proxy"
    if is_headless(service):
        return f"{service.label} is headless: its clients connect to endpoints, not to an address of its own"
    return ""


def _ports(service: Service, parent: ParentReference) -> Iterator[int]:
    """The TCP ports that `parent` means: all of them where it says neither `port` nor `sectionName`."""
    for index, port in enumerate(service.spec.ports):
        if port.protocol is Protocol.TCP and _is_meant(port, parent):
            yield index


def _is_meant(port: ServicePort, parent: ParentReference) -> bool:
    return parent.port in (None, port.port) and parent.section_name in (None, port.name)


def _say_what_is_wrong(
    route: HTTPRoute, field: str, service: Service, parent: ParentReference, diagnostics: Diagnostics
) -> None:
    where = "port" if parent.port is not None else "sectionName" if parent.section_name is not None else "name"
    if any(_is_meant(port, parent) for port in service.spec.ports):
        message = f"{service.label} has UDP there, which carries no HTTP/1.1"
    elif where == "name":
        message = f"{service.label} has no ports"
    else:
        wanted = parent.port if parent.port is not None else parent.section_name
        ports = [str(port.port) if where == "port" else port.name for port in service.spec.ports]
        hint = diagnostics.hint(str(wanted), ports)
        message = f"{service.label} has no port {wanted}{hint}; it has {', '.join(filter(None, ports)) or 'none'}"
    diagnostics.warning(route, f"{field}.{where}", f"{message}; {_PASSED_OVER}")
