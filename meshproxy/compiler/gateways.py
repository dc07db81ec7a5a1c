"""Gateways → the addresses that are listened at, and a virtual host for each of their HTTP listeners.

Gateways that share an address and port are merged. Where two want the same hostname there, the older has it
(as with ListenerSets, GEP-1713), so that nobody takes away what works by adding a Gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import NamedTuple

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.names import NamespacedName
from meshproxy.compiler.authorization import AuthorizationIndex
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.edges import Edge, EdgeHost, Edges
from meshproxy.compiler.seniority import seniority
from meshproxy.resources import Gateway
from meshproxy.resources.gateway import IP_ADDRESS, GatewayListener, ListenerProtocol
from meshproxy.snapshot.model import ListenerRole

EVERY_ADDRESS = "0.0.0.0"


class OpenListener(NamedTuple):
    """A Gateway's listener and what it has at each address; nothing where it is not open, and then `why_not`."""

    listener: GatewayListener
    hosts: tuple[EdgeHost, ...]
    why_not: str = ""


OpenGateways = dict[NamespacedName, tuple[Gateway, tuple[OpenListener, ...]]]


def open_gateways(
    gateways: Iterable[Gateway], edges: Edges, authorizations: AuthorizationIndex, diagnostics: Diagnostics
) -> OpenGateways:
    """Add to `edges` what the Gateways open."""
    owners: dict[EdgeHost, Gateway] = {}
    opened: OpenGateways = {}
    for gateway in sorted(gateways, key=seniority):
        listeners = (
            _open(gateway, index, edges, owners, authorizations, diagnostics)
            for index in range(len(gateway.spec.listeners))
        )
        opened[gateway.key] = (gateway, tuple(listeners))
    return opened


def _open(
    gateway: Gateway,
    index: int,
    edges: Edges,
    owners: dict[EdgeHost, Gateway],
    authorizations: AuthorizationIndex,
    diagnostics: Diagnostics,
) -> OpenListener:
    listener = gateway.spec.listeners[index]
    if listener.protocol is not ListenerProtocol.HTTP:  # the loader says so
        return OpenListener(listener, (), f"is of {listener.protocol}, and not opened")
    hostname = (listener.hostname or "").lower()
    hosts: list[EdgeHost] = []
    conflict = ""
    for address in _addresses(gateway, listener):
        edge = edges.setdefault(address, Edge(address, f"Gateway/{gateway.key}", ListenerRole.GATEWAY))
        taken = edge.hosts.get(hostname)
        if taken is not None:
            conflict = f"{owners[taken].label} has {hostname or 'any hostname'} on {address} already, and comes first"
            diagnostics.warning(gateway, f"spec.listeners[{index}]", f"{conflict}; this listener is not opened there")
            continue
        authorization = authorizations.of_gateway_listener(gateway.key, listener.name, listener.port)
        host = EdgeHost(f"{gateway.key}/{listener.name}", hostname, authorization)
        edge.hosts[hostname] = host
        owners[host] = gateway
        hosts.append(host)
    return OpenListener(listener, tuple(hosts), f"is not opened ({conflict})")


def _addresses(gateway: Gateway, listener: GatewayListener) -> Iterator[SocketAddress]:
    written = [each.value for each in gateway.spec.addresses if each.type == IP_ADDRESS and each.value]
    for host in written or [EVERY_ADDRESS]:
        yield SocketAddress(str(ip_address(host)), listener.port)
