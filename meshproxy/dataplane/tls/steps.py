"""The part of a handshake that both sides share: one step of OpenSSL's after the other, each in its turn."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.tls.stream import TLSStream
from meshproxy.dataplane.tls.turns import Turns


class Steps:
    """Leads a stream through its handshake. `done` or `failed` is called once, and neither after `stop`.

    Where it is done the socket is still watched: whoever is next sets a reader in its place, or forgets it. (Each
    change of what epoll watches is a system call, and there are four hands that a new connection passes through.)
    """

    __slots__ = ("_done", "_failed", "_reactor", "_reading", "_socket", "_stopped", "_stream", "_turns", "_writing")

    def __init__(
        self, reactor: Reactor, turns: Turns, sock: socket.socket, stream: TLSStream, done: Callable[[], None],
        failed: Callable[[OSError], None],
    ) -> None:  # fmt: skip
        self._reactor = reactor
        self._turns = turns
        self._socket = sock
        self._stream = stream
        self._done = done
        self._failed = failed
        self._reading = self._writing = self._stopped = False

    def start(self, *, watched: bool = False) -> None:
        """Begin; what was read of the socket is in the stream. `watched` says that somebody has a reader set."""
        if watched:
            self._watch()
        self._ask_for_turn()

    def _watch(self) -> None:
        self._reading = True
        self._reactor.add_reader(self._socket, self._readable)

    def stop(self) -> None:
        """Forget the socket, which stays open."""
        self._stopped = True
        self._reactor.remove_reader(self._socket)
        if self._writing:
            self._reactor.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            self._stream.fill()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(error)
            return
        self._ask_for_turn()

    def _ask_for_turn(self) -> None:
        taken = self._turns.take(self._step)
        if taken is None:
            self._fail(ConnectionRefusedError(errno.EBUSY, "too many handshakes at once"))
        elif not taken and self._reading:
            self._reading = False
            self._reactor.remove_reader(self._socket)

    def _step(self) -> None:
        if self._stopped:
            return
        stream = self._stream
        try:
            done = stream.handshake()
            if not (done and stream.has_only_tickets_to_send()):
                self._flush()
        except OSError as error:
            self._send_alert()
            self._fail(error)
            return
        if done:
            self._stopped = True
            if self._writing:
                self._reactor.remove_writer(self._socket)
            self._done()
        elif not self._reading:
            self._watch()

    def _flush(self) -> None:
        if not self._stream.flush() and not self._writing:
            self._writing = True
            self._reactor.add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        try:
            flushed = self._stream.flush()
        except OSError as error:
            self._fail(error)
            return
        if flushed:
            self._writing = False
            self._reactor.remove_writer(self._socket)

    def _send_alert(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            pass  # the peer is gone; why it is refused does not interest it

    def _fail(self, error: OSError) -> None:
        if not self._stopped:
            self.stop()
            self._failed(error)
