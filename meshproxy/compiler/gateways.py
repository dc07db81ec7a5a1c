"""Gateways → the addresses that are listened at, and a virtual host for each of their HTTP and HTTPS listeners.

Gateways that share an address and port are merged. Where two want the same hostname there, the older has it
(as with ListenerSets, GEP-1713), so that nobody takes away what works by adding a Gateway. So it is where one wants
HTTP and another TLS. HTTPS and TLS listeners go together: the server name in the ClientHello tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import NamedTuple

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.names import NamespacedName
from meshproxy.compiler.authorization import AuthorizationIndex
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.edges import Edge, EdgeHost, Edges, TLSHost
from meshproxy.compiler.gateway_tls import ALPN_HTTP, server_tls
from meshproxy.compiler.seniority import seniority
from meshproxy.compiler.tls_materials import MaterialIndex
from meshproxy.resources import Gateway
from meshproxy.resources.gateway import IP_ADDRESS, GatewayListener, ListenerProtocol
from meshproxy.resources.gateway_tls import TLSMode
from meshproxy.snapshot.model import ListenerRole

EVERY_ADDRESS = "0.0.0.0"
OPENED = (ListenerProtocol.HTTP, ListenerProtocol.HTTPS, ListenerProtocol.TLS)


class OpenListener(NamedTuple):
    """A Gateway's listener and what it has at each address; nothing where it is not open, and then `why_not`."""

    listener: GatewayListener
    hosts: tuple[EdgeHost | TLSHost, ...]
    why_not: str = ""

    @property
    def route_kind(self) -> str:
        """Of the routes that go with its protocol."""
        return "TLSRoute" if self.listener.protocol is ListenerProtocol.TLS else "HTTPRoute"


OpenGateways = dict[NamespacedName, tuple[Gateway, tuple[OpenListener, ...]]]


def open_gateways(
    gateways: Iterable[Gateway],
    edges: Edges,
    authorizations: AuthorizationIndex,
    materials: MaterialIndex,
    diagnostics: Diagnostics,
) -> OpenGateways:
    """Add to `edges` what the Gateways open."""
    opener = _Opener(edges, authorizations, materials, diagnostics)
    return {
        gateway.key: (gateway, tuple(opener.open(gateway, index) for index in range(len(gateway.spec.listeners))))
        for gateway in sorted(gateways, key=seniority)
    }


class _Opener:
    """Opens one listener after the other; who comes later finds what is taken."""

    def __init__(
        self, edges: Edges, authorizations: AuthorizationIndex, materials: MaterialIndex, diagnostics: Diagnostics
    ) -> None:
        self._edges = edges
        self._authorizations = authorizations
        self._materials = materials
        self._diagnostics = diagnostics
        self._owners: dict[EdgeHost | TLSHost, Gateway] = {}
        self._first: dict[SocketAddress, Gateway] = {}

    def open(self, gateway: Gateway, index: int) -> OpenListener:
        listener = gateway.spec.listeners[index]
        if listener.protocol not in OPENED:  # the loader says so
            return OpenListener(listener, (), f"is of {listener.protocol}, and not opened")
        host = self._host(gateway, index)
        hosts: list[EdgeHost | TLSHost] = []
        conflict = ""
        for address in _addresses(gateway, listener):
            edge = self._edges.get(address)
            if edge is None:
                secure = listener.protocol is not ListenerProtocol.HTTP
                edge = Edge(address, f"Gateway/{gateway.key}", ListenerRole.GATEWAY, secure=secure)
                self._edges[address] = edge
                self._first[address] = gateway
            reason = self._conflict(listener, edge, host.hostname)
            if reason:
                conflict = reason
                message = f"{conflict}; this listener is not opened there"
                self._diagnostics.warning(gateway, f"spec.listeners[{index}]", message)
                continue
            own = host if not hosts else host.copy()
            edge.add(own)
            self._owners[own] = gateway
            hosts.append(own)
        return OpenListener(listener, tuple(hosts), f"is not opened ({conflict})")

    def _host(self, gateway: Gateway, index: int) -> EdgeHost | TLSHost:
        listener = gateway.spec.listeners[index]
        name, hostname = f"{gateway.key}/{listener.name}", (listener.hostname or "").lower()
        allowed = self._authorizations.of_gateway_listener(gateway.key, listener.name, listener.port)
        match listener.protocol:
            case ListenerProtocol.HTTPS:
                return EdgeHost(name, hostname, allowed, server_tls(gateway, index, ALPN_HTTP, self._materials))
            case ListenerProtocol.TLS if listener.tls is not None and listener.tls.mode is TLSMode.PASSTHROUGH:
                return TLSHost(name, hostname, allowed)
            case ListenerProtocol.TLS:
                return TLSHost(name, hostname, allowed, server_tls(gateway, index, (), self._materials))
        return EdgeHost(name, hostname, allowed)

    def _conflict(self, listener: GatewayListener, edge: Edge, hostname: str) -> str:
        """Why `listener` cannot have `hostname` at this address, or nothing."""
        if edge.secure is not (listener.protocol is not ListenerProtocol.HTTP):
            spoken = "TLS" if edge.secure else "HTTP"
            return f"{self._first[edge.address].label} has {edge.address} for {spoken} already, and comes first"
        taken = edge.hosts.get(hostname) or edge.tls_hosts.get(hostname)
        if taken is None:
            return ""
        who = self._owners[taken].label
        return f"{who} has {hostname or 'any hostname'} on {edge.address} already, and comes first"


def _addresses(gateway: Gateway, listener: GatewayListener) -> Iterator[SocketAddress]:
    written = [each.value for each in gateway.spec.addresses if each.type == IP_ADDRESS and each.value]
    for host in written or [EVERY_ADDRESS]:
        yield SocketAddress(str(ip_address(host)), listener.port)
