"""Values, servers and addresses for the tests of health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.processes import free_port
from meshproxy.base.addresses import SocketAddress
from meshproxy.snapshot.model import Assignment, Cluster, Endpoint, HealthCheck, OutlierDetection, Snapshot


def make_check(**fields: Any) -> HealthCheck:
    defaults: dict[str, Any] = {"interval": 0.02, "timeout": 0.5, "unhealthy_threshold": 2, "healthy_threshold": 1}
    return HealthCheck(**defaults | fields)


def make_outlier(**fields: Any) -> OutlierDetection:
    defaults: dict[str, Any] = {
        "consecutive_failures": 5,
        "interval": 10.0,
        "base_ejection_time": 30.0,
        "max_ejection_time": 70.0,
        "max_ejection_percent": 50,
    }
    return OutlierDetection(**defaults | fields)


def make_cluster(name: str = "c", **fields: Any) -> Cluster:
    return Cluster(name=name, service="default/s", port_name="http", **fields)


def make_endpoints(*addresses: SocketAddress) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(address=address, name=f"e{number}") for number, address in enumerate(addresses))


def make_snapshot(clusters: Mapping[Cluster, tuple[SocketAddress, ...]]) -> Snapshot:
    return Snapshot(
        version="v",
        clusters=tuple(clusters),
        assignments=tuple(
            Assignment(cluster=cluster.name, endpoints=make_endpoints(*addresses))
            for cluster, addresses in clusters.items()
        ),
    )


def closed_address() -> SocketAddress:
    """An address that refuses connections."""
    return SocketAddress("127.0.0.1", free_port())
