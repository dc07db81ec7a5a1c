"""Rules for EndpointSlices and Endpoints (Kubernetes' `ValidateEndpointSlice`, `ValidateEndpoints`)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.rules import values
from meshproxy.loader.rules.values import finding
from meshproxy.resources.endpoints import (
    SERVICE_NAME_LABEL,
    AddressType,
    EndpointPort,
    Endpoints,
    EndpointSlice,
)

MAX_ENDPOINTS = 1000
MAX_ADDRESSES = 100
MAX_PORTS = 100


def check_slice(resource: EndpointSlice) -> Iterator[Finding]:
    if not resource.service_name:
        message = f"without the label {SERVICE_NAME_LABEL} it belongs to no Service"
        yield Finding(severity=Severity.WARNING, field="metadata.labels", message=message)
    if len(resource.endpoints) > MAX_ENDPOINTS:
        message = f"has {len(resource.endpoints)} endpoints; a slice holds {MAX_ENDPOINTS} at most, write several"
        yield Finding(field="endpoints", message=message)
    for index, endpoint in enumerate(resource.endpoints):
        field = f"endpoints[{index}].addresses"
        if not 1 <= len(endpoint.addresses) <= MAX_ADDRESSES:
            yield Finding(field=field, message=f"must hold 1 to {MAX_ADDRESSES} addresses")
        for number, address in enumerate(endpoint.addresses):
            yield from _check_family(f"{field}[{number}]", address, resource.address_type)
        if endpoint.hostname:
            yield from finding(f"endpoints[{index}].hostname", values.dns_label(endpoint.hostname))
    yield from _check_ports("ports", resource.ports)


def _check_family(field: str, address: str, expected: AddressType) -> Iterator[Finding]:
    if expected is AddressType.FQDN:
        yield from finding(field, values.host_name(address))
        return
    problem = values.unicast_address(address)
    if problem is None and ip_address(address).version != (4 if expected is AddressType.IPV4 else 6):
        problem = f"{address} is not of the slice's addressType, {expected}"
    yield from finding(field, problem)


def check_endpoints(resource: Endpoints) -> Iterator[Finding]:
    for index, subset in enumerate(resource.subsets):
        for name, addresses in (("addresses", subset.addresses), ("notReadyAddresses", subset.not_ready_addresses)):
            for number, address in enumerate(addresses):
                field = f"subsets[{index}].{name}[{number}].ip"
                yield from finding(field, values.unicast_address(address.ip))
        yield from _check_ports(f"subsets[{index}].ports", subset.ports)


def _check_ports(field: str, ports: tuple[EndpointPort, ...]) -> Iterator[Finding]:
    if len(ports) > MAX_PORTS:
        yield Finding(field=field, message=f"may hold {MAX_PORTS} ports at most")
    for index, port in enumerate(ports):
        if port.port is None:
            yield Finding(field=f"{field}[{index}].port", message="this field is required here")
        else:
            yield from finding(f"{field}[{index}].port", values.port_number(port.port))
        if port.name:
            yield from finding(f"{field}[{index}].name", values.dns_label(port.name))
        if port.app_protocol:
            yield from finding(f"{field}[{index}].appProtocol", values.app_protocol(port.app_protocol))
    for index, name in values.repeated(f"{port.name}/{port.protocol}" for port in ports):
        yield Finding(field=f"{field}[{index}].name", message=f"the port {name} is here twice")
