"""Rules for TrafficPolicies."""

from __future__ import annotations

import re
from collections.abc import Iterator

from meshproxy.base.errors import Finding
from meshproxy.loader.rules import http_policy, policy_tls, values
from meshproxy.loader.rules.values import finding
from meshproxy.loader.suggestions import did_you_mean
from meshproxy.resources.policy import (
    Connections,
    HealthCheck,
    HTTPHealthCheck,
    OutlierDetection,
    TargetRef,
    TrafficPolicySpec,
)

_PATH = re.compile(r"/[\x21-\x7e]*")
"""A request target's visible ASCII (RFC 9112 §3.2): a space or a line break would end it."""
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]+")
"""RFC 9110 §7.2: uri-host and, if need be, a port."""
_STATUSES = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", re.ASCII)
MAX_CONNECTIONS = 1_000_000
MAX_IN_A_ROW = 1_000_000


def check(spec: TrafficPolicySpec) -> Iterator[Finding]:
    if not spec.target_refs:
        yield Finding(field="spec.targetRefs", message="must name a Service at least")
    for index, ref in enumerate(spec.target_refs):
        yield from _check_target(ref, f"spec.targetRefs[{index}]")
    if spec.health_check is not None:
        yield from _check_health(spec.health_check)
    if spec.outlier_detection is not None:
        yield from _check_outlier(spec.outlier_detection)
    yield from _check_connections(spec.connections)
    yield from http_policy.check(spec)
    if spec.tls is not None:
        yield from policy_tls.check(spec.tls, "spec.tls")
    yield from finding("spec.udp.timeout", values.positive_duration(spec.udp.timeout))
    yield from finding("spec.udp.max", values.in_range(spec.udp.max, 1, MAX_CONNECTIONS))


def _check_target(ref: TargetRef, field: str) -> Iterator[Finding]:
    if ref.kind != "Service":
        message = f"a TrafficPolicy attaches to Services only, not to {ref.kind}{did_you_mean(ref.kind, ['Service'])}"
        yield Finding(field=f"{field}.kind", message=message)
    elif ref.group not in ("", "core"):
        yield Finding(field=f"{field}.group", message=f"{ref.group!r} is not a Service's group; leave it out")
    yield from finding(f"{field}.name", values.dns_label(ref.name))
    if ref.section_name:
        yield from finding(f"{field}.sectionName", values.dns_label(ref.section_name))


def _check_health(check: HealthCheck) -> Iterator[Finding]:
    field = "spec.healthCheck"
    if (check.tcp is None) == (check.http is None):
        yield Finding(field=field, message="needs exactly one of tcp and http")
    yield from finding(f"{field}.interval", values.positive_duration(check.interval))
    yield from finding(f"{field}.timeout", values.positive_duration(check.timeout))
    yield from finding(f"{field}.unhealthyThreshold", values.in_range(check.unhealthy_threshold, 1, 1000))
    yield from finding(f"{field}.healthyThreshold", values.in_range(check.healthy_threshold, 1, 1000))
    if check.port is not None:
        yield from finding(f"{field}.port", values.port_number(check.port))
    if check.http is not None:
        yield from _check_http(check.http, f"{field}.http")


def _check_http(http: HTTPHealthCheck, field: str) -> Iterator[Finding]:
    if not _PATH.fullmatch(http.path):
        message = f"{http.path!r} is no path; it must begin with / and hold visible ASCII characters only"
        yield Finding(field=f"{field}.path", message=message)
    if http.host is not None and not _HOST.fullmatch(http.host):
        yield Finding(field=f"{field}.host", message=f"{http.host!r} is no host name")
    if not http.expected_statuses:
        yield Finding(field=f"{field}.expectedStatuses", message="must hold one status at least")
    for index, statuses in enumerate(http.expected_statuses):
        match = _STATUSES.fullmatch(statuses)
        if not match or (match[2] and match[2] < match[1]):
            message = f"{statuses!r} is no HTTP status (200) or range of them (200-299)"
            yield Finding(field=f"{field}.expectedStatuses[{index}]", message=message)


def _check_outlier(outlier: OutlierDetection) -> Iterator[Finding]:
    field = "spec.outlierDetection"
    yield from finding(f"{field}.consecutiveFailures", values.in_range(outlier.consecutive_failures, 1, MAX_IN_A_ROW))
    yield from finding(f"{field}.consecutive5xx", values.in_range(outlier.consecutive_5xx, 0, MAX_IN_A_ROW))
    in_a_row = values.in_range(outlier.consecutive_gateway_errors, 0, MAX_IN_A_ROW)
    yield from finding(f"{field}.consecutiveGatewayErrors", in_a_row)
    yield from finding(f"{field}.interval", values.positive_duration(outlier.interval))
    yield from finding(f"{field}.baseEjectionTime", values.positive_duration(outlier.base_ejection_time))
    yield from finding(f"{field}.maxEjectionPercent", values.in_range(outlier.max_ejection_percent, 0, 100))
    if outlier.max_ejection_time < outlier.base_ejection_time:
        message = f"{outlier.max_ejection_time} is shorter than baseEjectionTime, {outlier.base_ejection_time}"
        yield Finding(field=f"{field}.maxEjectionTime", message=message)


def _check_connections(connections: Connections) -> Iterator[Finding]:
    field = "spec.connections"
    if connections.max is not None:
        yield from finding(f"{field}.max", values.in_range(connections.max, 1, MAX_CONNECTIONS))
    yield from finding(f"{field}.maxPending", values.in_range(connections.max_pending, 0, MAX_CONNECTIONS))
    yield from finding(f"{field}.pendingTimeout", values.positive_duration(connections.pending_timeout))
    yield from finding(f"{field}.connectTimeout", values.positive_duration(connections.connect_timeout))
    yield from finding(f"{field}.idleTimeout", values.positive_duration(connections.idle_timeout))
    yield from finding(f"{field}.connectRetries", values.in_range(connections.connect_retries, 0, 100))
