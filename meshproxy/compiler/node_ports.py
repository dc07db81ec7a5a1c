"""Node ports: written down, or by a stable hash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from meshproxy.base.names import NamespacedName
from meshproxy.base.stable_hash import stable_hash
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.resources import Service
from meshproxy.resources.service import NODE_PORT_RANGE, Protocol, ServiceType

NodePorts = Mapping[tuple[NamespacedName, int], int]
"""(Service, index of its port) → node port."""


def allocate(services: Iterable[Service], diagnostics: Diagnostics) -> NodePorts:
    """Node ports of every Service that has them; one number serves TCP and UDP at once, as in Kubernetes."""
    candidates = sorted((each for each in services if _has_node_ports(each)), key=lambda service: service.key)
    allocated: dict[tuple[NamespacedName, int], int] = {}
    owners: dict[tuple[int, Protocol], Service] = {}
    for service in candidates:
        for index, port in enumerate(service.spec.ports):
            if not port.node_port:
                continue
            owner = owners.setdefault((port.node_port, port.protocol), service)
            if owner is not service or (service.key, index) in allocated:
                message = f"{port.node_port}/{port.protocol} is taken by {owner.label}"
                diagnostics.error(service, f"spec.ports[{index}].nodePort", message)
            allocated[service.key, index] = port.node_port
    for service in candidates:
        for index, port in enumerate(service.spec.ports):
            if port.node_port:
                continue
            free = _derive(f"{service.key}:{port.name or port.port}", port.protocol, owners)
            if free is None:
                diagnostics.error(service, f"spec.ports[{index}].nodePort", "no node port is left")
                continue
            owners[free, port.protocol] = service
            allocated[service.key, index] = free
    return allocated


def _has_node_ports(service: Service) -> bool:
    spec = service.spec
    balancer = spec.type is ServiceType.LOAD_BALANCER and spec.allocate_load_balancer_node_ports
    return balancer or spec.type is ServiceType.NODE_PORT


def _derive(name: str, protocol: Protocol, owners: Mapping[tuple[int, Protocol], Service]) -> int | None:
    start = stable_hash(name)
    for offset in range(len(NODE_PORT_RANGE)):
        port = NODE_PORT_RANGE[(start + offset) % len(NODE_PORT_RANGE)]
        if (port, protocol) not in owners:
            return port
    return None
