"""What Kubernetes' API server would refuse, and what ours would if there were one: a file for each kind."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding
from meshproxy.loader.rules import endpoints, metadata, policy, proxy, service, workload
from meshproxy.resources import Endpoints, EndpointSlice, Proxy, Service, TrafficPolicy, Workload
from meshproxy.resources.meta import Resource


def check(resource: Resource) -> Iterator[Finding]:
    """Yield what is wrong with one resource by itself; findings name a field and have no place yet."""
    yield from metadata.check(resource)
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
        case Proxy():
            yield from proxy.check(resource.spec)
