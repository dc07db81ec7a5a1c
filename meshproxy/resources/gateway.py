"""`gateway.networking.k8s.io/v1` Gateway and GatewayClass: where traffic from outside comes in."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

from meshproxy.resources.gateway_tls import GatewayTLS, ListenerTLS
from meshproxy.resources.http_route import GATEWAY_GROUP
from meshproxy.resources.meta import Resource, Shape
from meshproxy.resources.selectors import LabelSelector

NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"


class FromNamespaces(enum.StrEnum):
    ALL = "All"
    SELECTOR = "Selector"
    SAME = "Same"
    NONE = "None"


class RouteNamespaces(Shape, frozen=True, kw_only=True):
    """`from_` is not `NONE`, which is a ListenerSet's.

    A namespace's labels are those that every cluster gives it: its name, as `NAMESPACE_NAME_LABEL`.
    """

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
    """In upper or lower case (Gateway API `ProtocolType`)."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    UDP = "UDP"

    @classmethod
    def _missing_(cls, value: object) -> ListenerProtocol | None:
        return cls._value2member_map_.get(value.upper()) if isinstance(value, str) else None  # type: ignore[return-value]


class GatewayListener(Shape, frozen=True, kw_only=True):
    """`hostname` without a value takes any host. Listeners for TCP and UDP are not opened so far."""

    name: str
    port: int
    protocol: ListenerProtocol
    hostname: str | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()
    tls: ListenerTLS | None = None


IP_ADDRESS = "IPAddress"


class GatewayAddress(Shape, frozen=True, kw_only=True):
    """Only IP addresses are supported, and none is assigned: `value` is required."""

    value: str = ""
    type: str = IP_ADDRESS


class GatewaySpec(Shape, frozen=True, kw_only=True):
    """Without `addresses`, every address of this machine. `gateway_class_name` may be any."""

    gateway_class_name: str = "meshproxy"
    listeners: tuple[GatewayListener, ...]
    addresses: tuple[GatewayAddress, ...] = ()
    infrastructure: dict[str, Any] | None = None
    tls: GatewayTLS | None = None
    allowed_listeners: dict[str, Any] | None = None
    default_scope: str | None = None

    unsupported: ClassVar[frozenset[str]] = frozenset({"allowed_listeners", "default_scope"})
    inert: ClassVar[frozenset[str]] = frozenset({"infrastructure"})


class Gateway(Resource, frozen=True, kw_only=True):
    spec: GatewaySpec
    status: dict[str, Any] | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"status"})


class GatewayClassSpec(Shape, frozen=True, kw_only=True):
    controller_name: str
    parameters_ref: dict[str, Any] | None = None
    description: str | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"parameters_ref", "description"})


class GatewayClass(Resource, frozen=True, kw_only=True):
    """Read and left alone: every Gateway here is meshproxy's."""

    spec: GatewayClassSpec
    status: dict[str, Any] | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"status"})
