"""What a Service port's `appProtocol` says about its bytes."""

from __future__ import annotations

from meshproxy.resources.service import Protocol as TransportProtocol
from meshproxy.resources.service import ServicePort
from meshproxy.snapshot.model import Protocol

_HTTP = frozenset({"http", "kubernetes.io/ws"})
"""An IANA service name, and Kubernetes' own for WebSocket over cleartext (KEP-3726)."""
_NOT_PLAIN_HTTP1 = frozenset(
    {"https", "tls", "ssl", "wss", "kubernetes.io/wss", "h2c", "http2", "kubernetes.io/h2c", "grpc", "grpcs", "h2"}
)


def protocol_of(port: ServicePort, *, routed: bool) -> Protocol:
    """A port with routes is HTTP whatever it says; without a word, a TCP port's first bytes decide."""
    if port.protocol is not TransportProtocol.TCP:
        return Protocol.TCP
    if routed or (port.app_protocol or "").lower() in _HTTP:
        return Protocol.HTTP
    return Protocol.TCP if port.app_protocol else Protocol.AUTO


def is_unspoken(port: ServicePort) -> bool:
    """Whether requests in clear HTTP/1.1 are certainly not what the port expects."""
    return (port.app_protocol or "").lower() in _NOT_PLAIN_HTTP1
