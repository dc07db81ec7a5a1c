"""A Service's endpoints: what Kubernetes' endpoint-slice controller finds among Pods, found among Workloads.

Slices and Endpoints written by hand are read here too, and all become `Candidate`s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from meshproxy.base.addresses import SocketAddress, is_host_name
from meshproxy.base.names import NamespacedName
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.resources import Endpoints, EndpointSlice, Service, Workload
from meshproxy.resources.endpoints import EndpointAddress, EndpointPort, SliceEndpoint
from meshproxy.resources.service import ServicePort
from meshproxy.resources.workload import DEFAULT_WEIGHT

NO_PORT = ServicePort(port=0)
"""The port of a headless Service that has none, and whose endpoints have names all the same."""


class Candidate(NamedTuple):
    """An endpoint of one Service port, with its conditions. `for_zones` are an EndpointSlice's hints."""

    address: SocketAddress
    name: str
    weight: int
    zone: str
    node: str
    hostname: str
    service_account: str
    ready: bool
    serving: bool
    terminating: bool
    for_zones: tuple[str, ...] = ()
    mesh_port: int | None = None


class EndpointIndex:
    """Finds the candidates of each Service port; built once for all Services, whose selectors' keys are `keys`."""

    def __init__(
        self,
        workloads: Sequence[Workload],
        slices: Iterable[EndpointSlice],
        endpoints: Iterable[Endpoints],
        keys: Collection[str],
        diagnostics: Diagnostics,
    ) -> None:
        self._workloads = workloads
        self._diagnostics = diagnostics
        self._by_label: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for number, workload in enumerate(workloads):
            metadata = workload.metadata
            for key, value in metadata.labels.items():
                if key in keys:
                    self._by_label[metadata.namespace, key, value].append(number)
        self._slices: dict[NamespacedName, list[EndpointSlice]] = defaultdict(list)
        for each in slices:
            if each.service_name:
                self._slices[NamespacedName(each.metadata.namespace, each.service_name)].append(each)
        self._endpoints = {each.key: each for each in endpoints}

    def workloads_of(self, service: Service) -> list[Workload]:
        """Those whose labels match the selector; an empty selector matches none."""
        selector = service.spec.selector
        if not selector:
            return []
        namespace = service.metadata.namespace
        lists = [self._by_label.get((namespace, key, value), []) for key, value in selector.items()]
        matching = [self._workloads[number] for number in min(lists, key=len)]
        if len(lists) == 1:
            return matching
        wanted = selector.items()
        return [workload for workload in matching if wanted <= workload.metadata.labels.items()]

    def written_for(self, service: Service) -> tuple[Sequence[EndpointSlice], Endpoints | None]:
        """What is written by hand about the endpoints of `service`."""
        return self._slices.get(service.key, ()), self._endpoints.get(service.key)

    def candidates(self, service: Service, port: ServicePort, workloads: Iterable[Workload]) -> tuple[Candidate, ...]:
        """The endpoints of `port`, each address once: a ready one goes before one that is not."""
        found: dict[SocketAddress, Candidate] = {}
        for candidate in (
            *self._from_workloads(service, port, workloads),
            *self._from_slices(service, port),
            *self._from_endpoints(service, port),
        ):
            known = found.get(candidate.address)
            if known is None or (candidate.ready and not known.ready):
                found[candidate.address] = candidate
        return tuple(found[address] for address in sorted(found))

    def warn_of_orphans(self, services: Collection[NamespacedName]) -> None:
        """Say which slices and Endpoints are of Services that are not there."""
        slices = (each for key, slices in self._slices.items() if key not in services for each in slices)
        written = (each for key, each in self._endpoints.items() if key not in services)
        for orphan in (*slices, *written):
            self._diagnostics.warning(orphan, "metadata", "there is no Service for it; it does nothing")

    def _from_workloads(
        self, service: Service, port: ServicePort, workloads: Iterable[Workload]
    ) -> Iterator[Candidate]:
        target = port.target_port or port.port
        for workload in workloads:
            spec = workload.spec
            number = spec.ports.get(target) if isinstance(target, str) else target
            if number is None:
                message = f"has no port named {target!r}; it is left out of {service.label}"
                self._diagnostics.warning(workload, "spec.ports", message)
                continue
            serving = spec.ready if spec.serving is None else spec.serving
            for address in (spec.address, *spec.addresses):
                if is_host_name(address):  # not resolved yet
                    continue
                yield Candidate(
                    address=SocketAddress(_spelled(address), number),
                    name=workload.metadata.name,
                    weight=spec.weight,
                    zone=spec.zone or "",
                    node=spec.node_name or "",
                    hostname=spec.hostname or "",
                    service_account=spec.service_account or "",
                    ready=spec.ready and not spec.terminating,
                    serving=serving,
                    terminating=spec.terminating,
                    mesh_port=spec.mesh.port if spec.mesh is not None else None,
                )

    def _from_slices(self, service: Service, port: ServicePort) -> Iterator[Candidate]:
        for each in self._slices.get(service.key, ()):
            number = _port_number(each.ports, port)
            if number is not None:
                for endpoint in each.endpoints:
                    if not is_host_name(endpoint.addresses[0]):
                        yield _of_slice(endpoint, number)

    def _from_endpoints(self, service: Service, port: ServicePort) -> Iterator[Candidate]:
        written = self._endpoints.get(service.key)
        if written is None:
            return
        if service.key in self._slices:
            message = f"is passed over: {service.label} has EndpointSlices"
            self._diagnostics.warning(written, "metadata.name", message)
            return
        for subset in written.subsets:
            number = _port_number(subset.ports, port)
            if number is not None:
                yield from (_of_address(each, number, ready=True) for each in subset.addresses)
                yield from (_of_address(each, number, ready=False) for each in subset.not_ready_addresses)


def _port_number(ports: Iterable[EndpointPort], wanted: ServicePort) -> int | None:
    if wanted is NO_PORT:
        return NO_PORT.port
    for port in ports:
        if port.name == wanted.name and port.protocol is wanted.protocol:
            return port.port
    return None


def _of_slice(endpoint: SliceEndpoint, port: int) -> Candidate:
    conditions = endpoint.conditions
    address = SocketAddress(_spelled(endpoint.addresses[0]), port)
    return Candidate(
        address=address,
        name=endpoint.hostname or str(address),
        weight=DEFAULT_WEIGHT,
        zone=endpoint.zone or "",
        node=endpoint.node_name or "",
        hostname=endpoint.hostname or "",
        service_account="",
        ready=conditions.ready is not False and not conditions.terminating,
        serving=conditions.serving is not False,
        terminating=bool(conditions.terminating),
        for_zones=tuple(each.name for each in endpoint.hints.for_zones),
    )


def _of_address(endpoint: EndpointAddress, port: int, *, ready: bool) -> Candidate:
    address = SocketAddress(_spelled(endpoint.ip), port)
    return Candidate(
        address=address,
        name=endpoint.hostname or str(address),
        weight=DEFAULT_WEIGHT,
        zone="",
        node=endpoint.node_name or "",
        hostname=endpoint.hostname or "",
        service_account="",
        ready=ready,
        serving=ready,
        terminating=False,
    )


def _spelled(address: str) -> str:
    """One spelling of an address (RFC 5952); IPv4 has but one."""
    return str(ip_address(address)) if ":" in address else address
