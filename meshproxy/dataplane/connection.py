"""One proxied TCP connection, from accept to close."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshproxy.authorization.caller import Caller
from meshproxy.base.addresses import SocketAddress
from meshproxy.base.durations import format_duration
from meshproxy.dataplane.callers import CallerCounters, name_of
from meshproxy.dataplane.connection_trace import EndedConnection, record_connection
from meshproxy.dataplane.idle import IdleTimer
from meshproxy.dataplane.pump import Pump
from meshproxy.dataplane.tls.stream import TLSStream
from meshproxy.dataplane.tls.upstream import ClientHandshake, keep_session
from meshproxy.dataplane.upstream import Upstream
from meshproxy.protocols import proxy_protocol

if TYPE_CHECKING:
    from meshproxy.aio.timer_wheel import Timer
    from meshproxy.dataplane.cluster import Cluster
    from meshproxy.dataplane.listener import Accepting
    from meshproxy.dataplane.stream import Stream
    from meshproxy.dataplane.tls.peer import TLSFacts

DESCRIPTORS = 2
"""File descriptors that a connection holds."""
DESCRIPTOR_RETRY = 0.05
"""Seconds until a connection tries again that found the system out of descriptors."""
_RESET = struct.pack("ii", 1, 0)
_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Connection:
    """Owns a client's socket and, once connected, an upstream's. `tls` is what is known of the client's TLS.

    Before a byte was sent an upstream that does not answer is left for another one; afterwards
    the two sockets live and die together.
    """

    __slots__ = (
        "_client",
        "_cluster",
        "_counted",
        "_counters",
        "_download",
        "_downstream",
        "_entered",
        "_first",
        "_handshake",
        "_idle",
        "_listener",
        "_reactor",
        "_started",
        "_timer",
        "_tried",
        "_upload",
        "_upstream_socket",
        "_waiting",
        "tls",
        "upstream",
    )

    upstream: Upstream

    def __init__(
        self, listener: Accepting, cluster: Cluster, downstream: Stream, client: tuple[str, int], first: bytes,
        tls: TLSFacts | None = None,
    ) -> None:  # fmt: skip
        self._listener = listener
        self._cluster = cluster
        self._reactor = listener.reactor
        self._downstream: Stream | None = downstream
        self._upstream_socket: Stream | None = None
        self._client = client
        self._first = first
        self.tls = tls
        self._handshake: ClientHandshake | None = None
        self._tried: tuple[Upstream, ...] = ()
        self._upload: Pump | None = None
        self._download: Pump | None = None
        self._timer: Timer | None = None
        self._entered = self._waiting = False
        self._counted = (0, 0)
        self._counters: CallerCounters | None = None
        self._idle: IdleTimer | None = None
        self._started = listener.reactor.time

    def start(self) -> None:
        """Begin with an accepted client, of whom `first` was read already."""
        self._enter()

    # -- admission -----------------------------------------------------------------------

    def _enter(self) -> None:
        if not self._listener.lets_in(self._caller()):
            self._refuse()
            return
        entered = self._cluster.enter(self)
        if entered:
            self._entered = True
            self._connect()
        elif entered is None:
            self._waiting = True
            self._set_timer(self._cluster.config.pending_timeout, self._turn_away)
        else:
            self._turn_away()

    def admitted(self) -> None:
        """Implements `cluster.Waiting`."""
        self._waiting = False
        self._entered = True
        self._connect()

    def _turn_away(self) -> None:
        self._listener.counters.overflowed += 1
        self._refuse()

    # -- connecting ----------------------------------------------------------------------

    def _connect(self) -> None:
        upstream = self._cluster.pick(self._client[0], self._tried)
        if upstream is None:
            self._listener.counters.refused += 1
            self._refuse()
            return
        self.upstream = upstream
        self._cluster.acquire(upstream)
        upstream.attach(self)
        try:
            connecting = socket.socket(upstream.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._no_socket(error)
            return
        self._upstream_socket = connecting
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = connecting.connect_ex(upstream.sockaddr)
        if code in (0, errno.EINPROGRESS):
            self._await_connected(connecting)
        else:
            self._connect_failed(code)

    def _await_connected(self, connecting: socket.socket) -> None:
        try:
            connecting.getpeername()  # on loopback the handshake is over by now
        except OSError:
            self._set_timer(self._cluster.config.connect_timeout, self._connect_timed_out)
            self._reactor.add_writer(connecting, self._connect_decided)
        else:
            self._connected(connecting)

    def _connect_decided(self) -> None:
        connecting = self._upstream_socket
        assert isinstance(connecting, socket.socket)
        self._reactor.remove_writer(connecting)
        code = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._connect_failed(code)
        else:
            self._connected(connecting)

    def _connect_timed_out(self) -> None:
        self._connect_failed(errno.ETIMEDOUT)

    def _connect_failed(self, code: int) -> None:
        timed_out = code == errno.ETIMEDOUT
        after = f" after {format_duration(self._cluster.config.connect_timeout)}" if timed_out else ""
        self._try_failed(f"connect: {os.strerror(code).lower()}{after}", timed_out)

    def _try_failed(self, reason: str, timed_out: bool = False) -> None:
        """Leave the upstream for another one, or give up."""
        upstream, cluster = self.upstream, self._cluster
        self._leave_upstream()
        cluster.failed(upstream, reason, timed_out)
        self._tried = (*self._tried, upstream)
        if len(self._tried) <= cluster.config.connect_retries:
            self._connect()
        else:
            self._listener.counters.refused += 1
            self._refuse()

    def _no_socket(self, error: OSError) -> None:
        """No descriptor is the machine's trouble, not the endpoint's: wait for one."""
        self._leave_upstream()
        if error.errno in _OUT_OF_DESCRIPTORS:
            self._listener.report_shortage(error)
            self._set_timer(DESCRIPTOR_RETRY, self._connect)
        else:
            self._listener.counters.refused += 1
            self._refuse()

    def _refuse(self) -> None:
        """There is nobody to send this client to."""
        self._fail()

    def _fail(self) -> None:
        """Give up, which is a failure in the eyes of the caller."""
        self._counters_of_caller().failures += 1
        self.abort()

    def _counters_of_caller(self) -> CallerCounters:
        listener, name = self._listener, name_of(self._client[0], self.tls)
        return listener.frontend.context.callers.of(name, listener.config.service, self._cluster.name)

    def _connected(self, connected: socket.socket) -> None:
        tls = self._cluster.tls
        if tls is None or not tls.covers(self.upstream):
            self._begin(connected)
            return
        if self._timer is None:
            self._set_timer(self._cluster.config.connect_timeout, self._connect_timed_out)
        self._handshake = ClientHandshake(tls, self.upstream, connected, self._secured, self._try_failed)
        self._handshake.start()

    def _secured(self, stream: TLSStream) -> None:
        self._handshake = None
        self._upstream_socket = stream
        self._reactor.remove_reader(stream)
        self._begin(stream, stream.first())

    # -- proxying ------------------------------------------------------------------------

    def _begin(self, connected: Stream, first: bytes = b"") -> None:
        """Let bytes flow; `first` has come from the upstream already."""
        downstream = self._downstream
        assert downstream is not None
        cluster, reactor, upstream = self._cluster, self._reactor, self.upstream
        cluster.succeeded(upstream)
        upstream.connections += 1
        self._counters = self._counters_of_caller()
        self._counters.connected()
        self._tried = ()
        version = cluster.config.send_proxy_protocol
        header = self._proxy_header(version) if version else b""
        self._upload = Pump(reactor, downstream, connected, self)
        self._download = Pump(reactor, connected, downstream, self)
        self._start_upload(self._upload, header)
        self._download.start(first)
        self._download.moved += len(first)
        self._cancel_timer()
        self._idle = IdleTimer(reactor.wheel, cluster.config.idle_timeout, self._progress, self.close)

    def _start_upload(self, pump: Pump, header: bytes) -> None:
        pump.start(header + self._first)
        pump.moved += len(self._first)

    def _proxy_header(self, version: int) -> bytes:
        assert self._downstream is not None
        destination = SocketAddress(*self._downstream.getsockname()[:2])
        return proxy_protocol.encode(version, SocketAddress(*self._client), destination)

    def pump_finished(self, pump: Pump) -> None:
        """Implements `pump.PumpOwner`."""
        if self._other(pump).ended:
            self.close()
        else:
            pump.pass_end_on()

    def pump_failed(self) -> None:
        """Implements `pump.PumpOwner`."""
        self.abort()

    def _progress(self) -> int:
        if self._upload is None or self._download is None:
            return 0
        return self._upload.moved + self._download.moved

    def pump_refused(self, pump: Pump) -> None:
        """Implements `pump.PumpOwner`.

        What an upstream answered before it hung up is still owed to the client; to a client
        that is gone nothing is.
        """
        if pump is self._download or self._other(pump).ended:
            self.abort()

    def _other(self, pump: Pump) -> Pump:
        assert self._upload is not None
        assert self._download is not None
        return self._download if pump is self._upload else self._upload

    def settle(self) -> None:
        """Implements `upstream.Attached`."""
        counters = self._counters
        if self._upload is None or self._download is None or counters is None:
            return
        sent, received = self._upload.moved, self._download.moved
        counted_sent, counted_received = self._counted
        self.upstream.sent += sent - counted_sent
        self.upstream.received += received - counted_received
        counters.sent += sent - counted_sent
        counters.received += received - counted_received
        self._counted = (sent, received)

    def upstream_gone(self, now: float) -> None:
        """Implements `upstream.Attached`: go on, or close after the policy's drain time."""
        drain_timeout = self._cluster.config.drain_timeout
        if drain_timeout is not None and self._upload is not None:
            self._set_timer(drain_timeout, self.close)

    # -- the end -------------------------------------------------------------------------

    def abort(self) -> None:
        """Reset both sides: neither may take what it has for the whole."""
        for each in (self._downstream, self._upstream_socket):
            if each is not None:
                try:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                except OSError:
                    pass  # shut down already
        self.close()

    def close(self) -> None:
        """Close both sides and give everything back; nothing when it is closed already."""
        downstream = self._downstream
        if downstream is None:
            return
        self._trace()
        self._give_up_downstream()
        self._reactor.forget(downstream)
        downstream.close()
        self._listener.connection_closed(self)

    def _trace(self) -> None:
        context, upload, download = self._listener.frontend.context, self._upload, self._download
        connected = upload is not None and download is not None
        if context.tracer is None or not context.tracer.wants_connection(failed=not connected):
            return
        ended = EndedConnection(
            listener=self._listener.config.name,
            cluster=self._cluster.name,
            endpoint=self.upstream.key if connected else "",
            port=self.upstream.sockaddr[1] if connected else 0,
            client=self._client[0],
            client_port=self._client[1],
            started=self._started,
            ended=self._reactor.look_at_clock(),
            received=upload.moved if upload is not None else 0,
            sent=download.moved if download is not None else 0,
        )
        record_connection(context, context.tracer, ended)

    def end_refused(self) -> None:
        """Implements `listener.Open`."""
        if (self._entered or self._waiting) and self._listener.would_refuse(self._caller(), self.tls):
            self.abort()

    def _caller(self) -> Caller:
        return Caller(self._listener.principal_of(self._client, self.tls), self._client[0])

    def drain(self) -> None:
        """Implements `listener.Open`: nobody knows when a TCP connection is idle."""

    def _give_up_downstream(self) -> None:
        """Give everything back but the client's socket, which is the caller's from now on."""
        self._downstream = None
        self._cancel_timer()
        if self._upstream_socket is not None:
            self._leave_upstream()
        if self._entered:
            self._entered = False
            self._cluster.leave()
        else:
            self._cluster.give_up(self)

    def _leave_upstream(self) -> None:
        """Close the upstream's socket, if there is one, and stop counting as its connection."""
        self._cancel_timer()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        self.settle()
        if self._counters is not None:
            self._counters.active -= 1
            self._counters = None
        upstream = self.upstream
        upstream.detach(self)
        self._cluster.release(upstream)
        self._upload = self._download = None
        if self._handshake is not None:
            self._handshake.stop()
            self._handshake = None
        connected, self._upstream_socket = self._upstream_socket, None
        if connected is not None:
            if self._cluster.tls is not None:
                keep_session(self._cluster.tls, upstream.key, connected)
            self._reactor.forget(connected)
            connected.close()

    def _set_timer(self, delay: float, callback: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = self._reactor.wheel.schedule(delay, callback)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
