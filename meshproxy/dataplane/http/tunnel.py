"""Two sockets that switched to another protocol: bytes both ways (RFC 9110 §7.8)."""

from __future__ import annotations

from collections.abc import Callable

from meshproxy.dataplane.idle import IdleTimer
from meshproxy.dataplane.pump import Pump
from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.stream import Stream
from meshproxy.dataplane.upstream import Upstream


class Tunnel:
    """Implements `pump.PumpOwner`. Owns the upstream's socket; the client's stays its connection's."""

    __deletable__ = ("_download", "_upload")  # mypyc's

    def __init__(
        self, reactor: Reactor, downstream: Stream, to_client: bytes, upstream_socket: Stream,
        to_upstream: bytes, upstream: Upstream, idle_timeout: float, closed: Callable[[], None],
    ) -> None:  # fmt: skip
        self._reactor = reactor
        self._socket: Stream | None = upstream_socket
        self._upstream = upstream
        self._closed = closed
        self._first = (to_upstream, to_client)
        self._upload = Pump(reactor, downstream, upstream_socket, self)
        self._download = Pump(reactor, upstream_socket, downstream, self)
        self._idle = IdleTimer(reactor.wheel, idle_timeout, self._progress, self._end)

    def start(self) -> None:
        to_upstream, to_client = self._first
        self._upload.start(to_upstream)
        self._download.start(to_client)

    def _progress(self) -> int:
        return self._upload.moved + self._download.moved

    def pump_finished(self, pump: Pump) -> None:
        """Implements `pump.PumpOwner`."""
        if self._other(pump).ended:
            self._end()
        else:
            pump.pass_end_on()

    def pump_failed(self) -> None:
        """Implements `pump.PumpOwner`."""
        self._end()

    def pump_refused(self, pump: Pump) -> None:
        """Implements `pump.PumpOwner`."""
        if pump is self._download or self._other(pump).ended:
            self._end()

    def _other(self, pump: Pump) -> Pump:
        return self._download if pump is self._upload else self._upload

    def _end(self) -> None:
        if self._socket is not None:
            self.close()
            self._closed()

    def close(self) -> None:
        """Nothing when it is closed already."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        self._idle.cancel()
        self._upstream.sent += self._upload.moved
        self._upstream.received += self._download.moved
        self._reactor.forget(sock)
        sock.close()
        del self._upload, self._download  # they hold it
