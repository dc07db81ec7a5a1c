"""Datagrams: a listener's socket, and a session for each client.

A session has a connected upstream socket of its own, so that the kernel matches replies and
ICMP errors to it. Replies leave from the listener's socket, from the address that the client
sent to. PROXY protocol headers (version 2) stand at the head of a session's first datagram.
"""

from __future__ import annotations

import errno
import os
import socket

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import ProtocolError
from meshproxy.dataplane import pktinfo
from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.idle import IdleTimer
from meshproxy.dataplane.listener import ListenerCounters, SourceFilter
from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.upstream import Upstream
from meshproxy.protocols import proxy_protocol
from meshproxy.snapshot import model
from meshproxy.telemetry.logs import RateLimited

BATCH = 64
"""Datagrams taken from a socket before the loop looks at others."""
DESCRIPTORS = 1
"""File descriptors that a session holds."""

Peer = tuple[str, int]


class UDPListener:
    """Receives on one socket, which it owns, and owns the sessions of its clients, by their addresses."""

    def __init__(
        self,
        config: model.Listener,
        sock: socket.socket,
        cluster: Cluster,
        reactor: Reactor,
        shortage: RateLimited,
    ) -> None:
        self.reactor = reactor
        self.counters = ListenerCounters()
        self._socket = sock
        self._shortage = shortage
        self._sessions: dict[tuple[str, int], UDPSession] = {}
        self._wildcard = pktinfo.enable_if_wildcard(sock)
        self._closed = False
        self.replace(config, cluster)

    def replace(self, config: model.Listener, cluster: Cluster) -> None:
        """Lead new sessions by `config` to `cluster`; open ones go on as they are."""
        self.config = config
        self.cluster = cluster
        self._sources = SourceFilter(config.allowed_sources)

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

    def _readable(self) -> None:
        receive = self._receive_anywhere if self._wildcard else self._receive
        for _ in range(BATCH):
            try:
                size, peer, local = receive()
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of some client (udp(7)): says nothing about the socket
            if not self._closed:
                self._received(size, peer, local)

    def _receive(self) -> tuple[int, Peer, bytes]:
        size, peer = self._socket.recvfrom_into(self.reactor.buffer)
        return size, peer, b""

    def _receive_anywhere(self) -> tuple[int, Peer, bytes]:
        size, ancillary, _, peer = self._socket.recvmsg_into([self.reactor.buffer], pktinfo.SPACE)
        return size, peer, pktinfo.reply_source(ancillary)

    def _received(self, size: int, peer: Peer, local: bytes) -> None:
        session = self._sessions.get(peer)
        if session is not None:
            session.forward(self.reactor.view[:size])
        elif not self._sources.allows(peer[0]):
            self.counters.denied += 1
        else:
            self._begin(bytes(self.reactor.view[:size]), peer, local)

    def _begin(self, datagram: bytes, peer: Peer, local: bytes) -> None:
        budget = self.reactor.budget
        if len(self._sessions) >= self.cluster.config.udp_max_sessions or not budget.has_room(DESCRIPTORS):
            self.counters.overflowed += 1
            self._shortage.warning("%s: no room for another UDP session; datagrams are dropped", self.config.address)
            return
        client = peer
        if self.config.accept_proxy_protocol:
            header = _header_of(datagram)
            if header is None:
                self.counters.malformed += 1
                return
            datagram = datagram[header.size :]
            if header.source is not None:
                client = (header.source.host, header.source.port)
        budget.take(DESCRIPTORS)
        self.counters.accepted += 1
        self.counters.active += 1
        session = self._sessions[peer] = UDPSession(self, peer, client, local)
        session.begin(datagram)

    def session_closed(self, peer: Peer) -> None:
        """A session is over, and its descriptor is free."""
        del self._sessions[peer]
        self.counters.active -= 1
        self.reactor.budget.give_back(DESCRIPTORS)

    def reply(self, datagram: memoryview, peer: Peer, local: bytes) -> None:
        """Send `datagram` to a client, from the address that it sent to. Dropped where the socket is full."""
        try:
            if local:
                self._socket.sendmsg([datagram], [pktinfo.control_message(local)], 0, peer)
            else:
                self._socket.sendto(datagram, peer)
        except OSError:
            pass  # full (a datagram may be dropped), or an ICMP error of an earlier reply

    def local_address(self) -> SocketAddress:
        return SocketAddress(*self._socket.getsockname()[:2])

    def report_shortage(self, error: OSError) -> None:
        """Say, at most once a second, that the system refused a socket."""
        self._shortage.warning("no socket for a session of %s: %s", self.config.address, os.strerror(error.errno or 0))


class UDPSession:
    """One client's datagrams to one upstream, and the replies."""

    __slots__ = (
        "_client",
        "_closed",
        "_cluster",
        "_counted",
        "_first",
        "_idle",
        "_listener",
        "_local",
        "_peer",
        "_received",
        "_replied",
        "_sent",
        "_socket",
        "_tried",
        "upstream",
    )

    upstream: Upstream

    def __init__(self, listener: UDPListener, peer: Peer, client: Peer, local: bytes) -> None:
        self._listener = listener
        self._cluster = listener.cluster
        self._peer = peer
        self._client = client
        self._local = local
        self._socket: socket.socket | None = None
        self._tried: tuple[Upstream, ...] = ()
        self._first = b""
        self._replied = self._closed = False
        self._sent = self._received = 0
        self._counted = (0, 0)
        timeout = self._cluster.config.udp_session_timeout
        self._idle = IdleTimer(listener.reactor.wheel, timeout, self._progress, self.close)

    def begin(self, datagram: bytes) -> None:
        """Pick an upstream and send it the client's first datagram."""
        if self._cluster.config.send_proxy_protocol:
            source = SocketAddress(*self._client[:2])
            header = proxy_protocol.encode_v2(source, self._listener.local_address(), datagram=True)
            datagram = header + datagram
        self._first = datagram
        if self._open():
            self.forward(memoryview(datagram))

    def _open(self) -> bool:
        upstream = self._cluster.pick(self._client[0], self._tried)
        if upstream is None:
            self._listener.counters.refused += 1
            self.close()
            return False
        try:
            opened = socket.socket(upstream.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._listener.report_shortage(error)
            self.close()
            return False
        self.upstream = upstream
        upstream.connections += 1
        upstream.attach(self)
        self._cluster.acquire(upstream)
        self._socket = opened
        try:
            opened.connect(upstream.sockaddr)
        except OSError as error:
            return self._upstream_failed(error)
        self._listener.reactor.add_reader(opened, self._readable)
        return True

    def forward(self, datagram: memoryview) -> None:
        """Send a client's datagram on; dropped where the socket is full."""
        while self._socket is not None:
            try:
                self._socket.send(datagram)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno == errno.EMSGSIZE or not self._upstream_failed(error):
                    return
            else:
                self._sent += len(datagram)
                return

    def _readable(self) -> None:
        reactor = self._listener.reactor
        for _ in range(BATCH):
            if self._socket is None:
                return
            try:
                size = self._socket.recv_into(reactor.buffer)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if self._upstream_failed(error):
                    self.forward(memoryview(self._first))
                return
            if not self._replied:
                self._replied, self._first, self._tried = True, b"", ()
                self._cluster.succeeded(self.upstream)
            self._received += size
            self._listener.reply(reactor.view[:size], self._peer, self._local)

    def _upstream_failed(self, error: OSError) -> bool:
        """An ICMP error. Before the first reply another upstream is tried; True when there is one."""
        self._cluster.failed(self.upstream, f"udp: {os.strerror(error.errno or 0).lower()}")
        retry = not self._replied and len(self._tried) < self._cluster.config.connect_retries
        tried = (*self._tried, self.upstream)
        if not retry:
            self.close()
            return False
        self._leave_upstream()
        self._tried = tried
        return self._open()

    def settle(self) -> None:
        """Implements `upstream.Attached`."""
        counted_sent, counted_received = self._counted
        self.upstream.sent += self._sent - counted_sent
        self.upstream.received += self._received - counted_received
        self._counted = (self._sent, self._received)

    def upstream_gone(self, now: float) -> None:
        """Implements `upstream.Attached`: the next datagram picks another (kube-proxy flushes conntrack likewise)."""
        self.close()

    def close(self) -> None:
        """End the session; nothing when it has ended."""
        if self._closed:
            return
        self._closed = True
        self._idle.cancel()
        self._leave_upstream()
        self._listener.session_closed(self._peer)

    def _leave_upstream(self) -> None:
        if self._socket is None:
            return
        self.settle()
        self.upstream.detach(self)
        self._cluster.release(self.upstream)
        self._listener.reactor.remove_reader(self._socket)
        self._socket.close()
        self._socket = None

    def _progress(self) -> int:
        return self._sent + self._received


def _header_of(datagram: bytes) -> proxy_protocol.Header | None:
    try:
        return proxy_protocol.parse(datagram)
    except ProtocolError:
        return None
