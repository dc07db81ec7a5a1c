"""Where peers in the mesh come in: `Proxy.spec.inbound`."""

from __future__ import annotations

import enum
from typing import Literal

from meshproxy.resources.authorization import AuthorizationAction
from meshproxy.resources.meta import Shape

DEFAULT_MESH_PORT = 15443
DEFAULT_INBOUND_ADDRESS = f"0.0.0.0:{DEFAULT_MESH_PORT}"


class InboundMode(enum.StrEnum):
    """`PERMISSIVE` takes plain connections, and TLS without a client certificate, on the same port."""

    STRICT = "Strict"
    PERMISSIVE = "Permissive"


class InboundService(Shape, frozen=True, kw_only=True):
    """A port of a local program that is an endpoint of the Service `name`, of the Proxy's namespace if none is said.

    `address` is where the program listens, for this proxy.
    """

    name: str
    port: int
    namespace: str | None = None
    address: str = "127.0.0.1"
    app_protocol: str | None = None


class Inbound(Shape, frozen=True, kw_only=True):
    """`default_action` is for calls of a service that has no AuthorizationPolicy with `action: Allow`."""

    address: str = DEFAULT_INBOUND_ADDRESS
    mode: InboundMode = InboundMode.STRICT
    min_version: Literal["1.2", "1.3"] = "1.3"
    default_action: AuthorizationAction = AuthorizationAction.ALLOW
    services: tuple[InboundService, ...] = ()
