"""`networking.k8s.io/v1` Ingress and IngressClass."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

import msgspec

from meshproxy.resources.meta import Resource, Shape


class ServiceBackendPort(Shape, frozen=True, kw_only=True):
    """Exactly one of the two."""

    name: str | None = None
    number: int | None = None


class IngressServiceBackend(Shape, frozen=True, kw_only=True):
    name: str
    port: ServiceBackendPort = ServiceBackendPort()


class IngressBackend(Shape, frozen=True, kw_only=True):
    service: IngressServiceBackend | None = None
    resource: dict[str, Any] | None = None

    unsupported: ClassVar[frozenset[str]] = frozenset({"resource"})


class PathType(enum.StrEnum):
    """`ImplementationSpecific` is taken as `Prefix`."""

    EXACT = "Exact"
    PREFIX = "Prefix"
    IMPLEMENTATION_SPECIFIC = "ImplementationSpecific"


class HTTPIngressPath(Shape, frozen=True, kw_only=True):
    """An empty `path`, of type `ImplementationSpecific` only, is every path."""

    path: str = "/"
    path_type: PathType
    backend: IngressBackend


class HTTPIngressRuleValue(Shape, frozen=True, kw_only=True):
    paths: tuple[HTTPIngressPath, ...]


class IngressRule(Shape, frozen=True, kw_only=True):
    """A `host` may begin with ``*.``, which stands for one label."""

    host: str | None = None
    http: HTTPIngressRuleValue | None = None


class IngressTLS(Shape, frozen=True, kw_only=True):
    """Without `hosts` it is for those of the Ingress' rules; without `secret_name` the default certificate is shown."""

    hosts: tuple[str, ...] = ()
    secret_name: str | None = None


class IngressSpec(Shape, frozen=True, kw_only=True):
    ingress_class_name: str | None = None
    default_backend: IngressBackend | None = None
    rules: tuple[IngressRule, ...] = ()
    tls: tuple[IngressTLS, ...] = ()


class Ingress(Resource, frozen=True, kw_only=True):
    spec: IngressSpec = msgspec.field(default_factory=IngressSpec)
    status: dict[str, Any] | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"status"})


class IngressClassSpec(Shape, frozen=True, kw_only=True):
    controller: str | None = None
    parameters: dict[str, Any] | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"parameters"})


class IngressClass(Resource, frozen=True, kw_only=True):
    """Says whose an Ingress of this class is: ours by the controller ``meshproxy.dev/ingress-controller``."""

    spec: IngressClassSpec = IngressClassSpec()
