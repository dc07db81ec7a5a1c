"""What may come before a connection's own bytes: HAProxy's PROXY header, or a question which protocol it is."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from meshproxy.base.errors import ProtocolError
from meshproxy.dataplane.connection import Connection
from meshproxy.dataplane.http.downstream import Downstream
from meshproxy.dataplane.pump import Pump
from meshproxy.dataplane.reactor import Reactor
from meshproxy.protocols import proxy_protocol
from meshproxy.protocols.http1.sniff import looks_like_http

if TYPE_CHECKING:
    from meshproxy.dataplane.cluster import Cluster
    from meshproxy.dataplane.listener import Accepting, TCPListener
    from meshproxy.dataplane.stream import Stream
    from meshproxy.dataplane.tls.peer import TLSFacts

PROXY_HEADER_TIMEOUT = 10.0
"""Seconds that a client has for its PROXY header (Envoy's `listener_filters_timeout` is 15)."""
REFUSAL_WAIT = 0.2
"""Seconds in which a client that cannot be served may still turn out to speak HTTP, and get an answer."""
GREETING_WAIT = 0.02
"""Seconds in which an HTTP client speaks, as a rule. (Envoy and Linkerd wait for seconds, and have ports where a
server speaks first marked by hand.)"""
FIRST_BYTES = 16384
"""Bytes read to tell the protocol."""


class ProxyHeaderReader:
    """Owns a client's socket until its PROXY header came."""

    __slots__ = ("_data", "_listener", "_peer", "_reactor", "_socket", "_timer")

    def __init__(self, listener: TCPListener, downstream: socket.socket, peer: tuple[str, int]) -> None:
        self._listener = listener
        self._reactor: Reactor = listener.reactor
        self._socket: socket.socket | None = downstream
        self._peer = peer
        self._data = b""
        self._timer = self._reactor.wheel.schedule(PROXY_HEADER_TIMEOUT, self._missing)

    def start(self) -> None:
        assert self._socket is not None
        self._reactor.add_reader(self._socket, self._readable)

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            received = self._socket.recv(proxy_protocol.MAX_HEADER)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            received = b""
        self._data += received
        try:
            header = proxy_protocol.parse(self._data)
        except ProtocolError:
            header, received = None, b""
        if header is not None:
            self._complete(header)
        elif not received:
            self._missing()

    def _missing(self) -> None:
        self._listener.counters.malformed += 1
        self.abort()

    def _complete(self, header: proxy_protocol.Header) -> None:
        downstream, self._socket = self._socket, None
        assert downstream is not None
        self._timer.cancel()
        self._reactor.remove_reader(downstream)
        client = self._peer if header.source is None else (header.source.host, header.source.port)
        self._listener.proxy_header_read(self, downstream, client, self._data[header.size :])

    def drain(self) -> None:
        """Implements `listener.Open`: it has not begun."""

    def end_refused(self) -> None:
        """Implements `listener.Open`: it is asked when it begins."""

    def abort(self) -> None:
        """Reset; nothing when the socket was passed on."""
        downstream, self._socket = self._socket, None
        if downstream is not None:
            self._timer.cancel()
            self._reactor.forget(downstream)
            reset(downstream)
            self._listener.connection_closed(self)


def reset(sock: Stream) -> None:
    """Close with a RST."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    except OSError:
        pass  # shut down already
    sock.close()


class SniffedConnection(Connection):
    """A TCP connection until its first bytes say that it is HTTP.

    Nobody waits for them for long: a client that is silent for `GREETING_WAIT` is connected to an upstream, which
    may be the one that speaks first. Should HTTP come all the same, its first request goes there.
    """

    __slots__ = ("_decided", "_refused")

    def __init__(
        self, listener: Accepting, cluster: Cluster, downstream: Stream, client: tuple[str, int], first: bytes,
        tls: TLSFacts | None = None,
    ) -> None:  # fmt: skip
        super().__init__(listener, cluster, downstream, client, first, tls)
        self._decided = self._refused = False

    def start(self) -> None:
        assert self._downstream is not None
        self._reactor.add_reader(self._downstream, self._first_readable)
        if self._first:
            self._look()
        else:
            self._first_readable()  # with most clients they are there
        if not self._decided and self._downstream is not None:
            self._set_timer(GREETING_WAIT, self._enter)

    def _first_readable(self) -> None:
        if self._downstream is None:
            return
        try:
            received = self._downstream.recv(FIRST_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.abort()
            return
        self._first += received
        if not received or (self._download is not None and self._download.moved):
            self._is_tcp()
        else:
            self._look()

    def _look(self) -> None:
        is_http = looks_like_http(self._first)
        if is_http:
            self._is_http()
        elif is_http is False:
            self._is_tcp()

    def _is_tcp(self) -> None:
        self._decided = True
        assert self._downstream is not None
        self._reactor.remove_reader(self._downstream)
        if self._refused:
            self._fail()
        elif self._upload is not None:
            super()._start_upload(self._upload, b"")
        elif not self._entered and not self._waiting:
            self._enter()

    def _is_http(self) -> None:
        """Give the client to HTTP, and the upstream, if it is connected, to its pool."""
        self._decided = True
        downstream, cluster, upload = self._downstream, self._cluster, self._upload
        assert downstream is not None
        self._reactor.remove_reader(downstream)
        picked = self.upstream if self._upstream_socket is not None else None
        if upload is not None and not cluster.config.send_proxy_protocol:
            assert self._download is not None
            self._download.stop()
            connected, self._upstream_socket = self._upstream_socket, None
            upstream = self.upstream
            self._leave_upstream()
            if connected is not None:
                cluster.pool.adopt(upstream, connected)
        client, first = self._client, self._first
        self._give_up_downstream()
        http = Downstream(self._listener, downstream, client, first, picked=picked, tls=self.tls)
        self._listener.begin_in_place_of(self, http)

    def _start_upload(self, pump: Pump, header: bytes) -> None:
        if self._decided:
            super()._start_upload(pump, header)
        elif header:
            assert self._upstream_socket is not None
            try:
                self._upstream_socket.send(header)  # the first bytes of a connection always have room
            except OSError:
                pass  # it is broken, as the other direction is about to find

    def _refuse(self) -> None:
        if self._decided:
            self._fail()
        else:
            self._refused = True
            self._set_timer(REFUSAL_WAIT, self._fail)
