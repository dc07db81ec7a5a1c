"""Rules for Workloads."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding
from meshproxy.loader.rules import values
from meshproxy.loader.rules.values import finding
from meshproxy.resources.workload import WorkloadSpec

MAX_WEIGHT = 65535


def check(spec: WorkloadSpec) -> Iterator[Finding]:
    yield from finding("spec.address", values.host(spec.address))
    for index, address in enumerate(spec.addresses):
        yield from finding(f"spec.addresses[{index}]", values.host(address))
    for name, port in spec.ports.items():
        yield from finding(f"spec.ports.{name}", values.port_name(name))
        yield from finding(f"spec.ports.{name}", values.port_number(port))
    yield from finding("spec.weight", values.in_range(spec.weight, 0, MAX_WEIGHT))
    if spec.hostname:
        yield from finding("spec.hostname", values.dns_label(spec.hostname))
    if spec.mesh is not None:
        yield from finding("spec.mesh.port", values.port_number(spec.mesh.port))
    if spec.service_account:
        yield from finding("spec.serviceAccount", values.dns_subdomain(spec.service_account))
