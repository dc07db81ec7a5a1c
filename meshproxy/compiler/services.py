"""One Service → its clusters, endpoints, listeners and view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

import msgspec

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.names import NamespacedName
from meshproxy.compiler.app_protocols import protocol_of
from meshproxy.compiler.authorization import AuthorizationIndex
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.endpoint_slices import NO_PORT, Candidate, EndpointIndex
from meshproxy.compiler.http_policies import http_listener
from meshproxy.compiler.memory import CompileMemory
from meshproxy.compiler.node_ports import NodePorts
from meshproxy.compiler.policies import PolicyIndex, apply_policy
from meshproxy.compiler.port_endpoints import PortEndpoints
from meshproxy.compiler.priorities import usable
from meshproxy.compiler.proxy_settings import Environment
from meshproxy.compiler.upstream_tls import UpstreamTLSIndex
from meshproxy.compiler.virtual_ips import VirtualIPs, family_of, headless_families, is_headless
from meshproxy.resources import Proxy, Service, TrafficPolicy, Workload
from meshproxy.resources.service import (
    IPFamily,
    ServicePort,
    ServiceType,
    SessionAffinity,
    TrafficScope,
)
from meshproxy.snapshot.model import (
    Assignment,
    Cluster,
    Endpoint,
    Listener,
    ListenerRole,
    Protocol,
    ServicePortView,
    ServiceView,
    Transport,
)
from meshproxy.snapshot.routes import RouteTable


@dataclass(frozen=True)
class Context:
    """What compiling one Service needs of the others."""

    proxy: Proxy
    environment: Environment
    virtual_ips: VirtualIPs
    node_ports: NodePorts
    policies: PolicyIndex[TrafficPolicy]
    endpoints: EndpointIndex
    tls: UpstreamTLSIndex
    diagnostics: Diagnostics
    tables: Mapping[tuple[NamespacedName, int], RouteTable]
    """By Service and index of its port."""
    authorizations: AuthorizationIndex
    memory: CompileMemory


@dataclass
class Parts:
    """What came of all Services so far, by name."""

    clusters: dict[str, Cluster] = field(default_factory=dict)
    assignments: dict[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    listeners: dict[str, Listener] = field(default_factory=dict)
    views: list[ServiceView] = field(default_factory=list)
    workload_services: dict[int, list[str]] = field(default_factory=dict)

    def sorted_assignments(self) -> tuple[Assignment, ...]:
        return tuple(Assignment(cluster=name, endpoints=self.assignments[name]) for name in sorted(self.assignments))


def cluster_name(service: Service, port: ServicePort) -> str:
    """The name of the cluster that holds a port's endpoints for everyone: ``default/web:http``."""
    return f"{service.key}:{port.name or port.port}"


def compile_service(service: Service, context: Context, parts: Parts) -> None:
    """Add what comes of `service` to `parts`."""
    workloads = context.endpoints.workloads_of(service)
    for workload in workloads:
        parts.workload_services.setdefault(id(workload), []).append(service.metadata.name)
    ports: list[ServicePortView] = []
    left_out: dict[str, Endpoint] = {}
    if service.spec.type is not ServiceType.EXTERNAL_NAME:
        for index in range(len(service.spec.ports)):
            compiled = _PortCompiler(service, index, workloads, context, parts)
            ports.append(compiled.compile())
            left_out.update((endpoint.id, endpoint) for endpoint in compiled.endpoints.not_ready)
    view = _view(service, context, tuple(ports), tuple(left_out.values()))
    if is_headless(service) and not ports:
        candidates = context.endpoints.candidates(service, NO_PORT, workloads)
        view = msgspec.structs.replace(view, hosts=usable(candidates, service.spec, context.environment))
    parts.views.append(view)


class _PortCompiler:
    """One port of a Service. Its clusters differ by IP family and by whether only this node's endpoints count."""

    def __init__(self, service: Service, index: int, workloads: list[Workload], context: Context, parts: Parts) -> None:
        self._service = service
        self._index = index
        self._port: ServicePort = service.spec.ports[index]
        self._context = context
        self._parts = parts
        self._policy = context.policies.of(service.key, self._port.name)
        self._protocol = protocol_of(
            self._port, routed=(service.key, index) in context.tables, secured=context.tls.secures(service, self._port)
        )
        found = self._candidates(workloads)
        security = context.tls.of(service, self._port, found, http=self._protocol is Protocol.HTTP)
        self.endpoints, self._tls = self._endpoints(security.candidates), security.tls
        self._base_name = cluster_name(service, self._port)
        self._table = context.tables.get((service.key, index))

    def compile(self) -> ServicePortView:
        families = self._families()
        cluster = self._cluster(families[0], local=False)
        if is_headless(self._service):  # which has no listener to ask for the other family's endpoints, but names
            for family in families[1:]:
                self._cluster(family, local=False)
        for role, address, local in self._addresses():
            self._add_listener(role, address, self._cluster(family_of(address.host), local=local))
        port = self._port
        return ServicePortView(
            name=port.name,
            port=port.port,
            transport=Transport(port.protocol.value),
            cluster=cluster,
            target_port=str(port.target_port or port.port),
            node_port=self._context.node_ports.get((self._service.key, self._index)),
        )

    def _families(self) -> list[IPFamily]:
        ips = self._context.virtual_ips.get(self._service.key, ())
        return [family_of(ip) for ip in ips] or headless_families(self._service.spec)

    # -- clusters ------------------------------------------------------------------------

    def _cluster(self, family: IPFamily, *, local: bool) -> str:
        """The name of the cluster for clients of `family`, made when it is first asked for.

        A family has a cluster of its own only where its endpoints are others: as in
        Kubernetes, an IPv6 address leads to IPv6 endpoints. Where there are none of that
        family it leads to all, since this proxy, unlike packet rules, can bridge the two.
        """
        endpoints, primary = self.endpoints, self._families()[0]
        name = self._base_name + ("|local" if local else "")
        if endpoints.chosen(family, local=local) != endpoints.chosen(primary, local=local):
            name += f"|{family}"
        if name not in self._parts.clusters:
            self._parts.clusters[name] = self._make_cluster(name)
            self._parts.assignments[name] = endpoints.usable(family, local=local)
        return name

    def _candidates(self, workloads: list[Workload]) -> tuple[Candidate, ...]:
        context, service = self._context, self._service

        def find() -> tuple[tuple[Candidate, ...], bool]:
            said = context.diagnostics.said
            return context.endpoints.candidates(service, self._port, workloads), context.diagnostics.said == said

        inputs = (service, workloads, *context.endpoints.written_for(service))
        return context.memory.recall(("candidates", service.key, self._index), inputs, find)

    def _endpoints(self, candidates: tuple[Candidate, ...]) -> PortEndpoints:
        spec, environment = self._service.spec, self._context.environment
        key = ("endpoints", self._service.key, self._index)
        return self._context.memory.recall(
            key, (spec, candidates), lambda: (PortEndpoints(candidates, spec, environment), True)
        )

    def _make_cluster(self, name: str) -> Cluster:
        spec = self._service.spec
        sticky = spec.session_affinity is SessionAffinity.CLIENT_IP
        timeout = float(spec.session_affinity_config.client_ip.timeout_seconds) if sticky else None
        cluster = Cluster(
            name=name,
            service=str(self._service.key),
            port_name=self._port.name or str(self._port.port),
            transport=Transport(self._port.protocol.value),
            affinity_timeout=timeout,
            tls=self._tls,
        )
        return apply_policy(cluster, self._policy, self._context.diagnostics)

    # -- listeners -----------------------------------------------------------------------

    def _addresses(self) -> Iterator[tuple[ListenerRole, SocketAddress, bool]]:
        """(role, address, only endpoints on this node?) of every listener of the port."""
        spec, key, port = self._service.spec, self._service.key, self._port
        internal = spec.internal_traffic_policy is TrafficScope.LOCAL
        external = spec.external_traffic_policy is TrafficScope.LOCAL
        for ip in self._context.virtual_ips.get(key, ()):
            yield ListenerRole.CLUSTER_IP, SocketAddress(ip, port.port), internal
        node_port = self._context.node_ports.get((key, self._index))
        if node_port is not None:
            for ip in self._context.environment.node_port_addresses:
                yield ListenerRole.NODE_PORT, SocketAddress(ip, node_port), external
        if is_headless(self._service):
            return
        for ip in spec.external_ips:
            yield ListenerRole.EXTERNAL_IP, SocketAddress(ip, port.port), external
        if spec.type is ServiceType.LOAD_BALANCER and spec.load_balancer_ip:
            yield ListenerRole.LOAD_BALANCER, SocketAddress(spec.load_balancer_ip, port.port), external

    def _add_listener(self, role: ListenerRole, address: SocketAddress, cluster: str) -> None:
        transport = Transport(self._port.protocol.value)
        name = f"{self._base_name}@{address}/{transport}"
        ranges = self._service.spec.load_balancer_source_ranges
        limited = role in (ListenerRole.LOAD_BALANCER, ListenerRole.NODE_PORT)
        self._parts.listeners[name] = Listener(
            name=name,
            address=address,
            transport=transport,
            cluster=cluster,
            routes=self._table.name if self._table is not None else "",
            protocol=self._protocol,
            http=http_listener(self._policy, self._context.proxy),
            service=str(self._service.key),
            port_name=self._port.name or str(self._port.port),
            role=role,
            accept_proxy_protocol=self._policy is not None and self._policy.spec.proxy_protocol.accept,
            allowed_sources=tuple(each.strip() for each in ranges) if limited else (),
            authorization=self._authorization(role, address, cluster),
        )

    def _authorization(self, role: ListenerRole, address: SocketAddress, cluster: str) -> str:
        """Of the proxies on the way the last one asks who calls, since it knows the caller's own address.

        So programs of this machine are not asked where every endpoint has a proxy of its own.
        """
        is_local = role is ListenerRole.CLUSTER_IP and ip_address(address.host).is_loopback
        if is_local and _all_in_mesh(self._parts.assignments[cluster]):
            return ""
        return self._context.authorizations.of_port(self._service, self._port)


def _all_in_mesh(endpoints: tuple[Endpoint, ...]) -> bool:
    return bool(endpoints) and all(endpoint.mesh_port is not None for endpoint in endpoints)


def _view(
    service: Service, context: Context, ports: tuple[ServicePortView, ...], left_out: tuple[Endpoint, ...]
) -> ServiceView:
    spec = service.spec
    balancer = (spec.load_balancer_ip,) if spec.load_balancer_ip else ()
    policy = context.policies.of(service.key, ports[0].name) if ports else None
    selector: Mapping[str, str] = spec.selector
    return ServiceView(
        namespace=service.metadata.namespace,
        name=service.metadata.name,
        type=spec.type.value,
        cluster_ips=context.virtual_ips.get(service.key, ()),
        external_ips=(*spec.external_ips, *balancer),
        external_name=spec.external_name or "",
        headless=is_headless(service),
        ports=ports,
        selector=dict(sorted(selector.items())),
        session_affinity=spec.session_affinity.value,
        policy=policy.metadata.name if policy else "",
        not_ready=left_out,
    )
