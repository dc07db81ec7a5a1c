"""What a connection knows of its TLS: who is at the other end, and which name it was called by."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from meshproxy.base.errors import ProtocolError
from meshproxy.base.spiffe import SpiffeId
from meshproxy.protocols import x509
from meshproxy.protocols.distinguished_name import text_of_name


class Peer(NamedTuple):
    """A certificate that was shown and verified. `digest` is SHA-256 over its DER, in hexadecimal digits."""

    certificate: x509.Certificate
    digest: str

    @property
    def spiffe_id(self) -> str:
        """The one URI of an X.509-SVID; empty where there is none, or another kind: of an edge's clients it may be."""
        uris = self.certificate.uris
        try:
            return str(SpiffeId.parse(uris[0])) if len(uris) == 1 else ""
        except ValueError:
            return ""

    @property
    def subject(self) -> str:
        """As RFC 2253 writes it; empty as an X.509-SVID's may be, and where it cannot be read."""
        try:
            return text_of_name(self.certificate.subject)
        except ProtocolError:
            return ""

    @property
    def name(self) -> str:
        """What to call it: its SPIFFE id, or the first other name of its certificate; empty where it has none."""
        if self.spiffe_id:
            return self.spiffe_id
        certificate = self.certificate
        for kind, names in (("URI", certificate.uris), ("DNS", certificate.dns_names), ("Subject", (self.subject,))):
            if names and names[0]:
                return f"{kind}={names[0]}"
        return ""


def peer_of(der: bytes | None) -> Peer | None:
    """Who shows the certificate `der`; None without one, and where it cannot be read (its chain was verified)."""
    if not der:
        return None
    try:
        return Peer(x509.parse(der), sha256(der).hexdigest())
    except ProtocolError:
        return None


class TLSFacts:
    """A downstream connection's TLS. `serves` says whether the same chain would serve another host name.

    `trust` is the `ServerContext.trust` that the peer was verified by.
    """

    __slots__ = ("_right", "_serves", "alpn", "own_id", "peer", "server_name", "trust", "version")

    def __init__(
        self, server_name: str, alpn: str, version: str, peer: Peer | None, own_id: str, trust: tuple[str, int],
        serves: Callable[[str], bool] | None,
    ) -> None:  # fmt: skip
        self.server_name = server_name
        self.alpn = alpn
        self.version = version
        self.peer = peer
        self.own_id = own_id
        self.trust = trust
        self._serves = serves
        self._right: bytes | None = None

    @property
    def spiffe_id(self) -> str:
        """The client's, verified; empty where it has none."""
        return self.peer.spiffe_id if self.peer is not None else ""

    def misdirects(self, host: bytes) -> bool:
        """Whether a request for `host` belongs to another listener than the connection (RFC 9110 §15.5.20).

        Gateway API: what a client may see of a host is for that host's listener to decide, by its certificates. So it
        is of no host (HTTP/1.0), which is for the listener of whatever has no listener of its own.
        """
        if host == self._right or self._serves is None:
            return False
        if not self._serves(host.decode("latin-1")):
            return True
        self._right = host
        return False

    def look_again(self) -> None:
        """Other hosts may have got listeners of their own."""
        self._right = None

    def client_certificate_field(self) -> bytes:
        """X-Forwarded-Client-Cert as Envoy writes it with `SANITIZE_SET`, and Istio has it: with subject, URI and DNS.

        Empty without a certificate.
        """
        peer = self.peer
        if peer is None:
            return b""
        parts = [f"By={_quoted(self.own_id)}"] if self.own_id else []
        parts += [f"Hash={peer.digest}", f'Subject="{peer.subject}"']
        parts += [f"URI={_quoted(uri)}" for uri in peer.certificate.uris]
        parts += [f"DNS={_quoted(name)}" for name in peer.certificate.dns_names]
        return ";".join(parts).encode("latin-1", "replace")


def _quoted(value: str) -> str:
    """Envoy's rule: a value with one of ``,;="`` is quoted, and what would break a line has no place in one."""
    value = "".join(each if each.isprintable() else "?" for each in value)
    if any(each in ',;="' for each in value):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return value
