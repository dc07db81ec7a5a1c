"""Rules for TLSRoutes (the Gateway API's custom resource definition)."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.rules import http_values, references, values
from meshproxy.loader.rules.references import too_many
from meshproxy.loader.rules.values import finding
from meshproxy.resources.tls_route import TLSRouteRule, TLSRouteSpec

MAX_HOSTNAMES = 1_000
MAX_BACKENDS = 16
MAX_WEIGHT = 1_000_000


def check(spec: TLSRouteSpec) -> Iterator[Finding]:
    yield from references.check_parents("spec.parentRefs", spec.parent_refs)
    for index, parent in enumerate(spec.parent_refs):
        if parent.is_service:
            message = "TLSRoutes attach to Gateways only; for Services in the mesh there is TrafficPolicy.spec.tls"
            yield Finding(severity=Severity.WARNING, field=f"spec.parentRefs[{index}]", message=message)
    yield from too_many("spec.hostnames", spec.hostnames, MAX_HOSTNAMES)
    for index, hostname in enumerate(spec.hostnames):
        yield from finding(f"spec.hostnames[{index}]", http_values.hostname(hostname))
    if not spec.rules:
        yield Finding(field="spec.rules", message="must hold a rule at least")
    for index in range(1, len(spec.rules)):
        message = "only the first rule counts: nothing tells them apart"
        yield Finding(severity=Severity.WARNING, field=f"spec.rules[{index}]", message=message)
    for index, rule in enumerate(spec.rules):
        yield from _check_rule(f"spec.rules[{index}]", rule)


def _check_rule(field: str, rule: TLSRouteRule) -> Iterator[Finding]:
    if rule.name is not None:
        yield from finding(f"{field}.name", values.dns_subdomain(rule.name))
    if not rule.backend_refs:
        yield Finding(field=f"{field}.backendRefs", message="must name a Service at least")
    yield from too_many(f"{field}.backendRefs", rule.backend_refs, MAX_BACKENDS)
    for index, ref in enumerate(rule.backend_refs):
        yield from references.check_backend(
            f"{field}.backendRefs[{index}]", ref, "its share of the connections is refused"
        )
        yield from finding(f"{field}.backendRefs[{index}].weight", values.in_range(ref.weight, 0, MAX_WEIGHT))
