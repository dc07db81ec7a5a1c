"""`gateway.networking.k8s.io` TLSRoute (v1, v1alpha3, v1alpha2): by the server name in a ClientHello."""

from __future__ import annotations

from typing import Any, ClassVar

from meshproxy.resources.http_route import BackendObjectReference, ParentReference
from meshproxy.resources.meta import Resource, Shape


class WeightedBackend(BackendObjectReference, frozen=True, kw_only=True):
    weight: int = 1


class TLSRouteRule(Shape, frozen=True, kw_only=True):
    name: str | None = None
    backend_refs: tuple[WeightedBackend, ...] = ()


class TLSRouteSpec(Shape, frozen=True, kw_only=True):
    """Of several rules the first counts, since nothing tells them apart."""

    parent_refs: tuple[ParentReference, ...] = ()
    use_default_gateways: str | None = None
    hostnames: tuple[str, ...] = ()
    rules: tuple[TLSRouteRule, ...]

    unsupported: ClassVar[frozenset[str]] = frozenset({"use_default_gateways"})


class TLSRoute(Resource, frozen=True, kw_only=True):
    spec: TLSRouteSpec
    status: dict[str, Any] | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"status"})
