"""`Proxy.spec.inbound` → a listener for peers in the mesh: a filter chain and a cluster for each local port."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.names import NamespacedName
from meshproxy.compiler.app_protocols import protocol_of, protocol_of_name
from meshproxy.compiler.authorization import AuthorizationIndex
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.endpoint_slices import EndpointIndex
from meshproxy.compiler.gateway_tls import ALPN_HTTP, VERSIONS
from meshproxy.compiler.upstream_tls import any_service_name, mesh_name, service_name
from meshproxy.resources import Proxy, Service
from meshproxy.resources.authorization import AuthorizationAction
from meshproxy.resources.inbound import Inbound, InboundMode, InboundService
from meshproxy.resources.service import ServicePort
from meshproxy.snapshot.http import HTTPListener
from meshproxy.snapshot.model import (
    NO_SERVER_NAME,
    Assignment,
    Cluster,
    Endpoint,
    FilterChain,
    Listener,
    ListenerRole,
    Protocol,
    Transport,
)
from meshproxy.snapshot.tls import IDENTITY, ClientCertificates, ServerTLS

CONSUL_NAMES = "*.consul"
OWNER = "Inbound"
"""The `Listener.service` of the mesh port."""


class InboundParts(NamedTuple):
    """Nothing of anything where no inbound is configured."""

    listeners: tuple[Listener, ...] = ()
    clusters: Mapping[str, Cluster] = {}
    assignments: tuple[Assignment, ...] = ()


def local_services(proxy: Proxy) -> dict[NamespacedName, set[int]]:
    """The Services that programs here are endpoints of, with the ports of these."""
    found: dict[NamespacedName, set[int]] = {}
    for each in proxy.spec.inbound.services if proxy.spec.inbound is not None else ():
        found.setdefault(_key(proxy, each), set()).add(each.port)
    return found


def default_action(proxy: Proxy) -> AuthorizationAction:
    """What becomes of calls to them that no policy decides."""
    inbound = proxy.spec.inbound
    return inbound.default_action if inbound is not None else AuthorizationAction.ALLOW


def _key(proxy: Proxy, service: InboundService) -> NamespacedName:
    return NamespacedName(service.namespace or proxy.metadata.namespace, service.name)


def compile_inbound(
    proxy: Proxy,
    services: Mapping[NamespacedName, Service],
    endpoints: EndpointIndex,
    http: HTTPListener,
    authorizations: AuthorizationIndex,
    diagnostics: Diagnostics,
) -> InboundParts:
    """`http` is what the listener asks of its clients."""
    inbound = proxy.spec.inbound
    if inbound is None:
        return InboundParts()
    if proxy.spec.identity is None:
        diagnostics.warning(
            proxy, "spec.inbound", "needs spec.identity; without a certificate every handshake is refused"
        )
    named = _NamedPorts(services, endpoints)
    ports = [_LocalPort(proxy, index, named, authorizations, diagnostics) for index in range(len(inbound.services))]
    chains = tuple(each.chain(inbound, names) for each, names in zip(ports, _server_names(ports), strict=True))
    address = SocketAddress.parse(inbound.address)
    plain = _plain_part(proxy, ports, diagnostics) if inbound.mode is InboundMode.PERMISSIVE else None
    listener = Listener(
        name=f"inbound@{address}/{Transport.TCP}",
        address=address,
        transport=Transport.TCP,
        cluster=plain.cluster if plain is not None else "",
        protocol=plain.protocol if plain is not None else Protocol.TCP,
        authorization=plain.authorization if plain is not None else "",
        http=http,
        service=OWNER,
        port_name=str(address.port),
        role=ListenerRole.INBOUND,
        chains=chains,
        permits_plain=plain is not None,
    )
    return InboundParts(
        listeners=(listener,) if chains else (),
        clusters={each.cluster: each.make_cluster() for each in ports},
        assignments=tuple(Assignment(cluster=each.cluster, endpoints=(each.endpoint,)) for each in ports),
    )


class _LocalPort:
    """One of `spec.inbound.services`. Who calls it is authorized as for the Service's port, or by its name alone."""

    def __init__(
        self,
        proxy: Proxy,
        index: int,
        named: _NamedPorts,
        authorizations: AuthorizationIndex,
        diagnostics: Diagnostics,
    ) -> None:
        assert proxy.spec.inbound is not None
        self._config: InboundService = proxy.spec.inbound.services[index]
        self.key = _key(proxy, self._config)
        self.cluster = f"inbound/{self.key}:{self._config.port}"
        self.endpoint = Endpoint(
            address=SocketAddress(self._config.address, self._config.port), name=f"{self.key.name} (local)"
        )
        service = named.services.get(self.key)
        port = named.port_of(service, self._config.port) if service is not None else None
        if service is not None and port is not None:
            self.authorization = authorizations.of_local_port(service, port)
        else:
            self.authorization = authorizations.of_local_service(self.key, self._config.port)
        if service is not None and port is None:
            message = f"no port of {service.label} leads to {self._config.port}; peers will not ask for it"
            diagnostics.warning(proxy, f"spec.inbound.services[{index}].port", message)
        self.protocol = self._protocol(port)

    def _protocol(self, port: ServicePort | None) -> Protocol:
        if self._config.app_protocol is not None:
            return protocol_of_name(self._config.app_protocol)
        return protocol_of(port, routed=False) if port is not None else Protocol.AUTO

    @property
    def number(self) -> int:
        return self._config.port

    def chain(self, inbound: Inbound, server_names: tuple[str, ...]) -> FilterChain:
        strict = inbound.mode is InboundMode.STRICT
        return FilterChain(
            name=f"{self.key}:{self._config.port}",
            server_names=server_names,
            tls=ServerTLS(
                certificates=(IDENTITY,),
                trust=IDENTITY,
                client_certificates=ClientCertificates.REQUIRED if strict else ClientCertificates.OPTIONAL,
                spiffe=True,
                min_version=VERSIONS[inbound.min_version],
                alpn=ALPN_HTTP if self.protocol is not Protocol.TCP else (),
            ),
            cluster=self.cluster,
            protocol=self.protocol,
            authorization=self.authorization,
        )

    def make_cluster(self) -> Cluster:
        return Cluster(name=self.cluster, service=str(self.key), port_name=f"inbound-{self._config.port}")


def _server_names(ports: Sequence[_LocalPort]) -> Iterator[tuple[str, ...]]:
    """By which each is meant: its Service and port; and, where that is nobody else's, its port with any other Service
    (a workload may be an endpoint of several), and, for clients without a sidecar, its Service alone. The only one is
    also meant by Consul's Connect proxies, which name nobody, or their own names for services (its ``ServiceSNI``)."""
    only = (NO_SERVER_NAME, CONSUL_NAMES) if len(ports) == 1 else ()
    services = Counter(each.key for each in ports)
    taken: set[int] = set()
    for each in ports:
        names = [mesh_name(each.number, each.key)]
        if each.number not in taken:
            taken.add(each.number)
            names.append(any_service_name(each.number))
        if services[each.key] == 1:
            names.append(service_name(each.key))
        yield (*names, *only)


class _NamedPorts(NamedTuple):
    """Tells which port of a Service a local port's number is."""

    services: Mapping[NamespacedName, Service]
    endpoints: EndpointIndex

    def port_of(self, service: Service, number: int) -> ServicePort | None:
        """The port whose endpoints have this number, where its `targetPort` is a name by what Workloads call it.

        Where none of them is known, and there is one such name, that may be it.
        """
        ports = service.spec.ports
        exact = next((port for port in ports if (port.target_port or port.port) == number), None)
        if exact is not None:
            return exact
        workloads = self.endpoints.workloads_of(service)
        names = {name for each in workloads for name, its in each.spec.ports.items() if its == number}
        named = [port for port in ports if isinstance(port.target_port, str)]
        found = [port for port in named if port.target_port in names] or (named if len(named) == 1 else [])
        return found[0] if found else None


def _plain_part(proxy: Proxy, ports: list[_LocalPort], diagnostics: Diagnostics) -> _LocalPort | None:
    """Where plain connections go, which do not say what they are for."""
    if len(ports) > 1:
        message = f"Permissive: plain connections do not say whom they mean; all of them go to {ports[0].key}"
        diagnostics.warning(proxy, "spec.inbound.mode", message)
    return ports[0] if ports else None
