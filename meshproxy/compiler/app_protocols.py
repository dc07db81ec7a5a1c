"""What a Service port's `appProtocol` says about its bytes."""

from __future__ import annotations

from meshproxy.resources.service import Protocol as TransportProtocol
from meshproxy.resources.service import ServicePort
from meshproxy.snapshot.model import Protocol

_HTTP = frozenset({"http", "kubernetes.io/ws"})
"""An IANA service name, and Kubernetes' own for WebSocket over cleartext (KEP-3726)."""
_HTTPS = frozenset({"https", "wss", "kubernetes.io/wss"})
_NOT_PLAIN_HTTP1 = frozenset(
    {"https", "tls", "ssl", "wss", "kubernetes.io/wss", "h2c", "http2", "kubernetes.io/h2c", "grpc", "grpcs", "h2"}
)


def protocol_of(port: ServicePort, *, routed: bool, secured: bool = False) -> Protocol:
    """A port with routes is HTTP whatever it says; without a word, a TCP port's first bytes decide.

    Clients of one that is `secured`, so that its endpoints are asked in TLS, speak what is inside.
    """
    if port.protocol is not TransportProtocol.TCP:
        return Protocol.TCP
    if routed or (secured and (port.app_protocol or "").lower() in _HTTPS):
        return Protocol.HTTP
    return protocol_of_name(port.app_protocol)


def protocol_of_name(app_protocol: str | None) -> Protocol:
    """What is spoken on a TCP port by its `appProtocol`."""
    if (app_protocol or "").lower() in _HTTP:
        return Protocol.HTTP
    return Protocol.TCP if app_protocol else Protocol.AUTO


def is_unspoken(port: ServicePort, *, secured: bool = False) -> bool:
    """Whether requests in HTTP/1.1, in clear or `secured`, are certainly not what the port expects."""
    if secured and (port.app_protocol or "").lower() in _HTTPS | {"tls", "ssl"}:
        return False
    return (port.app_protocol or "").lower() in _NOT_PLAIN_HTTP1
