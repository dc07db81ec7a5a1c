"""Two listeners on one address would take each other's connections: an error that names both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from meshproxy.base.addresses import SocketAddress
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.inbound import OWNER as INBOUND_OWNER
from meshproxy.compiler.ingresses import OWNER as INGRESS_OWNER
from meshproxy.compiler.proxy_settings import Environment
from meshproxy.resources import Gateway, Proxy, Service
from meshproxy.resources.meta import Resource
from meshproxy.snapshot.model import Listener, Transport

_INGRESS_TLS = f"{INGRESS_OWNER} TLS"


class _Place(NamedTuple):
    """Where a person finds what a listener is there for."""

    resource: Resource
    field: str


def check_addresses(
    listeners: Iterable[Listener], environment: Environment, resources: Iterable[Resource], diagnostics: Diagnostics
) -> None:
    """Report every address that two of `listeners`, or one and the admin API or the DNS server, want."""
    places = {}
    for resource in resources:
        if isinstance(resource, Service):
            places[str(resource.key)] = _Place(resource, "spec.ports")
        elif isinstance(resource, Gateway):
            places[f"Gateway/{resource.key}"] = _Place(resource, "spec.listeners")
        elif isinstance(resource, Proxy):
            places.setdefault(INGRESS_OWNER, _Place(resource, "spec.ingress.address"))
            places.setdefault(_INGRESS_TLS, _Place(resource, "spec.ingress.tlsAddress"))
            places.setdefault(INBOUND_OWNER, _Place(resource, "spec.inbound.address"))
    owners: dict[tuple[SocketAddress, Transport], Listener] = {}
    for listener in listeners:
        place = places[_owner(listener)]
        if listener.transport is Transport.TCP and listener.address == environment.admin and environment.admin.port:
            message = f"{listener.address} is the address of the admin API; change one of the two"
            diagnostics.error(place.resource, place.field, message)
        if listener.address == environment.dns:
            message = f"{listener.address} is the address of the DNS server; change one of the two"
            diagnostics.error(place.resource, place.field, message)
        owner = owners.setdefault((listener.address, listener.transport), listener)
        if owner is not listener:
            taken_by = places[_owner(owner)].resource.label
            message = f"{listener.address}/{listener.transport} is taken by {taken_by} already"
            diagnostics.error(place.resource, place.field, message)


def _owner(listener: Listener) -> str:
    return _INGRESS_TLS if listener.service == INGRESS_OWNER and listener.chains else listener.service
