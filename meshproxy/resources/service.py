"""Kubernetes `core/v1.Service`."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

from meshproxy.resources.meta import Resource, Shape

HEADLESS = "None"
"""The `clusterIP` of a Service that has no virtual IP."""
DEFAULT_AFFINITY_SECONDS = 10800
NODE_PORT_RANGE = range(30000, 32768)
"""kube-apiserver's `--service-node-port-range` default."""


class Protocol(enum.StrEnum):
    """Transport protocols of a port. Kubernetes' third, SCTP, is refused by name."""

    TCP = "TCP"
    UDP = "UDP"


class ServiceType(enum.StrEnum):
    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"
    EXTERNAL_NAME = "ExternalName"


class SessionAffinity(enum.StrEnum):
    NONE = "None"
    CLIENT_IP = "ClientIP"


class TrafficScope(enum.StrEnum):
    """All endpoints, or this node's only."""

    CLUSTER = "Cluster"
    LOCAL = "Local"


class IPFamily(enum.StrEnum):
    IPV4 = "IPv4"
    IPV6 = "IPv6"


class IPFamilyPolicy(enum.StrEnum):
    SINGLE_STACK = "SingleStack"
    PREFER_DUAL_STACK = "PreferDualStack"
    REQUIRE_DUAL_STACK = "RequireDualStack"


class TrafficDistribution(enum.StrEnum):
    """Which endpoints come first; `PreferClose` is the older name of `PreferSameZone`."""

    PREFER_CLOSE = "PreferClose"
    PREFER_SAME_ZONE = "PreferSameZone"
    PREFER_SAME_NODE = "PreferSameNode"


class ServicePort(Shape, frozen=True, kw_only=True):
    """`core/v1.ServicePort`. `target_port` is a number, a workload's port name, or by default `port`."""

    port: int
    name: str = ""
    protocol: Protocol = Protocol.TCP
    target_port: int | str | None = None
    node_port: int | None = None
    app_protocol: str | None = None


class ClientIPConfig(Shape, frozen=True, kw_only=True):
    timeout_seconds: int = DEFAULT_AFFINITY_SECONDS


class SessionAffinityConfig(Shape, frozen=True, kw_only=True):
    client_ip: ClientIPConfig = ClientIPConfig()


class ServiceSpec(Shape, frozen=True, kw_only=True):
    """`core/v1.ServiceSpec`."""

    ports: tuple[ServicePort, ...] = ()
    selector: dict[str, str] = {}
    type: ServiceType = ServiceType.CLUSTER_IP
    cluster_ip: str | None = None
    cluster_ips: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()
    external_name: str | None = None
    ip_families: tuple[IPFamily, ...] = ()
    ip_family_policy: IPFamilyPolicy | None = None
    session_affinity: SessionAffinity = SessionAffinity.NONE
    session_affinity_config: SessionAffinityConfig = SessionAffinityConfig()
    internal_traffic_policy: TrafficScope = TrafficScope.CLUSTER
    external_traffic_policy: TrafficScope = TrafficScope.CLUSTER
    traffic_distribution: TrafficDistribution | None = None
    publish_not_ready_addresses: bool = False
    load_balancer_ip: str | None = None
    load_balancer_source_ranges: tuple[str, ...] = ()
    load_balancer_class: str | None = None
    allocate_load_balancer_node_ports: bool = True
    health_check_node_port: int | None = None

    unsupported: ClassVar[frozenset[str]] = frozenset({"load_balancer_class", "health_check_node_port"})


class Service(Resource, frozen=True, kw_only=True):
    """A stable address for a changing group of workloads."""

    spec: ServiceSpec = ServiceSpec()
    status: dict[str, Any] | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"status"})
