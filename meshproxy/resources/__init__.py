"""What people write, shaped and spelled as Kubernetes shapes and spells it.

Every kind is a frozen `msgspec.Struct`; field names in YAML are the camelCase of the
Python names with Kubernetes' acronyms (`cluster_ip` is ``clusterIP``). Defaults are the
API server's. These values say what a person wants; what a data plane does about it is
in `meshproxy.snapshot`, and `meshproxy.compiler` leads from one to the other.
"""

from meshproxy.resources.authorization import AuthorizationPolicy
from meshproxy.resources.backend_tls_policy import BackendTLSPolicy
from meshproxy.resources.endpoints import Endpoints, EndpointSlice
from meshproxy.resources.gateway import Gateway, GatewayClass
from meshproxy.resources.http_route import HTTPRoute
from meshproxy.resources.ingress import Ingress, IngressClass
from meshproxy.resources.intentions import ServiceIntentions
from meshproxy.resources.meta import ObjectMeta, Resource
from meshproxy.resources.policy import TrafficPolicy
from meshproxy.resources.proxy import Proxy
from meshproxy.resources.reference_grant import ReferenceGrant
from meshproxy.resources.secret import ConfigMap, Secret
from meshproxy.resources.service import Service
from meshproxy.resources.tls_route import TLSRoute
from meshproxy.resources.workload import Workload

KINDS: dict[tuple[str, str], type[Resource]] = {
    ("v1", "Service"): Service,
    ("v1", "Endpoints"): Endpoints,
    ("v1", "Secret"): Secret,
    ("v1", "ConfigMap"): ConfigMap,
    ("discovery.k8s.io/v1", "EndpointSlice"): EndpointSlice,
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): HTTPRoute,
    ("gateway.networking.k8s.io/v1", "Gateway"): Gateway,
    ("gateway.networking.k8s.io/v1", "GatewayClass"): GatewayClass,
    ("gateway.networking.k8s.io/v1", "TLSRoute"): TLSRoute,
    ("gateway.networking.k8s.io/v1", "BackendTLSPolicy"): BackendTLSPolicy,
    ("gateway.networking.k8s.io/v1alpha3", "BackendTLSPolicy"): BackendTLSPolicy,
    ("gateway.networking.k8s.io/v1alpha3", "TLSRoute"): TLSRoute,
    ("gateway.networking.k8s.io/v1alpha2", "TLSRoute"): TLSRoute,
    ("gateway.networking.k8s.io/v1", "ReferenceGrant"): ReferenceGrant,
    ("gateway.networking.k8s.io/v1beta1", "HTTPRoute"): HTTPRoute,
    ("gateway.networking.k8s.io/v1beta1", "Gateway"): Gateway,
    ("gateway.networking.k8s.io/v1beta1", "GatewayClass"): GatewayClass,
    ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"): ReferenceGrant,
    ("networking.k8s.io/v1", "Ingress"): Ingress,
    ("networking.k8s.io/v1", "IngressClass"): IngressClass,
    ("meshproxy.dev/v1", "Workload"): Workload,
    ("meshproxy.dev/v1", "TrafficPolicy"): TrafficPolicy,
    ("meshproxy.dev/v1", "AuthorizationPolicy"): AuthorizationPolicy,
    ("meshproxy.dev/v1", "Proxy"): Proxy,
}
"""Every kind that meshproxy reads, by (apiVersion, kind); of a kind's versions the one to write comes first."""

FOUND_KINDS: dict[tuple[str, str], type[Resource]] = {("meshproxy.dev/v1", "ServiceIntentions"): ServiceIntentions}
"""Kinds that a source makes of what a registry says in its own words; nobody writes them."""

__all__ = [
    "FOUND_KINDS",
    "KINDS",
    "AuthorizationPolicy",
    "BackendTLSPolicy",
    "ConfigMap",
    "EndpointSlice",
    "Endpoints",
    "Gateway",
    "GatewayClass",
    "HTTPRoute",
    "Ingress",
    "IngressClass",
    "ObjectMeta",
    "Proxy",
    "ReferenceGrant",
    "Resource",
    "Secret",
    "Service",
    "ServiceIntentions",
    "TLSRoute",
    "TrafficPolicy",
    "Workload",
]
