"""Which cluster a reference to a Service's port leads to, or what is wrong with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from meshproxy.base.names import NamespacedName
from meshproxy.compiler.app_protocols import is_unspoken
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.reference_grants import GrantIndex
from meshproxy.compiler.services import cluster_name
from meshproxy.compiler.upstream_tls import UpstreamTLSIndex
from meshproxy.resources import HTTPRoute, Ingress, Service, TLSRoute
from meshproxy.resources.http_route import BackendObjectReference
from meshproxy.resources.ingress import IngressServiceBackend
from meshproxy.resources.meta import Resource
from meshproxy.resources.service import Protocol, ServicePort, ServiceType

ANSWERED_500 = "its share of the requests is answered with 500"


class Target(NamedTuple):
    """Where a reference leads: a `cluster`, or without one the `problem`. `label` is how people know it."""

    label: str
    cluster: str = ""
    problem: str = ""


class BackendIndex:
    """Every Service that can be referred to. What is refused is said, and said what would be right."""

    def __init__(
        self,
        services: Mapping[NamespacedName, Service],
        grants: GrantIndex,
        tls: UpstreamTLSIndex,
        diagnostics: Diagnostics,
    ) -> None:
        self._services = services
        self._grants = grants
        self._tls = tls
        self._diagnostics = diagnostics
        self._names: dict[str, list[str]] = defaultdict(list)
        for key in services:
            self._names[key.namespace].append(key.name)

    def of_route(
        self,
        route: HTTPRoute | TLSRoute,
        ref: BackendObjectReference,
        field: str,
        consequence: str,
        *,
        with_grant: bool,
    ) -> Target:
        """Where a `backendRef` leads.

        `with_grant` asks for a ReferenceGrant where the Service is in another namespace. Routes of the
        mesh need none (GEP-1426, "Namespace boundaries"): they open nothing that was not open before.
        """
        key = NamespacedName(ref.namespace or route.metadata.namespace, ref.name)
        label = _label(key, ref.port, route.metadata.namespace)
        if not ref.is_service:  # the loader says so
            return Target(label, problem=f"{ref.kind} {ref.name} is no Service")
        if with_grant and not self._grants.lets(route.kind, route.metadata.namespace, "Service", key):
            who = f"{route.kind}s of namespace {route.metadata.namespace}"
            problem = f"no ReferenceGrant in namespace {key.namespace} lets {who} refer to Service {key.name}"
            self._warn(route, f"{field}.namespace", problem, consequence)
            return Target(label, problem=problem)
        requests = route.kind != "TLSRoute"
        return self._in_service(route, key, label, field, consequence, number=ref.port, requests=requests)

    def secures(self, service: Service, port: ServicePort) -> bool:
        """Whether requests to the port's endpoints go in ordinary TLS."""
        return self._tls.secures(service, port)

    def of_ingress(self, ingress: Ingress, ref: IngressServiceBackend, field: str) -> Target:
        """Where an Ingress' backend leads; its Services are of its own namespace."""
        key = NamespacedName(ingress.metadata.namespace, ref.name)
        label = _label(key, ref.port.number or ref.port.name, ingress.metadata.namespace)
        consequence = "requests for it are answered with 500"
        return self._in_service(
            ingress, key, label, field, consequence, number=ref.port.number, port_name=ref.port.name
        )

    def _in_service(
        self,
        referrer: Resource,
        key: NamespacedName,
        label: str,
        field: str,
        consequence: str,
        *,
        number: int | None,
        port_name: str | None = None,
        requests: bool = True,
    ) -> Target:
        service = self._services.get(key)
        if service is None:
            problem = f"there is no Service {key.name} in namespace {key.namespace}"
            hint = self._diagnostics.hint(key.name, self._names.get(key.namespace, ()))
            self._warn(referrer, f"{field}.name", problem + hint, consequence)
            return Target(label, problem=problem)
        if service.spec.type is ServiceType.EXTERNAL_NAME:
            # GEP-1426: SHOULD NOT be allowed as backends (kubernetes/kubernetes#103675).
            problem = f"{service.label} is an ExternalName and has no endpoints"
            hint = "; write a Service with an EndpointSlice or Workloads"
            self._warn(referrer, f"{field}.name", problem + hint, consequence)
            return Target(label, problem=problem)
        port, problem = _port_of(service, number, port_name)
        if port is not None and requests and is_unspoken(port, secured=self.secures(service, port)):
            speaks = f"port {port.port} of {service.label} speaks {port.app_protocol}"
            problem, port = f"{speaks}, which {_what_it_takes(port)}", None
        if port is None:
            self._warn(referrer, f"{field}.port", problem, consequence)
            return Target(label, problem=problem)
        return Target(label, cluster=cluster_name(service, port))

    def _warn(self, referrer: Resource, field: str, problem: str, consequence: str) -> None:
        self._diagnostics.warning(referrer, field, f"{problem}; {consequence}")


def _label(key: NamespacedName, port: int | str | None, namespace: str) -> str:
    name = key.name if key.namespace == namespace else str(key)
    return name if port is None else f"{name}:{port}"


def _what_it_takes(port: ServicePort) -> str:
    if is_unspoken(port, secured=True):
        return "is not supported yet"
    return "takes a TrafficPolicy with tls, or a BackendTLSPolicy"


def _port_of(service: Service, number: int | None, name: str | None) -> tuple[ServicePort | None, str]:
    """The TCP port of that number or name, or None and what is wrong."""
    if number is None and not name:
        return None, f"needs a port of {service.label}: {_ports(service)}"
    found = [port for port in service.spec.ports if (port.port == number if number is not None else port.name == name)]
    if not found:
        wanted = number if number is not None else name
        return None, f"{service.label} has no port {wanted}; it has {_ports(service) or 'none'}"
    port = next((port for port in found if port.protocol is Protocol.TCP), None)
    if port is None:
        return None, f"port {found[0].port} of {service.label} is UDP, which carries no HTTP/1.1"
    return port, ""


def _ports(service: Service) -> str:
    ports = (f"{port.port} ({port.name})" if port.name else str(port.port) for port in service.spec.ports)
    return ", ".join(ports)
