"""Rules for `Proxy.spec.inbound`."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.rules import values
from meshproxy.loader.rules.references import too_many
from meshproxy.loader.rules.values import finding
from meshproxy.resources.inbound import Inbound, InboundService

MAX_SERVICES = 100


def check(inbound: Inbound, field: str) -> Iterator[Finding]:
    """`field` is where `inbound` stands."""
    yield from finding(f"{field}.address", values.socket_address(inbound.address))
    if not inbound.services:
        message = "nothing is served: name the Services that programs here are endpoints of, and their ports"
        yield Finding(severity=Severity.WARNING, field=f"{field}.services", message=message)
    yield from too_many(f"{field}.services", inbound.services, MAX_SERVICES)
    for index, service in enumerate(inbound.services):
        yield from _check_service(service, f"{field}.services[{index}]")
    names = (f"{each.namespace or ''}/{each.name}:{each.port}" for each in inbound.services)
    for index, name in values.repeated(names):
        yield Finding(field=f"{field}.services[{index}]", message=f"{name.removeprefix('/')} is here twice")


def _check_service(service: InboundService, field: str) -> Iterator[Finding]:
    yield from finding(f"{field}.name", values.dns_label(service.name))
    yield from finding(f"{field}.port", values.port_number(service.port))
    yield from finding(f"{field}.address", values.unicast_address(service.address))
    if service.namespace is not None:
        yield from finding(f"{field}.namespace", values.dns_label(service.namespace))
    if service.app_protocol is not None:
        yield from finding(f"{field}.appProtocol", values.app_protocol(service.app_protocol))
