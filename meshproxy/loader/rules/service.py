"""Rules for Services (Kubernetes' `ValidateService`)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from meshproxy.base.errors import Finding
from meshproxy.loader.rules import values
from meshproxy.loader.rules.values import finding
from meshproxy.resources.service import (
    HEADLESS,
    NODE_PORT_RANGE,
    IPFamily,
    IPFamilyPolicy,
    ServicePort,
    ServiceSpec,
    ServiceType,
    SessionAffinity,
    SessionAffinityConfig,
    TrafficScope,
)

_WITH_NODE_PORTS = (ServiceType.NODE_PORT, ServiceType.LOAD_BALANCER)
MAX_AFFINITY_SECONDS = 86400


def check(spec: ServiceSpec) -> Iterator[Finding]:
    if spec.type is ServiceType.EXTERNAL_NAME:
        yield from _check_external_name(spec)
    else:
        yield from _check_cluster_ips(spec)
        yield from _check_families(spec)
    yield from _check_ports(spec)
    yield from values.labels("spec.selector", spec.selector)
    yield from _check_addresses(spec)
    yield from _check_external_traffic(spec)
    yield from _check_affinity(spec)


def _check_external_name(spec: ServiceSpec) -> Iterator[Finding]:
    if not spec.external_name:
        yield Finding(field="spec.externalName", message="is required for a Service of type ExternalName")
    else:
        yield from finding("spec.externalName", values.dns_subdomain(spec.external_name.rstrip(".").lower()))
    if spec.cluster_ip not in (None, ""):
        yield Finding(field="spec.clusterIP", message="cannot be set for a Service of type ExternalName")


def _check_cluster_ips(spec: ServiceSpec) -> Iterator[Finding]:
    if spec.external_name:
        yield Finding(field="spec.externalName", message="needs type: ExternalName")
    if spec.cluster_ip == HEADLESS and spec.type is not ServiceType.CLUSTER_IP:
        yield Finding(field="spec.clusterIP", message=f"cannot be None for a Service of type {spec.type}")
    if spec.cluster_ip not in (None, "", HEADLESS):
        yield from finding("spec.clusterIP", values.unicast_address(str(spec.cluster_ip)))
    for index, each in enumerate(spec.cluster_ips):
        if each != HEADLESS:
            yield from finding(f"spec.clusterIPs[{index}]", values.unicast_address(each))
    if len(spec.cluster_ips) > 1 and HEADLESS in spec.cluster_ips:
        yield Finding(field="spec.clusterIPs", message="None stands alone: a headless Service has no other address")
    if len(spec.cluster_ips) > 2:
        yield Finding(field="spec.clusterIPs", message="may hold one address for each IP family, two at most")
    if spec.cluster_ips and spec.cluster_ip not in (None, "", spec.cluster_ips[0]):
        yield Finding(field="spec.clusterIPs[0]", message=f"must be spec.clusterIP, {spec.cluster_ip}")


def _check_families(spec: ServiceSpec) -> Iterator[Finding]:
    for index, family in values.repeated(spec.ip_families):
        yield Finding(field=f"spec.ipFamilies[{index}]", message=f"{family} is here twice")
    if max(len(spec.ip_families), len(spec.cluster_ips)) > 1 and spec.ip_family_policy is IPFamilyPolicy.SINGLE_STACK:
        yield Finding(field="spec.ipFamilyPolicy", message="SingleStack does not go with two IP families")
    ips = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    for index, (each, family) in enumerate(zip(ips, spec.ip_families, strict=False)):
        if each and each != HEADLESS and values.address(each) is None and family is not _family(each):
            yield Finding(field=f"spec.ipFamilies[{index}]", message=f"{family} is not the family of {each}")
    families = [_family(each) for each in ips if each and values.address(each) is None]
    if len(families) == 2 and families[0] is families[1]:
        yield Finding(
            field="spec.clusterIPs[1]", message=f"is {families[1]} as clusterIPs[0] is; give one of each family"
        )


def _family(address: str) -> IPFamily:
    return IPFamily.IPV4 if ip_address(address).version == 4 else IPFamily.IPV6


def _check_ports(spec: ServiceSpec) -> Iterator[Finding]:
    headless = spec.cluster_ip == HEADLESS or spec.type is ServiceType.EXTERNAL_NAME
    if not spec.ports and not headless:
        yield Finding(field="spec.ports", message="at least one port is required")
    for index, port in enumerate(spec.ports):
        field = f"spec.ports[{index}]"
        yield from _check_port(spec, port, field)
        if len(spec.ports) > 1 and not port.name:
            yield Finding(field=f"{field}.name", message="is required when a Service has several ports")
    for index, port_and_protocol in values.repeated(f"{port.port}/{port.protocol}" for port in spec.ports):
        yield Finding(field=f"spec.ports[{index}].port", message=f"{port_and_protocol} is here twice")
    for index, name in values.repeated(port.name for port in spec.ports):
        if name:
            yield Finding(field=f"spec.ports[{index}].name", message=f"the name {name!r} is here twice")


def _check_port(spec: ServiceSpec, port: ServicePort, field: str) -> Iterator[Finding]:
    yield from finding(f"{field}.port", values.port_number(port.port))
    if port.name:
        yield from finding(f"{field}.name", values.dns_label(port.name))
    if port.app_protocol:
        yield from finding(f"{field}.appProtocol", values.app_protocol(port.app_protocol))
    if isinstance(port.target_port, str):
        hint = "; remove the quotes if you mean a number" if port.target_port.isdigit() else ""
        problem = values.port_name(port.target_port)
        yield from finding(f"{field}.targetPort", problem and problem + hint)
    elif port.target_port is not None:
        yield from finding(f"{field}.targetPort", values.port_number(port.target_port))
    if port.node_port:
        if spec.type not in _WITH_NODE_PORTS:
            message = f"needs type: NodePort or LoadBalancer; the type is {spec.type}"
            yield Finding(field=f"{field}.nodePort", message=message)
        elif port.node_port not in NODE_PORT_RANGE:
            low, high = NODE_PORT_RANGE.start, NODE_PORT_RANGE.stop - 1
            message = f"{port.node_port} is out of range; node ports are between {low} and {high}"
            yield Finding(field=f"{field}.nodePort", message=message)


def _check_addresses(spec: ServiceSpec) -> Iterator[Finding]:
    for index, each in enumerate(spec.external_ips):
        yield from finding(f"spec.externalIPs[{index}]", values.unicast_address(each))
    if spec.load_balancer_ip:
        yield from finding("spec.loadBalancerIP", values.unicast_address(spec.load_balancer_ip))
    for index, each in enumerate(spec.load_balancer_source_ranges):
        yield from finding(f"spec.loadBalancerSourceRanges[{index}]", values.network(each.strip()))


def _check_external_traffic(spec: ServiceSpec) -> Iterator[Finding]:
    """Fields that say something about traffic from outside need a Service that takes some."""
    is_external = spec.type in _WITH_NODE_PORTS or (spec.type is ServiceType.CLUSTER_IP and spec.external_ips)
    if spec.external_traffic_policy is TrafficScope.LOCAL and not is_external:
        message = "needs type: NodePort or LoadBalancer, or externalIPs; nothing comes from outside otherwise"
        yield Finding(field="spec.externalTrafficPolicy", message=message)
    if spec.type is not ServiceType.LOAD_BALANCER:
        message = f"needs type: LoadBalancer; the type is {spec.type}"
        if spec.load_balancer_source_ranges:
            yield Finding(field="spec.loadBalancerSourceRanges", message=message)
        if not spec.allocate_load_balancer_node_ports:
            yield Finding(field="spec.allocateLoadBalancerNodePorts", message=message)


def _check_affinity(spec: ServiceSpec) -> Iterator[Finding]:
    seconds = spec.session_affinity_config.client_ip.timeout_seconds
    field = "spec.sessionAffinityConfig"
    yield from finding(f"{field}.clientIP.timeoutSeconds", values.in_range(seconds, 1, MAX_AFFINITY_SECONDS))
    if spec.session_affinity is SessionAffinity.NONE and spec.session_affinity_config != SessionAffinityConfig():
        yield Finding(field=field, message="needs sessionAffinity: ClientIP")
