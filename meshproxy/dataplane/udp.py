"""Where datagrams come in: a listener's socket, and which session each datagram belongs to.

Replies leave from this socket too, from the address that the client sent to. With
`accept_proxy_protocol` every datagram begins with a PROXY header, as dnsdist, BIND and Unbound
have it: datagrams get lost and overtake each other, so that one cannot speak for the next.
"""

from __future__ import annotations

import os
import socket

from meshproxy.aio import pktinfo
from meshproxy.authorization.caller import Caller
from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import ProtocolError
from meshproxy.dataplane.authorizers import Authorizers
from meshproxy.dataplane.callers import CallerCounters, Callers
from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.listener import ListenerCounters, SourceFilter
from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.udp_session import BATCH, DESCRIPTORS, RECEIVED, Flow, Peer, UDPSession
from meshproxy.protocols import proxy_protocol
from meshproxy.snapshot import model
from meshproxy.telemetry.logs import RateLimited

RESERVED_SHARE = 4
"""A quarter of the descriptors is kept for TCP: clients of UDP may be forged, and cost nothing to forge."""


class UDPListener:
    """Receives on one socket, which it owns, and owns the sessions that came of it, by flow."""

    def __init__(
        self,
        config: model.Listener,
        sock: socket.socket,
        cluster: Cluster,
        reactor: Reactor,
        authorizers: Authorizers,
        callers: Callers,
        shortage: RateLimited,
    ) -> None:
        self.reactor = reactor
        self._authorizers = authorizers
        self._callers = callers
        self.counters = ListenerCounters()
        self.config = config
        self.cluster = cluster
        self._socket = sock
        self._shortage = shortage
        self._sources = SourceFilter(config.allowed_sources)
        self._sessions: dict[Flow, UDPSession] = {}
        self._receive = self._receive_anywhere if pktinfo.enable_if_wildcard(sock) else self._receive_here
        self._closed = False

    def replace(self, config: model.Listener, cluster: Cluster) -> None:
        """Go on by `config` with `cluster`. Only sessions that the change concerns end."""
        before, self.config = self.config, config
        moved = cluster is not self.cluster or config.accept_proxy_protocol != before.accept_proxy_protocol
        self.cluster = cluster
        if config.allowed_sources != before.allowed_sources:
            self._sources = SourceFilter(config.allowed_sources)
        elif not moved:
            return
        for session in tuple(self._sessions.values()):
            if moved or not self._sources.allows(session.flow[0][0]):
                session.close()

    def start(self) -> None:
        """Receive from now on."""
        self.reactor.add_reader(self._socket, self._readable)

    def close(self) -> None:
        """Receive no more and end all sessions: without the socket no reply could leave."""
        if self._closed:
            return
        self._closed = True
        self.reactor.remove_reader(self._socket)
        for session in tuple(self._sessions.values()):
            session.close()
        self._socket.close()

    # -- from clients --------------------------------------------------------------------

    def _readable(self) -> None:
        for _ in range(BATCH):
            try:
                size, peer, local = self._receive()
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error, because of some client (udp(7)): says nothing about the socket
            self._received(RECEIVED[:size], peer, local)

    def _receive_here(self) -> tuple[int, Peer, bytes]:
        size, peer = self._socket.recvfrom_into(RECEIVED)
        return size, peer, b""

    def _receive_anywhere(self) -> tuple[int, Peer, bytes]:
        size, ancillary, _, peer = self._socket.recvmsg_into((RECEIVED,), pktinfo.SPACE)
        return size, peer, pktinfo.reply_source(ancillary)

    def _received(self, datagram: memoryview, peer: Peer, local: bytes) -> None:
        source = None
        if self.config.accept_proxy_protocol:
            header = _header_of(datagram)
            if header is None:
                self.counters.malformed += 1
                return
            datagram, source = datagram[header.size :], header.source
        flow = (peer, local, source)
        session = self._sessions.get(flow) or self._begin(flow)
        if session is not None:
            session.forward(datagram)

    def _begin(self, flow: Flow) -> UDPSession | None:
        counters = self.counters
        if not self._sources.allows(flow[0][0]) or self._refuses(flow):
            counters.denied += 1
            self._counters_of(flow).failures += 1
            return None
        if not self._has_room():
            counters.overflowed += 1
            self._counters_of(flow).failures += 1
            self._shortage.warning("%s: no room for another UDP session; datagrams are dropped", self.config.address)
            return None
        self.reactor.budget.take(DESCRIPTORS)
        self.cluster.open += 1
        counters.accepted += 1
        counters.active += 1
        session = self._sessions[flow] = UDPSession(self, flow, self._counters_of(flow))
        return session if session.open() else None

    def _counters_of(self, flow: Flow) -> CallerCounters:
        return self._callers.of(_client(flow), self.config.service, self.cluster.config.name)

    def _refuses(self, flow: Flow) -> bool:
        authorization = self.config.authorization
        return bool(authorization) and bool(self._authorizers.refusal_of_connection(authorization, _caller(flow)))

    def end_refused(self) -> None:
        """End the sessions that the authorization refuses by now."""
        authorization = self.config.authorization
        for flow, session in tuple(self._sessions.items()):
            if self._authorizers.would_refuse_connection(authorization, _caller(flow)):
                session.close()

    def _has_room(self) -> bool:
        budget, cluster = self.reactor.budget, self.cluster
        return cluster.open < cluster.config.udp_max_sessions and budget.has_room(
            DESCRIPTORS + budget.limit // RESERVED_SHARE
        )

    # -- for sessions --------------------------------------------------------------------

    def session_closed(self, session: UDPSession) -> None:
        """A session is over, and its descriptor is free."""
        del self._sessions[session.flow]
        session.cluster.leave()
        self.counters.active -= 1
        self.reactor.budget.give_back(DESCRIPTORS)

    def reply(self, datagram: memoryview, peer: Peer, control: pktinfo.Control) -> None:
        """Send `datagram` to a client, from the address that `control` says; dropped where the socket is full."""
        try:
            if control:
                self._socket.sendmsg((datagram,), control, 0, peer)
            else:
                self._socket.sendto(datagram, peer)
        except OSError:
            self.counters.dropped += 1

    def address_for(self, local: bytes) -> SocketAddress:
        """The address that a client sent to; `local` is what came with its datagram."""
        host, port = self._socket.getsockname()[:2]
        return SocketAddress(pktinfo.host_of(local) or host, port)

    def report_shortage(self, error: OSError) -> None:
        """Say, at most once a second, that the system refused a socket."""
        self._shortage.warning("no socket for a session of %s: %s", self.config.address, os.strerror(error.errno or 0))


def _caller(flow: Flow) -> Caller:
    return Caller("", _client(flow))


def _client(flow: Flow) -> str:
    """The session's client: as its PROXY header has it, if there is one."""
    peer, _, source = flow
    return source.host if source is not None else peer[0]


def _header_of(datagram: memoryview) -> proxy_protocol.Header | None:
    try:
        return proxy_protocol.parse(datagram)
    except ProtocolError:
        return None
