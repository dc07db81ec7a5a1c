"""What people write, shaped and spelled as Kubernetes shapes and spells it.

Every kind is a frozen `msgspec.Struct`; field names in YAML are the camelCase of the
Python names with Kubernetes' acronyms (`cluster_ip` is ``clusterIP``). Defaults are the
API server's. These values say what a person wants; what a data plane does about it is
in `meshproxy.snapshot`, and `meshproxy.compiler` leads from one to the other.
"""

from meshproxy.resources.endpoints import Endpoints, EndpointSlice
from meshproxy.resources.meta import ObjectMeta, Resource
from meshproxy.resources.policy import TrafficPolicy
from meshproxy.resources.proxy import Proxy
from meshproxy.resources.service import Service
from meshproxy.resources.workload import Workload

KINDS: dict[tuple[str, str], type[Resource]] = {
    ("v1", "Service"): Service,
    ("v1", "Endpoints"): Endpoints,
    ("discovery.k8s.io/v1", "EndpointSlice"): EndpointSlice,
    ("meshproxy.dev/v1", "Workload"): Workload,
    ("meshproxy.dev/v1", "TrafficPolicy"): TrafficPolicy,
    ("meshproxy.dev/v1", "Proxy"): Proxy,
}
"""Every kind that meshproxy reads, by (apiVersion, kind)."""

__all__ = [
    "KINDS",
    "EndpointSlice",
    "Endpoints",
    "ObjectMeta",
    "Proxy",
    "Resource",
    "Service",
    "TrafficPolicy",
    "Workload",
]
