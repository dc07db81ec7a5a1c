"""One client's datagrams to one upstream, and the replies.

A session has a connected socket of its own, so that the kernel matches replies and ICMP
errors to it (udp(7)): "port unreachable" for a datagram comes back as an error of the next
system call. An upstream that fails is left for another one, as a TCP connect is tried again.

Where the policy sends PROXY headers, every datagram to the upstream begins with one: version 2,
which alone knows datagrams, whatever version is asked for.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from meshproxy.aio import pktinfo
from meshproxy.base.addresses import SocketAddress
from meshproxy.dataplane.callers import CallerCounters
from meshproxy.dataplane.idle import IdleTimer
from meshproxy.dataplane.upstream import Upstream
from meshproxy.protocols import proxy_protocol

if TYPE_CHECKING:
    from meshproxy.dataplane.udp import UDPListener

BATCH = 64
"""Datagrams taken from a socket before the loop looks at others."""
DESCRIPTORS = 1
"""File descriptors that a session holds."""
REPEATABLE = 1500
"""Bytes of the largest datagram kept until it is answered, to be sent again: an Ethernet frame's."""

MAX_DATAGRAM = 65535
"""Bytes that no datagram exceeds (RFC 768 §Length), whatever `bufferSize` says."""
RECEIVED = memoryview(bytearray(MAX_DATAGRAM))
"""Where a worker receives datagrams: valid inside one callback, as no more than one is under way."""

TRAIN = 1024
"""Bytes from which on a reply is taken for one of many: the next is looked for at once. A small one
mostly comes alone, and to look for another costs a system call and an exception, a fifth of its way."""

Peer = tuple[str, int] | tuple[str, int, int, int]
"""A client's address as a socket gives it; for IPv6 with flow label and scope."""
Flow = tuple[Peer, bytes, SocketAddress | None]
"""What tells sessions apart: the peer, our address that it sent to (`pktinfo`, on a wildcard address only),
and whom its PROXY header speaks for."""

_DATAGRAM_LOST = frozenset({errno.EAGAIN, errno.EINTR, errno.EMSGSIZE, errno.ENOBUFS, errno.ENOMEM})
"""Errors that cost a datagram (no room now, too large), and say nothing about the upstream."""


class UDPSession:
    """Owns an upstream's socket. Ends when nothing moves, when no upstream is left, or when its own goes.

    `counters` are its client's.
    """

    __slots__ = (
        "_answered",
        "_client",
        "_control",
        "_counted",
        "_counters",
        "_datagrams",
        "_first",
        "_header",
        "_idle",
        "_listener",
        "_peer",
        "_received",
        "_sent",
        "_socket",
        "_tried",
        "cluster",
        "flow",
        "upstream",
    )

    upstream: Upstream

    def __init__(self, listener: UDPListener, flow: Flow, counters: CallerCounters) -> None:
        self.flow = flow
        self._counters = counters
        counters.connected()
        self.cluster = listener.cluster
        self._listener = listener
        self._peer, local, source = flow
        self._client = source or SocketAddress(*self._peer[:2])
        self._control = pktinfo.control_for(local)
        self._header = b""
        if self.cluster.config.send_proxy_protocol:
            self._header = proxy_protocol.encode_v2(self._client, listener.address_for(local), datagram=True)
        self._socket: socket.socket | None = None
        self._tried: tuple[Upstream, ...] = ()
        self._first: bytes | None = None
        self._answered = False
        self._datagrams = self._sent = self._received = 0
        self._counted = (0, 0)
        timeout = self.cluster.config.udp_session_timeout
        self._idle: IdleTimer | None = IdleTimer(listener.reactor.wheel, timeout, self._progress, self.close)

    # -- upstreams -----------------------------------------------------------------------

    def open(self) -> bool:
        """Pick an upstream and get a socket to it; False where that was not possible, and the session is over."""
        while True:
            upstream = self.cluster.pick(self._client.host, self._tried)
            if upstream is None:
                self._refuse()
                return False
            try:
                opened = socket.socket(upstream.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            except OSError as error:  # the machine's trouble, not the upstream's
                self._listener.counters.dropped += 1
                self._listener.report_shortage(error)
                self.close()
                return False
            self._enter_upstream(upstream, opened)
            try:
                opened.connect(upstream.sockaddr)
            except OSError as error:  # no route to it
                if not self._leave_failed(error):
                    return False
            else:
                self._listener.reactor.add_reader(opened, self._readable)
                return True

    def _fail_over(self, error: OSError) -> bool:
        """Go on with another upstream, which is sent what this one missed; False where the session is over."""
        if not self._leave_failed(error) or not self.open():
            return False
        if self._first is not None:
            self._send(self._first)
        return self._socket is not None

    def _leave_failed(self, error: OSError) -> bool:
        """Whether another upstream may be tried; where not, the session is over."""
        upstream = self.upstream
        self._leave_upstream()
        self.cluster.failed(upstream, f"udp: {os.strerror(error.errno or 0).lower()}")
        self._tried = (*self._tried, upstream)
        self._answered = False
        if len(self._tried) <= self.cluster.config.connect_retries:
            return True
        self._refuse()
        return False

    def _refuse(self) -> None:
        self._listener.counters.refused += 1
        self._counters.failures += 1
        self.close()

    def _enter_upstream(self, upstream: Upstream, opened: socket.socket) -> None:
        self._socket = opened
        self.upstream = upstream
        upstream.connections += 1
        upstream.attach(self)
        self.cluster.acquire(upstream)

    def _leave_upstream(self) -> None:
        if self._socket is None:
            return
        self.settle()
        self.upstream.detach(self)
        self.cluster.release(self.upstream)
        self._listener.reactor.forget(self._socket)
        self._socket.close()
        self._socket = None

    # -- datagrams -----------------------------------------------------------------------

    def forward(self, datagram: memoryview) -> None:
        """Send a client's datagram to the upstream; dropped where there is no room."""
        if self._send(datagram):
            # Only a first datagram is worth repeating: after a second the client itself repeats, or never will.
            self._first = bytes(datagram) if not self._datagrams and len(datagram) <= REPEATABLE else None
            self._datagrams += 1

    def _send(self, datagram: memoryview | bytes) -> bool:
        """Whether the datagram left. An error is of an earlier one, so that this one is never sent twice."""
        while self._socket is not None:
            try:
                if self._header:
                    self._socket.sendmsg((self._header, datagram))
                else:
                    self._socket.send(datagram)
            except OSError as error:
                if error.errno in _DATAGRAM_LOST:
                    self._listener.counters.dropped += 1
                    return False
                if not self._fail_over(error):
                    return False
            else:
                self._sent += len(datagram)
                return True
        return False

    def _readable(self) -> None:
        upstream_socket = self._socket
        assert upstream_socket is not None
        for _ in range(BATCH):
            try:
                size = upstream_socket.recv_into(RECEIVED)
            except OSError as error:
                if error.errno not in _DATAGRAM_LOST:
                    self._fail_over(error)
                return
            if not self._answered or self.upstream.failures:
                self._upstream_answered()
            self._received += size
            self._datagrams += 1
            self._listener.reply(RECEIVED[:size], self._peer, self._control)
            if size < TRAIN:
                return

    def _upstream_answered(self) -> None:
        self._answered, self._first, self._tried = True, None, ()
        self.cluster.succeeded(self.upstream)

    # -- accounts and the end ------------------------------------------------------------

    def _progress(self) -> int:
        return self._datagrams

    def settle(self) -> None:
        """Implements `upstream.Attached`."""
        counted_sent, counted_received = self._counted
        self.upstream.sent += self._sent - counted_sent
        self.upstream.received += self._received - counted_received
        self._counters.sent += self._sent - counted_sent
        self._counters.received += self._received - counted_received
        self._counted = (self._sent, self._received)

    def upstream_gone(self, now: float) -> None:
        """Implements `upstream.Attached`: the next datagram picks another (kube-proxy flushes conntrack likewise)."""
        self.close()

    def close(self) -> None:
        """End the session; nothing when it has ended."""
        if self._idle is None:
            return
        self._idle.cancel()
        self._idle = None
        self._leave_upstream()
        self._counters.active -= 1
        self._listener.session_closed(self)
