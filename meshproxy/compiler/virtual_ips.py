"""Each Service's virtual IPs: written down, or by a stable hash that every sidecar computes alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address

from meshproxy.base.names import NamespacedName
from meshproxy.base.stable_hash import stable_hash
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.proxy_settings import Environment
from meshproxy.resources import Service
from meshproxy.resources.service import HEADLESS, IPFamily, IPFamilyPolicy, ServiceSpec, ServiceType

_DUAL_STACK = (IPFamilyPolicy.PREFER_DUAL_STACK, IPFamilyPolicy.REQUIRE_DUAL_STACK)

VirtualIPs = Mapping[NamespacedName, tuple[str, ...]]


def is_headless(service: Service) -> bool:
    return service.spec.cluster_ip == HEADLESS or HEADLESS in service.spec.cluster_ips


def has_virtual_ips(service: Service) -> bool:
    return service.spec.type is not ServiceType.EXTERNAL_NAME and not is_headless(service)


def allocate(services: Iterable[Service], environment: Environment, diagnostics: Diagnostics) -> VirtualIPs:
    """The virtual IPs of each Service that has some; explicit ones first, so that no derived one takes theirs.

    A derived address depends on other Services only where two hashes collide: then the one
    that comes later by name moves on to the next free address.
    """
    candidates = sorted((each for each in services if has_virtual_ips(each)), key=lambda service: service.key)
    taken = {ip for service in candidates for ip in explicit_ips(service)}
    allocated: dict[NamespacedName, tuple[str, ...]] = {}
    for service in candidates:
        ips = list(explicit_ips(service))
        _check_in_cidr(service, ips, environment, diagnostics)
        for family in _families(service, environment, diagnostics)[len(ips) :]:
            network = environment.service_cidr if family is IPFamily.IPV4 else environment.service_cidr6
            if network is None:
                message = "needs an address range: set spec.serviceCIDR6 of the Proxy, or give clusterIPs"
                diagnostics.error(service, "spec.ipFamilies", message)
                continue
            address = _derive(service, network, taken)
            if address is None:
                diagnostics.error(service, "spec.clusterIP", f"no address is left in {network}")
                continue
            taken.add(address)
            ips.append(address)
        allocated[service.key] = tuple(ips)
    return allocated


def explicit_ips(service: Service) -> tuple[str, ...]:
    """The virtual IPs that are written down, in one spelling."""
    spec = service.spec
    written = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    return tuple(str(ip_address(each)) for each in written if each != HEADLESS)


def family_of(address: str) -> IPFamily:
    return IPFamily.IPV6 if ":" in address else IPFamily.IPV4


def headless_families(spec: ServiceSpec) -> list[IPFamily]:
    """Of a Service without virtual IPs: those that are written down, IPv4 without any, both where both are wanted."""
    families = list(spec.ip_families) or [IPFamily.IPV4]
    if len(families) == 1 and spec.ip_family_policy in _DUAL_STACK:
        families.append(IPFamily.IPV6 if families[0] is IPFamily.IPV4 else IPFamily.IPV4)
    return families


def _families(service: Service, environment: Environment, diagnostics: Diagnostics) -> tuple[IPFamily, ...]:
    spec = service.spec
    families = list(spec.ip_families) or [family_of(ip) for ip in explicit_ips(service)] or [IPFamily.IPV4]
    policy = spec.ip_family_policy
    if len(families) == 1 and policy in _DUAL_STACK:
        second = IPFamily.IPV6 if families[0] is IPFamily.IPV4 else IPFamily.IPV4
        if second is IPFamily.IPV4 or environment.service_cidr6 is not None:
            families.append(second)
        elif policy is IPFamilyPolicy.REQUIRE_DUAL_STACK:
            message = "RequireDualStack needs an IPv6 range: set spec.serviceCIDR6 of the Proxy"
            diagnostics.error(service, "spec.ipFamilyPolicy", message)
        else:
            message = "only IPv4 is served: spec.serviceCIDR6 of the Proxy is not set"
            diagnostics.warning(service, "spec.ipFamilyPolicy", message)
    return tuple(families)


def _derive(service: Service, network: IPv4Network | IPv6Network, taken: set[str]) -> str | None:
    # The first address names the network, and the last of an IPv4 network is its broadcast address.
    reserved = 2 if network.version == 4 and network.num_addresses > 2 else 1
    size = network.num_addresses - reserved
    start = stable_hash(str(service.key)) % size
    for offset in range(min(size, len(taken) + 1)):
        address = str(network[1 + (start + offset) % size])
        if address not in taken:
            return address
    return None


def _check_in_cidr(service: Service, ips: list[str], environment: Environment, diagnostics: Diagnostics) -> None:
    for ip in ips:
        address = ip_address(ip)
        network = environment.service_cidr if address.version == 4 else environment.service_cidr6
        if not address.is_loopback and (network is None or address not in network):
            message = f"{ip} is outside the Proxy's service range, so it must be an address of this machine"
            diagnostics.warning(service, "spec.clusterIP", message)
