"""`gateway.networking.k8s.io/v1` Gateway and GatewayClass: where traffic from outside comes in."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

from meshproxy.resources.http_route import GATEWAY_GROUP
from meshproxy.resources.meta import Resource, Shape
from meshproxy.resources.selectors import LabelSelector


class FromNamespaces(enum.StrEnum):
    ALL = "All"
    SELECTOR = "Selector"
    SAME = "Same"
    NONE = "None"


class RouteNamespaces(Shape, frozen=True, kw_only=True):
    """`from_` is written ``from``. A namespace's labels are those that every cluster gives it: its name."""

    from_: FromNamespaces = FromNamespaces.SAME
    selector: LabelSelector | None = None


class RouteGroupKind(Shape, frozen=True, kw_only=True):
    kind: str
    group: str = GATEWAY_GROUP


class AllowedRoutes(Shape, frozen=True, kw_only=True):
    """Without `kinds`, those that go with the listener's protocol."""

    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: tuple[RouteGroupKind, ...] = ()


class ListenerProtocol(enum.StrEnum):
    HTTP = "HTTP"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    UDP = "UDP"


class GatewayListener(Shape, frozen=True, kw_only=True):
    """`hostname` without a value takes any host."""

    name: str
    port: int
    protocol: ListenerProtocol
    hostname: str | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()
    tls: dict[str, Any] | None = None

    unsupported: ClassVar[frozenset[str]] = frozenset({"tls"})


class GatewayAddress(Shape, frozen=True, kw_only=True):
    value: str
    type: str = "IPAddress"


class GatewaySpec(Shape, frozen=True, kw_only=True):
    """Without `addresses`, every address of this machine. `gateway_class_name` may be any."""

    gateway_class_name: str = "meshproxy"
    listeners: tuple[GatewayListener, ...]
    addresses: tuple[GatewayAddress, ...] = ()
    infrastructure: dict[str, Any] | None = None
    tls: dict[str, Any] | None = None
    allowed_listeners: dict[str, Any] | None = None

    unsupported: ClassVar[frozenset[str]] = frozenset({"tls", "allowed_listeners"})
    inert: ClassVar[frozenset[str]] = frozenset({"infrastructure"})


class Gateway(Resource, frozen=True, kw_only=True):
    spec: GatewaySpec


class GatewayClassSpec(Shape, frozen=True, kw_only=True):
    controller_name: str
    parameters_ref: dict[str, Any] | None = None
    description: str | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"parameters_ref", "description"})


class GatewayClass(Resource, frozen=True, kw_only=True):
    """Read and left alone: every Gateway here is meshproxy's."""

    spec: GatewayClassSpec
