"""One direction of a proxied connection: bytes from one socket to the other.

Theory of operation. A pump reads into the worker's one buffer and sends at once; in steady
state that is two system calls and nothing allocated. Only when the other side is slow does
it copy what was not taken, stop reading, and wait until the socket is writable: so a slow
reader pauses the fast writer, and a direction never holds more than one buffer.

A pump ends when its source says so (a FIN, passed on as a FIN: half-close) or when its sink
refuses bytes. What that means for the other direction is the connection's to say.
"""

from __future__ import annotations

import socket
from typing import Protocol

from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.stream import Stream


class PumpOwner(Protocol):
    """The connection that a pump works for."""

    def pump_finished(self, pump: Pump) -> None:
        """The source has said everything: `pump.pass_end_on` tells the sink, unless all is closed now."""
        ...

    def pump_failed(self) -> None:
        """The source is broken (reset, timed out): nothing more can be expected of either side."""
        ...

    def pump_refused(self, pump: Pump) -> None:
        """The sink takes nothing more; `pump` has ended."""
        ...


class Pump:
    """Moves bytes from `source` to `sink`, both non-blocking; `moved` counts them."""

    __slots__ = (
        "_buffer",
        "_owner",
        "_pending",
        "_reactor",
        "_reading",
        "_receive",
        "_send",
        "_sink",
        "_source",
        "_view",
        "ended",
        "moved",
    )

    def __init__(self, reactor: Reactor, source: Stream, sink: Stream, owner: PumpOwner) -> None:
        self._reactor = reactor
        self._source = source
        self._sink = sink
        self._owner = owner
        self._receive = source.recv_into
        self._send = sink.send
        self._buffer = reactor.buffer
        self._view = reactor.view
        self._pending: memoryview | None = None
        self._reading = False
        self.ended = False
        self.moved = 0

    def start(self, first: bytes = b"") -> None:
        """Send `first` (which is not counted), then what the source says."""
        if first:
            self._hold(memoryview(first))
        else:
            self._reading = True
            self._reactor.add_reader(self._source, self._readable)

    def stop(self) -> None:
        """Forget both sockets' readiness; call before they are closed."""
        if self._reading:
            self._reading = False
            self._reactor.remove_reader(self._source)
        if self._pending is not None:
            self._pending = None
            self._reactor.remove_writer(self._sink)
        self.ended = True

    def _readable(self) -> None:
        try:
            count = self._receive(self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._owner.pump_failed()
            return
        if not count:
            self._owner.pump_finished(self)
            return
        self.moved += count
        try:
            sent = self._send(self._view[:count])
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._sink_refused()
            return
        if sent != count:
            self._hold(memoryview(bytes(self._view[sent:count])))

    def _hold(self, rest: memoryview) -> None:
        """Wait for the sink before anything more is read."""
        self._pending = rest
        if self._reading:
            self._reading = False
            self._reactor.remove_reader(self._source)
        self._reactor.add_writer(self._sink, self._writable)

    def _writable(self) -> None:
        rest = self._pending
        if rest is None:
            return
        try:
            sent = self._send(rest)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._sink_refused()
            return
        if sent < len(rest):
            self._pending = rest[sent:]
            return
        self._pending = None
        self._reactor.remove_writer(self._sink)
        self._reading = True
        self._reactor.add_reader(self._source, self._readable)

    def pass_end_on(self) -> None:
        """End, and half-close the sink."""
        self.stop()
        try:
            self._sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the sink is gone already; its own direction says so

    def _sink_refused(self) -> None:
        self.stop()
        self._owner.pump_refused(self)
