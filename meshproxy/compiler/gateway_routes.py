"""Routes whose parent is a Gateway: which of its listeners take them, and why the others do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from meshproxy.base.names import NamespacedName
from meshproxy.compiler.backends import BackendIndex
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.edges import EdgeHost, TLSHost
from meshproxy.compiler.gateways import OpenGateways, OpenListener
from meshproxy.compiler.hostnames import meeting, within
from meshproxy.compiler.http_routes import HTTPRouteRules
from meshproxy.compiler.selectors import selects
from meshproxy.compiler.tls_routes import tls_backends
from meshproxy.resources import Gateway, HTTPRoute, TLSRoute
from meshproxy.resources.gateway import NAMESPACE_NAME_LABEL, FromNamespaces, RouteNamespaces
from meshproxy.resources.http_route import GATEWAY_GROUP, ParentReference
from meshproxy.resources.meta import Resource

_PASSED_OVER = "the route does nothing for it"


Route = TypeVar("Route", HTTPRoute, TLSRoute)
Add = Callable[[Route, OpenListener], None]
"""Has a listener take a route."""


def attach_http_routes(
    routes: Iterable[HTTPRoute], gateways: OpenGateways, rules: HTTPRouteRules, diagnostics: Diagnostics
) -> None:
    """Add the rules of `routes`, which come in order of precedence, to the hosts of the listeners that take them."""

    def add(route: HTTPRoute, listener: OpenListener) -> None:
        compiled = rules.of(route, with_grants=True)
        for host in listener.hosts:
            if isinstance(host, EdgeHost):
                hostnames = within(host.hostname, route.spec.hostnames) or ()
                own = (msgspec.structs.replace(rule, hostnames=hostnames) for rule in compiled)
                host.attach("HTTPRoute", route.key, own)

    _attach_all(routes, gateways, add, diagnostics)


def attach_tls_routes(
    routes: Iterable[TLSRoute], gateways: OpenGateways, backends: BackendIndex, diagnostics: Diagnostics
) -> None:
    """Add the backends of `routes`, likewise."""

    def add(route: TLSRoute, listener: OpenListener) -> None:
        found = tls_backends(route, backends)
        for host in listener.hosts:
            if isinstance(host, TLSHost):
                host.attach(route.key, meeting(host.hostname, route.spec.hostnames), found)

    _attach_all(routes, gateways, add, diagnostics)


def _attach_all(routes: Iterable[Route], gateways: OpenGateways, add: Add[Route], diagnostics: Diagnostics) -> None:
    for route in routes:
        for number, parent in enumerate(route.spec.parent_refs):
            if parent.is_gateway:
                _attach(route, parent, f"spec.parentRefs[{number}]", gateways, add, diagnostics)


def _attach(
    route: Route,
    parent: ParentReference,
    field: str,
    gateways: OpenGateways,
    add: Add[Route],
    diagnostics: Diagnostics,
) -> None:
    key = NamespacedName(parent.namespace or route.metadata.namespace, parent.name)
    if key not in gateways:
        names = [each.name for each in gateways if each.namespace == key.namespace]
        message = f"there is no Gateway {key.name} in namespace {key.namespace}{diagnostics.hint(key.name, names)}"
        diagnostics.warning(route, f"{field}.name", f"{message}; {_PASSED_OVER}")
        return
    gateway, listeners = gateways[key]
    meant = [each for each in listeners if _is_meant(each, parent)]
    if not meant:
        _say_what_there_is(route, parent, field, gateway, diagnostics)
        return
    refusals = {each.listener.name: _refusal(route, gateway, each) for each in meant}
    for each in meant:
        if not refusals[each.listener.name]:
            add(route, each)
    if all(refusals.values()):
        reasons = ", ".join(f"listener {name} {reason}" for name, reason in refusals.items())
        diagnostics.warning(route, field, f"{gateway.label} does not take it: {reasons}; {_PASSED_OVER}")


def _is_meant(each: OpenListener, parent: ParentReference) -> bool:
    listener = each.listener
    return parent.section_name in (None, listener.name) and parent.port in (None, listener.port)


def _say_what_there_is(
    route: Resource, parent: ParentReference, field: str, gateway: Gateway, diagnostics: Diagnostics
) -> None:
    listeners = gateway.spec.listeners
    there = ", ".join(f"{each.name} (port {each.port})" for each in listeners)
    if parent.section_name is not None and parent.section_name not in {each.name for each in listeners}:
        hint = diagnostics.hint(parent.section_name, [each.name for each in listeners])
        field, wanted = f"{field}.sectionName", f"named {parent.section_name}{hint}"
    else:
        field, wanted = f"{field}.port", f"on port {parent.port}"
        wanted += f" named {parent.section_name}" if parent.section_name is not None else ""
    message = f"{gateway.label} has no listener {wanted}; it has {there}; {_PASSED_OVER}"
    diagnostics.warning(route, field, message)


def _refusal(route: HTTPRoute | TLSRoute, gateway: Gateway, each: OpenListener) -> str:
    """Why a listener does not take `route`, or nothing."""
    if not each.hosts:
        return each.why_not
    allowed = each.listener.allowed_routes
    if each.route_kind != route.kind:
        return f"is of {each.listener.protocol}, which {each.route_kind}s go with"
    if allowed.kinds and not any((kind.group, kind.kind) == (GATEWAY_GROUP, route.kind) for kind in allowed.kinds):
        return f"allows no {route.kind}s (allowedRoutes.kinds)"
    if not _allows(allowed.namespaces, route.metadata.namespace, gateway.metadata.namespace):
        return f"allows no routes of namespace {route.metadata.namespace} (allowedRoutes.namespaces)"
    hostname = each.hosts[0].hostname
    if within(hostname, route.spec.hostnames) is None:
        return f"is for {hostname}, which none of the route's hostnames meets"
    return ""


def _allows(namespaces: RouteNamespaces, namespace: str, own: str) -> bool:
    match namespaces.from_:
        case FromNamespaces.ALL:
            return True
        case FromNamespaces.SAME:
            return namespace == own
        case FromNamespaces.SELECTOR if namespaces.selector is not None:
            return selects(namespaces.selector, {NAMESPACE_NAME_LABEL: namespace})
    return False
