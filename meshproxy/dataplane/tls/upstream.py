"""TLS with the endpoints of one cluster."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshproxy.base.errors import ProtocolError
from meshproxy.dataplane.stream import Stream
from meshproxy.dataplane.tls import failures
from meshproxy.dataplane.tls.failures import reason_of, words
from meshproxy.dataplane.tls.shared import TLSShared
from meshproxy.dataplane.tls.steps import Steps
from meshproxy.dataplane.tls.stream import TLSStream
from meshproxy.identity.verification import PeerRules, Refusal, Refused, check_peer
from meshproxy.protocols import x509
from meshproxy.snapshot.tls import UpstreamTLS
from meshproxy.telemetry.handshake_totals import FULL, RESUMED, UPSTREAM

if TYPE_CHECKING:
    from meshproxy.dataplane.reactor import Reactor
    from meshproxy.dataplane.tls.contexts import UpstreamContext
    from meshproxy.dataplane.upstream import Upstream

Done = Callable[[TLSStream], None]
Failed = Callable[[str], None]
"""Is told why, for people."""


class ClusterTLS:
    """How a cluster's connections are secured. A cluster whose settings change gets another one."""

    def __init__(self, settings: UpstreamTLS, cluster: str, reactor: Reactor, shared: TLSShared) -> None:
        self.settings = settings
        self.cluster = cluster
        self.reactor = reactor
        self.shared = shared

    def covers(self, upstream: Upstream) -> bool:
        """Whether connections to `upstream` are TLS: in the mesh, those to its mesh port."""
        return not self.settings.mesh or upstream.endpoint.mesh_port is not None

    def context(self) -> UpstreamContext | None:
        return self.shared.contexts.upstream(self.settings)

    def server_name(self, upstream: Upstream) -> str:
        """What the ClientHello names. A brace in a name that is not the mesh's is none of our business."""
        name = self.settings.server_name
        return name.replace("{port}", str(upstream.address.port)) if self.settings.mesh else name

    def count(self, outcome: str) -> None:
        self.shared.counters.count(UPSTREAM, self.cluster, outcome)


class ClientHandshake:
    """Secures one connected socket; the socket's owner sees to the time, and calls `stop` when it gives up."""

    __slots__ = ("_context", "_done", "_failed", "_key", "_socket", "_steps", "_stream", "_tls")

    def __init__(self, tls: ClusterTLS, upstream: Upstream, sock: socket.socket, done: Done, failed: Failed) -> None:
        self._tls = tls
        self._key = upstream.key
        self._socket = sock
        self._done = done
        self._failed = failed
        self._steps: Steps | None = None
        self._stream: TLSStream | None = None
        self._context = tls.context()
        if self._context is not None:
            self._stream = TLSStream(
                sock,
                self._context.context,
                server_hostname=tls.server_name(upstream) or None,
                session=self._context.session_of(upstream.key),
            )

    def start(self) -> None:
        """Begin. `done` or `failed` may be called before this returns."""
        if self._stream is None:
            self._tls.count(failures.NO_MATERIAL)
            self._failed("TLS: there is no usable certificate, or none to check the endpoint's by")
            return
        self._steps = Steps(
            self._tls.reactor, self._tls.shared.turns, self._socket, self._stream, self._completed, self._broken
        )
        self._steps.start()

    def stop(self) -> None:
        """Give up: it took too long, or is wanted no more. The socket stays open."""
        if self._steps is not None:
            self._steps.stop()
            self._steps = None
        self._tls.count(failures.ABANDONED)

    def _completed(self) -> None:
        self._steps = None
        stream, context = self._stream, self._context
        assert stream is not None
        assert context is not None
        refused = self._refusal(stream.session.getpeercert(binary_form=True), context)
        if refused is not None:
            context.keep_session(self._key, None)
            self._tls.count(refused[0])
            self._failed(f"TLS: {refused[1]}")
            return
        self._tls.count(RESUMED if stream.session.session_reused else FULL)
        stream.refused = self._tls.count
        self._done(stream)

    def _refusal(self, der: bytes | None, context: UpstreamContext) -> tuple[str, str] | None:
        """Why the endpoint is not the one that is meant: (word, sentence)."""
        settings = context.settings
        if settings.mesh:
            found = check_peer(der, PeerRules(context.trust_domain, peer_is_server=True), self._tls.shared.wall())
            if isinstance(found, Refused):
                return found.reason, found.message
            if str(found.service_account) not in settings.service_accounts:
                expected = " or ".join(settings.service_accounts)
                return Refusal.WRONG_IDENTITY, f"the endpoint is {found}, and should be of {expected}"
            return None
        if settings.alternative_names:
            return _alternative(der, settings.alternative_names)
        return None

    def _broken(self, error: OSError) -> None:
        self._steps = None
        if self._context is not None:
            self._context.keep_session(self._key, None)
        self._tls.count(reason_of(error))
        self._failed(f"TLS: {words(error)}")


def _alternative(der: bytes | None, wanted: tuple[str, ...]) -> tuple[str, str] | None:
    """Gateway API `BackendTLSPolicyValidation.subjectAltNames`: one of the certificate's names must be among them."""
    try:
        leaf = x509.parse(der or b"")
    except ProtocolError as error:
        return failures.PROTOCOL, f"the endpoint's certificate cannot be read: {error}"
    names = {*leaf.uris, *(name.lower() for name in leaf.dns_names)}
    if any(name in names or _wildcard(name) in names for name in wanted):
        return None
    return failures.WRONG_NAME, f"the endpoint's certificate is for {', '.join(sorted(names)) or 'nobody'}"


def _wildcard(name: str) -> str:
    """The wildcard that covers `name` (RFC 6125 §6.4.3: one label)."""
    return "*." + name.partition(".")[2]


def keep_session(tls: ClusterTLS, key: str, stream: Stream) -> None:
    """Keep what an endpoint gave for the next handshake; with TLS 1.3 it comes with the first bytes.

    A session that is young and was taken up again stays: a copy, which `ssl` makes, takes longer than the handshake.
    """
    context = tls.context()
    if context is None or not isinstance(stream, TLSStream) or stream.session.context is not context.context:
        return
    if not (stream.session.session_reused and context.is_young(key, tls.shared.wall())):
        context.keep_session(key, stream.session.session)
