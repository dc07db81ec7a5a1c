"""Which policy a Service's port has, and what a cluster becomes by its TrafficPolicy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

import msgspec

from meshproxy.base.names import NamespacedName
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.http_policies import HASHING, with_http
from meshproxy.resources import BackendTLSPolicy, Service, TrafficPolicy
from meshproxy.resources.meta import Resource
from meshproxy.resources.policy import HealthCheck as HealthCheckResource
from meshproxy.resources.policy import OutlierDetection as OutlierResource
from meshproxy.resources.policy import PanicMode, ProxyProtocolVersion
from meshproxy.snapshot.model import Algorithm, Cluster, HealthCheck, OutlierDetection, Transport

_SEND_VERSION = {None: 0, ProxyProtocolVersion.V1: 1, ProxyProtocolVersion.V2: 2}

P = TypeVar("P", TrafficPolicy, BackendTLSPolicy)


class PolicyIndex(Generic[P]):
    """The policy of each (Service, port name); a policy of a named port goes before one of the whole Service."""

    def __init__(
        self,
        policies: Iterable[P],
        services: Mapping[NamespacedName, Service],
        diagnostics: Diagnostics,
    ) -> None:
        self._attached: dict[tuple[NamespacedName, str | None], P] = {}
        for policy in sorted(policies, key=lambda policy: policy.key):
            for index, ref in enumerate(policy.spec.target_refs):
                service_key = NamespacedName(policy.metadata.namespace, ref.name)
                field = f"spec.targetRefs[{index}]"
                service = services.get(service_key)
                if service is None:
                    names = [key.name for key in services if key.namespace == policy.metadata.namespace]
                    hint = diagnostics.hint(ref.name, names)
                    message = f"there is no Service {ref.name}{hint}; the policy does nothing"
                    diagnostics.warning(policy, f"{field}.name", message)
                    continue
                _check_section(policy, service, ref.section_name, f"{field}.sectionName", diagnostics)
                first = self._attached.setdefault((service_key, ref.section_name), policy)
                if first is not policy:
                    message = f"{service.label} has {first.label} already, which comes first by name"
                    diagnostics.warning(policy, field, message)

    def of(self, service: NamespacedName, port_name: str) -> P | None:
        """The policy in force for a port."""
        specific = self._attached.get((service, port_name)) if port_name else None
        return specific or self._attached.get((service, None))


def _check_section(
    policy: Resource, service: Service, section: str | None, field: str, diagnostics: Diagnostics
) -> None:
    names = [port.name for port in service.spec.ports if port.name]
    if section is not None and section not in names:
        message = f"{service.label} has no port named {section}{diagnostics.hint(section, names)}"
        diagnostics.warning(policy, field, message)


def apply_policy(cluster: Cluster, policy: TrafficPolicy | None, diagnostics: Diagnostics) -> Cluster:
    """`cluster` as `policy` wants it."""
    if policy is None:
        return _with_affinity(cluster)
    spec = policy.spec
    connections = spec.connections
    if cluster.transport is Transport.UDP and spec.health_check and spec.health_check.port is None:
        message = f"port {cluster.port_name} of {cluster.service} is UDP: set healthCheck.port to a TCP port to check"
        diagnostics.warning(policy, "spec.healthCheck", message)
    if cluster.affinity_timeout is not None:
        _warn_of_affinity(cluster, policy, diagnostics)
    bound = _with_affinity(
        msgspec.structs.replace(
            cluster,
            algorithm=Algorithm(spec.load_balancing.algorithm.value),
            use_all_when_none_healthy=spec.load_balancing.when_none_healthy is PanicMode.USE_ALL,
            health_check=_health_check(spec.health_check, cluster.transport),
            outlier_detection=_outlier_detection(spec.outlier_detection),
            max_connections=connections.max,
            max_pending=connections.max_pending,
            pending_timeout=float(connections.pending_timeout),
            connect_timeout=float(connections.connect_timeout),
            connect_retries=connections.connect_retries,
            idle_timeout=float(connections.idle_timeout),
            drain_timeout=None if connections.drain_timeout is None else float(connections.drain_timeout),
            udp_session_timeout=float(spec.udp.timeout),
            udp_max_sessions=spec.udp.max,
            send_proxy_protocol=_SEND_VERSION[spec.proxy_protocol.send],
        )
    )
    return with_http(bound, policy)


def _warn_of_affinity(cluster: Cluster, policy: TrafficPolicy, diagnostics: Diagnostics) -> None:
    """Of what has no effect by itself the loader said so."""
    balancing, hashes = policy.spec.load_balancing, Algorithm(policy.spec.load_balancing.algorithm.value) in HASHING
    why = f"has no effect on {cluster.service}, whose sessionAffinity: ClientIP picks endpoints by the client's address"
    if balancing.hash_on and hashes:
        diagnostics.warning(policy, "spec.loadBalancing.hashOn", why)
    if balancing.slow_start is not None and not hashes:
        diagnostics.warning(policy, "spec.loadBalancing.slowStart", why)


def _with_affinity(cluster: Cluster) -> Cluster:
    """A client's first pick must be the same in every worker, so it is by hash; later ones are remembered."""
    if cluster.affinity_timeout is None or cluster.algorithm in HASHING:
        return cluster
    return msgspec.structs.replace(cluster, algorithm=Algorithm.SOURCE_HASH)


def _health_check(check: HealthCheckResource | None, transport: Transport) -> HealthCheck | None:
    if check is None or (transport is Transport.UDP and check.port is None):
        return None
    return HealthCheck(
        interval=float(check.interval),
        timeout=float(check.timeout),
        unhealthy_threshold=check.unhealthy_threshold,
        healthy_threshold=check.healthy_threshold,
        port=check.port,
        http_path=check.http.path if check.http else None,
        http_host=(check.http.host or "") if check.http else "",
        expected_statuses=tuple(map(_statuses, check.http.expected_statuses)) if check.http else ((200, 399),),
    )


def _statuses(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def _outlier_detection(outlier: OutlierResource | None) -> OutlierDetection | None:
    if outlier is None:
        return None
    return OutlierDetection(
        consecutive_failures=outlier.consecutive_failures,
        consecutive_5xx=outlier.consecutive_5xx or None,
        consecutive_gateway_errors=outlier.consecutive_gateway_errors or None,
        interval=float(outlier.interval),
        base_ejection_time=float(outlier.base_ejection_time),
        max_ejection_time=float(outlier.max_ejection_time),
        max_ejection_percent=outlier.max_ejection_percent,
    )
