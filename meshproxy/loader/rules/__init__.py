"""What Kubernetes' API server would refuse, and what ours would if there were one: a file for each kind."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding
from meshproxy.loader.rules import (
    authorization,
    backend_tls_policy,
    endpoints,
    gateway,
    http_route,
    ingress,
    metadata,
    policy,
    proxy,
    reference_grant,
    secret,
    service,
    tls_route,
    workload,
)
from meshproxy.resources import (
    AuthorizationPolicy,
    BackendTLSPolicy,
    ConfigMap,
    Endpoints,
    EndpointSlice,
    Gateway,
    GatewayClass,
    HTTPRoute,
    Ingress,
    Proxy,
    ReferenceGrant,
    Secret,
    Service,
    TLSRoute,
    TrafficPolicy,
    Workload,
)
from meshproxy.resources.meta import Resource


def check(resource: Resource) -> Iterator[Finding]:
    """Yield what is wrong with one resource by itself; findings name a field and have no place yet."""
    yield from metadata.check(resource)
    yield from _check_routing(resource)
    match resource:
        case Service():
            yield from service.check(resource.spec)
        case EndpointSlice():
            yield from endpoints.check_slice(resource)
        case Endpoints():
            yield from endpoints.check_endpoints(resource)
        case Workload():
            yield from workload.check(resource.spec)
        case TrafficPolicy():
            yield from policy.check(resource.spec)
        case AuthorizationPolicy():
            yield from authorization.check(resource.spec)
        case Proxy():
            yield from proxy.check(resource.spec)


def _check_routing(resource: Resource) -> Iterator[Finding]:
    match resource:
        case HTTPRoute():
            yield from http_route.check(resource.spec)
        case Gateway():
            yield from gateway.check(resource.spec)
        case GatewayClass():
            yield from gateway.check_class(resource.spec)
        case BackendTLSPolicy():
            yield from backend_tls_policy.check(resource.spec)
        case TLSRoute():
            yield from tls_route.check(resource.spec)
        case Secret():
            yield from secret.check(resource)
        case ConfigMap():
            yield from secret.check_config_map(resource)
        case ReferenceGrant():
            yield from reference_grant.check(resource.spec)
        case Ingress():
            yield from ingress.check(resource)
