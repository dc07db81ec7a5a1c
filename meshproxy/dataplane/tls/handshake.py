"""A client's handshake: from its first bytes to a `TLSStream`, or to whatever else they turn out to be."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from meshproxy.base.errors import ProtocolError
from meshproxy.dataplane.preface import reset
from meshproxy.dataplane.tls import failures
from meshproxy.dataplane.tls.failures import reason_of, words
from meshproxy.dataplane.tls.peer import Peer, TLSFacts, peer_of
from meshproxy.dataplane.tls.steps import Steps
from meshproxy.dataplane.tls.stream import TLSStream
from meshproxy.identity.verification import PeerRules, Refused, check_peer, check_times
from meshproxy.protocols.http1.sniff import looks_like_http
from meshproxy.protocols.tls.client_hello import ClientHello, ClientHelloReader, looks_like_tls
from meshproxy.snapshot import model
from meshproxy.telemetry.handshake_totals import DOWNSTREAM, FULL, RESUMED

if TYPE_CHECKING:
    from meshproxy.dataplane.chains import Chain
    from meshproxy.dataplane.listener import Accepting, TCPListener
    from meshproxy.dataplane.stream import Stream
    from meshproxy.dataplane.tls.contexts import ServerContext

HANDSHAKE_TIMEOUT = 10.0
"""Seconds that a client has for its handshake (nginx: 60, Envoy: no limit but its listener filters' 15; a sidecar's
peers are near, and slow handshakes cost a descriptor each)."""
SILENCE = 3.0
"""Seconds after which a client that says nothing is taken for a plain one, where those are permitted, since there are
protocols in which the server speaks first. TLS clients begin at once."""
HELLO_BYTES = 16384
_INTERNAL_ERROR, _UNRECOGNIZED_NAME = 80, 112
"""Alerts (RFC 8446 §6)."""
_PLAIN_HTTP = b"This port speaks TLS: use https.\n"
_PLAIN_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
    % (len(_PLAIN_HTTP), _PLAIN_HTTP)
)


class ServerHandshake:
    """Implements `listener.Open`. Owns a client's socket until it is passed on."""

    __slots__ = ("_client", "_first", "_hello", "_listener", "_socket", "_steps", "_timer")

    def __init__(self, listener: TCPListener, downstream: socket.socket, client: tuple[str, int], first: bytes) -> None:
        self._listener = listener
        self._socket: socket.socket | None = downstream
        self._client = client
        self._first = first
        self._hello = ClientHelloReader()
        self._steps: Steps | None = None
        wait = SILENCE if listener.config.permits_plain else HANDSHAKE_TIMEOUT
        self._timer = listener.reactor.wheel.schedule(wait, self._too_late)

    def start(self) -> None:
        """Begin with an accepted client, of whom `first` was read already."""
        assert self._socket is not None
        self._listener.reactor.add_reader(self._socket, self._readable)
        if self._first:
            self._look(self._first)
        else:
            self._readable()  # with most clients it is there

    # -- the ClientHello -----------------------------------------------------------------

    def _readable(self) -> None:
        if self._socket is None:
            return
        try:
            received = self._socket.recv(HELLO_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            received = b""
        if not received:
            self._refuse(failures.CLOSED)
            return
        self._look(received)

    def _look(self, received: bytes) -> None:
        try:
            hello = self._hello.feed(received)
        except ProtocolError:
            self._not_tls()
            return
        if hello is not None:
            self._begin(hello)

    def _not_tls(self) -> None:
        """Plain bytes, or garbage."""
        said = self._hello.data
        if looks_like_tls(said):
            self._refuse(failures.MALFORMED_HELLO)
        elif self._listener.config.permits_plain:
            self._pass_on(self._listener, self._give_away(), said)
        else:
            self._refuse(failures.NOT_TLS, say=_PLAIN_ANSWER if looks_like_http(said) else b"")

    def _begin(self, hello: ClientHello) -> None:
        listener = self._listener
        chain = listener.chains.find(hello.server_name)
        if chain is None:
            self._refuse(failures.UNKNOWN_NAME, hello.server_name or "no name", say=_alert(_UNRECOGNIZED_NAME))
            return
        if chain.server_tls is None:
            self._pass_on(chain, self._give_away(), self._hello.data)
            return
        context = listener.tls.contexts.server(chain.server_tls, hello.server_name)
        if context is None:
            self._refuse(failures.NO_MATERIAL, hello.server_name, say=_alert(_INTERNAL_ERROR))
            return
        self._go_on(hello, chain, context)

    def _go_on(self, hello: ClientHello, chain: Chain, context: ServerContext) -> None:
        listener, downstream = self._listener, self._socket
        assert downstream is not None
        stream = TLSStream(downstream, context.context, server_side=True)
        stream.feed(self._hello.data)
        self._hello.data = b""

        def done() -> None:
            self._done(stream, hello, chain, context)

        self._steps = Steps(listener.reactor, listener.tls.turns, downstream, stream, done, self._failed)
        self._steps.start(watched=True)

    # -- the end -------------------------------------------------------------------------

    def _done(self, stream: TLSStream, hello: ClientHello, chain: Chain, context: ServerContext) -> None:
        listener, session = self._listener, stream.session
        der = session.getpeercert(binary_form=True)
        peer = peer_of(der)
        refused = self._refusal(der, peer, context)
        if refused is not None:
            self._refuse(refused.reason, refused.message)
            return
        try:
            first = stream.first()
        except OSError as error:
            self._failed(error)
            return
        listener.tls.counters.count(DOWNSTREAM, listener.config.name, RESUMED if session.session_reused else FULL)
        facts = TLSFacts(
            hello.server_name, session.selected_alpn_protocol() or "", session.version() or "", peer,
            context.own_id, context.trust, chain.serves if chain.chain.checks_hosts else None,
        )  # fmt: skip
        self._give_away(watched=chain.config.protocol is model.Protocol.HTTP)
        self._pass_on(chain, stream, first, facts)

    def _refusal(self, der: bytes | None, peer: Peer | None, context: ServerContext) -> Refused | None:
        """What is wrong with a certificate that chains to a root that clients' certificates must chain to."""
        now = self._listener.tls.wall()
        if context.trust_domain and der:
            found = check_peer(der, PeerRules(context.trust_domain, peer_is_server=False), now)
            return found if isinstance(found, Refused) else None
        return check_times(peer.certificate, now) if peer is not None else None

    def _pass_on(self, to: Accepting, downstream: Stream, first: bytes, tls: TLSFacts | None = None) -> None:
        self._listener.begin_in_place_of(self, to.make_connection(downstream, self._client, first, tls))

    def _failed(self, error: OSError) -> None:
        self._refuse(reason_of(error), words(error))

    def _too_late(self) -> None:
        if self._listener.config.permits_plain and not self._hello.data and self._steps is None:
            self._pass_on(self._listener, self._give_away(), b"")
        else:
            self._refuse(failures.TIMEOUT)

    def _refuse(self, reason: str, detail: str = "", *, say: bytes = b"") -> None:
        """Count, say why where it can be said, and close."""
        downstream, listener = self._socket, self._listener
        if downstream is None:
            return
        listener.tls.counters.count(DOWNSTREAM, listener.config.name, reason)
        listener.tls.refusals.warning(
            "TLS with %s at %s: %s: %s", self._client[0], listener.config.address, reason, detail
        )
        if say:
            try:
                downstream.send(say)
                downstream.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it does not want to know
        self._give_away()
        downstream.close()
        listener.connection_closed(self)

    def _give_away(self, *, watched: bool = False) -> socket.socket:
        """Let go of the socket, which is the caller's from now on, and `watched` only if it sets a reader at once."""
        downstream, self._socket = self._socket, None
        steps, self._steps = self._steps, None
        assert downstream is not None
        self._timer.cancel()
        if not watched:
            if steps is not None:
                steps.stop()
            self._listener.reactor.remove_reader(downstream)
        return downstream

    def drain(self) -> None:
        """Implements `listener.Open`: it has not begun."""

    def end_refused(self) -> None:
        """Implements `listener.Open`: it is asked when it begins."""

    def abort(self) -> None:
        """Reset; nothing when the socket was passed on."""
        if self._socket is not None:
            reset(self._give_away())
            self._listener.connection_closed(self)


def _alert(description: int) -> bytes:
    """A fatal alert in clear, as it is before keys are agreed on (RFC 8446 §6)."""
    return b"\x15\x03\x03\x00\x02\x02" + bytes((description,))
